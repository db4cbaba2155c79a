//! Changes that wait for a row: computing a row costs far more than noting what changes it, so
//! they gather until someone reads the row or writes it to disk. Called by the store, its
//! views, its flushes and the loader.
//!
//! A row with changes that wait means the row with them folded in; nobody sees the difference.

use std::fmt;
use std::sync::{Arc, PoisonError};

use super::bytes::Bytes;
use super::changes::{Changes, Row, ShardGuard, Staged, Vectors, read};
use crate::{Error, Result};

/// Beyond this a row is computed at once, so that looking through what waits stays cheap.
const MOST_WAITING: usize = 8 << 10;

/// What a map entry and the merge cost beside the bytes that wait.
const WAITING_BYTES: usize = 48;

/// Folds changes into rows. Given along with the changes by whoever knows what rows mean.
pub trait Merge: Send + Sync + fmt::Debug {
    /// The row after the changes that waited for it, in the order in which they came; an empty
    /// row is one that was not there. `vectors` fetches those of the row, if they are needed.
    fn merge(
        &self,
        row: &[u8],
        vectors: &dyn Fn() -> Result<Option<Bytes>>,
        waiting: &[u8],
    ) -> std::result::Result<Merged, MergeError>;
}

/// Why changes could not be folded into a row.
pub type MergeError = Box<dyn std::error::Error + Send + Sync>;

/// A row with all changes in it.
#[derive(Clone, Debug)]
pub struct Merged {
    /// The row.
    pub row: Vec<u8>,
    /// Its vectors; none leaves those it had.
    pub vectors: Option<Vec<u8>>,
}

/// What waits for one row.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) bytes: Vec<u8>,
    merge: Arc<dyn Merge>,
}

/// What became of a look at a row.
pub(super) struct Waited<T> {
    /// What the caller made of it.
    pub(super) answer: T,
    /// So much waits by now that the row should be computed.
    pub(super) is_full: bool,
}

impl Row {
    /// A row that nothing waits for.
    pub(super) fn new(bytes: Arc<[u8]>, vectors: Vectors) -> Row {
        Row {
            bytes,
            vectors,
            waiting: None,
        }
    }

    /// Shows the row and what waits for it, to which more may be added.
    pub(super) fn wait<T>(
        &mut self,
        merge: &Arc<dyn Merge>,
        take: impl FnOnce(&[u8], &mut Vec<u8>) -> T,
    ) -> Waited<T> {
        let waiting = self.waiting.get_or_insert_with(|| {
            Box::new(Waiting {
                bytes: Vec::new(),
                merge: Arc::clone(merge),
            })
        });
        let answer = take(&self.bytes, &mut waiting.bytes);
        let is_full = waiting.bytes.len() > MOST_WAITING;
        if waiting.bytes.is_empty() {
            self.waiting = None;
        }
        Waited { answer, is_full }
    }

    /// Folds in what waits. On an error it goes on waiting. `below` fetches the vectors of a
    /// row that has none of its own.
    pub(super) fn settle(
        &mut self,
        key: &[u8],
        below: &dyn Fn() -> Result<Option<Bytes>>,
    ) -> Result<()> {
        let Some(waiting) = &self.waiting else {
            return Ok(());
        };
        let vectors = || match &self.vectors {
            Vectors::Below => below(),
            Vectors::None => Ok(None),
            Vectors::Some(bytes) => Ok(Some(Bytes::memory(Arc::clone(bytes)))),
        };
        let merged = waiting.merge.merge(&self.bytes, &vectors, &waiting.bytes);
        let merged = merged.map_err(|source| Error::Merge {
            key: String::from_utf8_lossy(key).into_owned(),
            source,
        })?;
        self.bytes = merged.row.into();
        if let Some(vectors) = merged.vectors {
            self.vectors = Vectors::Some(vectors.into());
        }
        self.waiting = None;
        Ok(())
    }

    /// Bytes that wait, with what keeping them costs.
    pub(super) fn waiting_bytes(&self) -> usize {
        let waiting = self.waiting.as_ref();
        waiting.map_or(0, |waiting| WAITING_BYTES + waiting.bytes.capacity())
    }
}

impl Changes<Row> {
    /// Shows a row and what waits for it to `take`, which may add to it. `below` gives the row
    /// that lies below this layer; it is asked once per key.
    pub(super) fn wait<T>(
        &self,
        key: &[u8],
        merge: &Arc<dyn Merge>,
        below: impl FnOnce() -> Result<Option<Arc<[u8]>>>,
        take: impl FnOnce(&[u8], &mut Vec<u8>) -> T,
    ) -> Result<Waited<T>> {
        let mut shard = self.lock(key);
        if let Some(change) = shard.get_mut(key) {
            if let Some(row) = change {
                let before = row.waiting_bytes();
                let waited = row.wait(merge, take);
                self.resize(before, row.waiting_bytes());
                return Ok(waited);
            }
            let mut row = Row::new([].into(), Vectors::None);
            let waited = row.wait(merge, take);
            if row.waiting.is_some() {
                self.replace(change, Some(row));
            }
            return Ok(waited);
        }
        let below = below()?;
        let is_below = below.is_some();
        let mut row = Row::new(below.unwrap_or_else(|| [].into()), Vectors::Below);
        let waited = row.wait(merge, take);
        if row.waiting.is_some() {
            self.insert(&mut shard, key, Some(row), is_below);
        }
        Ok(waited)
    }

    /// Folds in what waits for one row.
    pub(super) fn settle(
        &self,
        key: &[u8],
        below: &dyn Fn() -> Result<Option<Bytes>>,
    ) -> Result<()> {
        let mut shard = self.lock(key);
        let Some(Some(row)) = shard.get_mut(key) else {
            return Ok(());
        };
        let before = row.size();
        let settled = row.settle(key, below);
        self.resize(before, row.size());
        settled
    }

    /// The keys of the rows that something waits for.
    pub(super) fn waited_for(&self) -> Vec<Box<[u8]>> {
        let waits = |change: &Option<Row>| change.as_ref().is_some_and(|row| row.waiting.is_some());
        let mut keys = Vec::new();
        for shard in self.shards() {
            let shard = read(shard);
            let waited_for = shard.iter().filter(|(_, change)| waits(change));
            keys.extend(waited_for.map(|(key, _)| key.clone()));
        }
        keys
    }

    fn lock(&self, key: &[u8]) -> ShardGuard<'_, Row> {
        self.shard(key)
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
