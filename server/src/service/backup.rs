//! A backup while serving: everything up to one offset of the log. Nobody waits for it but a build.

use std::fs;
use std::path::{Path, PathBuf};

use granary_storage::{BackupMade, back_up, note_backup};
use serde::{Deserialize, Serialize};

use super::Service;
use super::error::ServiceError;
use super::group_commit::lock;

/// The copy of the online store on its way into a backup.
const COPY: &str = ".backup-online.redb";

/// What a backup holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BackupReport {
    /// Files in it.
    pub files: u64,
    /// What they take unpacked.
    pub bytes: u64,
    /// What is acknowledged is in it up to here.
    pub log_offset: u64,
}

/// A file that goes away again.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl Service {
    /// Writes everything that was acknowledged before into a file, which must not be there.
    pub fn backup(&self, to: &Path) -> Result<BackupReport, ServiceError> {
        let inner = &self.inner;
        if to.exists() {
            return Err(ServiceError::BadInput {
                field: "backup".to_owned(),
                reason: format!("{} is there already; choose another name", to.display()),
            });
        }
        // Versions stay as they are, and the log keeps the changes of plain keys that the copy
        // of the online store does not have.
        let _builder = inner.data.lock_builder()?;
        let _log = lock(&inner.keeping_log);
        self.flush()?;
        let copy = Temporary(inner.data.root().join(COPY));
        if copy.0.exists() {
            fs::remove_file(&copy.0).map_err(|error| ServiceError::Internal(error.to_string()))?;
        }
        inner.store.copy_to(&copy.0)?;
        let until = self.close_segment()?;
        let manifest = back_up(&inner.data, &copy.0, until, to, inner.wall.now().0)?;
        note_backup(
            &inner.data,
            &BackupMade {
                file: to.to_owned(),
                created: manifest.created,
            },
        )?;
        Ok(BackupReport {
            files: manifest.files.len() as u64,
            bytes: manifest.bytes(),
            log_offset: until.0,
        })
    }
}
