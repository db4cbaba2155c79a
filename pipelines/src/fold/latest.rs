//! A value: the column as it stands in the newest row. What can be written online too, so
//! ties of time go to the later position in the log.

use granary_registry::{EventTime, Span, Value, ValueRef};

use super::{Aggregate, Bytes, DecodeError, Events, Filter, Sink};

/// Keeps the newest row's value, nulls included: a table's newest row says what holds.
#[derive(Clone, Debug)]
pub(crate) struct Latest {
    /// The column of values.
    pub input: usize,
    /// Answers null for a value older than this at the instant asked for.
    pub max_age: Option<Span>,
}

/// The newest row so far.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LatestValue {
    time: i64,
    position: u64,
    value: Value,
}

impl Latest {
    pub(super) fn offer(state: &mut Option<LatestValue>, time: i64, position: u64, value: Value) {
        let newer = state
            .as_ref()
            .is_none_or(|held| (time, position) >= (held.time, held.position));
        if newer {
            *state = Some(LatestValue {
                time,
                position,
                value,
            });
        }
    }

    /// What an encoded state answers, where it lies.
    pub(super) fn read<'v>(
        &self,
        base: i64,
        mut bytes: Bytes<'v>,
        as_of: EventTime,
        floats: &'v mut Vec<f32>,
    ) -> Result<ValueRef<'v>, DecodeError> {
        if bytes.unsigned()? == 0 {
            return Ok(ValueRef::Null);
        }
        let time = bytes.time_before(base)?;
        bytes.unsigned()?;
        if self.is_stale(time, as_of) {
            return Ok(ValueRef::Null);
        }
        bytes.value_ref(floats)
    }

    /// Passes over an encoded state.
    pub(super) fn skip(bytes: &mut Bytes<'_>) -> Result<(), DecodeError> {
        if bytes.unsigned()? == 0 {
            return Ok(());
        }
        bytes.unsigned()?;
        bytes.unsigned()?;
        bytes.skip_value()
    }

    fn is_stale(&self, time: i64, as_of: EventTime) -> bool {
        let is_older = |limit: Span| as_of.0.saturating_sub(time) > limit.0;
        time != i64::MIN && self.max_age.is_some_and(is_older)
    }
}

impl Aggregate for Latest {
    type State = Option<LatestValue>;

    fn update(&self, state: &mut Self::State, events: &Events<'_>) {
        let newest = events
            .rows
            .clone()
            .max_by_key(|&row| (events.columns.times[row], events.position(row)));
        if let Some(row) = newest {
            let value = events.value(self.input, row);
            Latest::offer(
                state,
                events.columns.times[row],
                events.position(row),
                value,
            );
        }
    }

    fn merge(&self, into: &mut Self::State, from: &Self::State) {
        if let Some(row) = from {
            Latest::offer(into, row.time, row.position, row.value.clone());
        }
    }

    fn finalize(&self, state: &Self::State, as_of: EventTime) -> Value {
        let Some(row) = state else { return Value::Null };
        if self.is_stale(row.time, as_of) {
            Value::Null
        } else {
            row.value.clone()
        }
    }

    fn encode(&self, state: &Self::State, base: i64, out: &mut Sink) {
        out.unsigned(u64::from(state.is_some()));
        if let Some(row) = state {
            out.time_before(row.time, base);
            out.unsigned(row.position);
            out.value(&row.value);
        }
    }

    fn decode(&self, base: i64, bytes: &mut Bytes<'_>) -> Result<Self::State, DecodeError> {
        if bytes.unsigned()? == 0 {
            return Ok(None);
        }
        let time = bytes.time_before(base)?;
        let position = bytes.unsigned()?;
        Ok(Some(LatestValue {
            time,
            position,
            value: bytes.value()?,
        }))
    }

    fn filter(&self) -> Option<Filter> {
        None
    }
}
