//! The stream: events taken into stored rows one after another. Called for events that have
//! just been logged, for the tail of the log after a crash, and to catch up after a push.

use std::borrow::Cow;

use granary_registry::{EventTime, Value};
use granary_storage::{LogReader, Offset};

use crate::error::Error;
use crate::event::{self, Event};
use crate::fold::Applied;
use crate::serving::Serving;

/// Events folded at once while replaying.
const REPLAY: usize = 4096;

/// Where rows are changed: the store that serves, or a generation being loaded.
pub trait Rows {
    /// Shows an entity's row, empty if it has none, and what waits for it to `take`, which may
    /// add to it.
    fn change<T>(
        &mut self,
        key: &[u8],
        take: impl FnOnce(&[u8], &mut Vec<u8>) -> T,
    ) -> Result<T, Error>;
}

/// What folding events did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Streamed {
    /// Events folded in.
    pub folded: u64,
    /// Copies.
    pub duplicates: u64,
    /// Events that wait for the next build.
    pub late: u64,
    /// The newest of all.
    pub newest: Option<i64>,
}

/// Folds events of one source, in the order in which they were logged. `positions` are one
/// past their offsets.
pub fn fold_events(
    serving: &Serving,
    source: &str,
    events: &[Event],
    positions: &[u64],
    rows: &mut impl Rows,
) -> Result<Streamed, Error> {
    let mut streamed = Streamed::default();
    let prepared = serving.prepare(source, events, positions)?;
    for event in 0..events.len() {
        let Some(key) = key_bytes(prepared.key(event)) else {
            continue;
        };
        let admit = |row: &[u8], waiting: &mut Vec<u8>| prepared.admit(event, row, waiting);
        match rows.change(&key, admit)?? {
            Applied::Folded => streamed.folded += 1,
            Applied::Duplicate => streamed.duplicates += 1,
            Applied::Late => streamed.late += 1,
        }
        streamed.newest = streamed.newest.max(prepared.time(event));
    }
    Ok(streamed)
}

/// Folds the log's events between two offsets.
pub fn catch_up(
    serving: &Serving,
    log: &LogReader,
    from: Offset,
    until: Offset,
    rows: &mut impl Rows,
) -> Result<Streamed, Error> {
    let mut total = Streamed::default();
    let mut events: Vec<Event> = Vec::new();
    let mut positions = Vec::new();
    let mut fold = |events: &mut Vec<Event>, positions: &mut Vec<u64>| {
        if let Some(first) = events.first() {
            total.add(fold_events(
                serving,
                &first.source,
                events,
                positions,
                rows,
            )?);
        }
        events.clear();
        positions.clear();
        Ok::<(), Error>(())
    };
    event::replay(log, from, until, |offset, event| {
        let other = events
            .last()
            .is_some_and(|last| last.source != event.source);
        if other || events.len() == REPLAY {
            fold(&mut events, &mut positions)?;
        }
        events.push(event);
        positions.push(offset.0 + 1);
        Ok(())
    })?;
    fold(&mut events, &mut positions)?;
    Ok(total)
}

impl Streamed {
    /// Adds what other events did.
    pub fn add(&mut self, other: Streamed) {
        self.folded += other.folded;
        self.duplicates += other.duplicates;
        self.late += other.late;
        self.newest = self.newest.max(other.newest);
    }
}

/// An entity's key as the stores hold it; none for a value that is no key.
pub fn key_bytes(key: &Value) -> Option<Cow<'_, [u8]>> {
    match key {
        Value::Text(text) if !text.is_empty() => Some(text.as_bytes().into()),
        Value::Int(number) => Some(number.to_string().into_bytes().into()),
        _ => None,
    }
}

impl Serving {
    /// The instant of an event.
    pub fn time_of(&self, source: &str, event: &Event) -> Option<i64> {
        let column = self.registry.source(source)?.event_time.as_ref()?;
        match event.field(column) {
            Value::Timestamp(EventTime(time)) => Some(*time),
            _ => None,
        }
    }
}
