//! `trend`: how much a number grows per span of event time, the slope of the least squares
//! line. By the pairwise update of co-moments of Chan, Golub and LeVeque (1979).

use granary_registry::{EventTime, Span, Value};

use super::{Aggregate, Bytes, DecodeError, Events, Filter, Sink};

/// Keeps the co-moments of number and time.
#[derive(Clone, Debug)]
pub(crate) struct Trend {
    /// Only these events.
    pub filter: Option<Filter>,
    /// The column of numbers.
    pub input: usize,
    /// The span that the growth is told for.
    pub per: Span,
}

/// Means, and sums of products of distances from them. Time counts from `origin`, an event
/// of these, because microseconds since 1970 would leave no digits for their differences.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct CoMoments {
    count: u64,
    origin: i64,
    time: f64,
    number: f64,
    time_time: f64,
    time_number: f64,
}

impl Aggregate for Trend {
    type State = CoMoments;

    fn update(&self, state: &mut CoMoments, events: &Events<'_>) {
        let numbers = events.numbers(self.input);
        for row in events.selected(self.filter) {
            if !numbers[row].is_nan() {
                let event = CoMoments {
                    count: 1,
                    origin: events.columns.times[row],
                    number: numbers[row],
                    ..CoMoments::default()
                };
                self.merge(state, &event);
            }
        }
    }

    fn merge(&self, into: &mut CoMoments, from: &CoMoments) {
        if into.count == 0 || from.count == 0 {
            if into.count == 0 {
                *into = *from;
            }
            return;
        }
        let (left, right) = (into.count as f64, from.count as f64);
        let total = left + right;
        let origins = from.origin.saturating_sub(into.origin) as f64;
        let time = origins + (from.time - into.time);
        let number = from.number - into.number;
        let weight = left * right / total;
        into.time_time += from.time_time + time * time * weight;
        into.time_number += from.time_number + time * number * weight;
        into.time += time * right / total;
        into.number += number * right / total;
        into.count += from.count;
    }

    fn finalize(&self, state: &CoMoments, _: EventTime) -> Value {
        if state.time_time == 0.0 {
            return Value::Null;
        }
        Value::float(state.time_number / state.time_time * self.per.0 as f64)
    }

    fn encode(&self, state: &CoMoments, base: i64, out: &mut Sink) {
        out.unsigned(state.count);
        if state.count > 0 {
            out.time_before(state.origin, base);
            out.float(state.time);
            out.float(state.number);
            out.float(state.time_time);
            out.float(state.time_number);
        }
    }

    fn decode(&self, base: i64, bytes: &mut Bytes<'_>) -> Result<CoMoments, DecodeError> {
        let count = bytes.unsigned()?;
        if count == 0 {
            return Ok(CoMoments::default());
        }
        Ok(CoMoments {
            count,
            origin: bytes.time_before(base)?,
            time: bytes.float()?,
            number: bytes.float()?,
            time_time: bytes.float()?,
            time_number: bytes.float()?,
        })
    }

    fn filter(&self) -> Option<Filter> {
        self.filter
    }
}
