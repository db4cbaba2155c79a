//! Loads a generation beside the one that is served, while staging and flushing into that one
//! go on. Called by push.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use redb::Durability;

use super::bytes::Bytes;
use super::changes::{Change, Changes, Row, Vectors};
use super::flush::write_changes;
use super::store::OnlineStore;
use super::tables::{GenerationTables, Redb, StoredTable, Table, prepare, redb_error};
use super::waiting::{Merge, Waited};
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
    pub(super) pending: Changes<Row>,
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
            pending: Changes::default(),
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
        self.change(key, Some(Row::new(row.into(), vectors)))
    }

    /// Shows the row of an entity, empty if it has none, and the changes that wait for it to
    /// `take`, which may add to them. They are folded in by `merge` before the row is read.
    pub fn change_row<T>(
        &mut self,
        key: &[u8],
        merge: &Arc<dyn Merge>,
        take: impl FnOnce(&[u8], &mut Vec<u8>) -> T,
    ) -> Result<T> {
        let written = open_written(&mut self.written, self.store, &self.names)?;
        let below = || {
            let row = Written::get(&written.rows, key, self.store)?;
            Ok(row.map(|row| Arc::from(&*row)))
        };
        let Waited { answer, is_full } = self.pending.wait(key, merge, below, take)?;
        if is_full {
            self.settle_row(key)?;
        }
        self.keep_small()?;
        Ok(answer)
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
        self.settle_row(key)?;
        match self.pending.get(key) {
            Some(Change::Put(row)) => Ok(Some(Bytes::memory(row.bytes))),
            Some(Change::Removed) => Ok(None),
            None => {
                let written = open_written(&mut self.written, self.store, &self.names)?;
                Written::get(&written.rows, key, self.store)
            }
        }
    }

    /// The vectors of an entity in this generation, as they stand.
    pub fn vectors(&mut self, key: &[u8]) -> Result<Option<Bytes>> {
        self.settle_row(key)?;
        match self.pending.get(key) {
            Some(Change::Put(row)) => match row.vectors {
                Vectors::Some(bytes) => return Ok(Some(Bytes::memory(bytes))),
                Vectors::None => return Ok(None),
                Vectors::Below => {}
            },
            Some(Change::Removed) => return Ok(None),
            None => {}
        }
        let written = open_written(&mut self.written, self.store, &self.names)?;
        Written::get(&written.vectors, key, self.store)
    }

    fn change(&mut self, key: &[u8], change: Option<Row>) -> Result<()> {
        // What waits may hold the vectors that this row leaves as they are.
        self.settle_row(key)?;
        // How many rows are below is nobody's question before the publication.
        self.pending.put(key, change, || Ok(false))?;
        self.keep_small()
    }

    fn keep_small(&mut self) -> Result<()> {
        if self.pending.bytes() > PENDING_BYTES {
            return self.write_pending(Durability::None);
        }
        Ok(())
    }

    /// Folds in what waits for a row.
    fn settle_row(&mut self, key: &[u8]) -> Result<()> {
        let written = open_written(&mut self.written, self.store, &self.names)?;
        let below = || Written::get(&written.vectors, key, self.store);
        self.pending.settle(key, &below)
    }

    /// Folds in what waits for any row.
    pub(super) fn settle_all(&mut self) -> Result<()> {
        for key in self.pending.waited_for() {
            self.settle_row(&key)?;
        }
        Ok(())
    }

    fn write_pending(&mut self, durability: Durability) -> Result<()> {
        self.settle_all()?;
        let pending = std::mem::take(&mut self.pending);
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
        let written = self.write_chunk(durability, write);
        written.map_err(|error| {
            let error = self.store.failed("load into", error);
            let _moving = self.store.lock_moving();
            self.store.revive_after(&error);
            error
        })
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

/// The tables under construction as they are now.
fn open_written<'a>(
    written: &'a mut Option<Written>,
    store: &OnlineStore,
    names: &GenerationTables,
) -> Result<&'a Written> {
    if written.is_none() {
        let open = || -> Redb<Written> {
            let (transaction, _open) = store.database.begin_read()?;
            let rows = transaction.open_table(names.rows())?;
            let vectors = transaction.open_table(names.vectors())?;
            Ok(Written { rows, vectors })
        };
        *written = Some(open().map_err(redb_error("read", &store.path))?);
    }
    Ok(written.as_ref().expect("it was filled above"))
}

impl Written {
    fn get(table: &StoredTable, key: &[u8], store: &OnlineStore) -> Result<Option<Bytes>> {
        let found = table
            .get_owned(key)
            .map_err(|error| redb_error("read", &store.path)(error.into()))?;
        Ok(found.map(Bytes::stored))
    }
}
