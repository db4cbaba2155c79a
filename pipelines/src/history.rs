//! The history of a group's entities: rows of its source, from files and the log alike,
//! brought together by entity, put in order of time and freed of copies. Batch builds and
//! point-in-time sweeps fold what comes out of here.

use rayon::prelude::*;

use crate::error::Error;
use crate::fold::Events;
use crate::grouped::Grouped;
use crate::piece::Piece;

/// Rows a partition aims at: small enough that its columns stay in the cache.
const PARTITION_ROWS: usize = 1 << 17;

/// All rows of a source for one group, by entity.
#[derive(Debug)]
pub struct History {
    partitions: Vec<Grouped>,
}

impl History {
    /// Brings the rows of so many entities together. Pieces stand in order of file, then log,
    /// so that of two copies the first counts.
    pub fn gather(pieces: Vec<Piece>, entities: usize) -> History {
        let rows: usize = pieces.iter().map(Piece::rows).sum();
        let count = rows.div_ceil(PARTITION_ROWS).max(1);
        let per_part = entities.div_ceil(count).max(1);
        let split: Vec<Vec<Piece>> = pieces
            .into_par_iter()
            .map(|piece| scatter(piece, count, per_part))
            .collect();
        let mut parts: Vec<Vec<Piece>> = (0..count).map(|_| Vec::new()).collect();
        for pieces in split {
            for (part, piece) in parts.iter_mut().zip(pieces) {
                part.push(piece);
            }
        }
        let partitions = parts
            .into_par_iter()
            .map(|part| Grouped::new(Piece::concat(part)))
            .collect();
        History { partitions }
    }

    /// The entities that have rows.
    pub fn entities(&self) -> impl Iterator<Item = u32> {
        let runs = self.partitions.iter().flat_map(|part| &part.runs);
        runs.map(|(entity, _)| *entity)
    }

    /// Works on the partitions in parallel: `each` gets every entity with its events and a
    /// scratch value of the partition, and the scratch values come back in order.
    pub fn map<T: Send>(
        &self,
        scratch: impl Fn() -> T + Sync,
        each: impl Fn(&mut T, u32, &Events<'_>) -> Result<(), Error> + Sync,
    ) -> Result<Vec<T>, Error> {
        let fold = |partition: &Grouped| {
            let mut value = scratch();
            for (entity, rows) in &partition.runs {
                let events = Events::new(&partition.columns, rows.clone());
                each(&mut value, *entity, &events)?;
            }
            Ok(value)
        };
        self.partitions.par_iter().map(fold).collect()
    }
}

/// Splits a piece by entity: the first part gets the first `per_part` numbers, and so on.
fn scatter(piece: Piece, count: usize, per_part: usize) -> Vec<Piece> {
    if count == 1 {
        return vec![piece];
    }
    let mut rows: Vec<Vec<u32>> = vec![Vec::new(); count];
    for (row, entity) in piece.entities.iter().enumerate() {
        rows[*entity as usize / per_part].push(row as u32);
    }
    rows.iter().map(|rows| piece.take(rows)).collect()
}
