//! A JSON value as a value of the registry's type. Called for the fields of events and for
//! features sent along with a request.

use std::sync::Arc;

use granary_pipelines::source;
use granary_registry::{DType, EventTime, Value};
use serde_json::Value as Json;

/// The value, or what was found and what is wanted. Null is null for every type, a whole
/// number is a float too. A text column takes anything: the metadata of an event is an
/// object, and some ids are numbers.
pub fn of_json(json: &Json, dtype: DType) -> Result<Value, String> {
    let refuse = |wanted: &str| format!("is {}, wants {wanted}", shown(json));
    match (dtype, json) {
        (_, Json::Null) => Ok(Value::Null),
        (DType::Int, Json::Number(number)) => whole(number)
            .map(Value::Int)
            .ok_or_else(|| refuse("a whole number of 64 bits")),
        (DType::Int, _) => Err(refuse("a whole number")),
        (DType::Float, Json::Number(number)) => {
            let number = number.as_f64().filter(|number| number.is_finite());
            number
                .map(Value::Float)
                .ok_or_else(|| refuse("a number of 64 bits"))
        }
        (DType::Float, _) => Err(refuse("a number")),
        (DType::Bool, Json::Bool(truth)) => Ok(Value::Bool(*truth)),
        (DType::Bool, _) => Err(refuse("true or false")),
        (DType::Text | DType::Categorical, Json::String(text)) => {
            Ok(Value::Text(text.as_str().into()))
        }
        (DType::Text, Json::Object(_) | Json::Array(_))
        | (DType::Text | DType::Categorical, Json::Number(_)) => {
            Ok(Value::Text(json.to_string().into()))
        }
        (DType::Text | DType::Categorical, _) => Err(refuse("a string")),
        (DType::Timestamp, Json::String(text)) => EventTime::parse(text)
            .map(Value::Timestamp)
            .map_err(|error| format!("is {}: {error}", shown(json))),
        (DType::Timestamp, _) => Err(refuse("an ISO-8601 instant as a string")),
        (DType::Vector, Json::Array(elements)) => vector(elements),
        (DType::Vector, _) => Err(refuse("an array of numbers")),
    }
}

/// The same of a text that stands for a value of any type, by the rules of CSV.
pub fn of_text(text: &[u8], dtype: DType) -> Result<Value, String> {
    source::of_text(text, dtype).map_err(|reason| {
        let found = Json::from(String::from_utf8_lossy(text));
        format!("{} {reason}", shown(&found))
    })
}

/// Also `27.0`, which some clients write for `27`.
fn whole(number: &serde_json::Number) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let rounded = || {
        number
            .as_f64()
            .filter(|x| x.fract() == 0.0 && x.abs() <= EXACT)
    };
    number.as_i64().or_else(|| rounded().map(|x| x as i64))
}

fn vector(elements: &[Json]) -> Result<Value, String> {
    let element = |(index, json): (usize, &Json)| {
        if json.is_null() {
            return Ok(f32::NAN);
        }
        let number = json.as_f64().map(|x| x as f32).filter(|x| x.is_finite());
        number.ok_or_else(|| {
            let found = shown(json);
            format!("has {found} as element {index}, wants numbers of 32 bits")
        })
    };
    let elements: Arc<[f32]> = elements
        .iter()
        .enumerate()
        .map(element)
        .collect::<Result<_, _>>()?;
    Ok(Value::Vector(elements))
}

/// A value as messages show it.
pub(super) fn text_of(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Int(x) => x.to_string(),
        Value::Float(x) => x.to_string(),
        Value::Bool(x) => x.to_string(),
        Value::Text(x) => shown(&Json::from(&**x)),
        Value::Timestamp(x) => x.to_string(),
        Value::Vector(x) => format!("a vector of {}", x.len()),
    }
}

/// A value as it was sent, cut to a readable length.
pub fn shown(json: &Json) -> String {
    const SHOWN: usize = 40;
    match json {
        Json::Object(_) => "an object".to_owned(),
        Json::Array(_) => "an array".to_owned(),
        other => {
            let text = other.to_string();
            match text.char_indices().nth(SHOWN) {
                Some((end, _)) => format!("{}…", &text[..end]),
                None => text,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(dtype: DType, json: &Json) -> Result<Value, String> {
        of_json(json, dtype)
    }

    #[test]
    fn each_type_takes_its_own() {
        assert_eq!(read(DType::Int, &json!(27)), Ok(Value::Int(27)));
        assert_eq!(read(DType::Int, &json!(27.0)), Ok(Value::Int(27)));
        assert_eq!(read(DType::Float, &json!(27)), Ok(Value::Float(27.0)));
        assert_eq!(read(DType::Bool, &json!(true)), Ok(Value::Bool(true)));
        assert_eq!(
            read(DType::Categorical, &json!("gold")),
            Ok(Value::Text("gold".into()))
        );
        let metadata = Value::Text(r#"{"a":[1]}"#.into());
        assert_eq!(read(DType::Text, &json!({"a": [1]})), Ok(metadata));
        assert_eq!(read(DType::Text, &json!(7)), Ok(Value::Text("7".into())));
        let vector = Value::Vector(vec![1.0, 0.5].into());
        assert_eq!(read(DType::Vector, &json!([1, 0.5])), Ok(vector));
        let Ok(Value::Vector(gap)) = read(DType::Vector, &json!([1, null])) else {
            panic!("an element that is missing");
        };
        assert!(gap[1].is_nan());
        for (_, dtype) in DType::NAMES {
            assert_eq!(read(dtype, &Json::Null), Ok(Value::Null));
        }
    }

    #[test]
    fn refusals_say_what_was_found_and_what_is_wanted() {
        let no = |dtype, json| read(dtype, &json).unwrap_err();
        assert_eq!(
            no(DType::Int, json!("27")),
            "is \"27\", wants a whole number"
        );
        let reason = "is 1.5, wants a whole number of 64 bits";
        assert_eq!(no(DType::Int, json!(1.5)), reason);
        assert_eq!(no(DType::Int, json!(1e300)).matches("64 bits").count(), 1);
        assert_eq!(no(DType::Bool, json!(1)), "is 1, wants true or false");
        assert_eq!(
            no(DType::Categorical, json!({"a": 1})),
            "is an object, wants a string"
        );
        let reason = "has \"a\" as element 1, wants numbers of 32 bits";
        assert_eq!(no(DType::Vector, json!([1, "a"])), reason);
        assert!(no(DType::Vector, json!([1e300])).contains("32 bits"));
        assert!(no(DType::Timestamp, json!("soon")).contains("soon"));
        assert!(no(DType::Bool, json!("é".repeat(100))).contains('…'));
    }

    proptest! {
        #[test]
        fn ints_survive_unchanged(x: i64) {
            prop_assert_eq!(read(DType::Int, &json!(x)), Ok(Value::Int(x)));
        }
    }
}
