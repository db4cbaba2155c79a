//! A JSON value as a value of the registry's type. Called for the fields of events and for
//! features sent along with a request.

use std::sync::Arc;

use granary_registry::{DType, EventTime, Value};
use serde_json::Value as Json;

use super::ingest::expected;

/// Converts, or says what was expected. Objects and lists are kept as JSON text where the
/// column holds text, as the metadata of an event does.
pub fn of_json(json: &Json, dtype: DType) -> Result<Value, String> {
    let found = match (dtype, json) {
        (_, Json::Null) => Some(Value::Null),
        (DType::Int, Json::Number(number)) => whole(number).map(Value::Int),
        (DType::Float, Json::Number(number)) => number.as_f64().map(Value::float),
        (DType::Bool, Json::Bool(flag)) => Some(Value::Bool(*flag)),
        (DType::Text | DType::Categorical, Json::String(text)) => {
            Some(Value::Text(Arc::from(text.as_str())))
        }
        (DType::Text, Json::Object(_) | Json::Array(_)) => {
            Some(Value::Text(Arc::from(json.to_string())))
        }
        (DType::Text | DType::Categorical, Json::Number(number)) => {
            Some(Value::Text(Arc::from(number.to_string())))
        }
        (DType::Timestamp, Json::String(text)) => EventTime::parse(text).ok().map(Value::Timestamp),
        (DType::Vector, Json::Array(items)) => {
            let elements: Option<Vec<f32>> = items
                .iter()
                .map(|item| item.as_f64().map(|x| x as f32))
                .collect();
            elements.map(|elements| Value::Vector(elements.into()))
        }
        _ => None,
    };
    found.ok_or_else(|| format!("expected {}, found {}", expected(dtype), shortened(json)))
}

/// `5` and `5.0` are whole, `5.5` is not.
fn whole(number: &serde_json::Number) -> Option<i64> {
    number.as_i64().or_else(|| {
        let float = number.as_f64()?;
        (float.fract() == 0.0 && float.abs() < 9.0e15).then_some(float as i64)
    })
}

fn shortened(json: &Json) -> String {
    let text = json.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
