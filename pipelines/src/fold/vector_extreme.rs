//! `min` and `max` of vectors, element by element.

use granary_registry::{EventTime, Value};

use super::{Aggregate, Bytes, DecodeError, Events, Filter, Sink};

/// Keeps the smallest or the largest of each element.
#[derive(Clone, Debug)]
pub(crate) struct VectorExtreme {
    /// Only these events.
    pub filter: Option<Filter>,
    /// The column of vectors.
    pub input: usize,
    /// The largest instead of the smallest.
    pub max: bool,
}

impl VectorExtreme {
    fn offer(&self, state: &mut Vec<f64>, elements: impl ExactSizeIterator<Item = f64>) {
        state.resize(state.len().max(elements.len()), f64::NAN);
        for (best, element) in state.iter_mut().zip(elements) {
            // Of a number and a NaN, either picks the number.
            *best = if self.max {
                best.max(element)
            } else {
                best.min(element)
            };
        }
    }
}

impl Aggregate for VectorExtreme {
    /// Empty until the first vector.
    type State = Vec<f64>;

    fn update(&self, state: &mut Vec<f64>, events: &Events<'_>) {
        for row in events.selected(self.filter) {
            if let Some(vector) = events.vector(self.input, row) {
                self.offer(state, vector.iter().map(|element| f64::from(*element)));
            }
        }
    }

    fn merge(&self, into: &mut Vec<f64>, from: &Vec<f64>) {
        self.offer(into, from.iter().copied());
    }

    fn finalize(&self, state: &Vec<f64>, _: EventTime) -> Value {
        if state.is_empty() {
            return Value::Null;
        }
        Value::Vector(state.iter().map(|element| *element as f32).collect())
    }

    fn encode(&self, state: &Vec<f64>, _: i64, out: &mut Sink) {
        out.unsigned(state.len() as u64);
        out.elements(state);
    }

    fn decode(&self, _: i64, bytes: &mut Bytes<'_>) -> Result<Vec<f64>, DecodeError> {
        let length = bytes.unsigned()? as usize;
        bytes.elements(length)
    }

    fn filter(&self) -> Option<Filter> {
        self.filter
    }
}
