//! `sum` and `mean` of vectors, element by element: the average embedding of a user's texts.

use granary_registry::{EventTime, Value};

use super::{Aggregate, Bytes, DecodeError, Events, Filter, Sink};

/// Sums vectors and counts them.
#[derive(Clone, Debug)]
pub(crate) struct VectorSum {
    /// Only these events.
    pub filter: Option<Filter>,
    /// The column of vectors.
    pub input: usize,
    /// Ends in sum / count instead of the sum; either is null without vectors.
    pub mean: bool,
}

/// What has been added up; no elements when they were left out on reading.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct VectorState {
    count: u64,
    sums: Vec<f64>,
}

impl Aggregate for VectorSum {
    type State = VectorState;

    fn update(&self, state: &mut VectorState, events: &Events<'_>) {
        for row in events.selected(self.filter) {
            if let Some(vector) = events.vector(self.input, row) {
                state.count += 1;
                state.sums.resize(vector.len(), 0.0);
                for (sum, element) in state.sums.iter_mut().zip(vector) {
                    *sum += f64::from(*element);
                }
            }
        }
    }

    fn merge(&self, into: &mut VectorState, from: &VectorState) {
        into.count += from.count;
        into.sums.resize(into.sums.len().max(from.sums.len()), 0.0);
        for (sum, more) in into.sums.iter_mut().zip(&from.sums) {
            *sum += more;
        }
    }

    fn finalize(&self, state: &VectorState, _: EventTime) -> Value {
        if state.count == 0 || state.sums.is_empty() {
            return Value::Null;
        }
        let divisor = if self.mean { state.count as f64 } else { 1.0 };
        Value::Vector(
            state
                .sums
                .iter()
                .map(|sum| (sum / divisor) as f32)
                .collect(),
        )
    }

    fn encode(&self, state: &VectorState, _: i64, out: &mut Sink) {
        out.unsigned(state.count);
        if state.count > 0 {
            out.unsigned(state.sums.len() as u64);
            out.elements(&state.sums);
        }
    }

    fn decode(&self, _: i64, bytes: &mut Bytes<'_>) -> Result<VectorState, DecodeError> {
        let count = bytes.unsigned()?;
        if count == 0 {
            return Ok(VectorState::default());
        }
        let length = bytes.unsigned()? as usize;
        Ok(VectorState {
            count,
            sums: bytes.elements(length)?,
        })
    }

    fn filter(&self) -> Option<Filter> {
        self.filter
    }
}
