//! The tables of redb and the record of the store's state. Called by the rest of `online`.
//!
//! | table | key | value |
//! |---|---|---|
//! | `meta` | `state` | format byte 1, then [`Meta`] in postcard |
//! | `plain` | plain key | what it holds, as in `keys::value` |
//! | `waking` | when something of it expires, big-endian, then the plain key | nothing |
//! | `rows_<generation>` | entity key | its row, opaque |
//! | `vectors_<generation>` | entity key | its vectors, opaque |
//!
//! Only the tables of the generation that `meta` names are valid; others are what an aborted
//! load left.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use granary_registry::EventTime;
use redb::{
    ReadOnlyTable, ReadTransaction, ReadableTable, ReadableTableMetadata, StorageError,
    TableDefinition, TableHandle, WriteTransaction,
};
use serde::{Deserialize, Serialize};

use super::revival::{Mortal, Open};
use crate::log::Offset;
use crate::{Error, Result};

/// What redb answers.
pub(super) type Redb<T> = std::result::Result<T, redb::Error>;

pub(super) type Bin = &'static [u8];
pub(super) type Table<'t> = redb::Table<'t, Bin, Bin>;
pub(super) type StoredTable = ReadOnlyTable<Bin, Bin>;

const META: TableDefinition<&str, Bin> = TableDefinition::new("meta");
const META_FORMAT: u8 = 1;
const STATE: &str = "state";
pub(super) const PLAIN: TableDefinition<Bin, Bin> = TableDefinition::new("plain");
pub(super) const WAKING: TableDefinition<Bin, ()> = TableDefinition::new("waking");

/// The record of the store's state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Meta {
    /// The generation served, 0 before the first.
    pub(super) generation: u64,
    /// Rows and plain keys include the log up to here.
    pub(super) log_offset: u64,
    /// The data clock at that offset.
    pub(super) clock: i64,
    /// What the pusher wants to know again.
    pub(super) pushed: Vec<u8>,
}

/// What is served, as of the last flush or publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenerationInfo {
    /// Its number.
    pub number: u64,
    /// Rows and plain keys on disk include the log up to here.
    pub log_offset: Offset,
    /// The data clock at that offset.
    pub clock: EventTime,
    /// What was given at its publication.
    pub meta: Vec<u8>,
    /// How many rows are on disk.
    pub rows: u64,
}

/// A state of redb, pinned, with its tables open.
pub(super) struct Snapshot {
    pub(super) path: PathBuf, // for messages
    pub(super) meta: Meta,
    pub(super) rows: Option<StoredTable>,
    pub(super) vectors: Option<StoredTable>,
    pub(super) plain: StoredTable,
    pub(super) waking: ReadOnlyTable<Bin, ()>,
    pub(super) row_count: u64,
    pub(super) plain_count: u64,
    pub(super) waking_count: u64,
    _open: Arc<Open>, // closed behind the tables
}

/// The names of a generation's tables.
pub(super) struct GenerationTables {
    rows: String,
    vectors: String,
}

impl GenerationTables {
    pub(super) fn of(generation: u64) -> GenerationTables {
        GenerationTables {
            rows: format!("rows_{generation}"),
            vectors: format!("vectors_{generation}"),
        }
    }

    pub(super) fn rows(&self) -> TableDefinition<'_, Bin, Bin> {
        TableDefinition::new(&self.rows)
    }

    pub(super) fn vectors(&self) -> TableDefinition<'_, Bin, Bin> {
        TableDefinition::new(&self.vectors)
    }

    /// Opens both, creating them if need be, and writes.
    pub(super) fn write(
        &self,
        transaction: &WriteTransaction,
        write: impl FnOnce(&mut Table<'_>, &mut Table<'_>) -> Redb<()>,
    ) -> Redb<()> {
        let mut rows = transaction.open_table(self.rows())?;
        let mut vectors = transaction.open_table(self.vectors())?;
        write(&mut rows, &mut vectors)
    }

    /// Deletes both, whatever their size.
    pub(super) fn delete(&self, transaction: &WriteTransaction) -> Redb<()> {
        transaction.delete_table(self.rows())?;
        transaction.delete_table(self.vectors())?;
        Ok(())
    }
}

impl Snapshot {
    /// The newest state of redb.
    pub(super) fn take(database: &Mortal, path: &Path) -> Result<Snapshot> {
        let (transaction, open) = database.begin_read().map_err(redb_error("read", path))?;
        let meta = transaction
            .open_table(META)
            .map_err(redb::Error::from)
            .and_then(|table| Ok(stored_state(&table)?))
            .map_err(redb_error("read", path))?;
        let meta = decode_meta(meta.as_deref(), path)?;
        Snapshot::open(&transaction, open, meta, path).map_err(redb_error("read", path))
    }

    /// What is served, if anything.
    pub(super) fn info(&self) -> Option<GenerationInfo> {
        (self.meta.generation > 0).then(|| GenerationInfo {
            number: self.meta.generation,
            log_offset: Offset(self.meta.log_offset),
            clock: EventTime(self.meta.clock),
            meta: self.meta.pushed.clone(),
            rows: self.row_count,
        })
    }

    fn open(
        transaction: &ReadTransaction,
        open: Arc<Open>,
        meta: Meta,
        path: &Path,
    ) -> Redb<Snapshot> {
        let names = GenerationTables::of(meta.generation);
        let (mut rows, mut vectors, mut row_count) = (None, None, 0);
        if meta.generation > 0 {
            let table = transaction.open_table(names.rows())?;
            row_count = table.len()?;
            rows = Some(table);
            vectors = Some(transaction.open_table(names.vectors())?);
        }
        let plain = transaction.open_table(PLAIN)?;
        let plain_count = plain.len()?;
        let waking = transaction.open_table(WAKING)?;
        let waking_count = waking.len()?;
        let path = path.to_owned();
        Ok(Snapshot {
            path,
            meta,
            rows,
            vectors,
            plain,
            waking,
            row_count,
            plain_count,
            waking_count,
            _open: open,
        })
    }
}

/// Creates the tables that every reader expects, and deletes those of generations that were
/// never published or no longer are.
pub(super) fn prepare(database: &Mortal, path: &Path) -> Result<()> {
    let transaction = database
        .begin_write()
        .map_err(redb_error("prepare", path))?;
    let meta = read_meta(&transaction, path)?;
    sweep(transaction, meta.generation).map_err(redb_error("prepare", path))
}

/// The state as this transaction sees it.
pub(super) fn read_meta(transaction: &WriteTransaction, path: &Path) -> Result<Meta> {
    let state = transaction
        .open_table(META)
        .map_err(redb::Error::from)
        .and_then(|table| Ok(stored_state(&table)?))
        .map_err(redb_error("read", path))?;
    decode_meta(state.as_deref(), path)
}

pub(super) fn write_meta(transaction: &WriteTransaction, meta: &Meta) -> Redb<()> {
    let bytes =
        postcard::to_extend(meta, vec![META_FORMAT]).expect("a vector takes any number of bytes");
    transaction
        .open_table(META)?
        .insert(STATE, bytes.as_slice())?;
    Ok(())
}

/// For `map_err`.
pub(super) fn redb_error(
    operation: &'static str,
    path: &Path,
) -> impl FnOnce(redb::Error) -> Error {
    move |error| match error {
        redb::Error::DatabaseAlreadyOpen => Error::OnlineInUse {
            path: path.to_owned(),
        },
        error => Error::Online {
            operation,
            path: path.to_owned(),
            source: Box::new(error),
        },
    }
}

fn sweep(transaction: WriteTransaction, generation: u64) -> Redb<()> {
    transaction.open_table(PLAIN)?;
    transaction.open_table(WAKING)?;
    let keep = GenerationTables::of(generation);
    let stale: Vec<_> = transaction
        .list_tables()?
        .filter(|table| {
            let name = table.name();
            (name.starts_with("rows_") || name.starts_with("vectors_"))
                && name != keep.rows
                && name != keep.vectors
        })
        .collect();
    for table in stale {
        transaction.delete_table(table)?;
    }
    transaction.commit()?;
    Ok(())
}

fn stored_state(
    table: &impl ReadableTable<&'static str, Bin>,
) -> std::result::Result<Option<Vec<u8>>, StorageError> {
    Ok(table.get(STATE)?.map(|state| state.value().to_vec()))
}

fn decode_meta(state: Option<&[u8]>, path: &Path) -> Result<Meta> {
    match state {
        None => Ok(Meta::default()),
        Some([META_FORMAT, bytes @ ..]) => {
            postcard::from_bytes(bytes).map_err(|_| Error::OnlineState {
                path: path.to_owned(),
                reason: "it is damaged",
            })
        }
        Some([format, ..]) => Err(Error::Format {
            path: path.to_owned(),
            found: u32::from(*format),
            known: u32::from(META_FORMAT),
        }),
        Some([]) => Err(Error::OnlineState {
            path: path.to_owned(),
            reason: "it is empty",
        }),
    }
}
