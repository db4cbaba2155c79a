//! The fields of an event from the text of a JSON object, without a tree of values in
//! between. Called by `check`.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use granary_registry::{DType, EventTime, Value};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::cell;
use super::check::{Fault, Gate, is_new};

/// The fields that are not null, as the columns of the gate's source.
pub(super) fn fields(gate: &Gate, object: &RawValue) -> Result<Vec<(Arc<str>, Value)>, Fault> {
    let mut fault = None;
    let reader = Reader {
        gate,
        fault: &mut fault,
    };
    let read = serde_json::Deserializer::from_str(object.get()).deserialize_map(reader);
    read.map_err(|error| fault.unwrap_or_else(|| Fault::field("(a name)", error.to_string())))
}

/// A value as text of JSON; nearly all are read without another look at the grammar.
fn value(json: &RawValue, dtype: DType) -> Result<Value, String> {
    let text = json.get();
    let quick = match dtype {
        DType::Text | DType::Categorical => plain(text).map(|text| Value::Text(text.into())),
        DType::Timestamp => plain(text)
            .and_then(|text| EventTime::parse(text).ok())
            .map(Value::Timestamp),
        DType::Int => text.parse().ok().map(Value::Int),
        DType::Float => number(text).map(Value::Float),
        DType::Bool | DType::Vector => None,
    };
    if let Some(quick) = quick {
        return Ok(quick);
    }
    let json = serde_json::from_str(text).map_err(|error| format!("cannot be read: {error}"))?;
    cell::of_json(&json, dtype)
}

/// The inside of a string without escapes.
fn plain(text: &str) -> Option<&str> {
    let inside = text.strip_prefix('"')?.strip_suffix('"')?;
    memchr::memchr(b'\\', inside.as_bytes())
        .is_none()
        .then_some(inside)
}

/// A number, which a JSON string or word never is.
fn number(text: &str) -> Option<f64> {
    let begins = text.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    let number = begins.then(|| text.parse::<f64>().ok()).flatten();
    number.filter(|number| number.is_finite())
}

/// The name of a field, borrowed unless it holds escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

struct Reader<'a> {
    gate: &'a Gate,
    fault: &'a mut Option<Fault>,
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Vec<(Arc<str>, Value)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields: Self::Value = Vec::with_capacity(self.gate.width());
        while let Some(Name(name)) = map.next_key::<Name<'de>>()? {
            let json: &RawValue = map.next_value()?;
            match field(self.gate, &name, json, &fields) {
                Ok((_, Value::Null)) => {}
                Ok(field) => fields.push(field),
                Err(found) => {
                    *self.fault = Some(found);
                    return Err(A::Error::custom("a field is wrong"));
                }
            }
        }
        Ok(fields)
    }
}

fn field(
    gate: &Gate,
    name: &str,
    json: &RawValue,
    before: &[(Arc<str>, Value)],
) -> Result<(Arc<str>, Value), Fault> {
    let (name, dtype) = gate.column(name, before.len())?;
    is_new(&name, before)?;
    let value = value(json, dtype).map_err(|reason| Fault::field(&name, reason))?;
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    fn any_json() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            any::<i64>().prop_map(Json::from),
            any::<u64>().prop_map(Json::from),
            any::<f64>().prop_map(Json::from),
            any::<String>().prop_map(Json::from),
            (-4_000_000_000_000_000i64..4_000_000_000_000_000)
                .prop_map(|micros| Json::from(EventTime(micros).to_string())),
        ];
        leaf.prop_recursive(2, 8, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
                prop::collection::btree_map(any::<String>(), inner, 0..3).prop_map(Json::from_iter),
            ]
        })
    }

    proptest! {
        /// What the quick way reads is what the tree of values would have given, refusals
        /// included.
        #[test]
        fn text_and_tree_give_the_same(json in any_json(), pretty: bool) {
            let text = if pretty { format!("{json:#}") } else { json.to_string() };
            for (_, dtype) in DType::NAMES {
                // As text: a missing element of a vector is not equal to itself.
                let quick = format!("{:?}", value(&raw(&text), dtype));
                prop_assert_eq!(quick, format!("{:?}", cell::of_json(&json, dtype)));
            }
        }
    }

    #[test]
    fn escapes_and_exponents_are_read_the_long_way() {
        let text = |json: &str| value(&raw(json), DType::Text);
        assert_eq!(text(r#""a\u0041\"""#), Ok(Value::Text("aA\"".into())));
        assert_eq!(value(&raw("27.0"), DType::Int), Ok(Value::Int(27)));
        assert_eq!(value(&raw("1e2"), DType::Float), Ok(Value::Float(100.0)));
        assert!(
            value(&raw("1e999"), DType::Float)
                .unwrap_err()
                .contains("read")
        );
        assert_eq!(
            value(&raw(r#""2025-01-01""#), DType::Timestamp),
            cell::of_json(&json!("2025-01-01"), DType::Timestamp)
        );
    }
}
