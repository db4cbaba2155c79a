//! `first` and `last`: the value of the earliest or newest event that has one.

use granary_registry::{EventTime, Value};

use super::{Aggregate, Bytes, DecodeError, Events, Filter, Sink};

/// Keeps one event's value by order of (event time, dedupe key).
#[derive(Clone, Debug)]
pub(crate) struct Edge {
    /// Only these events.
    pub filter: Option<Filter>,
    /// The column of values.
    pub input: usize,
    /// The newest instead of the earliest.
    pub last: bool,
}

/// The event at the edge so far.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EdgeEvent {
    time: i64,
    id: u64,
    value: Value,
}

impl Edge {
    fn offer(
        &self,
        state: &mut Option<EdgeEvent>,
        time: i64,
        id: u64,
        value: impl FnOnce() -> Value,
    ) {
        let wins = state.as_ref().is_none_or(|held| {
            if self.last {
                (time, id) >= (held.time, held.id)
            } else {
                (time, id) < (held.time, held.id)
            }
        });
        if wins {
            let value = value();
            if !value.is_null() {
                *state = Some(EdgeEvent { time, id, value });
            }
        }
    }
}

impl Aggregate for Edge {
    type State = Option<EdgeEvent>;

    fn update(&self, state: &mut Self::State, events: &Events<'_>) {
        for row in events.selected(self.filter) {
            let id = events.columns.ids.get(row).copied().unwrap_or(0);
            self.offer(state, events.columns.times[row], id, || {
                events.value(self.input, row)
            });
        }
    }

    fn merge(&self, into: &mut Self::State, from: &Self::State) {
        if let Some(event) = from {
            self.offer(into, event.time, event.id, || event.value.clone());
        }
    }

    fn finalize(&self, state: &Self::State, _: EventTime) -> Value {
        state
            .as_ref()
            .map_or(Value::Null, |event| event.value.clone())
    }

    fn encode(&self, state: &Self::State, base: i64, out: &mut Sink) {
        out.unsigned(u64::from(state.is_some()));
        if let Some(event) = state {
            out.time_before(event.time, base);
            out.row.extend_from_slice(&event.id.to_le_bytes());
            out.value(&event.value);
        }
    }

    fn decode(&self, base: i64, bytes: &mut Bytes<'_>) -> Result<Self::State, DecodeError> {
        if bytes.unsigned()? == 0 {
            return Ok(None);
        }
        let time = bytes.time_before(base)?;
        let id = u64::from_le_bytes(bytes.fixed()?);
        Ok(Some(EdgeEvent {
            time,
            id,
            value: bytes.value()?,
        }))
    }

    fn filter(&self) -> Option<Filter> {
        self.filter
    }
}
