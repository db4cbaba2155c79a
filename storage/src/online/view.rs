//! One consistent reader of the online store. Called by every read of a feature or plain key.

use std::fmt;
use std::sync::Arc;

use granary_registry::EventTime;

use super::bytes::Bytes;
use super::changes::{Change, Row};
use super::scan::scan;
use super::stack::{Stack, exists};
use crate::Result;
use crate::log::Offset;

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
        let stack = &self.stack;
        match stack.staged(key)? {
            Some((_, Change::Put(row))) => Ok(Some(Bytes::memory(row.bytes))),
            Some((_, Change::Removed)) => Ok(None),
            None => stack.stored_row(key),
        }
    }

    /// The vectors of an entity.
    pub fn vectors(&self, key: &[u8]) -> Result<Option<Bytes>> {
        let stack = &self.stack;
        match stack.staged(key)? {
            Some((depth, Change::Put(row))) => stack.vectors_of(key, row.vectors, depth),
            Some((_, Change::Removed)) => Ok(None),
            None => stack.stored(stack.snapshot.vectors.as_ref(), key),
        }
    }

    /// The row of an entity and its vectors, as they were staged together.
    pub fn full_row(&self, key: &[u8]) -> Result<Option<FullRow>> {
        let stack = &self.stack;
        let (row, vectors) = match stack.staged(key)? {
            Some((depth, Change::Put(row))) => {
                let vectors = stack.vectors_of(key, row.vectors, depth)?;
                (Bytes::memory(row.bytes), vectors)
            }
            Some((_, Change::Removed)) => return Ok(None),
            None => {
                let Some(row) = stack.stored_row(key)? else {
                    return Ok(None);
                };
                (row, stack.stored(stack.snapshot.vectors.as_ref(), key)?)
            }
        };
        Ok(Some(FullRow { row, vectors }))
    }

    /// Whether the entity has a row.
    pub fn contains(&self, key: &[u8]) -> Result<bool> {
        let layers = self.stack.layers().map(|layer| &*layer.rows);
        exists(layers, self.stack.snapshot.rows.as_ref(), key)
            .map_err(|error| self.stack.failed(error))
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

    /// The keys of the first `limit` rows after a key, in order.
    pub fn keys(&self, after: Option<&[u8]>, limit: usize) -> Result<Vec<Vec<u8>>> {
        let layers = self.stack.layers().map(|layer| &*layer.rows).collect();
        let stored = self.stack.snapshot.rows.as_ref();
        let keys = scan(layers, stored, after, limit, |_: Row| (), |_| ());
        let keys = keys.map_err(|error| self.stack.failed(error))?;
        Ok(keys.into_iter().map(|(key, ())| key).collect())
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View")
            .field("generation", &self.generation())
            .finish_non_exhaustive()
    }
}
