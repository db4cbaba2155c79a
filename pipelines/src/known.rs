//! What a command has found out of the files of its sources, so that none is read twice for
//! it: hashes, and the newest instants. Made by the command, filled by its jobs.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Mutex;

use granary_storage::{InputFile, Offset};

use crate::error::Error;
use crate::piece::lock;
use crate::source::{FileHash, SourceFiles};

/// Hashes and newest instants, by the source's name.
#[derive(Debug, Default)]
pub struct KnownFiles {
    hashes: Mutex<HashMap<String, Vec<FileHash>>>,
    newest: Mutex<HashMap<String, Newest>>,
    /// What manifests say; holds as long as size and time of the file are the same.
    recorded: Mutex<HashMap<PathBuf, FileHash>>,
}

/// The newest event of a source's files, and of the log before an offset.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Newest {
    pub instant: Option<i64>,
    pub log_until: Offset,
}

impl KnownFiles {
    /// Spares the hashing of files that are as a manifest describes them.
    pub fn trust(&self, inputs: &[InputFile]) {
        let mut recorded = lock(&self.recorded);
        for input in inputs {
            if let Some(file) = FileHash::recorded(input) {
                recorded.insert(file.path.clone(), file);
            }
        }
    }

    /// The hashes of a source's files, in their order.
    pub(crate) fn hashes(
        &self,
        source: &str,
        files: impl FnOnce() -> Result<SourceFiles, Error>,
    ) -> Result<Vec<FileHash>, Error> {
        if let Some(held) = lock(&self.hashes).get(source) {
            return Ok(held.clone());
        }
        let hashes = files()?.hash(&lock(&self.recorded).clone())?;
        lock(&self.hashes).insert(source.to_owned(), hashes.clone());
        Ok(hashes)
    }

    pub(crate) fn newest(&self, source: &str) -> Option<Newest> {
        lock(&self.newest).get(source).copied()
    }

    pub(crate) fn note_newest(&self, source: &str, newest: Newest) {
        lock(&self.newest).insert(source.to_owned(), newest);
    }
}
