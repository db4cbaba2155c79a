//! Live events and written values, and the rows that they change: judged and noted when they
//! come, folded in when the row is read or goes to disk. Called by `stream`, and by the online
//! store as its [`Merge`].

use granary_registry::Value;
use granary_storage::{Bytes as StoredBytes, Merge, MergeError, Merged};

use crate::error::Error;
use crate::event::{self, Event};
use crate::fold::waiting::{self, Records, Waiting};
use crate::fold::{Applied, Columns, DecodeError, NO_HASH, Sink};
use crate::row::{self, Part, Row};
use crate::serving::{ServedGroup, Serving, slice};
use crate::value_write::ValueWrite;

/// Fetches an entity's vectors.
type Fetch<'a> = &'a dyn Fn() -> granary_storage::Result<Option<StoredBytes>>;

/// Events of one source, ready for every group that folds them.
pub struct Prepared<'a> {
    serving: &'a Serving,
    source: &'a str,
    events: &'a [Event],
    groups: Vec<Ready>,
}

/// What one group takes of the events.
struct Ready {
    group: usize,
    columns: Columns,
    records: Records,
}

impl Serving {
    /// Evaluates live events of one source for every group that folds them.
    pub fn prepare<'a>(
        &'a self,
        source: &'a str,
        events: &'a [Event],
        positions: &[u64],
    ) -> Result<Prepared<'a>, Error> {
        let mut groups = Vec::new();
        for (number, group) in self.groups.iter().enumerate() {
            if group.takes_events && group.source == source {
                let intake = &group.intake;
                let mut taken = intake.take(&event::batch(events, intake.wanted())?)?;
                taken.positions = positions.to_vec();
                groups.push(Ready {
                    group: number,
                    records: Records::of(number, &taken, group.fold.bits()),
                    columns: taken,
                });
            }
        }
        Ok(Prepared {
            serving: self,
            source,
            events,
            groups,
        })
    }
}

impl Prepared<'_> {
    /// The key of an event's entity.
    pub fn key(&self, event: usize) -> &Value {
        self.events[event].field(&self.serving.entity.key)
    }

    /// The instant of an event.
    pub fn time(&self, event: usize) -> Option<i64> {
        match self.groups.first() {
            Some(ready) => Some(ready.columns.times[event]),
            None => self.serving.time_of(self.source, &self.events[event]),
        }
    }

    /// What becomes of an event, given its entity's row and what waits for it; an event that
    /// counts waits too. Of several groups the best outcome is told: an event is late only if
    /// it is for all.
    pub fn admit(&self, event: usize, row: &[u8], waiting: &mut Vec<u8>) -> Result<Applied, Error> {
        let failed = |group: &str, source| Error::State {
            key: format!("{:?}", self.key(event)),
            group: group.to_owned(),
            source,
        };
        let mut outcome = Applied::Late;
        for ready in &self.groups {
            let (group, columns) = (ready.group, &ready.columns);
            let served = &self.serving.groups[group];
            // Positions are one past offsets, so this is an event that the build has read.
            if columns.positions[event] <= served.built_until.0 {
                outcome = outcome.better(Applied::Duplicate);
                continue;
            }
            let id = columns.ids.get(event).copied().unwrap_or(NO_HASH);
            let state = row::state_of(row, group).map_err(|source| failed("all", source))?;
            let others = waiting::waiting(waiting)
                .filter(|other| {
                    let counts = |other: &Waiting<'_>| other.group == group && !other.is_written;
                    other.as_ref().is_ok_and(counts)
                })
                .map(|other| other.map(|other| (other.time, other.id)));
            let judged = served.fold.judge(state, others, (columns.times[event], id));
            let judged = judged.map_err(|source| failed(&served.fold.name, source))?;
            if judged == Applied::Folded {
                waiting.extend_from_slice(ready.records.get(event));
            }
            outcome = outcome.better(judged);
        }
        Ok(outcome)
    }
}

/// Written values, ready for every group that has some of them.
pub(crate) struct PreparedWrites<'a> {
    serving: &'a Serving,
    groups: Vec<ReadyWrites>,
}

/// What one group takes of the writes.
struct ReadyWrites {
    group: usize,
    records: Records,
    /// The row of each write, if the group has some of its values.
    rows: Vec<Option<usize>>,
}

impl Serving {
    /// Brings writes, with their positions, into the form in which they wait for their rows.
    pub(crate) fn prepare_writes(
        &self,
        writes: &[ValueWrite],
        positions: &[u64],
    ) -> Result<PreparedWrites<'_>, Error> {
        let mut groups = Vec::new();
        for (number, group) in self.groups.iter().enumerate() {
            let mut next = 0..;
            let is_taken = |write: &ValueWrite| group.intake.has_any(write);
            let rows = writes
                .iter()
                .map(|write| is_taken(write).then(|| next.next())?);
            let rows: Vec<Option<usize>> = rows.collect();
            let taken = writes.iter().zip(positions).zip(&rows);
            let taken = taken.filter_map(|(held, row)| row.map(|_| held));
            let (writes, positions): (Vec<&ValueWrite>, Vec<u64>) = taken.unzip();
            if writes.is_empty() {
                continue;
            }
            let source = self.source(group);
            let bare: Vec<Event> = writes
                .iter()
                .map(|write| write.bare(source, &self.entity))
                .collect();
            let batch = event::batch(&bare, group.intake.wanted())?;
            let mut columns = group.intake.take_writes(&batch, &writes)?;
            columns.positions = positions;
            groups.push(ReadyWrites {
                group: number,
                records: Records::of(number, &columns, group.fold.bits()),
                rows,
            });
        }
        Ok(PreparedWrites {
            serving: self,
            groups,
        })
    }
}

impl PreparedWrites<'_> {
    /// Lets a write wait for its row, wherever the versions do not have it yet: values count
    /// however old they are, as they only ever stand beside newer ones.
    pub(crate) fn admit(&self, write: usize, position: u64, waiting: &mut Vec<u8>) -> bool {
        let mut is_new = false;
        for ready in &self.groups {
            let is_built = position <= self.serving.groups[ready.group].built_until.0;
            if let Some(row) = ready.rows[write].filter(|_| !is_built) {
                waiting.extend_from_slice(ready.records.get(row));
                is_new = true;
            }
        }
        is_new
    }
}

impl Merge for Serving {
    fn merge(&self, row: &[u8], vectors: Fetch<'_>, waiting: &[u8]) -> Result<Merged, MergeError> {
        let mut events: Vec<Vec<Waiting<'_>>> = vec![Vec::new(); self.groups.len()];
        for event in waiting::waiting(waiting) {
            let event = event?;
            events[event.group].push(event);
        }
        let parsed = Row::of(row)?;
        let is_changed = |part: &&Part<'_>| !events[part.group].is_empty();
        let mut changed_parts = parsed.parts().iter().filter(is_changed);
        // Most events change no vectors, which then need not be fetched.
        let mut all = match changed_parts.any(|part| !part.vectors.is_empty()) {
            true => Some(vectors()?),
            false => None,
        };
        let mut folded: Vec<Option<Sink>> = Vec::with_capacity(self.groups.len());
        for (number, events) in events.into_iter().enumerate() {
            let part = parsed.part(number);
            folded.push(if events.is_empty() {
                None
            } else {
                let vectors = of(all.as_ref());
                Some(fold(&self.groups[number], part, vectors, events)?)
            });
        }
        let has_vectors = |sink: &Sink| !sink.vectors.is_empty();
        if all.is_none() && folded.iter().flatten().any(has_vectors) {
            all = Some(vectors()?);
        }
        let merged = join(&parsed, of(all.as_ref()), folded);
        Ok(Merged {
            row: merged.row,
            vectors: all.map(|_| merged.vectors),
        })
    }
}

/// The vectors as far as they were fetched.
fn of(fetched: Option<&Option<StoredBytes>>) -> &[u8] {
    fetched.and_then(Option::as_deref).unwrap_or_default()
}

/// One group's state with its events folded in.
fn fold(
    served: &ServedGroup,
    part: Option<&Part<'_>>,
    vectors: &[u8],
    events: Vec<Waiting<'_>>,
) -> Result<Sink, DecodeError> {
    let mut state = match part {
        Some(part) => served
            .fold
            .decode(part.state, Some(slice(vectors, &part.vectors)))?,
        None => served.empty.clone(),
    };
    served
        .fold
        .fold_live(&mut state, &waiting::columns(&served.fold, events)?);
    let mut bytes = Sink::default();
    served.fold.encode(&state, &mut bytes);
    Ok(bytes)
}

/// A row with some of its parts replaced, the others as they were; new ones come last.
fn join(row: &Row<'_>, vectors: &[u8], mut folded: Vec<Option<Sink>>) -> Sink {
    let mut out = Sink::default();
    row::begin(&mut out);
    for part in row.parts() {
        match folded.get_mut(part.group).and_then(Option::take) {
            Some(bytes) => row::append(&mut out, part.group, &bytes.row, &bytes.vectors),
            None => row::keep(&mut out, part, slice(vectors, &part.vectors)),
        }
    }
    for (group, bytes) in folded.iter().enumerate() {
        if let Some(bytes) = bytes {
            row::append(&mut out, group, &bytes.row, &bytes.vectors);
        }
    }
    out
}
