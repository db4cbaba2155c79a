//! How far each tail has read: the newest origin in the log, found again at the start from a
//! checkpoint and what the log has beyond it. Called by `tail`.
//!
//! The log is the truth; the checkpoint only saves reading it from its beginning, and keeps
//! the places behind lines that were no events. Whoever drops segments writes it first.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};

use granary_pipelines::{FileMark, Origin, newest_origins};
use granary_storage::{LogReader, Offset, read_if_there, write_atomic};
use serde::{Deserialize, Serialize};

use super::error::ServiceError;
use super::group_commit::lock;
use super::{Inner, Service};

/// The newest origin of every tail, by its name.
pub type Origins = BTreeMap<Arc<str>, Origin>;

const FORMAT: u32 = 1;

/// `tails.json`
#[derive(Serialize, Deserialize)]
struct Checkpoint {
    format: u32,
    /// Every record before it is taken into account.
    log_offset: u64,
    tails: BTreeMap<Arc<str>, Place>,
}

#[derive(Serialize, Deserialize)]
struct Place {
    file: FileMark,
    next: u64,
}

impl Service {
    /// Where every tail that ever ran goes on. No event may be on its way into the log from
    /// one of them.
    pub fn origins(&self) -> Result<Origins, ServiceError> {
        let log = LogReader::open(self.inner.data.log());
        let end = self.log_end();
        let (mut origins, from) = self.inner.checkpoint(end)?;
        newest_origins(&log, from.max(log.first()?), end, &mut origins)?;
        Ok(origins)
    }

    /// Writes the checkpoint. All that the tails have read must be in `origins`.
    pub fn keep_origins(&self, origins: &Origins) -> Result<Offset, ServiceError> {
        let _alone = lock(&self.inner.keeping_origins);
        let log_offset = self.log_end();
        self.inner.write_origins(origins, log_offset)?;
        Ok(log_offset)
    }

    /// Counts lines of tailed files, and of these the bad ones.
    pub fn count_tailed(&self, lines: u64, bad: u64) {
        let counters = &self.inner.counters;
        counters.tail_lines.fetch_add(lines, Ordering::Relaxed);
        counters.tail_bad_lines.fetch_add(bad, Ordering::Relaxed);
    }

    /// The log's end.
    pub fn log_offset(&self) -> Offset {
        self.log_end()
    }

    /// While it is held no skipped rows go away.
    pub fn skipping(&self) -> MutexGuard<'_, ()> {
        lock(&self.inner.skipping)
    }
}

impl Inner {
    /// Writes the checkpoint by what the log has before an offset, for whoever is about to take
    /// records out of it.
    pub(super) fn keep_origins_until(&self, until: Offset) -> Result<(), ServiceError> {
        let _alone = lock(&self.keeping_origins);
        let log = LogReader::open(self.data.log());
        let (mut origins, from) = self.checkpoint(until)?;
        newest_origins(&log, from.max(log.first()?), until, &mut origins)?;
        if origins.is_empty() {
            return Ok(());
        }
        self.write_origins(&origins, until)
    }

    fn write_origins(&self, origins: &Origins, log_offset: Offset) -> Result<(), ServiceError> {
        let place = |(tail, origin): (&Arc<str>, &Origin)| {
            let (file, next) = (origin.file, origin.next);
            (tail.clone(), Place { file, next })
        };
        let checkpoint = Checkpoint {
            format: FORMAT,
            log_offset: log_offset.0,
            tails: origins.iter().map(place).collect(),
        };
        let bytes = serde_json::to_vec_pretty(&checkpoint)
            .map_err(|error| ServiceError::Internal(error.to_string()))?;
        Ok(write_atomic(&self.data.tails(), &bytes)?)
    }

    fn checkpoint(&self, log_end: Offset) -> Result<(Origins, Offset), ServiceError> {
        let path = self.data.tails();
        let Some(bytes) = read_if_there(&path)? else {
            return Ok((Origins::new(), Offset(0)));
        };
        let broken = |reason: String| {
            let path = path.display();
            ServiceError::Internal(format!(
                "read {path}: {reason}; if it is damaged, remove it: the log holds the same"
            ))
        };
        let checkpoint: Checkpoint =
            serde_json::from_slice(&bytes).map_err(|error| broken(error.to_string()))?;
        if checkpoint.format != FORMAT {
            let format = checkpoint.format;
            return Err(broken(format!("it has format {format}, known is {FORMAT}")));
        }
        if checkpoint.log_offset > log_end.0 {
            // Of a log that is no longer here, as after a restore of an older one.
            return Ok((Origins::new(), Offset(0)));
        }
        let origin = |(tail, Place { file, next }): (Arc<str>, Place)| {
            let name = tail.clone();
            let origin = Origin { tail, file, next };
            (name, origin)
        };
        let origins = checkpoint.tails.into_iter().map(origin).collect();
        Ok((origins, Offset(checkpoint.log_offset)))
    }
}
