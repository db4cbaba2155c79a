//! The rows of one source in our own layout: immutable parts, sorted by entity and then by
//! time, numbers for the entities' keys, and a manifest that says what of it counts. Written
//! by `granary ingest`, read by everything that reads the source.
//!
//! A crash at any moment leaves the old manifest, and what it names, readable. What no
//! manifest names is removed by the next writer: never at once, because a reader may still
//! hold the manifest before.

mod leave_out; // rewrites parts without some entities
mod keys; // entity keys by number
mod manifest; // what counts
mod reader; // reads a part
mod sums; // checksums of a part's pieces
mod writer; // writes a part

#[cfg(test)]
mod tests; // parts come back as written, damage is told, leftovers go

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;

pub use keys::EntityKeys;
pub use leave_out::OutUntil;
pub use manifest::{EventColumn, EventLogManifest, EventPart, Ingested, IngestedFrom, KeysFile};
pub use reader::{PartPlan, PartReader, RowGroup};
pub use writer::{PartKind, PartSchema, PartWriter};

use crate::directory::{BuilderLock, DataDir};
use crate::names::check_name;
use crate::publish::{AtomicFile, create_directory, entries, remove_leftovers};
use crate::{Error, Result};

/// The column of entity numbers in a part.
pub const ENTITY: &str = "granary:entity";
/// The column that says which of the manifest's inputs a row is from, where there are several.
pub const INPUT: &str = "granary:input";
/// The column of places in the log, one past the row's offset, in parts with rows from there.
pub const POSITION: &str = "granary:position";

const MANIFEST: &str = "manifest.json";

/// One source in our own layout.
#[derive(Clone, Debug)]
pub struct EventLog {
    root: PathBuf,
    source: String,
}

/// The right to change it.
#[derive(Debug)]
pub struct EventLogWriter {
    log: EventLog,
}

impl EventLog {
    /// Of this source, which may never have been ingested.
    pub fn new(data: &DataDir, source: &str) -> Result<EventLog> {
        check_name("source", source)?;
        Ok(EventLog {
            root: data.event_log().join(source),
            source: source.to_owned(),
        })
    }

    /// What there is; none if the source was never ingested.
    pub fn manifest(&self) -> Result<Option<EventLogManifest>> {
        EventLogManifest::read(&self.root.join(MANIFEST))
    }

    /// The entities' keys.
    pub fn keys(&self, manifest: &EventLogManifest) -> Result<EntityKeys> {
        check_name("keys", &manifest.keys.file)?;
        EntityKeys::read(&self.root.join(&manifest.keys.file), &manifest.keys)
    }

    /// Opens a part.
    pub fn part(&self, part: &EventPart) -> Result<PartReader> {
        check_name("part", &part.file)?;
        PartReader::open(self.root.join(&part.file), part)
    }

    /// Removes what killed writers left, and what the newest manifest does not name. The lock
    /// proves that nobody else writes.
    pub fn begin(&self, _lock: &BuilderLock) -> Result<EventLogWriter> {
        create_directory(&self.root)?;
        remove_leftovers(&self.root)?;
        let manifest = self.manifest()?;
        let named: HashSet<PathBuf> = manifest
            .iter()
            .flat_map(EventLogManifest::files)
            .map(|file| self.root.join(file))
            .collect();
        for path in entries(&self.root)? {
            if path.is_file() && !named.contains(&path) && !path.ends_with(MANIFEST) {
                fs::remove_file(&path).map_err(Error::io("remove", &path))?;
            }
        }
        Ok(EventLogWriter { log: self.clone() })
    }
}

impl EventLogWriter {
    /// The log that it writes to.
    pub fn log(&self) -> &EventLog {
        &self.log
    }

    /// Begins a part of this number; the name goes into the manifest once it is finished.
    pub fn part(&self, number: u64, kind: PartKind, schema: PartSchema) -> Result<PartWriter> {
        let name = match kind {
            PartKind::Part => format!("part-{number:06}.parquet"),
            PartKind::Run => format!("run-{number:06}.parquet"),
        };
        let file = AtomicFile::create(self.log.root.join(&name))?;
        PartWriter::new(file, name, kind, schema)
    }

    /// Removes a run that was merged.
    pub fn remove_run(&self, run: &EventPart) -> Result<()> {
        check_name("run", &run.file)?;
        let path = self.log.root.join(&run.file);
        fs::remove_file(&path).map_err(Error::io("remove", &path))
    }

    /// Writes the keys from this number on, behind those that the manifest knows, and tells
    /// the manifest.
    pub fn append_keys<'k>(
        &self,
        manifest: &mut EventLogManifest,
        keys: impl Iterator<Item = &'k str>,
    ) -> Result<()> {
        let path = self.log.root.join(&manifest.keys.file);
        manifest.keys = keys::append(&path, &manifest.keys, keys)?;
        Ok(())
    }

    /// Makes this what counts: from here on readers see it, whole.
    pub fn publish(&self, manifest: &mut EventLogManifest) -> Result<()> {
        manifest.source.clone_from(&self.log.source);
        manifest.write(&self.log.root.join(MANIFEST))
    }
}
