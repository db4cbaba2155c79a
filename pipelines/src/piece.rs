//! Rows of a batch with their entities as numbers. Made by every job that reads a source
//! for more than one entity.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray};
use arrow::compute;
use arrow::datatypes::{DataType, Int32Type};
use granary_storage::Tombstone;
use hashbrown::HashMap;
use rayon::prelude::*;

use crate::erased::{Erased, is_stand_in};
use crate::error::Error;
use crate::fold::Columns;

/// Entity keys as dense numbers, in order of first sight.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    known: HashMap<Arc<str>, u32, foldhash::fast::FixedState>,
    names: Vec<Arc<str>>,
    /// None if nobody was erased.
    erased: Option<Box<Erased>>,
}

/// Rows of one batch with their entities as numbers.
#[derive(Debug)]
pub struct Piece {
    /// One number a row.
    pub(crate) entities: Vec<u32>,
    /// What the folds read.
    pub(crate) columns: Columns,
    /// Among rows of one instant those of a smaller rank come first; as pieces stand, if equal.
    pub(crate) rank: u32,
}

impl Piece {
    /// Rows of one entity alone.
    pub(crate) fn of_one(columns: Columns) -> Piece {
        Piece {
            entities: vec![0; columns.rows()],
            columns,
            rank: 0,
        }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.entities.len()
    }

    /// What it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&self.entities[..]) + self.columns.bytes()
    }

    /// The entity of its first rows, and where they end.
    pub(crate) fn head(&self) -> Option<(u32, usize)> {
        let first = *self.entities.first()?;
        let other = self.entities.iter().position(|&entity| entity != first);
        Some((first, other.unwrap_or(self.rows())))
    }

    /// Where the rows of its last entity begin, as far as they stand together.
    pub(crate) fn tail(&self) -> usize {
        let last = self.entities.last();
        let other = self
            .entities
            .iter()
            .rposition(|entity| Some(entity) != last);
        other.map_or(0, |row| row + 1)
    }

    /// Some of the rows.
    pub(crate) fn slice(&self, rows: Range<usize>) -> Piece {
        Piece {
            entities: self.entities[rows.clone()].to_vec(),
            columns: self.columns.slice(rows),
            rank: self.rank,
        }
    }

    /// These rows, in this order.
    pub(crate) fn take(&self, rows: &[u32]) -> Piece {
        Piece {
            entities: rows
                .iter()
                .map(|&row| self.entities[row as usize])
                .collect(),
            columns: self.columns.take(rows),
            rank: self.rank,
        }
    }

    /// One after another.
    pub(crate) fn concat(pieces: Vec<Piece>) -> Piece {
        let (entities, columns): (Vec<Vec<u32>>, Vec<Columns>) = pieces
            .into_iter()
            .map(|piece| (piece.entities, piece.columns))
            .unzip();
        Piece {
            entities: entities.concat(),
            columns: Columns::concat(columns),
            rank: 0,
        }
    }
}

impl Interner {
    /// Of nobody yet. Who was erased gets no number before a row of it counts.
    pub(crate) fn new(erased: Option<Erased>) -> Interner {
        Interner {
            erased: erased.map(Box::new),
            ..Interner::default()
        }
    }

    /// Gives these keys, each once, their places as numbers; none may have been met before.
    pub(crate) fn know(&mut self, names: &[Arc<str>]) {
        for (name, number) in names.iter().cloned().zip(0..) {
            let stand_in = self.stand_in(&name, Some(number));
            self.known.insert(name, stand_in.unwrap_or(number));
        }
        self.names = names.to_vec();
    }

    fn stand_in(&mut self, key: &str, number: Option<u32>) -> Option<u32> {
        self.erased.as_mut()?.meet(key, number)
    }

    /// How many entities there are.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// The entities' keys; their positions are their numbers.
    pub(crate) fn names(&self) -> &[Arc<str>] {
        &self.names
    }

    /// The same, for good.
    pub(crate) fn into_names(self) -> Vec<Arc<str>> {
        self.names
    }

    /// The number of an entity, [`NOBODY`] if it was not met.
    fn find(&self, key: &str) -> u32 {
        self.known.get(key).copied().unwrap_or(NOBODY)
    }

    /// The number of an entity, a new one if it was not met.
    pub(crate) fn number(&mut self, key: &str) -> u32 {
        if let Some(&number) = self.known.get(key) {
            return number;
        }
        let name: Arc<str> = Arc::from(key);
        if let Some(stand_in) = self.stand_in(key, None) {
            self.known.insert(name, stand_in);
            return stand_in;
        }
        let number = self.names.len() as u32;
        self.known.insert(name.clone(), number);
        self.names.push(name);
        number
    }

    /// The number of an entity of which a row counts.
    pub(crate) fn number_for(
        &mut self,
        key: &str,
        counts: impl FnOnce(&Tombstone) -> bool,
    ) -> Option<u32> {
        let number = self.number(key);
        if !is_stand_in(number) {
            return Some(number);
        }
        self.admit(number, counts)
    }

    /// The number of whoever such a number stands for, if a row of it counts.
    pub(crate) fn admit(
        &mut self,
        stand_in: u32,
        counts: impl FnOnce(&Tombstone) -> bool,
    ) -> Option<u32> {
        let erased = self.erased.as_mut()?;
        if !counts(erased.tombstone(stand_in)?) {
            return None;
        }
        if let Some(number) = erased.number(stand_in) {
            return Some(number);
        }
        let number = self.names.len() as u32;
        erased.set_number(stand_in, number);
        self.names.push(erased.key(stand_in)?);
        Some(number)
    }

    /// The place among all tombstones of whoever such a number stands for.
    pub(crate) fn tombstone_of(&self, stand_in: u32) -> usize {
        let erased = self.erased.as_ref();
        erased.map_or(0, |erased| erased.place(stand_in))
    }
}

/// Numbers of the entities in the newest dictionary: the batches of a row group share theirs,
/// so that each key is looked up once per row group instead of once per row.
#[derive(Debug, Default)]
pub(crate) struct Numbering {
    dictionary: Option<ArrayRef>,
    numbers: Vec<u32>,
}

/// A key of the dictionary that no row has named yet.
const UNKNOWN: u32 = u32::MAX;
/// An entity without a number, when only those with one are looked for.
pub(crate) const NOBODY: u32 = u32::MAX - 1;

/// Finds the number of a key.
type Find = fn(&mut Interner, &str) -> u32;

impl Numbering {
    /// One number a row, for a column of keys.
    pub(crate) fn of(
        &mut self,
        keys: &ArrayRef,
        interner: &Mutex<Interner>,
    ) -> Result<Vec<u32>, Error> {
        self.with(keys, interner, Interner::number)
    }

    /// The same without new numbers: of other entities it is [`NOBODY`].
    pub(crate) fn of_known(
        &mut self,
        keys: &ArrayRef,
        interner: &Mutex<Interner>,
    ) -> Result<Vec<u32>, Error> {
        self.with(keys, interner, |interner, key| interner.find(key))
    }

    fn with(
        &mut self,
        keys: &ArrayRef,
        interner: &Mutex<Interner>,
        find: Find,
    ) -> Result<Vec<u32>, Error> {
        match keys.as_dictionary_opt::<Int32Type>() {
            Some(dictionary) => Ok(self.of_dictionary(dictionary, interner, find)),
            None => of_texts(keys, interner, find),
        }
    }

    fn of_dictionary(
        &mut self,
        dictionary: &DictionaryArray<Int32Type>,
        interner: &Mutex<Interner>,
        find: Find,
    ) -> Vec<u32> {
        let values = dictionary.values();
        if !self
            .dictionary
            .as_ref()
            .is_some_and(|held| Arc::ptr_eq(held, values))
        {
            self.dictionary = Some(values.clone());
            self.numbers.clear();
            self.numbers.resize(values.len(), UNKNOWN);
        }
        let keys = dictionary.keys().values();
        let rows = self.of_rows(keys);
        if !rows.contains(&UNKNOWN) {
            return rows;
        }
        // A dictionary may name entities whose rows were left out as bad: they get no number.
        let texts = values.as_string::<i32>();
        let mut interner = lock(interner);
        for &key in keys {
            let number = &mut self.numbers[key as usize];
            if *number == UNKNOWN {
                *number = find(&mut interner, texts.value(key as usize));
            }
        }
        self.of_rows(keys)
    }

    /// Eight rows at a time: in logs that are sorted by entity they are mostly of one.
    fn of_rows(&self, keys: &[i32]) -> Vec<u32> {
        let number = |&key: &i32| self.numbers[key as usize];
        let mut rows = Vec::with_capacity(keys.len());
        let (eights, rest) = keys.as_chunks::<8>();
        for eight in eights {
            let others = eight.iter().fold(0, |bits, key| bits | (key ^ eight[0]));
            rows.extend(if others == 0 {
                [number(&eight[0]); 8]
            } else {
                eight.map(|key| number(&key))
            });
        }
        rows.extend(rest.iter().map(number));
        rows
    }
}

/// Entity keys that come one by one.
fn of_texts(keys: &ArrayRef, interner: &Mutex<Interner>, find: Find) -> Result<Vec<u32>, Error> {
    let texts: ArrayRef = compute::cast(keys, &DataType::Utf8)?;
    let mut interner = lock(interner);
    let texts = texts.as_string::<i32>().iter();
    Ok(texts
        .map(|key| find(&mut interner, key.unwrap_or_default()))
        .collect())
}

/// The keys in order, and the place of each entity in it.
pub(crate) fn by_name(names: &[Arc<str>]) -> (Vec<Arc<str>>, Vec<u32>) {
    let mut order: Vec<u32> = (0..names.len() as u32).collect();
    order.par_sort_by(|&a, &b| names[a as usize].cmp(&names[b as usize]));
    let mut ranks = vec![0; names.len()];
    for (rank, &entity) in order.iter().enumerate() {
        ranks[entity as usize] = rank as u32;
    }
    let sorted = order.iter().map(|&entity| names[entity as usize].clone());
    (sorted.collect(), ranks)
}

/// What is shared, whatever became of other threads.
pub(crate) fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
