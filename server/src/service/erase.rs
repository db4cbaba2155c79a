//! Erasing an entity: the tombstone first, then its row, then everything under the data directory
//! that was there before. From the tombstone on nobody is served it, whatever comes in between;
//! what could not be rewritten is rewritten by the next start.

use std::path::{Path, PathBuf};
use std::time::Instant;

pub use granary_pipelines::erase::RowsOf;
use granary_pipelines::erase::{self, Rewritten};
use granary_pipelines::source::BadRows;
use granary_pipelines::{Job, KnownFiles, Progress};
use granary_registry::{DType, Entity, EventTime};
use granary_storage::{
    BuilderLock, Offset, SECRET_BYTES, Tombstone, Tombstones, backups_made, leave_out_lines,
    leave_out_of_file,
};
use serde::{Deserialize, Serialize};

use super::definition::Definition;
use super::error::ServiceError;
use super::group_commit::lock;
use super::push::served_entity;
use super::served::ServedRow;
use super::{Inner, Service};

/// What became of an erasure.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ErasureReport {
    /// Kind of entity.
    pub entity: String,
    /// Keyed hash of the kind and the key: what the audit log says.
    pub hash: String,
    /// Whether the entity was served.
    pub was_served: bool,
    /// What was rewritten.
    #[serde(flatten)]
    pub finished: Finished,
    /// Backups that were made before and are still there: nothing in them was changed.
    pub backups: Vec<PathBuf>,
    /// How long it took.
    pub seconds: f64,
}

/// What was rewritten for all erasures that were not done.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Finished {
    /// Records of the log that are gone.
    pub logged: u64,
    /// What files lost.
    #[serde(flatten)]
    pub files: Rewritten,
    /// Lines that are gone from the serving log and from skipped rows.
    pub lines: u64,
}

impl Service {
    /// Erases an entity. Nothing is done while a build, a backup or a push is at work.
    pub fn erase(
        &self,
        key: &str,
        progress: &(dyn Fn(Progress<'_>) + Sync),
    ) -> Result<ErasureReport, ServiceError> {
        let started = Instant::now();
        let _in = tracing::info_span!("erase").entered();
        let inner = &self.inner;
        let definition = inner.definition();
        let entity = served_entity(&definition.registry)?;
        let key = checked(&entity, key)?;
        let builder = inner.data.lock_builder()?;
        let Ok(_push) = inner.pushing.try_lock() else {
            return Err(ServiceError::Busy("a push is running".to_owned()));
        };
        let _log = lock(&inner.keeping_log);
        let (hash, was_served) = inner.put_up(&entity.name, &key, self.now())?;
        self.flush()?;
        let finished = inner.finish(&builder, &definition, progress)?;
        Ok(ErasureReport {
            entity: entity.name,
            hash,
            was_served,
            finished,
            backups: inner.old_backups()?,
            seconds: started.elapsed().as_secs_f64(),
        })
    }

    /// Rewrites what an erasure that was cut short has left; none if there is none.
    pub fn finish_erasures(&self) -> Result<Option<Finished>, ServiceError> {
        let inner = &self.inner;
        if inner.erased().iter().all(|tombstone| tombstone.is_done) {
            return Ok(None);
        }
        let builder = inner.data.lock_builder()?;
        let _push = lock(&inner.pushing);
        let _log = lock(&inner.keeping_log);
        inner.log.close_segment()?;
        self.flush()?;
        let definition = inner.definition();
        inner.finish(&builder, &definition, &|_| {}).map(Some)
    }
}

impl Inner {
    /// Who was erased.
    pub(super) fn erased(&self) -> std::sync::Arc<Tombstones> {
        let erased = self.erased.read();
        erased
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }

    fn set_erased(&self, tombstones: Tombstones) {
        let mut erased = self
            .erased
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        *erased = tombstones.into();
    }

    /// Puts up the tombstone and takes the row away, while nobody writes.
    fn put_up(
        &self,
        entity: &str,
        key: &str,
        now: EventTime,
    ) -> Result<(String, bool), ServiceError> {
        let mut secret = [0; SECRET_BYTES];
        getrandom::fill(&mut secret)
            .map_err(|error| ServiceError::Internal(format!("draw a secret: {error}")))?;
        let _writer = lock(&self.writer);
        let wall = self.wall.now();
        let mut tombstones = Tombstones::clone(&self.erased());
        tombstones.seal(secret);
        let hash = tombstones.hash(entity, key);
        tombstones.push(Tombstone {
            hash: hash.clone(),
            log_until: self.log.close_segment()?,
            instant: now.max(wall).0,
            created: wall.0,
            is_done: false,
        });
        tombstones.write(&self.data)?;
        self.set_erased(tombstones);
        let was_served = self.store.view().contains(key.as_bytes())?;
        if let Some(generation) = self.generation() {
            self.store
                .stage_removal(generation.number, key.as_bytes())?;
        }
        Ok((hash, was_served))
    }

    /// Takes away the rows of whoever has a tombstone that the online store may not know.
    pub(super) fn remove_erased_rows(&self, flushed: Offset) -> Result<(), ServiceError> {
        const KEYS: usize = 1 << 16;
        let erased = self.erased();
        let is_unknown = |held: &Tombstone| !held.is_done && flushed <= held.log_until;
        let Some(generation) = self.generation().filter(|_| erased.iter().any(is_unknown)) else {
            return Ok(());
        };
        let view = self.store.view();
        let mut after: Option<Vec<u8>> = None;
        loop {
            let keys = view.keys(after.as_deref(), KEYS)?;
            for key in &keys {
                let text = String::from_utf8_lossy(key);
                let found = erased.find(&generation.meta.entity, &text);
                if found.is_some_and(|(_, tombstone)| is_unknown(tombstone)) {
                    self.store.stage_removal(generation.number, key)?;
                }
            }
            after = keys.into_iter().next_back();
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Rewrites everything for all tombstones that are not done.
    fn finish(
        &self,
        builder: &BuilderLock,
        definition: &Definition,
        progress: &(dyn Fn(Progress<'_>) + Sync),
    ) -> Result<Finished, ServiceError> {
        let erased = self.erased();
        let job = Job {
            registry: &definition.registry,
            data: &self.data,
            log_until: self.log.end(),
            embedder: self.embedder.clone(),
            bad_rows: &BadRows::strict(),
            erased: &erased,
            known: &KnownFiles::default(),
            memory: usize::MAX,
            progress,
        };
        // The places of tails stand in the records that go.
        self.keep_origins_until(job.log_until)?;
        let logged = self
            .log
            .leave_out(|kind, offset, payload| erase::is_erased(&job, kind, offset, payload))?;
        self.store.rewrite()?;
        let files = erase::erase(&job, builder)?;
        let lines = self.leave_out_lines(&job)?;
        self.past.forget();
        let mut done = Tombstones::clone(&erased);
        done.finish();
        done.write(&self.data)?;
        self.set_erased(done);
        Ok(Finished {
            logged,
            files,
            lines,
        })
    }

    /// Sampled answers, and rows that were skipped.
    fn leave_out_lines(&self, job: &Job<'_>) -> Result<u64, ServiceError> {
        let is_sampled = |line: &str| {
            let key = ServedRow::key_of(line);
            let entities = job.registry.entities.iter();
            key.is_some_and(|key| {
                let mut tombstones = entities.map(|it| job.erased.pending(&it.name, &key));
                tombstones.any(|found| found.is_some())
            })
        };
        if let Some(sampler) = self.sampler.get() {
            sampler.end_file();
        }
        let mut lines = leave_out_lines(&self.data.serving_log(), is_sampled)?;
        let _skipping = lock(&self.skipping);
        for path in skipped_files(&self.data.bad_rows())? {
            lines += leave_out_of_file(&path, |line| erase::mentions(job, line))?;
        }
        Ok(lines)
    }

    fn old_backups(&self) -> Result<Vec<PathBuf>, ServiceError> {
        let made = backups_made(&self.data)?.into_iter();
        Ok(made.map(|made| made.file).collect())
    }
}

/// A key as the stores hold it.
fn checked(entity: &Entity, key: &str) -> Result<String, ServiceError> {
    let refuse = |reason: &str| ServiceError::BadInput {
        field: entity.key.clone(),
        reason: reason.to_owned(),
    };
    match entity.dtype {
        _ if key.is_empty() => Err(refuse("is empty")),
        DType::Int => {
            let number: Result<i64, _> = key.parse();
            number
                .map(|number| number.to_string())
                .map_err(|_| refuse("is no whole number, as keys of this entity are"))
        }
        _ => Ok(key.to_owned()),
    }
}

fn skipped_files(directory: &Path) -> Result<Vec<PathBuf>, ServiceError> {
    let listed = match std::fs::read_dir(directory) {
        Ok(listed) => listed,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            let path = directory.display();
            return Err(ServiceError::Internal(format!("list {path}: {error}")));
        }
    };
    let files = listed.filter_map(|entry| Some(entry.ok()?.path()));
    Ok(files.filter(|path| path.is_file()).collect())
}
