//! The history of a group's entities: rows of its source, from files and the log alike,
//! brought together by entity, put in order of time and freed of copies. Batch builds and
//! point-in-time sweeps fold what comes out of here.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute;
use arrow::datatypes::{DataType, Int32Type};
use hashbrown::HashMap;
use rayon::prelude::*;

use crate::error::Error;
use crate::fold::{Columns, Events};
use crate::intake::Taken;

/// Rows a partition aims at: small enough that its columns stay in the cache.
const PARTITION_ROWS: usize = 1 << 17;

/// Entity keys as dense numbers, in order of first sight.
#[derive(Debug, Default)]
pub struct Interner {
    known: HashMap<Arc<str>, u32, foldhash::fast::FixedState>,
    names: Vec<Arc<str>>,
}

/// Rows of one batch with their entities as numbers.
#[derive(Debug)]
pub struct Piece {
    entities: Vec<u32>,
    columns: Columns,
}

/// All rows of a source for one group, by entity.
#[derive(Debug)]
pub struct History {
    names: Vec<Arc<str>>,
    partitions: Vec<Partition>,
}

/// A part of the entities with all their rows.
#[derive(Debug)]
struct Partition {
    columns: Columns,
    /// Entity and its rows.
    runs: Vec<(u32, Range<usize>)>,
}

impl Piece {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.entities.len()
    }
}

impl Interner {
    fn number(&mut self, key: &str) -> u32 {
        if let Some(&number) = self.known.get(key) {
            return number;
        }
        let number = self.names.len() as u32;
        let name: Arc<str> = Arc::from(key);
        self.known.insert(name.clone(), number);
        self.names.push(name);
        number
    }
}

/// Numbers the entities of a batch. Keys come as a dictionary mostly, so that each is looked
/// up once per batch instead of once per row.
pub(crate) fn number(taken: Taken, interner: &Mutex<Interner>) -> Result<Piece, Error> {
    let keys = &taken.keys;
    let lock = || {
        interner
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    };
    let entities = if let Some(dictionary) = keys.as_dictionary_opt::<Int32Type>() {
        let values = dictionary.values().as_string::<i32>();
        // A dictionary may name entities whose rows were left out as bad: they are none.
        let mut used = vec![false; values.len()];
        for &key in dictionary.keys().values() {
            used[key as usize] = true;
        }
        let numbers: Vec<u32> = {
            let mut interner = lock();
            let number = |at: usize| {
                if used[at] {
                    interner.number(values.value(at))
                } else {
                    0
                }
            };
            (0..values.len()).map(number).collect()
        };
        dictionary
            .keys()
            .values()
            .iter()
            .map(|&key| numbers[key as usize])
            .collect()
    } else {
        let texts: ArrayRef = compute::cast(keys, &DataType::Utf8)?;
        let mut interner = lock();
        texts
            .as_string::<i32>()
            .iter()
            .map(|key| interner.number(key.unwrap_or_default()))
            .collect()
    };
    Ok(Piece {
        entities,
        columns: taken.columns,
    })
}

impl History {
    /// Brings rows together. Pieces stand in order of file, then log, so that of two copies
    /// the first counts.
    pub fn gather(pieces: Vec<Piece>, interner: Interner) -> History {
        let rows: usize = pieces.iter().map(|piece| piece.entities.len()).sum();
        let count = rows.div_ceil(PARTITION_ROWS).max(1);
        let split: Vec<Vec<(Vec<u32>, Columns)>> = pieces
            .into_par_iter()
            .map(|piece| scatter(piece, count))
            .collect();
        let mut parts: Vec<Vec<(Vec<u32>, Columns)>> = (0..count).map(|_| Vec::new()).collect();
        for piece in split {
            for (part, rows) in parts.iter_mut().zip(piece) {
                part.push(rows);
            }
        }
        let partitions = parts
            .into_par_iter()
            .map(|part| Partition::new(part, count))
            .collect();
        History {
            names: interner.names,
            partitions,
        }
    }

    /// The entities' keys; their positions are the numbers that `map` hands out.
    pub fn names(&self) -> &[Arc<str>] {
        &self.names
    }

    /// Newest event of all.
    pub fn watermark(&self) -> Option<i64> {
        let times = self.partitions.iter().flat_map(|partition| {
            partition
                .runs
                .iter()
                .map(|(_, rows)| partition.columns.times[rows.end - 1])
        });
        times.max().filter(|&time| time != i64::MIN)
    }

    /// Rows left after copies were dropped.
    pub fn rows(&self) -> usize {
        self.partitions
            .iter()
            .flat_map(|part| &part.runs)
            .map(|(_, rows)| rows.len())
            .sum()
    }

    /// Works on the partitions in parallel: `each` gets every entity with its events and a
    /// scratch value of the partition, and the scratch values come back in order.
    pub fn map<T: Send>(
        &self,
        scratch: impl Fn() -> T + Sync,
        each: impl Fn(&mut T, u32, &Events<'_>) -> Result<(), Error> + Sync,
    ) -> Result<Vec<T>, Error> {
        let fold = |partition: &Partition| {
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

/// Splits a piece by entity: partition `p` gets the entities with number = p modulo `count`.
fn scatter(piece: Piece, count: usize) -> Vec<(Vec<u32>, Columns)> {
    if count == 1 {
        return vec![(piece.entities, piece.columns)];
    }
    let mut rows: Vec<Vec<u32>> = vec![Vec::new(); count];
    for (row, entity) in piece.entities.iter().enumerate() {
        rows[*entity as usize % count].push(row as u32);
    }
    let part = |rows: Vec<u32>| {
        let entities = rows
            .iter()
            .map(|&row| piece.entities[row as usize])
            .collect();
        (entities, piece.columns.take(&rows))
    };
    rows.into_iter().map(part).collect()
}

impl Partition {
    fn new(parts: Vec<(Vec<u32>, Columns)>, count: usize) -> Partition {
        let (entities, columns): (Vec<Vec<u32>>, Vec<Columns>) = parts.into_iter().unzip();
        let entities = entities.concat();
        let columns = Columns::concat(columns);
        let (order, ends) = by_entity(&entities, count);
        let mut kept = Vec::with_capacity(order.len());
        let mut runs = Vec::new();
        let mut start = 0;
        let mut scratch = Vec::new();
        for end in ends {
            if end > start {
                let from = kept.len();
                in_order(&order[start..end], &columns, &mut scratch, &mut kept);
                runs.push((entities[order[start] as usize], from..kept.len()));
            }
            start = end;
        }
        let sorted = kept.len() == columns.rows()
            && kept.iter().enumerate().all(|(at, &row)| at == row as usize);
        let columns = if sorted { columns } else { columns.take(&kept) };
        Partition { columns, runs }
    }
}

/// Rows by entity, stable, and where each entity's rows end: a counting sort.
fn by_entity(entities: &[u32], count: usize) -> (Vec<u32>, Vec<usize>) {
    let local = |entity: u32| entity as usize / count;
    let size = entities
        .iter()
        .map(|&entity| local(entity) + 1)
        .max()
        .unwrap_or(0);
    let mut ends = vec![0usize; size];
    for &entity in entities {
        ends[local(entity)] += 1;
    }
    let mut start = 0;
    for end in &mut ends {
        start += std::mem::replace(end, start);
    }
    let mut order = vec![0u32; entities.len()];
    for (row, &entity) in entities.iter().enumerate() {
        let place = &mut ends[local(entity)];
        order[*place] = row as u32;
        *place += 1;
    }
    (order, ends)
}

/// Puts one entity's rows in order of (time, dedupe key), leaving out copies.
fn in_order(
    rows: &[u32],
    columns: &Columns,
    scratch: &mut Vec<(i64, u64, u32)>,
    kept: &mut Vec<u32>,
) {
    let id = |row: u32| columns.ids.get(row as usize).copied().unwrap_or(0);
    let time = |row: u32| columns.times[row as usize];
    if rows.is_sorted_by(|&a, &b| time(a) < time(b)) {
        kept.extend_from_slice(rows);
        return;
    }
    scratch.clear();
    scratch.extend(rows.iter().map(|&row| (time(row), id(row), row)));
    // Row numbers follow file and log order, so the first of several copies stays first.
    scratch.sort_unstable();
    if !columns.ids.is_empty() {
        scratch.dedup_by_key(|(time, id, _)| (*time, *id));
    }
    kept.extend(scratch.iter().map(|(_, _, row)| *row));
}
