//! Plain keys: a client's turn at them, when its writes become durable, and the thread that
//! syncs the log once a second and removes what has expired.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

pub use granary_storage::{
    Change, Error as KeyError, Field, Fields, KeyKind, NEVER, PlainValue, Result as KeyResult,
    Turn, Watcher,
};

use super::error::ServiceError;
use super::group_commit::MOST_STAGED;
use super::{Inner, Service};
use crate::background::Background;

/// How often it is looked for keys that have expired.
const TICK: Duration = Duration::from_millis(100);

/// How often the log is synced for plain keys.
const SYNC: Duration = Duration::from_secs(1);

/// Keys removed at once, so that others get their turn.
const EXPIRED_AT_ONCE: usize = 1_000;

/// When a write of a plain key is acknowledged. Events and features are always synced first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AppendFsync {
    /// After a sync that all who wait share.
    Always,
    /// Once the operating system has it, which outlives the process; synced every second.
    #[default]
    EverySec,
    /// The same, synced whenever something else needs it.
    No,
}

impl AppendFsync {
    const ALL: [AppendFsync; 3] = [AppendFsync::Always, AppendFsync::EverySec, AppendFsync::No];

    /// Redis's name of it.
    pub fn name(self) -> &'static str {
        match self {
            AppendFsync::Always => "always",
            AppendFsync::EverySec => "everysec",
            AppendFsync::No => "no",
        }
    }

    /// By name, in any case of letters.
    pub fn parse(name: &str) -> Option<AppendFsync> {
        let fits = |policy: &AppendFsync| policy.name().eq_ignore_ascii_case(name);
        AppendFsync::ALL.into_iter().find(fits)
    }
}

/// A policy that can be changed while serving.
#[derive(Debug)]
pub(super) struct Policy(AtomicU8);

impl Policy {
    pub(super) fn new(policy: AppendFsync) -> Policy {
        Policy(AtomicU8::new(policy as u8))
    }

    fn get(&self) -> AppendFsync {
        let number = self.0.load(Ordering::Relaxed);
        let found = AppendFsync::ALL
            .into_iter()
            .find(|policy| *policy as u8 == number);
        found.unwrap_or_default()
    }
}

impl Service {
    /// Begins a client's turn at the plain keys.
    pub fn turn(&self) -> Turn<'_> {
        self.inner
            .store
            .turn(&self.inner.log, self.inner.wall.now().0 / 1_000)
    }

    /// When writes of plain keys are acknowledged.
    pub fn append_fsync(&self) -> AppendFsync {
        self.inner.policy.get()
    }

    /// Changes that.
    pub fn set_append_fsync(&self, policy: AppendFsync) {
        self.inner.policy.0.store(policy as u8, Ordering::Relaxed);
    }

    /// Whether writes of plain keys have to wait, for a sync or for room in memory.
    pub fn writes_wait(&self) -> bool {
        self.append_fsync() == AppendFsync::Always || self.inner.store.staged_bytes() > MOST_STAGED
    }

    /// Waits until what was written may be acknowledged.
    pub fn settle_writes(&self) -> Result<(), ServiceError> {
        if self.append_fsync() == AppendFsync::Always {
            self.inner.log.sync()?;
        }
        self.inner.hold_back();
        Ok(())
    }
}

impl Inner {
    fn tidy(&self, synced_at: &mut Instant) -> Result<(), ServiceError> {
        if synced_at.elapsed() >= SYNC && self.policy.get() == AppendFsync::EverySec {
            *synced_at = Instant::now();
            if self.log.synced() < self.log.end() {
                self.log.sync()?;
            }
        }
        loop {
            let mut turn = self.store.turn(&self.log, self.wall.now().0 / 1_000);
            let looked_at = turn.expire(EXPIRED_AT_ONCE)?;
            turn.end()?;
            if looked_at < EXPIRED_AT_ONCE {
                return Ok(());
            }
        }
    }
}

/// The thread that looks after plain keys; dropping it stops it.
pub struct KeyKeeper {
    _thread: Background,
}

impl KeyKeeper {
    /// Starts it.
    pub fn start(service: &Service) -> Result<KeyKeeper, ServiceError> {
        let service = service.clone();
        let thread = Background::start("keys", move |stopped| {
            let mut synced_at = Instant::now();
            let mut failed = false;
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(TICK) {
                let outcome = service.inner.tidy(&mut synced_at);
                // Told once for as long as it lasts.
                if let Err(error) = &outcome
                    && !failed
                {
                    tracing::error!(%error, "plain keys are not synced");
                }
                failed = outcome.is_err();
            }
        });
        let thread = thread.map_err(|error| ServiceError::Internal(error.to_string()))?;
        Ok(KeyKeeper { _thread: thread })
    }
}
