//! The text of one cell as a number, a bool, an instant or a vector. Called by `column` for
//! text files and by `cast` for text inside Parquet.
//!
//! `Ok(None)` is a null: nothing but spaces, or what pandas writes for a missing number.

use granary_registry::{DType, EventTime, Value};

use super::Reason;

/// A value, a null, or the reason why it is neither.
pub(super) type Parsed<T> = Result<Option<T>, Reason>;

/// The text of a cell as a value of the registry's type, by the rules of CSV: for the doors
/// that take text instead of files.
pub fn of_text(text: &[u8], dtype: DType) -> Result<Value, Reason> {
    let value = match dtype {
        DType::Int => int(text)?.map(Value::Int),
        DType::Float => float(text)?.map(Value::Float),
        DType::Bool => bool(text)?.map(Value::Bool),
        DType::Timestamp => timestamp(text)?.map(|time| Value::Timestamp(EventTime(time))),
        DType::Text | DType::Categorical => {
            let text = std::str::from_utf8(text).map_err(|_| Reason::NotUtf8)?;
            Some(Value::Text(text.into()))
        }
        DType::Vector => {
            let mut elements = Vec::new();
            vector(text, &mut elements)?.then(|| Value::Vector(elements.into()))
        }
    };
    Ok(value.unwrap_or(Value::Null))
}

/// `27`, `-3`, and `27.0`, which is how pandas writes ints of a column with gaps.
pub(super) fn int(text: &[u8]) -> Parsed<i64> {
    let text = text.trim_ascii();
    if let Some(value) = std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok())
    {
        return Ok(Some(value));
    }
    match float(text) {
        Ok(None) => Ok(None),
        Ok(Some(value)) => whole(value).map(Some).ok_or(Reason::NotA(DType::Int)),
        Err(_) => Err(Reason::NotA(DType::Int)),
    }
}

/// The integer that a float stands for, if it is one and exact.
pub(super) fn whole(value: f64) -> Option<i64> {
    // Above 2^53 neighbours of an integer round to it.
    let exact = value.abs() <= 9_007_199_254_740_992.0 && value.fract() == 0.0;
    exact.then_some(value as i64)
}

/// `1.5`, `2e-3`; NaN and the infinities are nulls, as they are for every float here.
pub(super) fn float(text: &[u8]) -> Parsed<f64> {
    let text = text.trim_ascii();
    if text.is_empty() {
        return Ok(None);
    }
    let parsed = std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse::<f64>().ok());
    match parsed {
        Some(value) => Ok(value.is_finite().then_some(value)),
        None => Err(Reason::NotA(DType::Float)),
    }
}

/// `True`, `true`, `TRUE`, `1`, `1.0` and their opposites.
pub(super) fn bool(text: &[u8]) -> Parsed<bool> {
    match text.trim_ascii() {
        b"True" | b"true" | b"TRUE" | b"1" | b"1.0" => Ok(Some(true)),
        b"False" | b"false" | b"FALSE" | b"0" | b"0.0" => Ok(Some(false)),
        b"" | b"nan" | b"NaN" => Ok(None),
        _ => Err(Reason::NotA(DType::Bool)),
    }
}

/// ISO-8601 in every form that the registry reads.
pub(super) fn timestamp(text: &[u8]) -> Parsed<i64> {
    let text = text.trim_ascii();
    if text.is_empty() || text == b"NaT" {
        return Ok(None);
    }
    EventTime::read(text)
        .map(|instant| Some(instant.0))
        .ok_or(Reason::NotA(DType::Timestamp))
}

/// `[0.1, 0.2]`, appended to `elements`; whether there is a vector at all.
pub(super) fn vector(text: &[u8], elements: &mut Vec<f32>) -> Result<bool, Reason> {
    let text = text.trim_ascii();
    if text.is_empty() {
        return Ok(false);
    }
    let inner = text
        .strip_prefix(b"[")
        .and_then(|rest| rest.strip_suffix(b"]"));
    let inner = inner.ok_or(Reason::NotA(DType::Vector))?.trim_ascii();
    if inner.is_empty() {
        return Ok(true);
    }
    for element in inner.split(|byte| *byte == b',') {
        let text = std::str::from_utf8(element.trim_ascii()).ok();
        let value = text
            .and_then(|text| text.parse::<f32>().ok())
            .filter(|x| x.is_finite());
        elements.push(value.ok_or(Reason::NotA(DType::Vector))?);
    }
    Ok(true)
}
