//! What readers see of the store, newest first: the active layer, the frozen ones, the
//! snapshot. Called by the store, which replaces it, by views and by flushes.

use std::sync::Arc;

use super::bytes::Bytes;
use super::changes::{Change, Changes, Layer, Row, Staged, Vectors};
use super::resident::Resident;
use super::tables::{Snapshot, StoredTable, redb_error};
use crate::{Error, Result};

/// The layers, which change together.
pub(super) struct Stack {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) resident: Resident, // rows of the snapshot
    pub(super) frozen: Vec<Layer>, // oldest first; on their way to disk, they mean the same for ever
    pub(super) active: Layer,
}

impl Stack {
    /// All layers, newest first.
    pub(super) fn layers(&self) -> impl Iterator<Item = &Layer> {
        std::iter::once(&self.active).chain(self.frozen.iter().rev())
    }

    /// The newest change of a row, with all that waited for it, and the depth of its layer.
    pub(super) fn staged(&self, key: &[u8]) -> Result<Option<(usize, Change<Row>)>> {
        self.staged_below(key, 0)
    }

    /// The same in the layers from a depth on.
    pub(super) fn staged_below(
        &self,
        key: &[u8],
        depth: usize,
    ) -> Result<Option<(usize, Change<Row>)>> {
        for (depth, layer) in self.layers().enumerate().skip(depth) {
            let waits = layer.rows.look(key, |row| {
                row.is_some_and(|row: &Row| row.waiting.is_some())
            });
            if waits == Some(true) {
                self.settle(key, depth, layer)?;
            }
            if let Some(change) = layer.rows.get(key) {
                return Ok(Some((depth, change)));
            }
        }
        Ok(None)
    }

    /// Folds in what waits for a row in one layer.
    pub(super) fn settle(&self, key: &[u8], depth: usize, layer: &Layer) -> Result<()> {
        let below = || self.vectors_of(key, Vectors::Below, depth);
        layer.rows.settle(key, &below)
    }

    /// Folds in what waits for any row of the oldest frozen layers. One key at a time, so that
    /// nobody waits long for a shard; a row that fails stays as it was.
    pub(super) fn settle_frozen(&self, count: usize) {
        for (place, layer) in self.frozen[..count].iter().enumerate() {
            let depth = self.frozen.len() - place;
            for key in layer.rows.waited_for() {
                if let Err(error) = self.settle(&key, depth, layer) {
                    tracing::error!(
                        %error,
                        "events of a row are not in what is served; they are in the log"
                    );
                }
            }
        }
    }

    /// The vectors of a row staged at a depth; those of deeper layers, which no longer change,
    /// if it left them as they were.
    pub(super) fn vectors_of(
        &self,
        key: &[u8],
        vectors: Vectors,
        depth: usize,
    ) -> Result<Option<Bytes>> {
        let mut vectors = vectors;
        for depth in depth + 1.. {
            match vectors {
                Vectors::None => return Ok(None),
                Vectors::Some(bytes) => return Ok(Some(Bytes::memory(bytes))),
                Vectors::Below => {}
            }
            match self.staged_below(key, depth)? {
                Some((_, Change::Put(row))) => vectors = row.vectors,
                Some((_, Change::Removed)) => vectors = Vectors::None,
                None => break,
            }
        }
        self.stored(self.snapshot.vectors.as_ref(), key)
    }

    /// The row that lies below the active layer.
    pub(super) fn row_below(&self, key: &[u8]) -> Result<Option<Arc<[u8]>>> {
        Ok(match self.staged_below(key, 1)? {
            Some((_, Change::Put(row))) => Some(row.bytes),
            Some((_, Change::Removed)) => None,
            None => {
                let stored = self.stored_row(key)?;
                stored.map(|row| Arc::from(&*row))
            }
        })
    }

    /// The row that the snapshot has. It is kept in memory from then on.
    pub(super) fn stored_row(&self, key: &[u8]) -> Result<Option<Bytes>> {
        if let Some(kept) = self.resident.get(key) {
            return Ok(Some(Bytes::behind(kept)));
        }
        let stored = self.stored(self.snapshot.rows.as_ref(), key)?;
        if let Some(row) = &stored {
            self.resident.keep(key, row);
        }
        Ok(stored)
    }

    /// What the snapshot has.
    pub(super) fn stored(&self, table: Option<&StoredTable>, key: &[u8]) -> Result<Option<Bytes>> {
        let Some(table) = table else { return Ok(None) };
        let found = table
            .get_owned(key)
            .map_err(|error| self.failed(error.into()))?;
        Ok(found.map(Bytes::stored))
    }

    pub(super) fn failed(&self, error: redb::Error) -> Error {
        redb_error("read", &self.snapshot.path)(error)
    }
}

/// Whether a key exists in layers, given newest first, or in the table below them.
pub(super) fn exists<'a, V: Staged + 'a>(
    mut layers: impl Iterator<Item = &'a Changes<V>>,
    table: Option<&StoredTable>,
    key: &[u8],
) -> std::result::Result<bool, redb::Error> {
    if let Some(exists) = layers.find_map(|changes| changes.look(key, |value| value.is_some())) {
        return Ok(exists);
    }
    Ok(match table {
        Some(table) => table.get_owned(key)?.is_some(),
        None => false,
    })
}
