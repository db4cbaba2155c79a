//! Values of one entity that were written, as the log keeps them. Written by `ingest` after they
//! were held against the registry, read by builds, by the catch-up of a push and by replay after a
//! crash.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | format, 1 |
//! | varint + … | length of all but the elements of vectors, then this: |
//! | text, value | name of the entity, its key |
//! | varint, varint | the event time, and when the values became known |
//! | varint, then text and value each | the values, by the names of their features |
//! | … | elements of vectors |

use std::sync::Arc;

use granary_registry::{Entity, EventTime, Source, Value};

use crate::event::Event;
use crate::fold::{Bytes, DecodeError, Sink};

/// First byte of logged values.
const WRITE_FORMAT: u8 = 1;

/// Values of one entity at one instant. A feature that is not named keeps what it has; one whose
/// value is null has none from then on.
#[derive(Clone, Debug, PartialEq)]
pub struct ValueWrite {
    /// Name of the entity.
    pub entity: Arc<str>,
    /// Its key.
    pub key: Value,
    /// The instant from which the values hold.
    pub time: EventTime,
    /// The instant at which they came.
    pub known: EventTime,
    /// Values by feature.
    pub values: Vec<(Arc<str>, Value)>,
}

impl ValueWrite {
    /// The bytes that go into the log.
    pub fn encode(&self) -> Vec<u8> {
        let (mut framed, mut sink) = (Sink::default(), Sink::default());
        framed.row.push(WRITE_FORMAT);
        sink.text(self.entity.as_bytes());
        sink.value(&self.key);
        sink.signed(self.time.0);
        sink.signed(self.known.0);
        sink.unsigned(self.values.len() as u64);
        for (feature, value) in &self.values {
            sink.text(feature.as_bytes());
            sink.value(value);
        }
        framed.text(&sink.row);
        framed.row.append(&mut sink.vectors);
        framed.row
    }

    /// Reads what `encode` wrote.
    pub fn decode(payload: &[u8]) -> Result<ValueWrite, DecodeError> {
        let mut framed = Bytes::new(payload, None);
        let format = framed.byte()?;
        if format != WRITE_FORMAT {
            return Err(DecodeError::Invalid {
                what: "format of written values",
                found: u64::from(format),
            });
        }
        let row = framed.text()?;
        let mut bytes = Bytes::new(row, Some(framed.rest()));
        let name = |text: &[u8]| Arc::from(&*String::from_utf8_lossy(text));
        let entity = name(bytes.text()?);
        let key = bytes.value()?;
        let time = EventTime(bytes.signed()?);
        let known = EventTime(bytes.signed()?);
        let count = bytes.length()?;
        let mut values = Vec::with_capacity(count);
        for _ in 0..count {
            values.push((name(bytes.text()?), bytes.value()?));
        }
        Ok(ValueWrite {
            entity,
            key,
            time,
            known,
            values,
        })
    }

    /// What is written of a feature, if it is.
    pub(crate) fn value(&self, feature: &str) -> Option<&Value> {
        let found = self.values.iter().find(|(held, _)| &**held == feature);
        found.map(|(_, value)| value)
    }

    /// The row of a source that has nothing but the entity's key and the instant.
    pub(crate) fn bare(&self, source: &Source, entity: &Entity) -> Event {
        let mut fields = vec![(Arc::from(entity.key.as_str()), self.key.clone())];
        if let Some(time) = &source.event_time {
            fields.push((Arc::from(time.as_str()), Value::Timestamp(self.time)));
        }
        Event {
            source: Arc::from(source.name.as_str()),
            fields,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::Int),
            any::<String>().prop_map(|text| Value::Text(text.into())),
            prop::collection::vec(-1e6f32..1e6, 0..5).prop_map(|x| Value::Vector(x.into())),
        ]
    }

    proptest! {
        #[test]
        fn a_write_survives_the_log(
            key in value(),
            times: (i64, i64),
            values in prop::collection::vec((any::<String>(), value()), 0..6),
        ) {
            let values = values.into_iter().map(|(name, value)| (name.into(), value)).collect();
            let (time, known) = (EventTime(times.0), EventTime(times.1));
            let write = ValueWrite { entity: "user".into(), key, time, known, values };
            prop_assert_eq!(ValueWrite::decode(&write.encode()), Ok(write));
        }

        #[test]
        fn garbage_is_never_a_panic(garbage: Vec<u8>) {
            let _ = ValueWrite::decode(&garbage);
        }
    }
}
