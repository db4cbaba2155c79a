//! `variance` and `stddev` of numbers (of a sample, dividing by n - 1, as SQL's `VARIANCE`),
//! by Welford's update and Chan's merge, never by a sum of squares.

use granary_registry::{EventTime, Value};

use super::{Aggregate, Bytes, DecodeError, Events, Filter, Sink};

/// Keeps count, mean and the sum of squared distances from it.
#[derive(Clone, Debug)]
pub(crate) struct Moments {
    /// Only these events.
    pub filter: Option<Filter>,
    /// The column of numbers.
    pub input: usize,
    /// Ends in the square root.
    pub deviation: bool,
}

/// The first two moments.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct MomentsState {
    count: u64,
    mean: f64,
    squares: f64,
}

impl Aggregate for Moments {
    type State = MomentsState;

    fn update(&self, state: &mut MomentsState, events: &Events<'_>) {
        let numbers = events.numbers(self.input);
        for row in events.selected(self.filter) {
            let number = numbers[row];
            if !number.is_nan() {
                state.count += 1;
                let distance = number - state.mean;
                state.mean += distance / state.count as f64;
                state.squares += distance * (number - state.mean);
            }
        }
    }

    fn merge(&self, into: &mut MomentsState, from: &MomentsState) {
        if from.count == 0 {
            return;
        }
        let (left, right) = (into.count as f64, from.count as f64);
        let distance = from.mean - into.mean;
        into.squares += from.squares + distance * distance * left * right / (left + right);
        into.mean += distance * right / (left + right);
        into.count += from.count;
    }

    fn finalize(&self, state: &MomentsState, _: EventTime) -> Value {
        if state.count < 2 {
            return Value::Null;
        }
        let variance = state.squares / (state.count - 1) as f64;
        Value::float(if self.deviation {
            variance.sqrt()
        } else {
            variance
        })
    }

    fn encode(&self, state: &MomentsState, _: i64, out: &mut Sink) {
        out.unsigned(state.count);
        out.float(state.mean);
        out.float(state.squares);
    }

    fn decode(&self, _: i64, bytes: &mut Bytes<'_>) -> Result<MomentsState, DecodeError> {
        let count = bytes.unsigned()?;
        Ok(MomentsState {
            count,
            mean: bytes.float()?,
            squares: bytes.float()?,
        })
    }

    fn filter(&self) -> Option<Filter> {
        self.filter
    }
}
