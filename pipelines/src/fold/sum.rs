//! `sum` and `mean` of numbers: one state, two endings.

use granary_registry::{EventTime, Value};

use super::{Aggregate, Bytes, DecodeError, Events, Filter, Sink};

/// Sums numbers and counts them.
#[derive(Clone, Debug)]
pub(crate) struct Sum {
    /// Only these events.
    pub filter: Option<Filter>,
    /// The column of numbers.
    pub input: usize,
    /// Ends in sum / count, null without numbers, instead of the sum.
    pub mean: bool,
}

/// What has been added up.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct SumState {
    sum: f64,
    count: u64,
}

impl Aggregate for Sum {
    type State = SumState;

    fn update(&self, state: &mut SumState, events: &Events<'_>) {
        let numbers = events.numbers(self.input);
        for row in events.selected(self.filter) {
            let number = numbers[row];
            if !number.is_nan() {
                state.sum += number;
                state.count += 1;
            }
        }
    }

    fn merge(&self, into: &mut SumState, from: &SumState) {
        into.sum += from.sum;
        into.count += from.count;
    }

    fn finalize(&self, state: &SumState, _: EventTime) -> Value {
        match (self.mean, state.count) {
            (true, 0) => Value::Null,
            (true, count) => Value::float(state.sum / count as f64),
            (false, _) => Value::float(state.sum),
        }
    }

    fn encode(&self, state: &SumState, _: i64, out: &mut Sink) {
        out.unsigned(state.count);
        out.float(state.sum);
    }

    fn decode(&self, _: i64, bytes: &mut Bytes<'_>) -> Result<SumState, DecodeError> {
        Ok(SumState {
            count: bytes.unsigned()?,
            sum: bytes.float()?,
        })
    }

    fn filter(&self) -> Option<Filter> {
        self.filter
    }
}
