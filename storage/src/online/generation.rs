//! Loads a generation beside the one that is served, and switches readers to it. Called by
//! push; staging and flushing into the old generation go on meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use granary_registry::EventTime;
use redb::{Durability, ReadableDatabase, WriteTransaction};

use super::bytes::Bytes;
use super::changes::{Layer, Row, Staged, Vectors};
use super::flush::write_plain;
use super::store::{OnlineStore, Stack};
use super::tables::{
    GenerationInfo, GenerationTables, Meta, Redb, Snapshot, StoredTable, prepare, read_meta,
    redb_error, write_meta,
};
use crate::log::Offset;
use crate::{Error, Result};

const CHUNK_ROWS: usize = 20_000; // between two chunks, a flush of the old generation gets its turn
const PENDING_BYTES: usize = 32 << 20;

/// A generation under construction. Dropped unpublished, its tables are deleted by the next
/// load, or when the store is next opened.
pub struct GenerationLoader<'a> {
    store: &'a OnlineStore,
    number: u64,
    names: GenerationTables,
    last_key: Option<Vec<u8>>,
    pending: BTreeMap<Vec<u8>, Option<Row>>, // none for a removal
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
        loader.chunk(|_, _| Ok(()))?; // the tables are there from now on
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
            self.chunk(|stored_rows, stored_vectors| {
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
                return Err(self.disorder(last_key.unwrap_or_default(), key));
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

    /// Switches readers to this generation, in one transaction, and deletes the old one. What
    /// was staged in the old one is dropped at the same instant: as with a flush, nobody may
    /// be between logging an event and staging its row, and this generation must be the log's
    /// effect up to `log_offset`. Staged plain keys stay, and are written along.
    pub fn publish(
        mut self,
        log_offset: Offset,
        clock: EventTime,
        meta: &[u8],
    ) -> Result<GenerationInfo> {
        let store = self.store;
        let meta = Meta {
            generation: self.number,
            log_offset: log_offset.0,
            clock: clock.0,
            pushed: meta.to_vec(),
        };
        let _moving = store.lock_moving();
        store.freeze();
        let frozen = store.stack().frozen.clone();
        let snapshot = Arc::new(self.switch(&meta, &frozen)?);
        let info = snapshot.info();
        store.replace_stack(|stack| {
            // Layers begun since the freeze keep their plain keys, which are not on disk yet.
            let later = stack.frozen[frozen.len()..].iter().chain([&stack.active]);
            let mut later: Vec<Layer> = later
                .map(|layer| Layer {
                    plain: Arc::clone(&layer.plain),
                    ..Layer::default()
                })
                .collect();
            let active = later.pop().unwrap_or_default();
            (
                Stack {
                    snapshot,
                    frozen: later,
                    active,
                },
                (),
            )
        });
        Ok(info.expect("a published generation has a number above 0"))
    }

    fn switch(&mut self, meta: &Meta, frozen: &[Layer]) -> Result<Snapshot> {
        let store = self.store;
        let failed = || redb_error("publish to", &store.path);
        let transaction = store
            .database
            .begin_write()
            .map_err(|error| failed()(error.into()))?;
        let old = GenerationTables::of(read_meta(&transaction, &store.path)?.generation);
        let pending = std::mem::take(&mut self.pending);
        write_changes(&transaction, &self.names, &pending)
            .and_then(|()| {
                frozen
                    .iter()
                    .try_for_each(|layer| write_plain(&transaction, layer))
            })
            .and_then(|()| write_meta(&transaction, meta))
            .and_then(|()| old.delete(&transaction))
            .map_err(failed())?;
        transaction
            .commit()
            .map_err(|error| failed()(error.into()))?;
        Snapshot::take(&store.database, &store.path)
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
            self.write_pending()
        } else {
            Ok(())
        }
    }

    fn write_pending(&mut self) -> Result<()> {
        let pending = std::mem::take(&mut self.pending);
        self.pending_bytes = 0;
        self.written = None;
        let transaction = self.begin_chunk()?;
        write_changes(&transaction, &self.names, &pending)
            .and_then(|()| Ok(transaction.commit()?))
            .map_err(redb_error("load into", &self.store.path))
    }

    /// One transaction of the load. It is not synced: redb makes it durable together with the
    /// next transaction that is, at the latest the publication, and until then no state names
    /// these tables.
    fn chunk(&self, write: impl FnOnce(&mut Table<'_>, &mut Table<'_>) -> Redb<()>) -> Result<()> {
        let transaction = self.begin_chunk()?;
        self.write_chunk(&transaction, write)
            .and_then(|()| Ok(transaction.commit()?))
            .map_err(redb_error("load into", &self.store.path))
    }

    fn begin_chunk(&self) -> Result<WriteTransaction> {
        let failed = || redb_error("load into", &self.store.path);
        let mut transaction = self
            .store
            .database
            .begin_write()
            .map_err(|error| failed()(error.into()))?;
        transaction
            .set_durability(Durability::None)
            .map_err(|error| failed()(error.into()))?;
        Ok(transaction)
    }

    fn write_chunk(
        &self,
        transaction: &WriteTransaction,
        write: impl FnOnce(&mut Table<'_>, &mut Table<'_>) -> Redb<()>,
    ) -> Redb<()> {
        let mut rows = transaction.open_table(self.names.rows())?;
        let mut vectors = transaction.open_table(self.names.vectors())?;
        write(&mut rows, &mut vectors)
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

    fn disorder(&self, previous: Vec<u8>, key: &[u8]) -> Error {
        Error::KeyOrder {
            target: format!("generation {}", self.number),
            previous: String::from_utf8_lossy(&previous).into_owned(),
            key: String::from_utf8_lossy(key).into_owned(),
        }
    }
}

impl Drop for GenerationLoader<'_> {
    fn drop(&mut self) {
        self.store.loading.store(false, Ordering::Release);
    }
}

type Table<'t> = redb::Table<'t, &'static [u8], &'static [u8]>;

fn write_changes(
    transaction: &WriteTransaction,
    names: &GenerationTables,
    changes: &BTreeMap<Vec<u8>, Option<Row>>,
) -> Redb<()> {
    let mut rows = transaction.open_table(names.rows())?;
    let mut vectors = transaction.open_table(names.vectors())?;
    for (key, change) in changes {
        write_change(&mut rows, &mut vectors, key, change.as_ref())?;
    }
    Ok(())
}

/// Applies the change of one row to the tables of its generation.
pub(super) fn write_change(
    rows: &mut Table<'_>,
    vectors: &mut Table<'_>,
    key: &[u8],
    change: Option<&Row>,
) -> Redb<()> {
    match change {
        Some(row) => rows.insert(key, &*row.row)?,
        None => rows.remove(key)?,
    };
    match change.map_or(&Vectors::None, |row| &row.vectors) {
        Vectors::Below => None,
        Vectors::None => vectors.remove(key)?,
        Vectors::Some(bytes) => vectors.insert(key, &**bytes)?,
    };
    Ok(())
}
