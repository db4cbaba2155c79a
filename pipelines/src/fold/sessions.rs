//! `sessions` and `session_length`: runs of events with gaps of at most the session gap.
//! Recent sessions are kept as intervals, so that a late event can lengthen or bridge them;
//! older ones are closed into a count, a total length and their two ends.

use granary_registry::{EventTime, Span, Value};

use super::{Aggregate, Bytes, DecodeError, Events, Filter, Sink};

/// Keeps sessions as intervals.
#[derive(Clone, Debug)]
pub(crate) struct Sessions {
    /// Only these events.
    pub filter: Option<Filter>,
    /// The longest gap inside a session.
    pub gap: i64,
    /// Ends in the mean length in minutes, null without sessions, instead of the number.
    pub length: bool,
}

/// Sessions so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct SessionState {
    /// All that no event can change any more.
    closed: Option<Block>,
    /// In order of time and more than a gap apart.
    open: Vec<Interval>,
}

/// First and last event of a session.
type Interval = (i64, i64);

/// Neighbouring sessions as one: what is needed to join them with a neighbour.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Block {
    first: i64,
    last: i64,
    count: u64,
    total: i64,
}

impl Block {
    fn of((first, last): Interval) -> Block {
        Block {
            first,
            last,
            count: 1,
            total: last.saturating_sub(first),
        }
    }

    /// The sessions of instants that ascend and span less than half of all time.
    fn of_times(times: &[i64], gap: i64) -> Option<Block> {
        let (&first, &last) = (times.first()?, times.last()?);
        let (mut count, mut total) = (1, 0);
        for pair in times.windows(2) {
            let between = pair[1] - pair[0];
            let inside = between <= gap;
            count += u64::from(!inside);
            total += if inside { between } else { 0 };
        }
        Some(Block {
            first,
            last,
            count,
            total,
        })
    }

    /// This block and a later one: their nearest sessions are one if the gap allows.
    fn join(self, later: Block, gap: i64) -> Block {
        let between = later.first.saturating_sub(self.last);
        let bridged = between <= gap;
        let inside = if bridged { between.max(0) } else { 0 };
        Block {
            first: self.first.min(later.first),
            last: self.last.max(later.last),
            count: self.count.saturating_add(later.count) - u64::from(bridged),
            total: self
                .total
                .saturating_add(later.total)
                .saturating_add(inside),
        }
    }
}

fn join(block: Option<Block>, later: Block, gap: i64) -> Block {
    block.map_or(later, |block| block.join(later, gap))
}

impl Sessions {
    /// Adds an interval, joining every one within the gap.
    fn insert(&self, open: &mut Vec<Interval>, (first, last): Interval) {
        let Some(newest) = open.last_mut() else {
            return open.push((first, last));
        };
        if first.saturating_sub(newest.1) > self.gap {
            return open.push((first, last));
        }
        if first >= newest.0 {
            newest.1 = newest.1.max(last);
            return;
        }
        let from = open.partition_point(|held| held.1.saturating_add(self.gap) < first);
        let to = open.partition_point(|held| held.0.saturating_sub(self.gap) <= last);
        if from >= to {
            open.insert(from, (first, last));
            return;
        }
        open[from] = (open[from].0.min(first), open[to - 1].1.max(last));
        open.drain(from + 1..to);
    }

    /// Adds instants that come in order: whole sessions of them at a time.
    fn extend(&self, open: &mut Vec<Interval>, mut times: impl Iterator<Item = i64>) {
        let Some(first) = times.next() else {
            return;
        };
        let mut session = (first, first);
        for time in times {
            if time.saturating_sub(session.1) > self.gap {
                self.insert(open, session);
                session.0 = time;
            }
            session.1 = time;
        }
        self.insert(open, session);
    }

    fn summary(&self, state: &SessionState) -> Option<Block> {
        let open = state.open.iter().map(|&interval| Block::of(interval));
        open.fold(state.closed, |block, later| {
            Some(join(block, later, self.gap))
        })
    }

    /// How many of these instants, which ascend, are of sessions that `compact` would close.
    fn old(&self, times: &[i64], closed_before: i64) -> usize {
        let span = times.first().zip(times.last());
        if span.is_none_or(|(first, last)| last.checked_sub(*first).is_none()) {
            return 0;
        }
        let limit = closed_before.saturating_sub(self.gap);
        let old = times.partition_point(|&time| time < limit);
        if old == times.len() {
            return old;
        }
        let ends = |at: &usize| *at == 0 || times[*at] - times[*at - 1] > self.gap;
        (0..=old).rev().find(ends).unwrap_or(0)
    }

    /// Closes the first `count` open sessions.
    fn close(&self, state: &mut SessionState, count: usize) {
        for interval in state.open.drain(..count) {
            state.closed = Some(join(state.closed, Block::of(interval), self.gap));
        }
    }
}

impl Aggregate for Sessions {
    type State = SessionState;

    fn update(&self, state: &mut SessionState, events: &Events<'_>) {
        if self.filter.is_none() {
            return self.extend(&mut state.open, events.times().iter().copied());
        }
        let rows = events.selected(self.filter);
        self.extend(&mut state.open, rows.map(|row| events.columns.times[row]));
    }

    /// Exact while nothing is closed, and for parts whose closed sessions do not overlap in
    /// time: hops of a window, or a stored state and newer events.
    fn merge(&self, into: &mut SessionState, from: &SessionState) {
        if let Some(closed) = from.closed {
            if into
                .summary_first()
                .is_none_or(|first| first <= closed.first)
            {
                let earlier = into.open.partition_point(|held| held.0 <= closed.first);
                self.close(into, earlier);
                into.closed = Some(join(into.closed, closed, self.gap));
            } else {
                into.closed = Some(match into.closed {
                    Some(later) => closed.join(later, self.gap),
                    None => closed,
                });
            }
        }
        for &interval in &from.open {
            self.insert(&mut into.open, interval);
        }
    }

    fn compact(&self, state: &mut SessionState, closed_before: i64, _: i64) {
        // An event at `closed_before` may still come and reach back by one gap.
        let limit = closed_before.saturating_sub(self.gap);
        let old = state.open.partition_point(|held| held.1 < limit);
        self.close(state, old);
    }

    /// Old sessions are only counted: where they end is not asked for, so nothing is decided
    /// event by event.
    fn close(&self, state: &mut SessionState, events: &Events<'_>, closed_before: i64) {
        let mut rest = events.clone();
        if self.filter.is_none() && *state == SessionState::default() {
            let old = self.old(events.times(), closed_before);
            state.closed = Block::of_times(&events.times()[..old], self.gap);
            rest.rows.start += old;
        }
        self.update(state, &rest);
        self.compact(state, closed_before, events.newest);
    }

    fn finalize(&self, state: &SessionState, _: EventTime) -> Value {
        let block = self.summary(state);
        match (self.length, block) {
            (false, block) => Value::Int(block.map_or(0, |block| block.count as i64)),
            (true, None) => Value::Null,
            (true, Some(block)) => {
                let minutes = block.total as f64 / Span::MINUTE.0 as f64;
                Value::float(minutes / block.count as f64)
            }
        }
    }

    fn encode(&self, state: &SessionState, base: i64, out: &mut Sink) {
        out.unsigned((state.open.len() as u64) << 1 | u64::from(state.closed.is_some()));
        if let Some(block) = state.closed {
            out.time_before(block.last, base);
            out.time_before(block.first, block.last);
            out.unsigned(block.count);
            out.signed(block.total);
        }
        let mut later = base;
        for &(first, last) in state.open.iter().rev() {
            out.time_before(last, later);
            out.time_before(first, last);
            later = first;
        }
    }

    fn decode(&self, base: i64, bytes: &mut Bytes<'_>) -> Result<SessionState, DecodeError> {
        let header = bytes.unsigned()?;
        let closed = if header & 1 == 1 {
            Some(decode_block(base, bytes)?)
        } else {
            None
        };
        let mut open = Vec::new();
        let mut later = base;
        for _ in 0..header >> 1 {
            let last = bytes.time_before(later)?;
            let first = bytes.time_before(last)?;
            open.push((first, last));
            later = first;
        }
        open.reverse();
        Ok(SessionState { closed, open })
    }

    fn filter(&self) -> Option<Filter> {
        self.filter
    }
}

impl SessionState {
    fn summary_first(&self) -> Option<i64> {
        self.closed
            .map(|block| block.first)
            .or_else(|| self.open.first().map(|held| held.0))
    }
}

fn decode_block(base: i64, bytes: &mut Bytes<'_>) -> Result<Block, DecodeError> {
    let last = bytes.time_before(base)?;
    let first = bytes.time_before(last)?;
    Ok(Block {
        first,
        last,
        count: bytes.unsigned()?,
        total: bytes.signed()?,
    })
}
