//! How far each tail has read: the newest origin in the log, found again at the start from a
//! checkpoint and what the log has beyond it. Called by `tail`.
//!
//! The log is the truth; the checkpoint only saves reading it from its beginning, and keeps
//! the places behind lines that were no events. Whoever drops segments writes it first.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use granary_pipelines::{FileMark, Origin, newest_origins};
use granary_storage::{LogReader, Offset, read_if_there, write_atomic};
use serde::{Deserialize, Serialize};

use super::Service;
use super::error::ServiceError;

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
        let (mut origins, from) = self.checkpoint()?;
        newest_origins(&log, from.max(log.first()?), self.log_end(), &mut origins)?;
        Ok(origins)
    }

    /// Writes the checkpoint. All that the tails have read must be in `origins`.
    pub fn keep_origins(&self, origins: &Origins) -> Result<Offset, ServiceError> {
        let log_offset = self.log_end();
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
        write_atomic(&self.inner.data.tails(), &bytes)?;
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

    fn checkpoint(&self) -> Result<(Origins, Offset), ServiceError> {
        let path = self.inner.data.tails();
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
        if checkpoint.log_offset > self.log_end().0 {
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
