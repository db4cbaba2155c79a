//! `min` and `max` of numbers.

use granary_registry::{EventTime, Value};

use super::{Aggregate, Bytes, DecodeError, Events, Filter, Sink};

/// Keeps the smallest or the largest number.
#[derive(Clone, Debug)]
pub(crate) struct Extreme {
    /// Only these events.
    pub filter: Option<Filter>,
    /// The column of numbers.
    pub input: usize,
    /// The largest instead of the smallest.
    pub max: bool,
}

impl Extreme {
    fn better(&self, state: Option<f64>, number: f64) -> f64 {
        match state {
            Some(best) if self.max == (best >= number) => best,
            _ => number,
        }
    }
}

impl Aggregate for Extreme {
    type State = Option<f64>;

    fn update(&self, state: &mut Option<f64>, events: &Events<'_>) {
        let numbers = events.numbers(self.input);
        for row in events.selected(self.filter) {
            if !numbers[row].is_nan() {
                *state = Some(self.better(*state, numbers[row]));
            }
        }
    }

    fn merge(&self, into: &mut Option<f64>, from: &Option<f64>) {
        if let Some(number) = from {
            *into = Some(self.better(*into, *number));
        }
    }

    fn finalize(&self, state: &Option<f64>, _: EventTime) -> Value {
        state.map_or(Value::Null, Value::float)
    }

    fn encode(&self, state: &Option<f64>, _: i64, out: &mut Sink) {
        out.unsigned(u64::from(state.is_some()));
        if let Some(number) = state {
            out.float(*number);
        }
    }

    fn decode(&self, _: i64, bytes: &mut Bytes<'_>) -> Result<Option<f64>, DecodeError> {
        Ok(if bytes.unsigned()? == 0 {
            None
        } else {
            Some(bytes.float()?)
        })
    }

    fn filter(&self) -> Option<Filter> {
        self.filter
    }
}
