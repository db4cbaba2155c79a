//! One event as the log keeps it, and logged events as batches. Written by `ingest`, read by
//! builds, by the catch-up of a push and by replay after a crash.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, StringViewArray};
use arrow::datatypes::{Field, Schema};
use granary_registry::{DType, Value};

use crate::error::Error;
use crate::fold::{Bytes, ColumnBuilder, DecodeError, Sink};
use crate::origin::Origin;
use crate::source::{TextAs, Wanted};

/// First byte of a logged event.
const EVENT_FORMAT: u8 = 1;

/// First byte of a logged event that says where it came from.
pub(crate) const EVENT_FROM_FORMAT: u8 = 2;

/// Room for nearly every event.
const USUAL_BYTES: usize = 256;

/// An accepted event: a row of a source.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Name of the source.
    pub source: Arc<str>,
    /// Columns that are not null, by name.
    pub fields: Vec<(Arc<str>, Value)>,
}

/// A logged event, cut into its parts.
pub(crate) struct Parts<'a> {
    pub(crate) origin: Option<&'a [u8]>,
    row: &'a [u8],
    vectors: &'a [u8],
}

impl Event {
    /// The bytes that go into the log: format, length of the row part, row part, vectors.
    pub fn encode(&self) -> Vec<u8> {
        let mut head = Sink::default();
        head.row.push(EVENT_FORMAT);
        self.encode_parts(head)
    }

    /// The same with the place it came from between the format and the row part.
    pub fn encode_from(&self, origin: &Origin) -> Vec<u8> {
        let mut place = Sink::default();
        origin.encode(&mut place);
        let mut head = Sink::default();
        head.row.push(EVENT_FROM_FORMAT);
        head.text(&place.row);
        self.encode_parts(head)
    }

    fn encode_parts(&self, mut head: Sink) -> Vec<u8> {
        let mut sink = Sink::with_capacity(USUAL_BYTES);
        head.row.reserve(USUAL_BYTES);
        sink.text(self.source.as_bytes());
        sink.unsigned(self.fields.len() as u64);
        for (name, value) in &self.fields {
            sink.text(name.as_bytes());
            sink.value(value);
        }
        head.text(&sink.row);
        head.row.append(&mut sink.vectors);
        head.row
    }

    /// Reads what `encode` or `encode_from` wrote.
    pub fn decode(payload: &[u8]) -> Result<Event, DecodeError> {
        let parts = split(payload)?;
        let mut bytes = Bytes::new(parts.row, Some(parts.vectors));
        let source = String::from_utf8_lossy(bytes.text()?).into();
        let count = bytes.length()?;
        let mut fields = Vec::with_capacity(count);
        for _ in 0..count {
            let name = String::from_utf8_lossy(bytes.text()?).into();
            fields.push((name, bytes.value()?));
        }
        Ok(Event { source, fields })
    }

    /// The value of a column; null when it has none.
    pub fn field(&self, name: &str) -> &Value {
        let found = self.fields.iter().find(|(held, _)| &**held == name);
        found.map_or(&Value::Null, |(_, value)| value)
    }

    /// A column's value and its place among the fields, looked for in one place first.
    fn field_near(&self, name: &str, place: usize) -> Option<(usize, &Value)> {
        let is_it = |(held, _): &&(Arc<str>, Value)| &**held == name;
        if let Some((_, value)) = self.fields.get(place).filter(is_it) {
            return Some((place, value));
        }
        let place = self.fields.iter().position(|field| is_it(&field))?;
        Some((place, &self.fields[place].1))
    }
}

/// Cuts the bytes of a logged event, of either format.
pub(crate) fn split(payload: &[u8]) -> Result<Parts<'_>, DecodeError> {
    let mut head = Bytes::new(payload, None);
    let origin = match head.byte()? {
        EVENT_FORMAT => None,
        EVENT_FROM_FORMAT => Some(head.text()?),
        found => {
            return Err(DecodeError::Invalid {
                what: "event format",
                found: u64::from(found),
            });
        }
    };
    Ok(Parts {
        origin,
        row: head.text()?,
        vectors: head.rest(),
    })
}

/// Events of one source as a batch of the wanted columns.
pub(crate) fn batch(events: &[Event], wanted: &[Wanted]) -> Result<RecordBatch, Error> {
    let columns = wanted.iter().map(|wanted| column(events, wanted));
    let columns: Vec<ArrayRef> = columns.collect();
    let field = |(wanted, column): (&Wanted, &ArrayRef)| {
        Field::new(&wanted.name, column.data_type().clone(), true)
    };
    let fields: Vec<Field> = wanted.iter().zip(&columns).map(field).collect();
    Ok(RecordBatch::try_new(
        Arc::new(Schema::new(fields)),
        columns,
    )?)
}

fn column(events: &[Event], wanted: &Wanted) -> ArrayRef {
    // Most events have their fields in the order of the one before.
    let mut place = 0;
    let values: Vec<&Value> = events
        .iter()
        .map(|event| {
            let value = event.field_near(&wanted.name, place);
            place = value.map_or(place, |(place, _)| place);
            value.map_or(&Value::Null, |(_, value)| value)
        })
        .collect();
    let texts = values.iter().map(|value| match value {
        Value::Text(text) => Some(&**text),
        _ => None,
    });
    match (wanted.dtype, wanted.text) {
        (DType::Text | DType::Categorical, TextAs::Plain) => {
            Arc::new(texts.collect::<StringArray>())
        }
        (DType::Text | DType::Categorical, TextAs::View) => {
            Arc::new(texts.collect::<StringViewArray>())
        }
        _ => {
            let mut column = ColumnBuilder::new(wanted.dtype);
            for value in values {
                column.push(value);
            }
            column.finish(0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use granary_registry::EventTime;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::Int),
            any::<f64>().prop_map(Value::float),
            any::<bool>().prop_map(Value::Bool),
            any::<String>().prop_map(|text| Value::Text(text.into())),
            any::<i64>().prop_map(|micros| Value::Timestamp(EventTime(micros))),
            prop::collection::vec(-1e6f32..1e6, 0..5).prop_map(|x| Value::Vector(x.into())),
        ]
    }

    proptest! {
        #[test]
        fn an_event_survives_the_log(source: String, fields in prop::collection::vec((any::<String>(), value()), 0..6)) {
            let fields = fields.into_iter().map(|(name, value)| (name.into(), value)).collect();
            let event = Event { source: source.into(), fields };
            prop_assert_eq!(Event::decode(&event.encode()), Ok(event));
        }

        #[test]
        fn garbage_is_never_a_panic(garbage: Vec<u8>) {
            let _ = Event::decode(&garbage);
        }
    }
}
