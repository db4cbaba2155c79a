//! redb after a failure of the disk: once a write or a sync has failed it answers nothing any more,
//! reads included, until it is opened again. Called by whatever writes to it, when that fails.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use redb::{Database, DatabaseError, ReadTransaction, ReadableDatabase, WriteTransaction};

use super::stack::Stack;
use super::store::OnlineStore;
use super::tables::{Redb, Snapshot};
use crate::{Error, Result};

/// Opens the same file, or the same bytes of a test, again.
type Opener = Box<dyn Fn() -> std::result::Result<Database, DatabaseError> + Send + Sync>;

/// A database that can be opened again.
pub(super) struct Mortal {
    /// None while it cannot be opened.
    database: RwLock<Option<Database>>,
    open: Opener,
}

impl Mortal {
    pub(super) fn new(database: Database, open: Opener) -> Mortal {
        Mortal {
            database: RwLock::new(Some(database)),
            open,
        }
    }

    pub(super) fn begin_write(&self) -> Redb<WriteTransaction> {
        match &*self.read() {
            Some(database) => Ok(database.begin_write()?),
            None => Err(redb::Error::PreviousIo),
        }
    }

    pub(super) fn begin_read(&self) -> Redb<ReadTransaction> {
        match &*self.read() {
            Some(database) => Ok(database.begin_read()?),
            None => Err(redb::Error::PreviousIo),
        }
    }

    /// Whether it could be opened the last time.
    pub(super) fn is_alive(&self) -> bool {
        self.read().is_some()
    }

    fn read(&self) -> RwLockReadGuard<'_, Option<Database>> {
        self.database.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes it, so that its file is free, and opens it again.
    fn revive(&self) -> std::result::Result<(), DatabaseError> {
        let mut held = self
            .database
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(dead) = held.take() {
            // What it could not write is lost to it; its last commit is on disk.
            let _ = dead.close();
        }
        *held = Some((self.open)()?);
        Ok(())
    }
}

impl OnlineStore {
    /// Opens redb again if this error is one after which it is dead, and lets readers go on with
    /// what is on disk: of a commit that failed, all or nothing. What is staged stays above it.
    /// The caller holds the right to move layers.
    pub(super) fn revive_after(&self, error: &Error) -> Option<Arc<Snapshot>> {
        if !is_deadly(error) {
            return None;
        }
        match self.revive() {
            Ok(snapshot) => Some(snapshot),
            Err(error) => {
                tracing::error!(%error, "the online store cannot be opened; it is tried again");
                None
            }
        }
    }

    fn revive(&self) -> Result<Arc<Snapshot>> {
        let revived = self.database.revive();
        revived.map_err(|error| self.failed("open again", error.into()))?;
        let snapshot = Arc::new(Snapshot::take(&self.database, &self.path)?);
        self.replace_stack(|stack| {
            let stack = Stack {
                snapshot: Arc::clone(&snapshot),
                resident: stack.resident.renewed(),
                frozen: stack.frozen.clone(),
                active: stack.active.clone(),
            };
            (stack, ())
        });
        Ok(snapshot)
    }
}

fn is_deadly(error: &Error) -> bool {
    let Error::Online { source, .. } = error else {
        return false;
    };
    matches!(
        **source,
        redb::Error::Io(_) | redb::Error::PreviousIo | redb::Error::DatabaseClosed
    )
}
