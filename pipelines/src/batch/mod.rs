//! Batch: every entity's whole history folded into its state, and finalized at one instant.
//! Called by `build`.
//!
//! Rows are folded while they are decoded, and forgotten: what is kept of a run of an entity's
//! events is their compact state. That is exact as long as the runs of an entity do not
//! overlap in time: states are merged in order, and an event newer than all before it is no
//! copy of them. Rows of one entity that stand together are folded together, be they cut by
//! the end of a batch or of a chunk. An entity whose runs overlap is *tangled*: its rows are
//! read again and put in order. If that, or the states, would not fit into memory, all rows go
//! to disk by ranges of entities, which are folded one after another.

mod base; // a version to go on from
mod chunk; // one chunk of the source -> states of runs of events
mod join; // one entity's states from all chunks
mod packed; // rows -> Arrow batches for the disk
mod spilled; // rows on disk, by ranges of entities
mod states; // entities' states -> features
mod watch; // whether folding chunk by chunk goes well

#[cfg(test)]
mod laws; // chunks are the whole

use std::sync::Arc;

use granary_registry::FeatureGroup;

pub use self::base::Base;
use self::chunk::{ChunkFold, Partials};
use self::join::Joined;
use self::spilled::Spilled;
pub use self::states::{Encoded, Folded, States};
use self::watch::Watch;
use crate::error::Error;
use crate::fold::GroupFold;
use crate::history::History;
use crate::job::{Job, Progress};
use crate::reading::{Reading, Rows};

/// Bytes of a row, if none was read by which to tell.
const ROW_BYTES: u64 = 64;

/// A source folded, or ready to be, if its entities do not fit into memory together.
pub struct Folds {
    /// The folds.
    pub fold: GroupFold,
    /// Rows of the source that were read, copies included, in the first pass over it.
    pub rows_read: u64,
    /// The newest event of all.
    pub watermark: Option<i64>,
    /// The newest row of all: values may have been written after it.
    pub latest: Option<i64>,
    held: Held,
}

enum Held {
    /// The entities' keys, by their numbers, and their states.
    Whole(Vec<Arc<str>>, Joined),
    Spilled(Spilled),
}

/// The first pass over a source.
struct Pass {
    partials: Vec<Partials>,
    rows: u64,
    bytes: u64,
}

/// Folds the whole source of a group, or what is new of it since a version.
pub fn fold(job: &Job<'_>, group: &FeatureGroup, base: Option<&Base>) -> Result<Folds, Error> {
    let since = base.map(Base::since).unwrap_or_default();
    let reading = Reading::open(job, group, since)?;
    let base = base
        .map(|base| base.partials(&mut reading.interner()))
        .transpose()?;
    let rows_before = base.as_ref().map_or(0, Partials::rows);
    let watch = Watch::new(job.memory);
    watch.hold(base.as_ref().map_or(0, Partials::size));
    let pass = Pass::over(&reading, &watch)?;
    let (rows_read, all_bytes) = (pass.rows, pass.bytes_of(rows_before + pass.rows));
    if let Some(joined) = pass.join(job, &reading, &watch, base)? {
        let (fold, interner) = reading.into_parts();
        return Ok(Folds {
            fold,
            rows_read,
            watermark: joined.newest(),
            latest: joined.latest(),
            held: Held::Whole(interner.into_names(), joined),
        });
    }
    (job.progress)(Progress::Begin {
        what: &format!("{}, on disk", group.name),
        rows: Some(rows_before + rows_read),
    });
    let spilled = Spilled::read(job, &reading, all_bytes)?;
    Ok(Folds {
        fold: reading.into_parts().0,
        rows_read: spilled.rows_read,
        watermark: spilled.newest,
        latest: spilled.latest,
        held: Held::Spilled(spilled),
    })
}

impl Pass {
    fn over(reading: &Reading<'_>, watch: &Watch) -> Result<Pass, Error> {
        let partials = reading.each_chunk(
            Rows::New,
            |chunk| {
                let is_by_entity = chunk.is_some_and(|chunk| reading.is_by_entity(chunk));
                ChunkFold::new(&reading.fold, watch, is_by_entity)
            },
            |chunk, piece| {
                chunk.take(piece);
                Ok(())
            },
            |chunk| Ok(chunk.finish()),
        )?;
        Ok(Pass {
            rows: partials.iter().map(|partials| partials.rows_read).sum(),
            bytes: partials.iter().map(|partials| partials.bytes_read).sum(),
            partials,
        })
    }

    /// What so many rows take in memory.
    fn bytes_of(&self, rows: u64) -> u64 {
        let of_one = self.bytes.checked_div(self.rows).unwrap_or(ROW_BYTES);
        rows.saturating_mul(of_one.max(1))
    }

    /// The states of all entities, unless they or the rows that have to be brought together for
    /// them do not fit into memory.
    fn join(
        mut self,
        job: &Job<'_>,
        reading: &Reading<'_>,
        watch: &Watch,
        base: Option<Partials>,
    ) -> Result<Option<Joined>, Error> {
        let memory = job.memory as u64;
        if watch.is_full() || (watch.is_hopeless() && self.bytes > memory) {
            return Ok(None);
        }
        let fold = &reading.fold;
        let bytes_of_a_row = self.bytes_of(1);
        if watch.is_hopeless() {
            let history = History::read(reading, Rows::New)?;
            self.partials = Partials::of_history(fold, &history)?;
        }
        let is_mixed = reading.are_mixed();
        let mut joined = Joined::new(base, self.partials, reading.entities(), fold, is_mixed)?;
        if let Some(tangled) = joined.tangled() {
            if joined.tangled_rows().saturating_mul(bytes_of_a_row) > memory {
                return Ok(None);
            }
            let history = History::read(reading, Rows::Of(tangled))?;
            joined.untangle(fold, &history)?;
        }
        Ok(Some(joined))
    }
}

impl Folds {
    /// Bytes of rows that wait on disk, if they do not fit into memory: entities then come in
    /// ranges of their keys.
    pub fn spilled(&self) -> Option<u64> {
        match &self.held {
            Held::Whole(..) => None,
            Held::Spilled(spilled) => Some(spilled.bytes()),
        }
    }

    /// Hands on the states of the entities: all at once, or range after range of their keys.
    pub fn each(&self, mut each: impl FnMut(States<'_>) -> Result<(), Error>) -> Result<(), Error> {
        let fold = &self.fold;
        let mut states = |names: &[Arc<str>], joined: &Joined| {
            each(States {
                fold,
                names,
                joined,
            })
        };
        match &self.held {
            Held::Whole(names, joined) => states(names, joined),
            Held::Spilled(spilled) => spilled.each(fold, states),
        }
    }
}
