//! A source whose rows or states do not fit into memory: its rows go to disk by ranges of
//! entities, in order of their keys, and are folded one range after another. A range is small
//! enough to be folded as a history at once.

use std::sync::Arc;

use granary_storage::{Spill, Spilled as Block};
use rayon::prelude::*;

use super::chunk::Partials;
use super::join::Joined;
use super::packed::{pack, unpack};
use crate::error::Error;
use crate::fold::GroupFold;
use crate::history::{History, Sorter};
use crate::job::Job;
use crate::piece::{Piece, by_name};
use crate::reading::{Reading, Rows};

/// Of the memory for rows and states, what the rows of a range may take: they are joined by
/// their states and by what is finalized of them.
const SHARE: u64 = 4;

/// Rows on disk, by ranges of entities.
pub(super) struct Spilled {
    /// Keys of the entities, ascending.
    names: Vec<Arc<str>>,
    /// Entities of a range.
    size: usize,
    ranges: Vec<Vec<Stored>>,
    spill: Spill,
    /// Rows read, copies included.
    pub rows_read: u64,
    /// The newest event of them.
    pub newest: Option<i64>,
    /// The newest of them, written values included.
    pub latest: Option<i64>,
}

/// Rows of a range, with their rank among those of one instant.
#[derive(Clone, Copy)]
struct Stored {
    rank: u32,
    block: Block,
}

/// One chunk on its way to disk.
#[derive(Default)]
struct Scatter {
    sorter: Sorter,
    blocks: Vec<(usize, Stored)>,
    rows: u64,
    newest: Option<i64>,
    latest: Option<i64>,
}

impl Spilled {
    /// Reads all there is of the entities met so far, which takes about so many bytes.
    pub(super) fn read(job: &Job<'_>, reading: &Reading<'_>, bytes: u64) -> Result<Spilled, Error> {
        let (names, ranks) = by_name(reading.interner().names());
        let most = (job.memory as u64 / SHARE).max(1);
        let ranges = bytes.div_ceil(most).clamp(1, names.len().max(1) as u64);
        let size = names.len().div_ceil(ranges as usize).max(1);
        let spill = Spill::create(job.data)?;
        let put = |scatter: &mut Scatter| scatter.write(&spill, size);
        let chunks = reading.each_chunk(
            Rows::Known,
            |_| Scatter::default(),
            |scatter, piece| {
                scatter.take(piece, &ranks, &reading.fold);
                put(scatter)
            },
            |mut scatter| {
                let sorter = std::mem::take(&mut scatter.sorter);
                scatter.append(sorter.finish(), &spill, size)?;
                Ok(scatter)
            },
        )?;
        let newest = chunks.iter().filter_map(|chunk| chunk.newest).max();
        let latest = chunks.iter().filter_map(|chunk| chunk.latest).max();
        let mut spilled = Spilled {
            ranges: vec![Vec::new(); names.len().div_ceil(size)],
            names,
            size,
            spill,
            rows_read: chunks.iter().map(|chunk| chunk.rows).sum(),
            newest: newest.filter(|&time| time != i64::MIN),
            latest: latest.filter(|&time| time != i64::MIN),
        };
        for (range, block) in chunks.into_iter().flat_map(|chunk| chunk.blocks) {
            spilled.ranges[range].push(block);
        }
        Ok(spilled)
    }

    /// Bytes on disk.
    pub(super) fn bytes(&self) -> u64 {
        self.spill.bytes()
    }

    /// Folds one range after another.
    pub(super) fn each(
        &self,
        fold: &GroupFold,
        mut each: impl FnMut(&[Arc<str>], &Joined) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let names = self.names.chunks(self.size).enumerate();
        for ((range, names), blocks) in names.zip(&self.ranges) {
            let history = self.history(blocks, range * self.size, names.len())?;
            let partials = Partials::of_history(fold, &history)?;
            drop(history);
            each(
                names,
                &Joined::new(None, partials, names.len(), fold, false)?,
            )?;
        }
        Ok(())
    }

    /// The rows of a range, whose entities are numbered from its first.
    fn history(&self, blocks: &[Stored], first: usize, entities: usize) -> Result<History, Error> {
        let piece = |held: &Stored| {
            let mut piece = unpack(&self.spill.read(held.block, None)?, held.rank)?;
            for entity in &mut piece.entities {
                *entity -= first as u32;
            }
            Ok(piece)
        };
        let pieces: Vec<Piece> = blocks.par_iter().map(piece).collect::<Result<_, Error>>()?;
        Ok(History::of(pieces, entities))
    }
}

impl Scatter {
    /// Rows with their entities as places in the order of keys.
    fn take(&mut self, mut piece: Piece, ranks: &[u32], fold: &GroupFold) {
        self.rows += piece.rows() as u64;
        let times = piece.columns.times.iter().copied();
        self.latest = self.latest.max(times.clone().max());
        let events = times.enumerate();
        let events = events.filter(|(row, _)| !fold.is_written(&piece.columns, *row));
        self.newest = self.newest.max(events.map(|(_, time)| time).max());
        for entity in &mut piece.entities {
            *entity = ranks[*entity as usize];
        }
        self.sorter.take(piece);
    }

    /// Writes what is in order.
    fn write(&mut self, spill: &Spill, size: usize) -> Result<(), Error> {
        let sorted = self.sorter.sorted();
        self.append(sorted, spill, size)
    }

    fn append(&mut self, sorted: Vec<Piece>, spill: &Spill, size: usize) -> Result<(), Error> {
        for piece in sorted {
            let range = |row: usize| piece.entities[row] as usize / size;
            let mut start = 0;
            while start < piece.rows() {
                let at = range(start);
                let rows =
                    piece.entities[start..].partition_point(|&entity| entity as usize / size == at);
                let rank = piece.rank;
                let block = spill.append(&pack(piece.slice(start..start + rows))?)?;
                self.blocks.push((at, Stored { rank, block }));
                start += rows;
            }
        }
        Ok(())
    }
}
