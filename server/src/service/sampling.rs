//! The serving log while serving: every n-th answer goes to a thread that writes. An answer
//! never waits for it: what the thread is too slow for is dropped and counted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::JoinHandle;

use granary_storage::{LineLog, LineLogOptions, Offset};

use super::answer::FeatureRow;
use super::error::ServiceError;
use super::generation::Generation;
use super::served::ServedRow;
use super::{Inner, Service};

/// Answers that may wait to be written.
const QUEUE: usize = 1024;

/// A share of 1.
const WHOLE: u64 = 1 << 32;

/// How far the log is known to the rows: what a reader needs to tell which events were in
/// its answer.
#[derive(Debug, Default)]
pub(super) struct Logged {
    appended: AtomicU64,
    folded: AtomicU64,
}

impl Logged {
    /// Events before this offset may be in the rows from now on.
    pub(super) fn append(&self, until: Offset) {
        self.appended.fetch_max(until.0, Ordering::AcqRel);
    }

    /// All events before this offset are in the rows.
    pub(super) fn fold(&self, until: Offset) {
        self.append(until);
        self.folded.fetch_max(until.0, Ordering::AcqRel);
    }

    /// Read before the rows: events before this are in them.
    pub(super) fn folded(&self) -> Offset {
        Offset(self.folded.load(Ordering::Acquire))
    }

    /// Read after the rows: events from this on are not in them.
    pub(super) fn appended(&self) -> Offset {
        Offset(self.appended.load(Ordering::Acquire))
    }
}

/// Chooses answers and hands them over.
pub(super) struct Sampler {
    /// The share of answers, of [`WHOLE`].
    share: u64,
    answers: AtomicU64,
    queue: SyncSender<Message>,
    /// Answers handed over.
    sent: AtomicU64,
    written: AtomicU64,
    dropped: AtomicU64,
}

enum Message {
    Answer(Box<ServedRow>),
    /// Begin another file, and tell when that is done.
    EndFile(mpsc::Sender<()>),
    Stop,
}

impl Sampler {
    /// Whether the next answer is taken: as many as the share says, at even distances.
    fn takes(&self) -> bool {
        let number = self.answers.fetch_add(1, Ordering::Relaxed);
        number.wrapping_mul(self.share) % WHOLE < self.share
    }

    /// Has the answers so far in files that are not written any more.
    pub(super) fn end_file(&self) {
        let (tell, told) = mpsc::channel();
        if self.queue.send(Message::EndFile(tell)).is_ok() {
            let _ = told.recv(); // an error if the thread ended, and its file with it
        }
    }

    fn send(&self, answer: ServedRow) {
        let sent = self.queue.try_send(Message::Answer(Box::new(answer)));
        self.sent.fetch_add(1, Ordering::Relaxed);
        if sent.is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A read that may be sampled; made before the rows are looked at.
pub(super) struct Sampling<'a> {
    inner: &'a Inner,
    sampler: &'a Sampler,
    known_from: Offset,
}

impl Sampling<'_> {
    /// Whether it is the turn of the next answer.
    pub(super) fn takes(&self) -> bool {
        self.sampler.takes()
    }

    /// Hands an answer over whose turn it is.
    pub(super) fn send(&self, generation: &Generation, row: FeatureRow) {
        self.sampler.send(ServedRow {
            row,
            provenance: generation.provenance.clone(),
            known: (self.known_from, self.inner.logged.appended()),
        });
    }
}

impl Service {
    /// None where nothing is sampled, which costs one atomic read.
    pub(super) fn sampling(&self) -> Option<Sampling<'_>> {
        Some(Sampling {
            sampler: self.inner.sampler.get()?,
            known_from: self.inner.logged.folded(),
            inner: &self.inner,
        })
    }

    /// Answers handed over that are neither written nor dropped yet.
    pub(super) fn samples_waiting(&self) -> u64 {
        let sent = self.inner.sampler.get();
        let sent = sent.map_or(0, |sampler| sampler.sent.load(Ordering::Relaxed));
        let (written, dropped) = self.sampled();
        sent.saturating_sub(written + dropped)
    }

    /// Answers written to the serving log, and those dropped.
    pub(super) fn sampled(&self) -> (u64, u64) {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let sampler = self.inner.sampler.get();
        sampler.map_or((0, 0), |held| (load(&held.written), load(&held.dropped)))
    }
}

/// The writing thread; dropping it writes what waits and ends it.
pub struct ServingLogThread {
    service: Service,
    thread: Option<JoinHandle<()>>,
}

impl ServingLogThread {
    /// Starts it for a share of answers, 0 to 1; none is started for 0. Once a service.
    pub fn start(service: &Service, share: f64) -> Result<Option<ServingLogThread>, ServiceError> {
        let share = (share.clamp(0.0, 1.0) * WHOLE as f64).round() as u64;
        if share == 0 {
            return Ok(None);
        }
        let directory = service.inner.data.serving_log();
        let log = LineLog::open(directory, LineLogOptions::default())?;
        let (queue, answers) = mpsc::sync_channel(QUEUE);
        let sampler = Sampler {
            share,
            answers: AtomicU64::new(0),
            queue,
            sent: AtomicU64::new(0),
            written: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        };
        if service.inner.sampler.set(sampler).is_err() {
            return Err(ServiceError::Internal(
                "the serving log was started before".to_owned(),
            ));
        }
        let service = service.clone();
        let named = std::thread::Builder::new().name("serving log".to_owned());
        let writer = service.clone();
        let thread = named.spawn(move || write(&writer, log, &answers));
        Ok(Some(ServingLogThread {
            thread: Some(thread.map_err(|error| ServiceError::Internal(error.to_string()))?),
            service,
        }))
    }
}

impl Drop for ServingLogThread {
    fn drop(&mut self) {
        if let (Some(sampler), Some(thread)) =
            (self.service.inner.sampler.get(), self.thread.take())
        {
            // A thread that is gone reported why.
            let _ = sampler.queue.send(Message::Stop);
            let _ = thread.join();
        }
    }
}

fn write(service: &Service, mut log: LineLog, answers: &Receiver<Message>) {
    let Some(sampler) = service.inner.sampler.get() else {
        return;
    };
    let (mut stopped, mut failing) = (false, false);
    while !stopped {
        let Ok(first) = answers.recv() else { return };
        let waiting = std::iter::once(first).chain(answers.try_iter());
        let (mut taken, mut outcome) = (0, Ok(()));
        for message in waiting.take(QUEUE) {
            match message {
                Message::Answer(answer) => {
                    outcome = outcome.and_then(|()| log.append(&answer.to_line()));
                    taken += 1;
                }
                Message::EndFile(tell) => {
                    outcome = outcome.and_then(|()| log.end_file());
                    let _ = tell.send(());
                }
                Message::Stop => {
                    stopped = true;
                    break;
                }
            }
        }
        match outcome.and_then(|()| log.flush()) {
            Ok(()) => {
                failing = false;
                sampler.written.fetch_add(taken, Ordering::Relaxed);
            }
            Err(error) => {
                sampler.dropped.fetch_add(taken, Ordering::Relaxed);
                // Once until it works again, not for every answer.
                if !std::mem::replace(&mut failing, true) {
                    tracing::error!(%error, "the serving log is not written");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn as_many_are_taken_as_the_share_says(share in 0.0..=1.0f64, answers in 1u64..2_000) {
            let (queue, _answers) = mpsc::sync_channel(1);
            let sampler = Sampler {
                share: (share * WHOLE as f64).round() as u64,
                answers: AtomicU64::new(0),
                queue,
                sent: AtomicU64::new(0),
                written: AtomicU64::new(0),
                dropped: AtomicU64::new(0),
            };
            let taken = (0..answers).filter(|_| sampler.takes()).count() as f64;
            prop_assert!((taken - share * answers as f64).abs() <= 1.0, "{taken}");
        }
    }
}
