//! Changed rows to disk, in the background: one transaction, sorted by key, together with the
//! log offset that the rows include. Writers wait when a flush lags behind.

use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use super::error::ServiceError;
use super::ingest::lock;
use super::{Inner, Service};
use crate::background::Background;

/// How long changed rows may wait in memory.
const INTERVAL: Duration = Duration::from_millis(250);

/// The flushing thread; dropping it flushes once more and waits for that.
pub struct Flusher {
    _thread: Background,
}

impl Flusher {
    /// Starts it.
    pub fn start(service: &Service) -> Result<Flusher, ServiceError> {
        let service = service.clone();
        let thread = Background::start("flush", move |stopped| {
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(INTERVAL) {
                if let Err(error) = service.flush() {
                    tracing::error!(%error, "changed rows were not flushed; they are in the log");
                }
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
        if self.store.staged_bytes() == 0 {
            return Ok(());
        }
        // Under the writer's lock no event is between the log and its row.
        let flush = {
            let writer = lock(&self.writer);
            self.store.begin_flush(writer.log.end(), self.data_clock())
        };
        Ok(flush.commit()?)
    }
}
