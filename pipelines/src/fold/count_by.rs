//! `count_by`: how many events of each category, as a vector in the order of the registry.

use granary_registry::{EventTime, Value};

use super::{Aggregate, Bytes, DecodeError, Events, Filter, Sink};

/// Counts events by the code of their category.
#[derive(Clone, Debug)]
pub(crate) struct CountBy {
    /// Only these events.
    pub filter: Option<Filter>,
    /// The column of category codes.
    pub input: usize,
    /// Number of categories.
    pub categories: usize,
}

impl Aggregate for CountBy {
    /// Empty until the first event.
    type State = Vec<u32>;

    fn update(&self, state: &mut Vec<u32>, events: &Events<'_>) {
        let codes = events.codes(self.input);
        state.resize(self.categories, 0);
        // No place is that of `NO_CATEGORY`.
        let mut count = |code: u32| {
            if let Some(count) = state.get_mut(code as usize) {
                *count += 1;
            }
        };
        match self.filter {
            None => codes[events.rows.clone()]
                .iter()
                .for_each(|&code| count(code)),
            Some(_) => events
                .selected(self.filter)
                .for_each(|row| count(codes[row])),
        }
    }

    fn merge(&self, into: &mut Vec<u32>, from: &Vec<u32>) {
        into.resize(self.categories, 0);
        for (count, more) in into.iter_mut().zip(from) {
            *count += more;
        }
    }

    fn finalize(&self, state: &Vec<u32>, _: EventTime) -> Value {
        let counts = (0..self.categories).map(|code| state.get(code).map_or(0.0, |&n| n as f32));
        Value::Vector(counts.collect())
    }

    fn encode(&self, state: &Vec<u32>, _: i64, out: &mut Sink) {
        out.unsigned(state.len() as u64);
        for count in state {
            out.unsigned(u64::from(*count));
        }
    }

    fn decode(&self, _: i64, bytes: &mut Bytes<'_>) -> Result<Vec<u32>, DecodeError> {
        let length = bytes.length()?;
        if length != 0 && length != self.categories {
            return Err(DecodeError::Invalid {
                what: "number of categories",
                found: length as u64,
            });
        }
        (0..length).map(|_| Ok(bytes.unsigned()? as u32)).collect()
    }

    fn filter(&self) -> Option<Filter> {
        self.filter
    }
}
