//! Values side by side: which comes first. Called for events of one instant, which stand in
//! order of their dedupe keys and inputs.

use std::cmp::Ordering;

use granary_registry::Value;

/// The order of two values of one column; null comes first.
pub(crate) fn order(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Value::Vector(a), Value::Vector(b)) if a.len() == b.len() => {
            let differ = |(a, b): &(&f32, &f32)| a.total_cmp(b).is_ne();
            let first = a.iter().zip(b.iter()).find(differ);
            first.map_or(Ordering::Equal, |(a, b)| a.total_cmp(b))
        }
        (Value::Vector(a), Value::Vector(b)) => a.len().cmp(&b.len()),
        (Value::Int(a), Value::Int(b)) => a.cmp(b),
        (Value::Timestamp(a), Value::Timestamp(b)) => a.cmp(b),
        (Value::Float(a), Value::Float(b)) => a.total_cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (a, b) => u8::from(!a.is_null()).cmp(&u8::from(!b.is_null())),
    }
}
