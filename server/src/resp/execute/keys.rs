//! Does the commands about keys. Keys outside the entity's prefix do not exist. Called by
//! `execute`.

use std::hash::{BuildHasher, RandomState};

use super::{entity_key, exists};
use crate::resp::command::{KeyCommand, ScanOptions};
use crate::resp::cursor::Position;
use crate::resp::glob::matches;
use crate::resp::{Arguments, Reply, Session};
use crate::service::{Catalog, Service, ServiceError};

/// Keys fetched at once where all are gone through.
const PAGE: usize = 10_000;

/// Of how many keys one is drawn at random: the store knows no ranks, so of the first ones.
const DRAWN_FROM: usize = 1_000;

pub(super) fn execute(
    command: &KeyCommand<'_>,
    service: &Service,
    session: &Session,
) -> Result<Reply, ServiceError> {
    let catalog = service.catalog();
    let here = |key: &[u8]| exists(service, &catalog, key);
    Ok(match command {
        KeyCommand::Exists(keys) => Reply::Integer(count(service, &catalog, *keys)?),
        KeyCommand::Type(key) => Reply::Simple(if here(key)? { "hash" } else { "none" }),
        KeyCommand::TimeToLive(key) => Reply::Integer(if here(key)? { -1 } else { -2 }),
        KeyCommand::Encoding(key) if here(key)? => Reply::text("hashtable"),
        KeyCommand::Scan { cursor, options } => scan(service, &catalog, session, *cursor, options)?,
        KeyCommand::Keys(pattern) => all_keys(service, &catalog, pattern)?,
        KeyCommand::RandomKey => random_key(service, &catalog)?,
        KeyCommand::Get(key) | KeyCommand::Length(key) if here(key)? => wrong_type(),
        KeyCommand::Get(_) | KeyCommand::Encoding(_) => Reply::Null,
        KeyCommand::Length(_) => Reply::Integer(0),
        KeyCommand::MGet(keys) => Reply::Array(keys.from(1).map(|_| Reply::Null).collect()),
        KeyCommand::ObjectHelp => super::lines(&OBJECT_HELP),
    })
}

const OBJECT_HELP: [&str; 4] = [
    "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "ENCODING <key>",
    "HELP",
    "    Print this help.",
];

fn wrong_type() -> Reply {
    let text = "WRONGTYPE Operation against a key holding the wrong kind of value";
    Reply::Error(text.to_owned())
}

/// A key named twice counts twice, as in Redis.
fn count(service: &Service, catalog: &Catalog, keys: Arguments<'_>) -> Result<i64, ServiceError> {
    let mut found = 0;
    for key in keys.from(1) {
        found += i64::from(exists(service, catalog, key)?);
    }
    Ok(found)
}

fn scan(
    service: &Service,
    catalog: &Catalog,
    session: &Session,
    cursor: u64,
    options: &ScanOptions<'_>,
) -> Result<Reply, ServiceError> {
    let cursors = &session.server.cursors;
    let after = match cursors.find(cursor) {
        Position::Start => None,
        Position::After(key) => Some(key),
        Position::Unknown => return Ok(scanned(0, catalog, Vec::new())),
        Position::Forgotten => {
            let reason = "this scan was left too long ago; begin again at 0";
            return Ok(Reply::Error(format!("ERR invalid cursor: {reason}")));
        }
    };
    let mut keys = service.keys(after.as_deref(), options.count)?;
    let next = match keys.last() {
        Some(last) if keys.len() >= options.count => cursors.give(last.clone()),
        _ => 0,
    };
    if options
        .kind
        .is_some_and(|kind| !kind.eq_ignore_ascii_case(b"hash"))
    {
        keys.clear();
    }
    if let Some(pattern) = options.pattern {
        retain(&mut keys, catalog, pattern);
    }
    Ok(scanned(next, catalog, keys))
}

fn scanned(next: u64, catalog: &Catalog, keys: Vec<String>) -> Reply {
    Reply::Array(vec![
        Reply::Text(next.to_string()),
        Reply::Keys(catalog.prefix.clone(), keys),
    ])
}

/// A pattern without signs is one key: looked up, not searched for.
fn all_keys(service: &Service, catalog: &Catalog, pattern: &[u8]) -> Result<Reply, ServiceError> {
    let mut found = Vec::new();
    if !pattern.iter().any(|byte| b"*?[\\".contains(byte)) {
        if let Some(key) = entity_key(catalog, pattern)
            && service.contains(key)?
        {
            found.push(key.to_owned());
        }
        return Ok(Reply::Keys(catalog.prefix.clone(), found));
    }
    let mut after: Option<String> = None;
    loop {
        let mut page = service.keys(after.as_deref(), PAGE)?;
        let last = if page.len() < PAGE {
            None
        } else {
            page.last().cloned()
        };
        retain(&mut page, catalog, pattern);
        found.append(&mut page);
        if last.is_none() {
            return Ok(Reply::Keys(catalog.prefix.clone(), found));
        }
        after = last;
    }
}

/// Keeps the keys that fit with their prefix.
fn retain(keys: &mut Vec<String>, catalog: &Catalog, pattern: &[u8]) {
    let mut whole = catalog.prefix.clone().into_bytes();
    keys.retain(|key| {
        whole.truncate(catalog.prefix.len());
        whole.extend_from_slice(key.as_bytes());
        matches(pattern, &whole)
    });
}

fn random_key(service: &Service, catalog: &Catalog) -> Result<Reply, ServiceError> {
    let keys = service.keys(None, DRAWN_FROM)?;
    // Each RandomState is seeded anew.
    let draw = RandomState::new().hash_one(keys.len()) as usize;
    Ok(match keys.get(draw % keys.len().max(1)) {
        Some(key) => Reply::Text(format!("{}{key}", catalog.prefix)),
        None => Reply::Null,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_see_the_prefix() {
        let catalog = Catalog {
            prefix: "user:".to_owned(),
            ..Catalog::default()
        };
        let keys = || vec!["1".to_owned(), "12".to_owned(), "2".to_owned()];
        let kept = |pattern: &str| {
            let mut keys = keys();
            retain(&mut keys, &catalog, pattern.as_bytes());
            keys
        };
        assert_eq!(kept("*"), keys());
        assert_eq!(kept("user:1*"), ["1", "12"]);
        assert_eq!(kept("1*"), Vec::<String>::new());
        assert_eq!(kept("user:?"), ["1", "2"]);
    }
}
