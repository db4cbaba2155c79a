//! redb opened again behind its readers: after a failure of the disk, since once a write or a sync
//! has failed it answers nothing any more, reads included; and when another file was put in the
//! place of its own. Called by whatever writes to it, when that fails, and by `copy`.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use redb::{Database, DatabaseError, ReadTransaction, ReadableDatabase, WriteTransaction};

use super::stack::Stack;
use super::store::OnlineStore;
use super::tables::{Redb, Snapshot};
use crate::{Error, Result};

/// Opens the same file, or the same bytes of a test, again.
type Opener = Box<dyn Fn() -> std::result::Result<Database, DatabaseError> + Send + Sync>;

/// A database that can be opened again.
pub(super) struct Mortal {
    database: RwLock<Arc<Open>>,
    open: Opener,
}

/// A database for as long as anybody reads it.
pub(super) struct Open {
    /// None while it cannot be opened.
    database: RwLock<Option<Database>>,
}

impl Mortal {
    pub(super) fn new(database: Database, open: Opener) -> Mortal {
        Mortal {
            database: RwLock::new(Open::of(database)),
            open,
        }
    }

    pub(super) fn begin_write(&self) -> Redb<WriteTransaction> {
        match &*self.opened().read() {
            Some(database) => Ok(database.begin_write()?),
            None => Err(redb::Error::PreviousIo),
        }
    }

    /// A transaction, and what keeps its file open.
    pub(super) fn begin_read(&self) -> Redb<(ReadTransaction, Arc<Open>)> {
        let open = self.opened();
        let transaction = match &*open.read() {
            Some(database) => database.begin_read()?,
            None => return Err(redb::Error::PreviousIo),
        };
        Ok((transaction, open))
    }

    /// Whether it could be opened the last time.
    pub(super) fn is_alive(&self) -> bool {
        self.opened().read().is_some()
    }

    fn opened(&self) -> Arc<Open> {
        let database = self.database.read();
        Arc::clone(&database.unwrap_or_else(PoisonError::into_inner))
    }

    /// Closes it, so that its file is free, and opens it again.
    fn revive(&self) -> std::result::Result<(), DatabaseError> {
        let opened = self.opened();
        let mut held = opened.write();
        if let Some(dead) = held.take() {
            // What it could not write is lost to it; its last commit is on disk.
            let _ = dead.close();
        }
        *held = Some((self.open)()?);
        Ok(())
    }

    /// Opens what is in the place of its file now; readers go on with the file that was.
    fn replace(&self) -> std::result::Result<(), DatabaseError> {
        let new = Open::of((self.open)()?);
        let mut held = self
            .database
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *held = new;
        Ok(())
    }
}

impl Open {
    fn of(database: Database) -> Arc<Open> {
        let database = RwLock::new(Some(database));
        Arc::new(Open { database })
    }

    fn read(&self) -> RwLockReadGuard<'_, Option<Database>> {
        self.database.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Option<Database>> {
        self.database
            .write()
            .unwrap_or_else(PoisonError::into_inner)
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
        self.see_again(self.database.revive())
    }

    /// Goes on with what is in the place of the file now. The caller holds the right to move
    /// layers, and what was there is what the last flush left.
    pub(super) fn go_over(&self) -> Result<()> {
        self.see_again(self.database.replace()).map(|_| ())
    }

    fn see_again(&self, opened: std::result::Result<(), DatabaseError>) -> Result<Arc<Snapshot>> {
        opened.map_err(|error| self.failed("open again", error.into()))?;
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
