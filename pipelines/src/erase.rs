//! `delete-entity`, its second half: everything under the data directory that files of ours, and
//! the raw files, have of entities whose tombstones stand is rewritten without them. Called by the
//! service, which puts up the tombstone first and looks after the log and its own lines.
//!
//! It can be stopped anywhere and begun again: what is not yet rewritten is left out by whoever
//! reads it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use granary_registry::{Entity, Source};
use granary_storage::{
    AtomicFile, BuilderLock, Dataset, EventLog, IngestedFrom, InputFile, Kind, Manifest,
    OfflineStore, Offset, OutUntil,
};
use serde::{Deserialize, Serialize};

use crate::build::input_file;
use crate::error::Error;
use crate::job::{Job, Progress};
use crate::logged::Logged;
use crate::source::{self, FileHash, SourceFiles, Wanted};

/// What was rewritten.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Rewritten {
    /// Raw files below the data directory, with the rows that they lost.
    pub raw: Vec<RowsOf>,
    /// Raw files elsewhere, which nothing here changes, with the rows that they have.
    pub outside: Vec<RowsOf>,
    /// Rows of sources that were ingested.
    pub ingested: u64,
    /// Versions of feature groups, with the rows that they lost.
    pub versions: Vec<RowsOf>,
    /// Training sets, with the rows that they lost.
    pub datasets: Vec<RowsOf>,
}

/// So many rows of something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowsOf {
    /// A path, or a name.
    pub name: String,
    /// How many rows.
    pub rows: u64,
}

/// A raw file that was rewritten: as it was, and as it is.
struct Changed {
    before: FileHash,
    after: FileHash,
}

/// Rewrites what there is of entities whose erasure is not done.
pub fn erase(job: &Job<'_>, lock: &BuilderLock) -> Result<Rewritten, Error> {
    let mut rewritten = Rewritten::default();
    for entity in &job.registry.entities {
        Erasing { job, lock, entity }.erase(&mut rewritten)?;
    }
    Ok(rewritten)
}

/// Whether a record of the log is about an entity whose erasure is not done, and from before it.
pub fn is_erased(job: &Job<'_>, kind: Kind, offset: Offset, payload: &[u8]) -> Result<bool, Error> {
    let logged = Logged::decode(kind, payload).map_err(|source| Error::LoggedEvent {
        offset: offset.0,
        source,
    })?;
    let Some(logged) = logged else {
        return Ok(false);
    };
    let is_of = |entity: &Entity| {
        let key = logged.key_of(entity)?;
        let key = String::from_utf8_lossy(&key);
        let tombstone = job.erased.pending(&entity.name, &key)?;
        Some(offset < tombstone.log_until)
    };
    Ok(job
        .registry
        .entities
        .iter()
        .any(|it| is_of(it) == Some(true)))
}

/// Whether a line of skipped rows names an entity whose erasure is not done.
pub fn mentions(job: &Job<'_>, line: &str) -> bool {
    let is_pending = |key: &str| {
        let mut entities = job.registry.entities.iter();
        entities.any(|entity| job.erased.pending(&entity.name, key).is_some())
    };
    source::mentions(line, &is_pending)
}

struct Erasing<'a> {
    job: &'a Job<'a>,
    lock: &'a BuilderLock,
    entity: &'a Entity,
}

impl Erasing<'_> {
    fn erase(&self, rewritten: &mut Rewritten) -> Result<(), Error> {
        for source in &self.job.registry.sources {
            (self.job.progress)(Progress::Begin {
                what: &source.name,
                rows: None,
            });
            self.raw_files(source, rewritten)?;
            rewritten.ingested += self.ingested(source)?;
        }
        (self.job.progress)(Progress::Begin {
            what: "offline store",
            rows: None,
        });
        rewritten.versions.extend(self.versions()?);
        rewritten.datasets.extend(self.datasets()?);
        Ok(())
    }

    fn is_pending(&self, key: &str) -> bool {
        self.job.erased.pending(&self.entity.name, key).is_some()
    }

    /// Raw files of a source that has the entity's key.
    fn raw_files(&self, source: &Source, rewritten: &mut Rewritten) -> Result<(), Error> {
        let root = self.job.data.root();
        let files = match SourceFiles::find(source, root) {
            Err(source::Error::NotFound { .. }) => return Ok(()),
            found => found?,
        };
        if !files.has(&self.entity.key) {
            return Ok(());
        }
        let home = canonical(root);
        let key = Wanted::required(&self.entity.key, self.entity.dtype);
        for file in 0..files.files().len() {
            let rows = files.count_out(file, &key, &|key| self.is_pending(key))?;
            if rows == 0 {
                continue;
            }
            let path = &files.files()[file];
            let found = RowsOf {
                name: files.relative(path).display().to_string(),
                rows,
            };
            if canonical(path).starts_with(&home) {
                self.rewrite(source, &files, file, &key)?;
                rewritten.raw.push(found);
            } else if !rewritten.outside.contains(&found) {
                rewritten.outside.push(found);
            }
        }
        Ok(())
    }

    /// Whoever has read the file is told of what it will be before it is: should this be stopped
    /// in between, it is done again and comes to the same bytes.
    fn rewrite(
        &self,
        source: &Source,
        files: &SourceFiles,
        file: usize,
        key: &Wanted,
    ) -> Result<(), Error> {
        let path = canonical(&files.files()[file]);
        let name = files.relative(&files.files()[file]).to_owned();
        let failed = |error| source::Error::Io {
            path: path.clone(),
            error,
        };
        let before = FileHash::of(&path, name.clone()).map_err(failed)?;
        let mut out = Hashing::new(self.job.data.rewriter(&path)?);
        files.copy_without(file, key, &|key| self.is_pending(key), &mut out)?;
        let (out, mut after) = out.finish(name.clone());
        let tell = |after: &FileHash| {
            self.tell(
                source,
                &Changed {
                    before: before.clone(),
                    after: after.clone(),
                },
            )
        };
        tell(&after)?;
        out.commit()?;
        after.state = source::FileState::of(&path).map_err(failed)?;
        let before = after.clone();
        self.tell(source, &Changed { before, after })
    }

    /// Puts the new hash of a raw file in the place of the old.
    fn tell(&self, source: &Source, changed: &Changed) -> Result<(), Error> {
        let log = EventLog::new(self.job.data, &source.name)?;
        if let Some(mut manifest) = log.manifest()? {
            let mut is_told = false;
            for input in &mut manifest.inputs {
                if let IngestedFrom::File(file) = &mut input.from {
                    is_told |= changed.amend(file);
                }
            }
            if is_told {
                log.begin(self.lock)?.publish(&mut manifest)?;
            }
        }
        let amend = |manifest: &mut Manifest| {
            for file in &mut manifest.inputs {
                changed.amend(file);
            }
        };
        let store = OfflineStore::new(self.job.data);
        for group in store.groups()? {
            store.amend(self.lock, &group, &amend)?;
        }
        Ok(())
    }

    fn ingested(&self, source: &Source) -> Result<u64, Error> {
        let log = EventLog::new(self.job.data, &source.name)?;
        let Some(mut manifest) = log.manifest()? else {
            return Ok(0);
        };
        if manifest.entity_key != self.entity.key {
            return Ok(0);
        }
        let is_out = |key: &str| {
            let tombstone = self.job.erased.pending(&self.entity.name, key)?;
            Some(OutUntil {
                position: tombstone.log_until.0,
            })
        };
        Ok(log.begin(self.lock)?.leave_out(&mut manifest, &is_out)?)
    }

    fn versions(&self) -> Result<Vec<RowsOf>, Error> {
        let erased = self.job.erased;
        let known = erased.len() as u64;
        let is_out = |key: &str, known: u64| erased.is_out(&self.entity.name, key, known);
        let store = OfflineStore::new(self.job.data);
        let mut lost = Vec::new();
        for group in store.groups()? {
            let key = &self.entity.key;
            let versions = store.leave_out(self.lock, &group, key, &is_out, known)?;
            lost.extend(versions.into_iter().map(|(version, rows)| RowsOf {
                name: format!("{group}/{version}"),
                rows,
            }));
        }
        Ok(lost)
    }

    fn datasets(&self) -> Result<Vec<RowsOf>, Error> {
        let erased = self.job.erased;
        let known = erased.len() as u64;
        let is_out = |key: &str, known: u64| erased.is_out(&self.entity.name, key, known);
        let lost = Dataset::leave_out(self.job.data, self.lock, &self.entity.key, &is_out, known)?;
        let rows = |(name, rows): (granary_storage::DatasetName, u64)| RowsOf {
            name: name.to_string(),
            rows,
        };
        Ok(lost.into_iter().map(rows).collect())
    }
}

impl Changed {
    /// Whether this is the file.
    fn amend(&self, file: &mut InputFile) -> bool {
        let is_it = Path::new(&file.path) == self.before.path
            && file.blake3 == *self.before.blake3.to_hex();
        if is_it {
            *file = input_file(&self.after);
        }
        is_it
    }
}

/// What a file will be, hashed on its way.
struct Hashing {
    file: AtomicFile,
    hasher: blake3::Hasher,
}

impl Hashing {
    fn new(file: AtomicFile) -> Hashing {
        Hashing {
            file,
            hasher: blake3::Hasher::new(),
        }
    }

    /// The file, and what manifests will say of it.
    fn finish(self, path: PathBuf) -> (AtomicFile, FileHash) {
        let hash = FileHash {
            path,
            state: source::FileState {
                bytes: self.hasher.count(),
                modified: 0, // not known yet
            },
            blake3: self.hasher.finalize(),
        };
        (self.file, hash)
    }
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}
