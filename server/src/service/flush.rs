//! Changed rows to disk, in the background: one transaction, sorted by key, together with the
//! log offset that the rows include. Writers wait when a flush lags behind.

use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use super::error::ServiceError;
use super::group_commit::{MOST_STAGED, lock};
use super::{Inner, Service};
use crate::background::Background;

/// How often it is looked whether rows changed.
const INTERVAL: Duration = Duration::from_millis(250);

/// A flush is followed by a rest this many times as long: a row that changes often is then
/// computed and written once for many events, and flushing takes a bounded share of a core.
const REST: u32 = 5;

/// The shortest rest: while redb syncs, the log waits for the disk, and so does its client. And
/// the longest, since a start after a crash folds in what was not flushed.
const RESTS: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(15));

/// Memory of changed rows that ends a rest early.
const MUCH_STAGED: usize = MOST_STAGED / 4 * 3;

/// The flushing thread; dropping it flushes once more and waits for that.
pub struct Flusher {
    _thread: Background,
}

impl Flusher {
    /// Starts it.
    pub fn start(service: &Service) -> Result<Flusher, ServiceError> {
        let service = service.clone();
        let thread = Background::start("flush", move |stopped| {
            let mut rested_at = Instant::now();
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(INTERVAL) {
                if Instant::now() < rested_at && service.inner.store.staged_bytes() < MUCH_STAGED {
                    continue;
                }
                let begun = Instant::now();
                if let Err(error) = service.flush() {
                    tracing::error!(%error, "changed rows were not flushed; they are in the log");
                }
                rested_at = Instant::now() + (begun.elapsed() * REST).clamp(RESTS.0, RESTS.1);
            }
            if let Err(error) = service.flush() {
                tracing::error!(%error, "the last flush failed; the log will be replayed");
            }
        });
        let thread = thread.map_err(|error| ServiceError::Internal(error.to_string()))?;
        Ok(Flusher { _thread: thread })
    }
}

impl Service {
    /// Writes all changed rows, if there are any.
    pub fn flush(&self) -> Result<(), ServiceError> {
        self.inner.flush()
    }
}

impl Inner {
    fn flush(&self) -> Result<(), ServiceError> {
        if self.store.is_clean() {
            return Ok(());
        }
        let _in = tracing::info_span!("flush", bytes = self.store.staged_bytes()).entered();
        // Under the writer's lock no event is between the log and its row.
        let flush = {
            let _writer = lock(&self.writer);
            self.store
                .begin_flush(self.log.written(), self.data_clock())
        };
        flush.commit(|| self.log.sync().map(|_| ()))?;
        // What the store has now of plain keys, the log need not keep.
        let Ok(_log) = self.keeping_log.try_lock() else {
            return Ok(());
        };
        let flushed = self.store.view().log_offset();
        match self.log.leave_out_plain(flushed) {
            Ok(0) => {}
            Ok(freed) => tracing::debug!(freed, "left changes of plain keys out of the log"),
            // Nothing is lost by it, and the next flush tries again.
            Err(error) => tracing::warn!(%error, "the log keeps changes that it need not"),
        }
        Ok(())
    }
}
