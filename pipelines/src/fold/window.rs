//! A window over any other fold: `[floor(t - length, hop), t)`. The state keeps one partial
//! a hop, so its size is bounded by the window, never by the traffic.

use granary_registry::{EventTime, Value, Window};

use super::{Aggregate, Bytes, DecodeError, Events, Filter, Sink};

/// One partial state per hop, merged when the window is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Windowed<A> {
    /// What is folded inside the window.
    pub inner: A,
    /// The window that is answered.
    pub window: Window,
    /// The longest window that shares this state.
    pub keep: i64,
}

/// Partials in order of their hop.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Panes<S>(Vec<(i64, S)>);

impl<S> Default for Panes<S> {
    fn default() -> Self {
        Panes(Vec::new())
    }
}

impl<A: Aggregate> Windowed<A> {
    /// The first hop inside a window of this length that ends at `end`.
    fn tail(&self, length: i64, end: i64) -> i64 {
        end.saturating_sub(length).div_euclid(self.window.hop.0)
    }
}

impl<S: Default> Panes<S> {
    /// The partial of a hop, made if need be. Events mostly come in order, so the search
    /// begins at the end.
    fn slot(&mut self, hop: i64) -> &mut S {
        let place = self.0.iter().rposition(|(held, _)| *held <= hop);
        let index = match place {
            Some(index) if self.0[index].0 == hop => index,
            Some(index) => self.insert(index + 1, hop),
            None => self.insert(0, hop),
        };
        &mut self.0[index].1
    }

    fn insert(&mut self, index: usize, hop: i64) -> usize {
        self.0.insert(index, (hop, S::default()));
        index
    }

    fn drop_before(&mut self, hop: i64) {
        let old = self.0.partition_point(|(held, _)| *held < hop);
        self.0.drain(..old);
    }
}

impl<A: Aggregate> Aggregate for Windowed<A> {
    type State = Panes<A::State>;

    fn update(&self, state: &mut Self::State, events: &Events<'_>) {
        // An instant asked of a state lies after its newest event, so hops before this one
        // can never be inside the window again.
        let tail = self.tail(self.keep, events.newest.saturating_add(1));
        state.drop_before(tail);
        let hop = self.window.hop.0;
        let times = &events.columns.times;
        let oldest = tail.saturating_mul(hop);
        let first = events.times().partition_point(|&time| time < oldest);
        let mut rest = events.part(events.rows.start + first..events.rows.end);
        while let Some(row) = rest.selected(self.inner.filter()).next() {
            let pane = times[row].div_euclid(hop);
            let end = pane.saturating_add(1).saturating_mul(hop);
            let inside = times[row..rest.rows.end].iter();
            let more = inside.take_while(|&&time| time < end).count();
            let part = rest.part(row..row + more.max(1));
            self.inner.update(state.slot(pane), &part);
            rest = rest.part(part.rows.end..rest.rows.end);
        }
    }

    fn merge(&self, into: &mut Self::State, from: &Self::State) {
        for (hop, partial) in &from.0 {
            self.inner.merge(into.slot(*hop), partial);
        }
    }

    fn compact(&self, state: &mut Self::State, closed_before: i64, newest: i64) {
        state.drop_before(self.tail(self.keep, newest.saturating_add(1)));
        for (_, partial) in &mut state.0 {
            self.inner.compact(partial, closed_before, newest);
        }
    }

    fn finalize(&self, state: &Self::State, as_of: EventTime) -> Value {
        let tail = self.tail(self.window.length.0, as_of.0);
        let inside = state.0.partition_point(|(hop, _)| *hop < tail);
        let mut whole = A::State::default();
        for (_, partial) in &state.0[inside..] {
            self.inner.merge(&mut whole, partial);
        }
        self.inner.finalize(&whole, as_of)
    }

    fn encode(&self, state: &Self::State, base: i64, out: &mut Sink) {
        out.unsigned(state.0.len() as u64);
        let mut later = base.div_euclid(self.window.hop.0);
        for (hop, partial) in state.0.iter().rev() {
            out.signed(later.wrapping_sub(*hop));
            later = *hop;
            self.inner.encode(partial, base, out);
        }
    }

    fn decode(&self, base: i64, bytes: &mut Bytes<'_>) -> Result<Self::State, DecodeError> {
        let mut state = Panes::default();
        self.decode_into(base, bytes, &mut state)?;
        Ok(state)
    }

    fn decode_into(
        &self,
        base: i64,
        bytes: &mut Bytes<'_>,
        state: &mut Self::State,
    ) -> Result<(), DecodeError> {
        let count = bytes.length()?;
        let panes = &mut state.0;
        panes.resize_with(count, Default::default);
        let mut later = base.div_euclid(self.window.hop.0);
        // Written from the newest back; each lies before the one behind it.
        for (place, pane) in panes.iter_mut().rev().enumerate() {
            let distance = bytes.signed()?;
            let hop = later.wrapping_sub(distance);
            if place > 0 && hop >= later {
                return Err(DecodeError::Invalid {
                    what: "order of hops",
                    found: count as u64,
                });
            }
            later = hop;
            pane.0 = hop;
            self.inner.decode_into(base, bytes, &mut pane.1)?;
        }
        Ok(())
    }

    fn filter(&self) -> Option<Filter> {
        self.inner.filter()
    }

    fn is_estimate(&self, state: &Self::State) -> bool {
        let estimated = |(_, partial): &(i64, A::State)| self.inner.is_estimate(partial);
        state.0.iter().any(estimated)
    }
}
