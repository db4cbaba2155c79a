//! `days_since_last`: whole days from the newest event to the instant asked for, rounded down.

use granary_registry::{EventTime, Span, Value};

use super::{Aggregate, Bytes, DecodeError, Events, Filter, Sink};

/// Keeps the newest event's instant.
#[derive(Clone, Debug)]
pub(crate) struct Recency {
    /// Only these events.
    pub filter: Option<Filter>,
}

impl Aggregate for Recency {
    type State = Option<i64>;

    fn update(&self, state: &mut Option<i64>, events: &Events<'_>) {
        let newest = events.selected(self.filter).next_back();
        *state = (*state).max(newest.map(|row| events.columns.times[row]));
    }

    fn merge(&self, into: &mut Option<i64>, from: &Option<i64>) {
        *into = (*into).max(*from);
    }

    fn finalize(&self, state: &Option<i64>, as_of: EventTime) -> Value {
        state.map_or(Value::Null, |time| {
            Value::Int(as_of.0.saturating_sub(time).div_euclid(Span::DAY.0))
        })
    }

    fn encode(&self, state: &Option<i64>, base: i64, out: &mut Sink) {
        out.unsigned(u64::from(state.is_some()));
        if let Some(time) = state {
            out.time_before(*time, base);
        }
    }

    fn decode(&self, base: i64, bytes: &mut Bytes<'_>) -> Result<Option<i64>, DecodeError> {
        Ok(if bytes.unsigned()? == 0 {
            None
        } else {
            Some(bytes.time_before(base)?)
        })
    }

    fn filter(&self) -> Option<Filter> {
        self.filter
    }
}
