//! The stream: events and written values taken into stored rows one after another. Called for
//! those that have just been logged, for the tail of the log after a crash, and to catch up after
//! a push.

use std::borrow::Cow;

use granary_registry::{EventTime, Value};
use granary_storage::{LogReader, Offset, Tombstones};

use crate::error::Error;
use crate::event::Event;
use crate::fold::Applied;
use crate::logged::{Logged, replay_all};
use crate::serving::Serving;
use crate::value_write::ValueWrite;

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
    /// Writes of values folded in.
    pub written: u64,
    /// Copies.
    pub duplicates: u64,
    /// Events that wait for the next build.
    pub late: u64,
    /// The newest event of all.
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
    if let Some(newest) = streamed.newest {
        let groups = serving.groups.iter().filter(|group| group.source == source);
        groups.for_each(|group| group.move_on(newest));
    }
    Ok(streamed)
}

/// Takes written values in, in the order in which they were logged. `positions` are one past
/// their offsets.
pub fn fold_writes(
    serving: &Serving,
    writes: &[ValueWrite],
    positions: &[u64],
    rows: &mut impl Rows,
) -> Result<Streamed, Error> {
    let mut streamed = Streamed::default();
    let prepared = serving.prepare_writes(writes, positions)?;
    for (write, &position) in positions.iter().enumerate() {
        let held = &writes[write];
        let Some(key) = key_bytes(&held.key).filter(|_| *held.entity == *serving.entity.name)
        else {
            continue;
        };
        let admit = |_: &[u8], waiting: &mut Vec<u8>| prepared.admit(write, position, waiting);
        streamed.written += u64::from(rows.change(&key, admit)?);
    }
    Ok(streamed)
}

/// Folds what the log has between two offsets, but for what was erased.
pub fn catch_up(
    serving: &Serving,
    log: &LogReader,
    (from, until): (Offset, Offset),
    erased: &Tombstones,
    rows: &mut impl Rows,
) -> Result<Streamed, Error> {
    let mut total = Streamed::default();
    let mut tail = Tail::default();
    replay_all(log, from, until, |offset, logged| {
        if !erased.is_empty() && is_erased(erased, serving, offset, &logged) {
            return Ok(());
        }
        if tail.is_full_for(&logged) {
            total.add(tail.fold(serving, rows)?);
        }
        tail.push(offset, logged);
        Ok(())
    })?;
    total.add(tail.fold(serving, rows)?);
    Ok(total)
}

/// Whether a record is about an entity that was erased after it.
fn is_erased(erased: &Tombstones, serving: &Serving, offset: Offset, logged: &Logged) -> bool {
    let entity = &serving.entity;
    let tombstone = logged
        .key_of(entity)
        .and_then(|key| erased.find(&entity.name, &String::from_utf8_lossy(&key)));
    tombstone.is_some_and(|(_, tombstone)| offset < tombstone.log_until)
}

/// Records of the log that are folded together: events of one source, or writes.
#[derive(Default)]
struct Tail {
    events: Vec<Event>,
    writes: Vec<ValueWrite>,
    positions: Vec<u64>,
}

impl Tail {
    /// Whether a record must wait until those before it are folded.
    fn is_full_for(&self, logged: &Logged) -> bool {
        let is_other = match logged {
            Logged::Event(event) => {
                let is_other = |last: &Event| last.source != event.source;
                !self.writes.is_empty() || self.events.last().is_some_and(is_other)
            }
            Logged::Write(_) => !self.events.is_empty(),
        };
        is_other || self.positions.len() == REPLAY
    }

    fn push(&mut self, offset: Offset, logged: Logged) {
        self.positions.push(offset.0 + 1);
        match logged {
            Logged::Event(event) => self.events.push(event),
            Logged::Write(write) => self.writes.push(write),
        }
    }

    fn fold(&mut self, serving: &Serving, rows: &mut impl Rows) -> Result<Streamed, Error> {
        let positions = std::mem::take(&mut self.positions);
        let events = std::mem::take(&mut self.events);
        let writes = std::mem::take(&mut self.writes);
        match events.first() {
            Some(first) => fold_events(serving, &first.source, &events, &positions, rows),
            None => fold_writes(serving, &writes, &positions, rows),
        }
    }
}

impl Streamed {
    /// Adds what other events did.
    pub fn add(&mut self, other: Streamed) {
        self.folded += other.folded;
        self.written += other.written;
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
