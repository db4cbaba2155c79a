//! The third door for events: files that grow. One thread reads them all, no faster than the
//! service takes the events in, so memory stays at a chunk. Called by `serve`.
//!
//! An event and the place behind its line become durable in one record of the log, so a crash
//! neither loses a line nor takes one twice, whether or not its source has ids.

mod bad_lines; // lines that are no events
mod follow; // the bytes of one file, over rotations
mod lines; // a line -> an event
mod one; // one file: its chunks to events

#[cfg(test)]
mod tests; // rotations, bad lines, restarts

use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError, TryRecvError};
use std::time::Duration;

use granary_pipelines::Origin;
use granary_storage::DataDir;

use self::bad_lines::BadLines;
use self::follow::Found;
use self::one::Tail;
use crate::background::Background;
use crate::service::{Origins, Service, ServiceError};

/// How long to wait where there was nothing new, and before trying again what failed.
const POLL: Duration = Duration::from_millis(100);

/// Bytes of the log after which the checkpoint is written anew.
const CHECKPOINT: u64 = 32 << 20;

/// A file to follow and the source of its lines: `SOURCE=PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TailSpec {
    /// Name of the event source.
    pub(crate) source: String,
    /// The file, which need not exist yet.
    pub(crate) path: PathBuf,
}

impl TailSpec {
    /// Reads `SOURCE=PATH`.
    pub(crate) fn parse(text: &str) -> Result<TailSpec, String> {
        let (source, path) = text.split_once('=').unwrap_or_default();
        if source.is_empty() || path.is_empty() {
            return Err("a tail is SOURCE=PATH, as in event_logs=events.jsonl".to_owned());
        }
        let path = std::path::absolute(path).map_err(|error| error.to_string())?;
        let source = source.to_owned();
        Ok(TailSpec { source, path })
    }
}

/// The tailing thread; dropping it finishes the chunk in hand and waits for that.
pub(crate) struct Tailer {
    /// None if there is nothing to follow.
    _thread: Option<Background>,
}

impl Tailer {
    /// Goes on where the log says that each file was left.
    pub(crate) fn start(
        service: &Service,
        data: &DataDir,
        specs: &[TailSpec],
    ) -> Result<Tailer, ServiceError> {
        if specs.is_empty() {
            return Ok(Tailer { _thread: None });
        }
        let mut tails = Tails::open(service, data, specs)?;
        let thread = Background::start("tail", move |stopped| tails.run(stopped));
        let thread = thread.map_err(|error| ServiceError::Internal(error.to_string()))?;
        Ok(Tailer {
            _thread: Some(thread),
        })
    }
}

/// All files that are followed.
struct Tails {
    service: Service,
    files: Vec<Tail>,
    bad: BadLines,
    origins: Origins,
    /// The log's end at the last checkpoint.
    kept: Option<u64>,
    /// Whether places are known that no event in the log has.
    unkept: bool,
    buffer: Vec<u8>,
}

impl Tails {
    fn open(service: &Service, data: &DataDir, specs: &[TailSpec]) -> Result<Tails, ServiceError> {
        let origins = service.origins()?;
        let mut files: Vec<Tail> = Vec::with_capacity(specs.len());
        for spec in specs {
            service.gate(Some(&spec.source))?;
            let tail = Tail::new(spec, &origins);
            if files.iter().any(|held| held.path == tail.path) {
                return Err(ServiceError::BadInput {
                    field: "tail".to_owned(),
                    reason: format!("{} is there twice", tail.path),
                });
            }
            files.push(tail);
        }
        Ok(Tails {
            service: service.clone(),
            files,
            bad: BadLines::open(service, data)?,
            kept: None,
            unkept: false,
            origins,
            buffer: Vec::new(),
        })
    }

    fn run(&mut self, stopped: &mpsc::Receiver<()>) {
        while !matches!(stopped.try_recv(), Err(TryRecvError::Disconnected)) {
            let idle = !self.step();
            self.checkpoint(idle);
            let stop = || stopped.recv_timeout(POLL) != Err(RecvTimeoutError::Timeout);
            if idle && stop() {
                break;
            }
        }
        self.kept = None;
        self.checkpoint(true);
    }

    /// Takes one chunk of every file; whether there was any.
    fn step(&mut self) -> bool {
        let mut moved = false;
        for at in 0..self.files.len() {
            match self.take(at) {
                Ok(taken) => {
                    moved |= taken;
                    self.files[at].failing = false;
                }
                Err(error) => {
                    let tail = &mut self.files[at];
                    self.bad.forget();
                    if !std::mem::replace(&mut tail.failing, true) {
                        let path = &tail.path;
                        tracing::error!(%error, %path, "a tail stands still; it is tried again");
                    }
                }
            }
        }
        moved
    }

    /// Takes the next chunk of one file; on an error nothing of it was taken.
    fn take(&mut self, at: usize) -> Result<bool, ServiceError> {
        let tail = &mut self.files[at];
        let found = tail.look(&mut self.buffer)?;
        if found == Found::Nothing {
            return Ok(false);
        }
        let chunk = tail.read(&self.service, &self.buffer, &found, &mut self.bad)?;
        let bad = chunk.bad;
        self.bad.keep()?;
        let begin = tail.follower.offset();
        tail.told = Some(begin..begin + self.buffer.len() as u64);
        if !chunk.events.is_empty() {
            self.service.ingest_from(chunk.events)?;
        }
        tail.told = None;
        tail.follower.take(self.buffer.len(), &found);
        let file = tail.follower.mark(tail.follower.offset());
        let origin = Origin {
            tail: tail.name.clone(),
            file,
            next: tail.follower.offset(),
        };
        self.origins.insert(tail.name.clone(), origin);
        self.unkept |= bad > 0;
        self.service.count_tailed(chunk.lines, bad);
        if let Some(first) = chunk.first_bad.filter(|_| !tail.bad_burst) {
            let (path, reason) = (&tail.path, &first.reason);
            tracing::warn!(%path, bad, %reason, "bad lines are left out, see bad_rows/tails.jsonl");
        }
        tail.bad_burst = bad > 0;
        Ok(true)
    }

    /// Keeps the places: now and then, so that a start has little of the log to read, and once
    /// bad lines were left behind.
    fn checkpoint(&mut self, idle: bool) {
        let end = self.service.log_offset().0;
        let far = self.kept.is_none_or(|kept| end - kept >= CHECKPOINT);
        let due = far || (self.unkept && idle);
        if !due || self.origins.is_empty() {
            return;
        }
        match self.service.keep_origins(&self.origins) {
            Ok(offset) => {
                self.kept = Some(offset.0);
                self.unkept = false;
            }
            Err(error) => tracing::error!(%error, "the places of the tails were not kept"),
        }
    }
}
