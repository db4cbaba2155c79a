//! Loads a generation beside the one that is served, while staging and flushing into that one
//! go on. Called by push.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use redb::{Durability, ReadableDatabase};

use super::bytes::Bytes;
use super::changes::{Row, Staged, Vectors};
use super::flush::write_change;
use super::store::OnlineStore;
use super::tables::{GenerationTables, Redb, StoredTable, Table, prepare, redb_error};
use crate::{Error, Result};

const CHUNK_ROWS: usize = 20_000; // between two chunks, a flush of the old generation gets its turn
const PENDING_BYTES: usize = 32 << 20;

/// A generation under construction. Dropped unpublished, its tables are deleted by the next
/// load, or when the store is next opened.
pub struct GenerationLoader<'a> {
    pub(super) store: &'a OnlineStore,
    pub(super) number: u64,
    pub(super) names: GenerationTables,
    last_key: Option<Vec<u8>>,
    pub(super) pending: BTreeMap<Vec<u8>, Option<Row>>, // none for a removal
    pending_bytes: usize,
    written: Option<Written>, // none when something was written since
}

/// What is in the tables under construction.
struct Written {
    rows: StoredTable,
    vectors: StoredTable,
}

impl OnlineStore {
    /// Begins the next generation. One at a time.
    pub fn begin_generation(&self) -> Result<GenerationLoader<'_>> {
        if self.loading.swap(true, Ordering::AcqRel) {
            return Err(Error::LoadRunning {
                path: self.path.clone(),
            });
        }
        let number = self.view().generation() + 1;
        let loader = GenerationLoader {
            store: self,
            number,
            names: GenerationTables::of(number),
            last_key: None,
            pending: BTreeMap::new(),
            pending_bytes: 0,
            written: None,
        };
        prepare(&self.database, &self.path)?;
        loader.chunk(Durability::None, |_, _| Ok(()))?; // the tables are there from now on
        Ok(loader)
    }
}

impl GenerationLoader<'_> {
    /// The number the generation will have.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Writes rows in ascending order of their keys, over this call and the ones before.
    /// Returns how many.
    pub fn insert_sorted<'r>(
        &mut self,
        rows: impl IntoIterator<Item = (&'r [u8], &'r [u8], Option<&'r [u8]>)>,
    ) -> Result<u64> {
        let mut rows = rows.into_iter().peekable();
        let mut count = 0;
        while rows.peek().is_some() {
            let mut last_key = self.last_key.take();
            let mut disorder = None;
            self.chunk(Durability::None, |stored_rows, stored_vectors| {
                for (key, row, vectors) in rows.by_ref().take(CHUNK_ROWS) {
                    if last_key.as_deref().is_some_and(|last| last >= key) {
                        disorder = Some(key);
                        break;
                    }
                    stored_rows.insert(key, row)?;
                    if let Some(vectors) = vectors {
                        stored_vectors.insert(key, vectors)?;
                    }
                    key.clone_into(last_key.get_or_insert_default());
                    count += 1;
                }
                Ok(())
            })?;
            self.written = None;
            if let Some(key) = disorder {
                return Err(self.disorder(&last_key.unwrap_or_default(), key));
            }
            self.last_key = last_key;
        }
        Ok(count)
    }

    /// Puts one row, in any order: for what the log says since the version was built.
    /// `vectors` of none leaves those it had.
    pub fn upsert(&mut self, key: &[u8], row: &[u8], vectors: Option<&[u8]>) -> Result<()> {
        let vectors = vectors.map_or(Vectors::Below, |vectors| Vectors::Some(vectors.into()));
        self.change(
            key,
            Some(Row {
                row: row.into(),
                vectors,
            }),
        )
    }

    /// Removes one row.
    pub fn remove(&mut self, key: &[u8]) -> Result<()> {
        self.change(key, None)
    }

    /// Makes what was loaded so far durable. Publication does that too, while its caller holds
    /// off ingest; called just before, this leaves it little to do.
    pub fn settle(&mut self) -> Result<()> {
        self.write_pending(Durability::Immediate)
    }

    /// The row of an entity in this generation, as it stands.
    pub fn row(&mut self, key: &[u8]) -> Result<Option<Bytes>> {
        match self.pending.get(key) {
            Some(change) => Ok(change
                .as_ref()
                .map(|row| Bytes::memory(Arc::clone(&row.row)))),
            None => self.written(key, |written| &written.rows),
        }
    }

    /// The vectors of an entity in this generation, as they stand.
    pub fn vectors(&mut self, key: &[u8]) -> Result<Option<Bytes>> {
        match self
            .pending
            .get(key)
            .map(|change| change.as_ref().map(|row| &row.vectors))
        {
            Some(None | Some(Vectors::None)) => Ok(None),
            Some(Some(Vectors::Some(bytes))) => Ok(Some(Bytes::memory(Arc::clone(bytes)))),
            Some(Some(Vectors::Below)) | None => self.written(key, |written| &written.vectors),
        }
    }

    fn change(&mut self, key: &[u8], change: Option<Row>) -> Result<()> {
        let size = |change: &Option<Row>| change.as_ref().map_or(0, Staged::bytes);
        if let Some(older) = self.pending.get_mut(key) {
            let change = change.map(|row| row.over(older.as_ref()));
            self.pending_bytes = self.pending_bytes + size(&change) - size(older);
            *older = change;
        } else {
            self.pending_bytes += key.len() + size(&change);
            self.pending.insert(key.to_vec(), change);
        }
        if self.pending_bytes > PENDING_BYTES {
            self.write_pending(Durability::None)
        } else {
            Ok(())
        }
    }

    fn write_pending(&mut self, durability: Durability) -> Result<()> {
        let pending = std::mem::take(&mut self.pending);
        self.pending_bytes = 0;
        self.written = None;
        self.chunk(durability, |rows, vectors| {
            write_changes(rows, vectors, &pending)
        })
    }

    /// One transaction of the load. Without a sync of its own, redb makes it durable together
    /// with the next one that is synced, at the latest the publication; until then no state
    /// names these tables.
    fn chunk(
        &self,
        durability: Durability,
        write: impl FnOnce(&mut Table<'_>, &mut Table<'_>) -> Redb<()>,
    ) -> Result<()> {
        self.write_chunk(durability, write)
            .map_err(redb_error("load into", &self.store.path))
    }

    fn write_chunk(
        &self,
        durability: Durability,
        write: impl FnOnce(&mut Table<'_>, &mut Table<'_>) -> Redb<()>,
    ) -> Redb<()> {
        let mut transaction = self.store.database.begin_write()?;
        transaction.set_durability(durability)?;
        self.names.write(&transaction, write)?;
        Ok(transaction.commit()?)
    }

    fn written(
        &mut self,
        key: &[u8],
        table: impl FnOnce(&Written) -> &StoredTable,
    ) -> Result<Option<Bytes>> {
        let found = self
            .open_written()
            .and_then(|written| Ok(table(written).get_owned(key)?));
        Ok(found
            .map_err(redb_error("read", &self.store.path))?
            .map(Bytes::stored))
    }

    fn open_written(&mut self) -> Redb<&Written> {
        if self.written.is_none() {
            let transaction = self.store.database.begin_read()?;
            let rows = transaction.open_table(self.names.rows())?;
            let vectors = transaction.open_table(self.names.vectors())?;
            self.written = Some(Written { rows, vectors });
        }
        Ok(self.written.as_ref().expect("it was filled above"))
    }

    fn disorder(&self, previous: &[u8], key: &[u8]) -> Error {
        Error::KeyOrder {
            target: format!("generation {}", self.number),
            previous: String::from_utf8_lossy(previous).into_owned(),
            key: String::from_utf8_lossy(key).into_owned(),
        }
    }
}

impl Drop for GenerationLoader<'_> {
    fn drop(&mut self) {
        self.store.loading.store(false, Ordering::Release);
    }
}

/// Applies changes to the tables of their generation.
pub(super) fn write_changes(
    rows: &mut Table<'_>,
    vectors: &mut Table<'_>,
    changes: &BTreeMap<Vec<u8>, Option<Row>>,
) -> Redb<()> {
    changes
        .iter()
        .try_for_each(|(key, change)| write_change(rows, vectors, key, change.as_ref()))
}
