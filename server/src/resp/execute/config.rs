//! The settings that `CONFIG GET` shows and `CONFIG SET` changes: those that exist, under Redis's
//! names. Called by `execute::server`.

use std::sync::atomic::Ordering;

use crate::resp::frame::{MAX_BULK, integer};
use crate::resp::glob::matches;
use crate::resp::{Arguments, Reply, Server};
use crate::service::{AppendFsync, Service};

/// A map of every setting that fits one of the patterns, in any case of letters.
pub(super) fn get(patterns: &[&[u8]], server: &Server, service: &Service) -> Reply {
    let patterns: Vec<Vec<u8>> = patterns
        .iter()
        .map(|text| text.to_ascii_lowercase())
        .collect();
    let fits = |name: &str| {
        patterns
            .iter()
            .any(|pattern| matches(pattern, name.as_bytes()))
    };
    let settings = settings(server, service).into_iter();
    let found = settings.filter(|(name, _)| fits(name));
    Reply::Map(
        found
            .map(|(name, value)| (Reply::text(name), Reply::Text(value)))
            .collect(),
    )
}

fn settings(server: &Server, service: &Service) -> [(&'static str, String); 13] {
    let slow = &server.slow;
    [
        // Of plain keys; events and features are always synced.
        ("appendfsync", service.append_fsync().name().to_owned()),
        ("appendonly", "yes".to_owned()),
        ("databases", "1".to_owned()),
        ("maxclients", server.limits.connections.to_string()),
        ("maxmemory", "0".to_owned()),
        ("maxmemory-policy", "noeviction".to_owned()),
        ("port", server.port.to_string()),
        ("proto-max-bulk-len", MAX_BULK.to_string()),
        ("requirepass", String::new()),
        ("save", String::new()),
        (
            "slowlog-log-slower-than",
            slow.threshold.load(Ordering::Relaxed).to_string(),
        ),
        (
            "slowlog-max-len",
            slow.most.load(Ordering::Relaxed).to_string(),
        ),
        ("timeout", "0".to_owned()),
    ]
}

/// Changes settings: all of them, or none.
pub(super) fn set(arguments: Arguments<'_>, server: &Server, service: &Service) -> Reply {
    let names = arguments.from(2).step_by(2);
    let pairs: Vec<_> = names.zip(arguments.from(3).step_by(2)).collect();
    let mut changes = Vec::with_capacity(pairs.len());
    for (name, value) in pairs {
        match Change::of(name, value) {
            Ok(change) => changes.push(change),
            Err(reason) => {
                let name = String::from_utf8_lossy(name);
                return Reply::Error(match reason {
                    None => format!(
                        "ERR Unknown option or number of arguments for CONFIG SET - '{name}'"
                    ),
                    Some(reason) => format!(
                        "ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}"
                    ),
                });
            }
        }
    }
    for change in changes {
        match change {
            Change::AppendFsync(policy) => service.set_append_fsync(policy),
            Change::SlowerThan(micros) => server.slow.threshold.store(micros, Ordering::Relaxed),
            Change::SlowMost(most) => server.slow.most.store(most, Ordering::Relaxed),
        }
    }
    Reply::OK
}

enum Change {
    AppendFsync(AppendFsync),
    SlowerThan(i64),
    SlowMost(usize),
}

impl Change {
    /// What a setting is to be; why not, if the setting is known.
    fn of(name: &[u8], value: &[u8]) -> Result<Change, Option<&'static str>> {
        const NUMBER: Option<&str> = Some("argument couldn't be parsed into an integer");
        match name.to_ascii_lowercase().as_slice() {
            b"appendfsync" => {
                let policy = std::str::from_utf8(value).ok().and_then(AppendFsync::parse);
                policy.map(Change::AppendFsync).ok_or(Some(
                    "argument(s) must be one of the following: everysec, always, no",
                ))
            }
            b"slowlog-log-slower-than" => integer(value).map(Change::SlowerThan).ok_or(NUMBER),
            b"slowlog-max-len" => {
                let most = integer(value).and_then(|most| usize::try_from(most).ok());
                most.map(Change::SlowMost).ok_or(NUMBER)
            }
            b"appendonly" if value.eq_ignore_ascii_case(b"yes") => Err(Some("it is always on")),
            b"appendonly"
            | b"databases"
            | b"maxclients"
            | b"maxmemory"
            | b"maxmemory-policy"
            | b"port"
            | b"proto-max-bulk-len"
            | b"requirepass"
            | b"save"
            | b"timeout" => Err(Some("can't set immutable config")),
            _ => Err(None),
        }
    }
}
