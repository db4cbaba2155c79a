//! One consistent reader of the online store. Called by every read of a feature or plain key.

use std::fmt;
use std::sync::Arc;

use granary_registry::EventTime;

use super::bytes::Bytes;
use super::changes::{Change, Layer, Row, Vectors};
use super::scan::scan;
use super::store::Stack;
use super::tables::{StoredTable, redb_error};
use crate::log::Offset;
use crate::{Error, Result};

/// A reader of one generation. It sees what is staged while it lives, up to the next flush,
/// and never misses a row that moves to disk meanwhile.
#[derive(Clone)]
pub struct View {
    stack: Arc<Stack>,
}

/// A row and the vectors that belong to it.
#[derive(Debug)]
pub struct FullRow {
    /// The row.
    pub row: Bytes,
    /// Its vectors, if it has any.
    pub vectors: Option<Bytes>,
}

impl View {
    pub(super) fn of(stack: Arc<Stack>) -> View {
        View { stack }
    }

    /// The generation, 0 before the first.
    pub fn generation(&self) -> u64 {
        self.stack.snapshot.meta.generation
    }

    /// What was given at the generation's publication.
    pub fn meta(&self) -> &[u8] {
        &self.stack.snapshot.meta.pushed
    }

    /// What is on disk includes the log up to here.
    pub fn log_offset(&self) -> Offset {
        Offset(self.stack.snapshot.meta.log_offset)
    }

    /// The data clock at that offset.
    pub fn clock(&self) -> EventTime {
        EventTime(self.stack.snapshot.meta.clock)
    }

    /// The row of an entity.
    pub fn row(&self, key: &[u8]) -> Result<Option<Bytes>> {
        match self.staged(key) {
            Some((_, Change::Put(row))) => Ok(Some(Bytes::memory(row.row))),
            Some((_, Change::Removed)) => Ok(None),
            None => self.stored(self.stack.snapshot.rows.as_ref(), key),
        }
    }

    /// The vectors of an entity.
    pub fn vectors(&self, key: &[u8]) -> Result<Option<Bytes>> {
        match self.staged(key) {
            Some((depth, Change::Put(row))) => self.vectors_of(key, row.vectors, depth),
            Some((_, Change::Removed)) => Ok(None),
            None => self.stored(self.stack.snapshot.vectors.as_ref(), key),
        }
    }

    /// The row of an entity and its vectors, as they were staged together.
    pub fn full_row(&self, key: &[u8]) -> Result<Option<FullRow>> {
        let (row, vectors) = match self.staged(key) {
            Some((depth, Change::Put(row))) => (
                Bytes::memory(row.row),
                self.vectors_of(key, row.vectors, depth)?,
            ),
            Some((_, Change::Removed)) => return Ok(None),
            None => {
                let snapshot = &self.stack.snapshot;
                let Some(row) = self.stored(snapshot.rows.as_ref(), key)? else {
                    return Ok(None);
                };
                (row, self.stored(snapshot.vectors.as_ref(), key)?)
            }
        };
        Ok(Some(FullRow { row, vectors }))
    }

    /// Whether the entity has a row.
    pub fn contains(&self, key: &[u8]) -> Result<bool> {
        Ok(self.row(key)?.is_some())
    }

    /// How many entities have a row.
    pub fn len(&self) -> u64 {
        let added: i64 = self.stack.layers().map(|layer| layer.rows.added()).sum();
        self.stack.snapshot.row_count.saturating_add_signed(added)
    }

    /// Whether no entity has a row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first `limit` rows after a key, by key.
    pub fn scan(&self, after: Option<&[u8]>, limit: usize) -> Result<Vec<(Vec<u8>, Bytes)>> {
        let layers = self.stack.layers().map(|layer| &*layer.rows).collect();
        scan(
            layers,
            self.stack.snapshot.rows.as_ref(),
            after,
            limit,
            |row: Row| row.row,
        )
        .map_err(|error| self.failed(error))
    }

    /// The value of a plain key.
    pub fn plain(&self, key: &[u8]) -> Result<Option<Bytes>> {
        match self.stack.layers().find_map(|layer| layer.plain.get(key)) {
            Some(Change::Put(value)) => Ok(Some(Bytes::memory(value))),
            Some(Change::Removed) => Ok(None),
            None => self.stored(Some(&self.stack.snapshot.plain), key),
        }
    }

    /// How many plain keys there are.
    pub fn plain_len(&self) -> u64 {
        let added: i64 = self.stack.layers().map(|layer| layer.plain.added()).sum();
        self.stack.snapshot.plain_count.saturating_add_signed(added)
    }

    /// The first `limit` plain keys after a key, by key, with their values.
    pub fn scan_plain(&self, after: Option<&[u8]>, limit: usize) -> Result<Vec<(Vec<u8>, Bytes)>> {
        let layers = self.stack.layers().map(|layer| &*layer.plain).collect();
        scan(
            layers,
            Some(&self.stack.snapshot.plain),
            after,
            limit,
            |value| value,
        )
        .map_err(|error| self.failed(error))
    }

    /// The newest change of a row, and the depth of its layer.
    fn staged(&self, key: &[u8]) -> Option<(usize, Change<Row>)> {
        let at = |(depth, layer): (usize, &Layer)| Some((depth, layer.rows.get(key)?));
        self.stack.layers().enumerate().find_map(at)
    }

    /// The vectors of a row staged at a depth; those of deeper layers, which no longer change,
    /// if it left them as they were.
    fn vectors_of(&self, key: &[u8], vectors: Vectors, depth: usize) -> Result<Option<Bytes>> {
        let deeper = self
            .stack
            .layers()
            .skip(depth + 1)
            .filter_map(|layer| layer.rows.get(key));
        let deeper = deeper.map(|change| match change {
            Change::Put(row) => row.vectors,
            Change::Removed => Vectors::None,
        });
        for vectors in std::iter::once(vectors).chain(deeper) {
            match vectors {
                Vectors::Below => {}
                Vectors::None => return Ok(None),
                Vectors::Some(bytes) => return Ok(Some(Bytes::memory(bytes))),
            }
        }
        self.stored(self.stack.snapshot.vectors.as_ref(), key)
    }

    fn stored(&self, table: Option<&StoredTable>, key: &[u8]) -> Result<Option<Bytes>> {
        let Some(table) = table else { return Ok(None) };
        let found = table
            .get_owned(key)
            .map_err(|error| self.failed(error.into()))?;
        Ok(found.map(Bytes::stored))
    }

    fn failed(&self, error: redb::Error) -> Error {
        redb_error("read", &self.stack.snapshot.path)(error)
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View")
            .field("generation", &self.generation())
            .finish_non_exhaustive()
    }
}
