//! `rate`: events per span of the window, or of the time since the first event.

use granary_registry::{EventTime, Span, Value};

use super::{Aggregate, Bytes, DecodeError, Events, Filter, Sink};

/// Counts events and keeps the first one's instant.
#[derive(Clone, Debug)]
pub(crate) struct Rate {
    /// Only these events.
    pub filter: Option<Filter>,
    /// The span that the rate is told for.
    pub per: Span,
    /// Length of the window; a lifetime has none.
    pub window: Option<Span>,
}

/// What has been counted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Counted {
    count: u64,
    first: Option<i64>,
}

impl Aggregate for Rate {
    type State = Counted;

    fn update(&self, state: &mut Counted, events: &Events<'_>) {
        let first = events.selected(self.filter).next();
        let first = first.map(|row| events.columns.times[row]);
        let count = events.count(self.filter);
        self.merge(state, &Counted { count, first });
    }

    fn merge(&self, into: &mut Counted, from: &Counted) {
        into.count += from.count;
        into.first = [into.first, from.first].into_iter().flatten().min();
    }

    fn finalize(&self, state: &Counted, as_of: EventTime) -> Value {
        let since = state.first.map(|first| as_of.0.saturating_sub(first));
        let Some(span) = self.window.map(|window| window.0).or(since) else {
            return Value::Null;
        };
        Value::float(state.count as f64 * self.per.0 as f64 / span as f64)
    }

    fn encode(&self, state: &Counted, base: i64, out: &mut Sink) {
        out.unsigned(state.count);
        if let Some(first) = state.first {
            out.time_before(first, base);
        }
    }

    fn decode(&self, base: i64, bytes: &mut Bytes<'_>) -> Result<Counted, DecodeError> {
        let count = bytes.unsigned()?;
        let first = (count > 0).then(|| bytes.time_before(base)).transpose()?;
        Ok(Counted { count, first })
    }

    fn filter(&self) -> Option<Filter> {
        self.filter
    }
}
