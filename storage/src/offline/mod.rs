//! Parquet feature groups, by versions. Called by builds, which write them, and by
//! materialization, push and the command line, which read them.

mod leave_out; // rewrites versions without some entities
mod manifest; // what a version says of itself
mod parquet_files; // how our Parquet files are written and read
mod table; // a file whose columns are encoded in parallel
mod version; // reads a version
mod writer; // writes a version

#[cfg(test)]
mod tests; // versions come back as written, whole or not at all

use std::path::PathBuf;

use crate::Result;
use crate::directory::{BuilderLock, DataDir};
use crate::versions::{Versions, versioned_names};

pub use leave_out::IsOut;
pub(crate) use leave_out::{filtered, kept};
pub(crate) use manifest::check_format;
pub use manifest::{ColumnStatistics, ExpectationOutcome, InputFile, Manifest};
pub(crate) use parquet_files::{collect, read_batches};
pub(crate) use table::TableWriter;
pub use version::{StateBatch, StateRow, States, Version};
pub use writer::VersionWriter;

const FEATURES: &str = "features.parquet";
const STATES: &str = "states.parquet";
const MANIFEST: &str = "manifest.json";

/// All feature groups of a data directory.
#[derive(Clone, Debug)]
pub struct OfflineStore {
    root: PathBuf,
}

impl OfflineStore {
    /// The feature groups of this data directory.
    pub fn new(data: &DataDir) -> OfflineStore {
        OfflineStore {
            root: data.offline_store(),
        }
    }

    /// Begins the next version of a group, removing what a killed builder left of its own.
    /// The lock proves that nobody else is building.
    pub fn begin(&self, _lock: &BuilderLock, group: &str) -> Result<VersionWriter> {
        VersionWriter::begin(group, self.of(group)?.stage()?)
    }

    /// The groups that have a directory.
    pub fn groups(&self) -> Result<Vec<String>> {
        versioned_names(&self.root)
    }

    /// The whole versions of a group, oldest first.
    pub fn versions(&self, group: &str) -> Result<Vec<String>> {
        self.of(group)?.names()
    }

    /// The version last published; none if nothing was built yet.
    pub fn current(&self, group: &str) -> Result<Option<Version>> {
        match self.of(group)?.current()? {
            Some(name) => self.version(group, &name).map(Some),
            None => Ok(None),
        }
    }

    /// A version by name.
    pub fn version(&self, group: &str, name: &str) -> Result<Version> {
        Version::open(self.of(group)?.path(name)?)
    }

    /// Removes all but the newest `keep` versions, at least one, and never the current one.
    /// Returns the names of those removed.
    pub fn gc(&self, _lock: &BuilderLock, group: &str, keep: usize) -> Result<Vec<String>> {
        self.of(group)?.keep_newest(keep)
    }

    fn of(&self, group: &str) -> Result<Versions> {
        Versions::new("feature group", &self.root, group)
    }
}
