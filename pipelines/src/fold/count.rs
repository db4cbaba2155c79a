//! `count`: how many events.

use granary_registry::{EventTime, Value};

use super::{Aggregate, Bytes, DecodeError, Events, Filter, Sink};

/// Counts the events that a filter lets through.
#[derive(Clone, Debug)]
pub(crate) struct Count {
    /// Only these.
    pub filter: Option<Filter>,
}

impl Aggregate for Count {
    type State = u64;

    fn update(&self, state: &mut u64, events: &Events<'_>) {
        *state += events.count(self.filter);
    }

    fn merge(&self, into: &mut u64, from: &u64) {
        *into += from;
    }

    fn finalize(&self, state: &u64, _: EventTime) -> Value {
        Value::Int(*state as i64)
    }

    fn encode(&self, state: &u64, _: i64, out: &mut Sink) {
        out.unsigned(*state);
    }

    fn decode(&self, _: i64, bytes: &mut Bytes<'_>) -> Result<u64, DecodeError> {
        bytes.unsigned()
    }

    fn filter(&self) -> Option<Filter> {
        self.filter
    }
}
