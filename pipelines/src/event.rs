//! One event as the log keeps it, and logged events as batches. Written by `ingest`, read by
//! builds, by the catch-up of a push and by replay after a crash.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute;
use arrow::datatypes::{DataType, Field, Schema};
use granary_registry::{DType, Value};
use granary_storage::{Kind, LogReader, Offset};

use crate::error::Error;
use crate::fold::{Bytes, ColumnBuilder, DecodeError, Sink};
use crate::source::{TextAs, Wanted};

/// First byte of every logged event.
const EVENT_FORMAT: u8 = 1;

/// An accepted event: a row of a source.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Name of the source.
    pub source: String,
    /// Columns that are not null, by name.
    pub fields: Vec<(String, Value)>,
}

impl Event {
    /// The bytes that go into the log: format, length of the row part, row part, vectors.
    pub fn encode(&self) -> Vec<u8> {
        let mut sink = Sink::default();
        sink.text(self.source.as_bytes());
        sink.unsigned(self.fields.len() as u64);
        for (name, value) in &self.fields {
            sink.text(name.as_bytes());
            sink.value(value);
        }
        let mut head = Sink::default();
        head.row.push(EVENT_FORMAT);
        head.text(&sink.row);
        head.row.append(&mut sink.vectors);
        head.row
    }

    /// Reads what `encode` wrote.
    pub fn decode(payload: &[u8]) -> Result<Event, DecodeError> {
        let mut head = Bytes::new(payload, None);
        match head.byte()? {
            EVENT_FORMAT => {}
            found => {
                return Err(DecodeError::Invalid {
                    what: "event format",
                    found: u64::from(found),
                });
            }
        }
        let row = head.text()?;
        let vectors = head.rest();
        let mut bytes = Bytes::new(row, Some(vectors));
        let source = String::from_utf8_lossy(bytes.text()?).into_owned();
        let count = bytes.length()?;
        let mut fields = Vec::with_capacity(count);
        for _ in 0..count {
            let name = String::from_utf8_lossy(bytes.text()?).into_owned();
            fields.push((name, bytes.value()?));
        }
        Ok(Event { source, fields })
    }

    /// The value of a column; null when it has none.
    pub fn field(&self, name: &str) -> &Value {
        let found = self.fields.iter().find(|(held, _)| held == name);
        found.map_or(&Value::Null, |(_, value)| value)
    }
}

/// Events of one source as a batch of the wanted columns.
pub(crate) fn batch(events: &[Event], wanted: &[Wanted]) -> Result<RecordBatch, Error> {
    let columns = wanted.iter().map(|wanted| {
        let mut column = ColumnBuilder::new(wanted.dtype);
        for event in events {
            column.push(event.field(&wanted.name));
        }
        let array = column.finish(0);
        match (wanted.dtype, wanted.text) {
            (DType::Text | DType::Categorical, TextAs::Plain) => {
                Ok(compute::cast(&array, &DataType::Utf8)?)
            }
            (DType::Text | DType::Categorical, TextAs::View) => {
                Ok(compute::cast(&array, &DataType::Utf8View)?)
            }
            _ => Ok(array),
        }
    });
    let columns = columns.collect::<Result<Vec<ArrayRef>, Error>>()?;
    let field = |(wanted, column): (&Wanted, &ArrayRef)| {
        Field::new(&wanted.name, column.data_type().clone(), true)
    };
    let fields: Vec<Field> = wanted.iter().zip(&columns).map(field).collect();
    Ok(RecordBatch::try_new(
        Arc::new(Schema::new(fields)),
        columns,
    )?)
}

/// Calls `each` with every event between two offsets and where it stands. Records of other
/// kinds are passed over.
pub fn replay(
    log: &LogReader,
    from: Offset,
    until: Offset,
    mut each: impl FnMut(Offset, Event) -> Result<(), Error>,
) -> Result<(), Error> {
    if from >= until {
        return Ok(());
    }
    let mut records = log.read_from(from, Some(until))?;
    while let Some(record) = records.next_record()? {
        if record.kind == Kind::Event {
            let event = Event::decode(record.payload).map_err(|source| Error::LoggedEvent {
                offset: record.offset.0,
                source,
            })?;
            each(record.offset, event)?;
        }
    }
    Ok(())
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
            let event = Event { source, fields };
            prop_assert_eq!(Event::decode(&event.encode()), Ok(event));
        }

        #[test]
        fn garbage_is_never_a_panic(garbage: Vec<u8>) {
            let _ = Event::decode(&garbage);
        }
    }
}
