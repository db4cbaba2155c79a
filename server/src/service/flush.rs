//! Changed rows to disk, in the background: one transaction, sorted by key, together with the
//! log offset that the rows include. Writers wait when a flush lags behind.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::error::ServiceError;
use super::ingest::lock;
use super::{Inner, Service};

/// How long changed rows may wait in memory.
const INTERVAL: Duration = Duration::from_millis(250);

/// The flushing thread; dropping it flushes once more and waits for that.
pub struct Flusher {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Flusher {
    /// Starts it.
    pub fn start(service: &Service) -> Result<Flusher, ServiceError> {
        let (stop, stopped) = mpsc::channel();
        let service = service.clone();
        let thread = std::thread::Builder::new().name("flush".to_owned()).spawn(move || {
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
        Ok(Flusher {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported by it; the log holds what it did not flush.
            let _ = thread.join();
        }
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
