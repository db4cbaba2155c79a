//! What took long, for `SLOWLOG`. Kept by `session::Server`, filled by `connection`, told by
//! `execute::slowlog`.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Arguments, Session};

/// Most arguments kept of a command, and most bytes of each, as in Redis.
const MOST_ARGUMENTS: usize = 32;
const MOST_BYTES: usize = 128;

/// The commands that took long.
#[derive(Debug)]
pub(super) struct SlowLog {
    /// Microseconds; negative logs none.
    pub(super) threshold: AtomicI64,
    pub(super) most: AtomicUsize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    entries: VecDeque<Entry>,
    next: i64,
}

/// A command that took long.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) id: i64,
    /// Seconds since 1970.
    pub(super) at: i64,
    pub(super) micros: i64,
    pub(super) arguments: Vec<Vec<u8>>,
    pub(super) peer: String,
    pub(super) name: String,
}

impl Entry {
    /// Of a session's command, without its arguments.
    pub(super) fn of(took: Duration, session: &Session) -> Entry {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        Entry {
            id: 0,
            at: since_1970.map_or(0, |since| since.as_secs() as i64),
            micros: took.as_micros() as i64,
            arguments: Vec::new(),
            peer: session.client.peer.remote.to_string(),
            name: session.client.names().name,
        }
    }
}

impl Default for SlowLog {
    fn default() -> SlowLog {
        SlowLog {
            threshold: AtomicI64::new(10_000),
            most: AtomicUsize::new(128),
            inner: Mutex::default(),
        }
    }
}

impl SlowLog {
    /// Whether a command that took so long is to be kept.
    pub(super) fn wants(&self, took: Duration) -> bool {
        let threshold = self.threshold.load(Ordering::Relaxed);
        threshold >= 0 && took.as_micros() as i64 >= threshold
    }

    /// Keeps a command.
    pub(super) fn add(&self, mut entry: Entry, arguments: Arguments<'_>) {
        entry.arguments = shown(arguments);
        let mut inner = self.lock();
        entry.id = inner.next;
        inner.next += 1;
        inner.entries.push_front(entry);
        inner.entries.truncate(self.most.load(Ordering::Relaxed));
    }

    /// The newest ones, newest first.
    pub(super) fn newest(&self, count: usize) -> Vec<Entry> {
        self.lock().entries.iter().take(count).cloned().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.lock().entries.len()
    }

    pub(super) fn clear(&self) {
        self.lock().entries.clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Passwords do not come here: commands with them are not logged.
fn shown(arguments: Arguments<'_>) -> Vec<Vec<u8>> {
    let cut = |argument: &[u8]| match argument.len() {
        0..=MOST_BYTES => argument.to_vec(),
        length => {
            let rest = format!("... ({} more bytes)", length - MOST_BYTES);
            [&argument[..MOST_BYTES], rest.as_bytes()].concat()
        }
    };
    if arguments.len() <= MOST_ARGUMENTS {
        return arguments.from(0).map(cut).collect();
    }
    let more = arguments.len() - MOST_ARGUMENTS + 1;
    let mut shown: Vec<Vec<u8>> = arguments
        .from(0)
        .take(MOST_ARGUMENTS - 1)
        .map(cut)
        .collect();
    shown.push(format!("... ({more} more arguments)").into_bytes());
    shown
}
