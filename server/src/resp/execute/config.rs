//! The settings that `CONFIG GET` shows: those that exist, under Redis's names. Called by
//! `execute::server`.

use crate::resp::frame::MAX_BULK;
use crate::resp::glob::matches;
use crate::resp::{Reply, Server};

/// A map of every setting that fits one of the patterns, in any case of letters.
pub(super) fn get(patterns: &[&[u8]], server: &Server) -> Reply {
    let patterns: Vec<Vec<u8>> = patterns
        .iter()
        .map(|text| text.to_ascii_lowercase())
        .collect();
    let fits = |name: &str| {
        patterns
            .iter()
            .any(|pattern| matches(pattern, name.as_bytes()))
    };
    let found = settings(server).into_iter().filter(|(name, _)| fits(name));
    Reply::Map(
        found
            .map(|(name, value)| (Reply::text(name), Reply::Text(value)))
            .collect(),
    )
}

fn settings(server: &Server) -> [(&'static str, String); 11] {
    [
        // Every acknowledged write is in the log and synced; there are no snapshots by time.
        ("appendfsync", "always".to_owned()),
        ("appendonly", "yes".to_owned()),
        ("databases", "1".to_owned()),
        ("maxclients", server.max_clients.to_string()),
        ("maxmemory", "0".to_owned()),
        ("maxmemory-policy", "noeviction".to_owned()),
        ("port", server.port.to_string()),
        ("proto-max-bulk-len", MAX_BULK.to_string()),
        ("requirepass", String::new()),
        ("save", String::new()),
        ("timeout", "0".to_owned()),
    ]
}
