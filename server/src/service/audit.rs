//! What was done by whom: writes, refusals and what administrators do, one JSON line each. A line
//! is with the operating system before the answer is with the client. Called by the doors.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};

use granary_registry::EventTime;
use granary_storage::{LineLog, LineLogOptions};
use serde::Serialize;

use super::group_commit::lock;
use super::{Inner, Service};

/// A file is ended once it is this long.
const FILE_BYTES: u64 = 64 << 20;

/// The newest so many files are kept.
const FILES: usize = 64;

/// How much is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AuditLevel {
    /// Nothing.
    Off,
    /// Refusals and what administrators do.
    Acts,
    /// Writes too.
    Writes,
}

/// What kind of thing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Something was written.
    Write,
    /// Something was refused.
    Denied,
    /// Something that administrators do.
    Admin,
}

/// One line.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct AuditEntry<'a> {
    /// What kind of thing.
    pub act: Act,
    /// By which door: `http`, `resp`, `control`, `signal`.
    pub door: &'static str,
    /// From where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<SocketAddr>,
    /// Name of the API key that was shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<&'a str>,
    /// What: a route, commands with their numbers.
    pub what: &'a str,
    /// Id of the HTTP request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<&'a str>,
    /// Keyed hash of the entity that was erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entity: Option<&'a str>,
    /// What came of it: `ok`, a status, a reason.
    pub outcome: &'a str,
}

/// The lines on their way.
#[derive(Default)]
pub(super) struct Audit {
    level: OnceLock<AuditLevel>,
    /// Opened for the first line.
    log: Mutex<Option<LineLog>>,
    has_failed: AtomicBool,
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    #[serde(flatten)]
    entry: AuditEntry<'a>,
}

impl AuditLevel {
    /// By its name.
    pub fn named(name: &str) -> Option<AuditLevel> {
        match name {
            "off" => Some(AuditLevel::Off),
            "acts" => Some(AuditLevel::Acts),
            "writes" => Some(AuditLevel::Writes),
            _ => None,
        }
    }
}

impl Service {
    /// How much is written down; once, before the doors open. Unless this says otherwise it is
    /// everything where keys tell who does it, and else everything but writes.
    pub fn set_audit(&self, level: Option<AuditLevel>) {
        let usual = if self.access().is_required() {
            AuditLevel::Writes
        } else {
            AuditLevel::Acts
        };
        let _ = self.inner.audit.level.set(level.unwrap_or(usual));
    }

    /// Whether this kind of thing is written down.
    pub fn audits(&self, act: Act) -> bool {
        let level = self.inner.audit.level.get();
        let level = level.copied().unwrap_or(AuditLevel::Off);
        level
            >= if act == Act::Write {
                AuditLevel::Writes
            } else {
                AuditLevel::Acts
            }
    }

    /// Writes a line, if such are written.
    pub fn audit(&self, entry: AuditEntry<'_>) {
        if self.audits(entry.act) {
            self.inner.audit(entry);
        }
    }
}

impl Inner {
    fn audit(&self, entry: AuditEntry<'_>) {
        let time = EventTime(self.wall.now().0).to_string();
        let line = serde_json::to_string(&Line { time, entry });
        let written = line.map_err(|error| error.to_string()).and_then(|line| {
            let mut log = lock(&self.audit.log);
            let opened = match log.take() {
                Some(opened) => Ok(opened),
                None => LineLog::open(
                    self.data.audit_log(),
                    LineLogOptions {
                        file_bytes: FILE_BYTES,
                        files: FILES,
                    },
                ),
            };
            let log = log.insert(opened.map_err(|error| error.to_string())?);
            let written = log.append(&line).and_then(|()| log.flush());
            written.map_err(|error| error.to_string())
        });
        // Told once: a full disk would else fill the server's own log.
        let has_failed = &self.audit.has_failed;
        match written {
            Ok(()) => has_failed.store(false, Ordering::Relaxed),
            Err(error) if !has_failed.swap(true, Ordering::Relaxed) => {
                tracing::error!(%error, "the audit log is not written");
            }
            Err(_) => {}
        }
    }
}
