//! `decayed_sum`: every input halved for each half-life of its age at the instant asked for.

use granary_registry::{EventTime, Span, Value};

use super::{Aggregate, Bytes, DecodeError, Events, Filter, Sink};

/// Sums numbers, or counts events, as of their newest.
#[derive(Clone, Debug)]
pub(crate) struct Decayed {
    /// Only these events.
    pub filter: Option<Filter>,
    /// The column of numbers; without one every event is a 1.
    pub input: Option<usize>,
    /// The age at which a number counts half.
    pub half_life: Span,
}

/// The sum as of an instant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Faded {
    at: i64,
    sum: f64,
}

impl Faded {
    fn join(self, other: Faded, half_life: Span) -> Faded {
        let at = self.at.max(other.at);
        Faded {
            at,
            sum: self.as_of(at, half_life) + other.as_of(at, half_life),
        }
    }

    fn as_of(self, instant: i64, half_life: Span) -> f64 {
        if instant == self.at {
            return self.sum;
        }
        let age = instant.saturating_sub(self.at) as f64;
        self.sum * (-age / half_life.0 as f64).exp2()
    }
}

impl Aggregate for Decayed {
    type State = Option<Faded>;

    fn update(&self, state: &mut Option<Faded>, events: &Events<'_>) {
        let numbers = self.input.map(|input| events.numbers(input));
        for row in events.selected(self.filter) {
            let sum = numbers.map_or(1.0, |numbers| numbers[row]);
            if !sum.is_nan() {
                let at = events.columns.times[row];
                self.merge(state, &Some(Faded { at, sum }));
            }
        }
    }

    fn merge(&self, into: &mut Option<Faded>, from: &Option<Faded>) {
        *into = match (*into, *from) {
            (Some(held), Some(more)) => Some(held.join(more, self.half_life)),
            (held, more) => held.or(more),
        };
    }

    fn finalize(&self, state: &Option<Faded>, as_of: EventTime) -> Value {
        Value::float(state.map_or(0.0, |held| held.as_of(as_of.0, self.half_life)))
    }

    fn encode(&self, state: &Option<Faded>, base: i64, out: &mut Sink) {
        out.unsigned(u64::from(state.is_some()));
        if let Some(held) = state {
            out.time_before(held.at, base);
            out.float(held.sum);
        }
    }

    fn decode(&self, base: i64, bytes: &mut Bytes<'_>) -> Result<Option<Faded>, DecodeError> {
        if bytes.unsigned()? == 0 {
            return Ok(None);
        }
        Ok(Some(Faded {
            at: bytes.time_before(base)?,
            sum: bytes.float()?,
        }))
    }

    fn filter(&self) -> Option<Filter> {
        self.filter
    }
}
