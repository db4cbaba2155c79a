//! The history of a group's entities: rows of its source, from files and the log alike. They
//! are kept by entity chunk by chunk; those of some entities are brought together, put in order
//! of time and freed of copies when they are folded, and forgotten after it. Batch builds and
//! point-in-time sweeps fold what comes out of here.

use std::ops::Range;

use rayon::prelude::*;

use crate::error::Error;
use crate::fold::Events;
use crate::grouped::{Grouped, by_entities};
use crate::piece::Piece;
use crate::reading::{Reading, Rows};

/// Rows a partition aims at: small enough that its columns stay in the cache.
const PARTITION_ROWS: usize = 1 << 16;
/// Rows of a chunk that are put in order together, at most about.
const SORTED_ROWS: usize = 1 << 20;

/// All rows of a source for one group, by entity.
#[derive(Debug)]
pub struct History {
    /// In order of their ranks: of file, then log, so that of two copies the first counts.
    chunks: Vec<Piece>,
    entities: u32,
}

/// Puts pieces in order as they come.
#[derive(Default)]
pub(crate) struct Sorter {
    waiting: Vec<Piece>,
    rows: usize,
    sorted: Vec<Piece>,
}

impl Sorter {
    pub(crate) fn take(&mut self, piece: Piece) {
        self.rows += piece.rows();
        self.waiting.push(piece);
        if self.rows > SORTED_ROWS {
            self.sort();
        }
    }

    /// Pieces of one rank become one: of rows of one instant, those of a smaller rank come first.
    fn sort(&mut self) {
        self.rows = 0;
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.sort_by_key(|piece| piece.rank);
        while let Some(first) = waiting.first() {
            let rank = first.rank;
            let end = waiting.partition_point(|piece| piece.rank == rank);
            let mut sorted = by_entities(Piece::concat(waiting.drain(..end).collect()));
            sorted.rank = rank;
            self.sorted.push(sorted);
        }
    }

    /// What is in order so far, and no longer kept.
    pub(crate) fn sorted(&mut self) -> Vec<Piece> {
        std::mem::take(&mut self.sorted)
    }

    pub(crate) fn finish(mut self) -> Vec<Piece> {
        self.sort();
        self.sorted
    }
}

impl History {
    /// Reads such rows of a source.
    pub(crate) fn read(reading: &Reading<'_>, rows: Rows<'_>) -> Result<History, Error> {
        let take = |sorter: &mut Sorter, piece| {
            sorter.take(piece);
            Ok(())
        };
        let finish = |sorter: Sorter| Ok(sorter.finish());
        let chunks = reading.each_chunk(rows, |_| Sorter::default(), take, finish)?;
        let chunks = chunks.into_iter().flatten().collect();
        Ok(History::of(chunks, reading.entities()))
    }

    /// Of rows that were read before. Pieces stand in order of file, then log.
    pub fn gather(pieces: Vec<Piece>, entities: usize) -> History {
        let mut sorter = Sorter::default();
        for piece in pieces {
            sorter.take(piece);
        }
        History::of(sorter.finish(), entities)
    }

    /// Of pieces by entity, in order of file, then log.
    pub(crate) fn of(mut chunks: Vec<Piece>, entities: usize) -> History {
        chunks.sort_by_key(|chunk| chunk.rank);
        History {
            chunks,
            entities: entities as u32,
        }
    }

    /// Number of rows, copies included.
    pub fn rows(&self) -> usize {
        self.chunks.iter().map(Piece::rows).sum()
    }

    /// Works on partitions of the entities in parallel: `each` gets every entity that has rows
    /// with its events and a scratch value of the partition, and the scratch values come back
    /// in order.
    pub fn map<T: Send>(
        &self,
        scratch: impl Fn() -> T + Sync,
        each: impl Fn(&mut T, u32, &Events<'_>) -> Result<(), Error> + Sync,
    ) -> Result<Vec<T>, Error> {
        let fold = |entities: Range<u32>| {
            let mut value = scratch();
            self.each_of(entities, |entity, events| each(&mut value, entity, events))?;
            Ok(value)
        };
        let partitions = self.rows().div_ceil(PARTITION_ROWS).max(1);
        let size = self.entities.div_ceil(partitions as u32).max(1);
        let starts: Vec<u32> = (0..self.entities).step_by(size as usize).collect();
        let partition = |start| fold(start..(start + size).min(self.entities));
        starts.into_par_iter().map(partition).collect()
    }

    /// Hands on the events of each of these entities that has any.
    pub(crate) fn each_of(
        &self,
        entities: Range<u32>,
        mut each: impl FnMut(u32, &Events<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let part = |chunk: &Piece| {
            let before = |bound: u32| chunk.entities.partition_point(|&entity| entity < bound);
            let rows = before(entities.start)..before(entities.end);
            (!rows.is_empty()).then(|| chunk.slice(rows))
        };
        let parts: Vec<Piece> = self.chunks.iter().filter_map(part).collect();
        let grouped = Grouped::new(Piece::concat(parts));
        for (entity, rows) in &grouped.runs {
            each(*entity, &Events::new(&grouped.columns, rows.clone()))?;
        }
        Ok(())
    }
}
