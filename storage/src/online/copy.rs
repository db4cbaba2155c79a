//! A copy of the online store in a file of its own, as of the last flush, while staging, flushing
//! and loading go on. Called by backups, and by erasures, for which the copy takes the place of the
//! file: redb keeps the bytes of what was removed until it needs their pages.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{Database, Durability, Key, ReadOnlyTable, ReadableTable, TableDefinition, Value};

use super::store::{OnlineStore, builder};
use super::tables::{GenerationTables, PLAIN, Redb, Snapshot, WAKING, redb_error, write_meta};
use crate::log::Offset;
use crate::publish::sync_directory;
use crate::{Error, Result};

/// Entries written in one transaction.
const CHUNK: usize = 100_000;

impl OnlineStore {
    /// Writes what redb has now into a new store at `path`, which must not be there. Gives back
    /// the log offset that it includes.
    pub fn copy_to(&self, path: &Path) -> Result<Offset> {
        let snapshot = Arc::clone(&self.stack().snapshot);
        let options = super::OnlineOptions::default();
        let copied = builder(options)
            .create(path)
            .map_err(redb::Error::from)
            .and_then(|database| copy(&snapshot, &database));
        copied.map_err(redb_error("copy to", path))?;
        Ok(Offset(snapshot.meta.log_offset))
    }
}

impl OnlineStore {
    /// Writes what redb has now into a new file in the place of the one that is there. No generation
    /// may be on its way in.
    pub fn rewrite(&self) -> Result<()> {
        let mut unfinished = self.path.as_os_str().to_owned();
        unfinished.push(".rewriting");
        let unfinished = PathBuf::from(unfinished);
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(Error::io("remove", &unfinished)(error));
            }
            _ => {}
        }
        let _moving = self.lock_moving();
        self.copy_to(&unfinished)?;
        fs::rename(&unfinished, &self.path).map_err(Error::io("rename", &unfinished))?;
        self.path.parent().map_or(Ok(()), sync_directory)?;
        self.go_over()
    }
}

fn copy(snapshot: &Snapshot, database: &Database) -> Redb<()> {
    let names = GenerationTables::of(snapshot.meta.generation);
    if let (Some(rows), Some(vectors)) = (&snapshot.rows, &snapshot.vectors) {
        copy_table(rows, names.rows(), database)?;
        copy_table(vectors, names.vectors(), database)?;
    }
    copy_table(&snapshot.plain, PLAIN, database)?;
    copy_table(&snapshot.waking, WAKING, database)?;
    // Last, and durable with all of it.
    let transaction = database.begin_write()?;
    write_meta(&transaction, &snapshot.meta)?;
    transaction.commit()?;
    Ok(())
}

fn copy_table<K: Key, V: Value>(
    from: &ReadOnlyTable<K, V>,
    to: TableDefinition<'_, K, V>,
    database: &Database,
) -> Redb<()> {
    let mut entries = from.iter()?.peekable();
    loop {
        let mut transaction = database.begin_write()?;
        transaction.set_durability(Durability::None)?;
        let mut table = transaction.open_table(to)?;
        for entry in entries.by_ref().take(CHUNK) {
            let (key, value) = entry?;
            table.insert(key.value(), value.value())?;
        }
        drop(table);
        transaction.commit()?;
        if entries.peek().is_none() {
            return Ok(());
        }
    }
}
