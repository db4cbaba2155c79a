//! Does the commands about keys, whatever they hold: rows of entities and plain keys are one
//! keyspace. Called by `execute`.

use std::hash::{BuildHasher, RandomState};

use crate::service::keys::{Change, KeyKind, PlainValue};

use super::scan::{all_keys, scan};
use super::{Context, entity_key, exists, is_entity};
use crate::resp::command::KeyCommand;
use crate::resp::command::keys::ObjectFact;
use crate::resp::{Arguments, Reply};
use crate::service::ServiceError;

/// Of how many rows one is drawn at random: the store knows no ranks, so of the first ones.
const DRAWN_FROM: usize = 1_000;

pub(super) fn execute(
    command: &KeyCommand<'_>,
    context: &mut Context<'_, '_>,
) -> Result<Reply, ServiceError> {
    Ok(match command {
        KeyCommand::Exists(keys) => Reply::Integer(count(context, *keys)?),
        KeyCommand::Type(key) => Reply::Simple(match kind(context, key)? {
            None => "none",
            Some(KeyKind::Text) => "string",
            Some(KeyKind::Hash) => "hash",
        }),
        KeyCommand::Remove(keys) => remove(context, *keys)?,
        KeyCommand::Rename {
            from,
            to,
            unless_there,
        } => rename(context, from, to, *unless_there)?,
        KeyCommand::Copy { from, to, replace } => copy(context, from, to, *replace)?,
        KeyCommand::Scan { cursor, options } => scan(context, *cursor, options)?,
        KeyCommand::Keys(pattern) => all_keys(context, pattern)?,
        KeyCommand::RandomKey => random_key(context)?,
        KeyCommand::Object { fact, key } => object(context, *fact, key)?,
        KeyCommand::ObjectHelp => super::lines(&OBJECT_HELP),
        KeyCommand::MemoryUsage(key) => memory(context, key)?,
        KeyCommand::MemoryHelp => super::lines(&MEMORY_HELP),
    })
}

const OBJECT_HELP: [&str; 6] = [
    "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "ENCODING <key>",
    "IDLETIME <key>",
    "REFCOUNT <key>",
    "HELP",
    "    Print this help.",
];

const MEMORY_HELP: [&str; 4] = [
    "MEMORY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "USAGE <key> [SAMPLES <count>]",
    "HELP",
    "    Print this help.",
];

/// The kind of what a key holds, if it is there.
pub(super) fn kind(
    context: &mut Context<'_, '_>,
    key: &[u8],
) -> Result<Option<KeyKind>, ServiceError> {
    if is_entity(context.catalog, key) {
        let is_there = exists(context.service, context.catalog, key)?;
        return Ok(is_there.then_some(KeyKind::Hash));
    }
    Ok(context
        .turn
        .read(key, |found| found.map(|(value, _)| value.kind()))?)
}

/// A key named twice counts twice, as in Redis.
fn count(context: &mut Context<'_, '_>, keys: Arguments<'_>) -> Result<i64, ServiceError> {
    let mut found = 0;
    for key in keys.from(1) {
        found += i64::from(kind(context, key)?.is_some());
    }
    Ok(found)
}

fn remove(context: &mut Context<'_, '_>, keys: Arguments<'_>) -> Result<Reply, ServiceError> {
    if keys.len() == 2 {
        let key = keys.get(1).unwrap_or_default();
        let removed = context.turn.change(key, gone)?;
        return Ok(Reply::Integer(i64::from(removed)));
    }
    let removed = context.turn.alone(|turn| {
        let mut removed = 0;
        for key in keys.from(1) {
            removed += i64::from(turn.change(key, gone)?);
        }
        Ok::<_, crate::service::keys::KeyError>(removed)
    });
    Ok(Reply::Integer(removed??))
}

fn gone(change: &mut Change<'_>) -> bool {
    change.remove()
}

fn rename(
    context: &mut Context<'_, '_>,
    from: &[u8],
    to: &[u8],
    unless_there: bool,
) -> Result<Reply, ServiceError> {
    let renamed = context.turn.alone(|turn| {
        let taken = turn.read(from, |found| {
            found.map(|(value, expires)| (value.clone(), expires))
        })?;
        let Some((value, expires)) = taken else {
            return Ok(Reply::error("ERR no such key"));
        };
        if unless_there && turn.read(to, |found| found.is_some())? {
            return Ok(Reply::Integer(0));
        }
        if from != to {
            turn.change(to, |change| change.set_whole(&value, expires))?;
            turn.change(from, gone)?;
        }
        Ok::<_, crate::service::keys::KeyError>(if unless_there {
            Reply::Integer(1)
        } else {
            Reply::OK
        })
    });
    Ok(renamed??)
}

fn copy(
    context: &mut Context<'_, '_>,
    from: &[u8],
    to: &[u8],
    replace: bool,
) -> Result<Reply, ServiceError> {
    if from == to {
        return Ok(Reply::error(
            "ERR source and destination objects are the same",
        ));
    }
    let copied = context.turn.alone(|turn| {
        let taken = turn.read(from, |found| {
            found.map(|(value, expires)| (value.clone(), expires))
        })?;
        let Some((value, expires)) = taken else {
            return Ok(false);
        };
        if !replace && turn.read(to, |found| found.is_some())? {
            return Ok(false);
        }
        turn.change(to, |change| change.set_whole(&value, expires))?;
        Ok::<_, crate::service::keys::KeyError>(true)
    });
    Ok(Reply::Integer(i64::from(copied??)))
}

fn random_key(context: &mut Context<'_, '_>) -> Result<Reply, ServiceError> {
    // Each RandomState is seeded anew.
    let draw = RandomState::new().hash_one(0_u8);
    let (rows, plain) = (context.service.len()?, context.turn.len());
    if rows + plain == 0 || draw % (rows + plain) >= rows {
        let key = context.turn.drawn_key(draw)?;
        if plain > 0 || rows == 0 {
            return Ok(key.map_or(Reply::Null, Reply::Bulk));
        }
    }
    let keys = context.service.keys(None, DRAWN_FROM)?;
    Ok(match keys.get(draw as usize % keys.len().max(1)) {
        Some(key) => Reply::Text(format!("{}{key}", context.catalog.prefix)),
        None => Reply::Null,
    })
}

fn object(
    context: &mut Context<'_, '_>,
    fact: ObjectFact,
    key: &[u8],
) -> Result<Reply, ServiceError> {
    // Before the look at it, which uses it.
    let idle = context.turn.idle_seconds(key);
    if kind(context, key)?.is_none() {
        return Ok(Reply::Null);
    }
    Ok(match fact {
        ObjectFact::Encoding if is_entity(context.catalog, key) => Reply::text("hashtable"),
        ObjectFact::Encoding => {
            let name = context
                .turn
                .read(key, |found| found.map(|(value, _)| encoding(value)))?;
            name.map_or(Reply::Null, Reply::text)
        }
        ObjectFact::IdleTime => {
            let since_start = context.session.server.started.elapsed().as_secs() as i64;
            Reply::Integer(idle.unwrap_or(since_start))
        }
        ObjectFact::RefCount => Reply::Integer(1),
        ObjectFact::Frequency => Reply::error(
            "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please \
             note that when switching between policies at runtime LRU and LFU data will take \
             some time to adjust.",
        ),
    })
}

/// Redis's names: a number in few digits, a text in one piece or two.
fn encoding(value: &PlainValue) -> &'static str {
    const IN_ONE_PIECE: usize = 44;
    match value {
        PlainValue::Text(text) if crate::resp::frame::integer(text).is_some() => "int",
        PlainValue::Text(text) if text.len() <= IN_ONE_PIECE => "embstr",
        PlainValue::Text(_) => "raw",
        PlainValue::Hash(fields) if fields.is_packed() => "listpack",
        PlainValue::Hash(_) => "hashtable",
    }
}

fn memory(context: &mut Context<'_, '_>, key: &[u8]) -> Result<Reply, ServiceError> {
    if is_entity(context.catalog, key) {
        let bytes = match entity_key(context.catalog, key) {
            Some(key) => context.service.row_bytes(key)?,
            None => None,
        };
        return Ok(bytes.map_or(Reply::Null, |bytes| Reply::Integer(bytes as i64)));
    }
    let bytes = context.turn.read(key, |found| {
        found.map(|(value, _)| value.size() + key.len())
    })?;
    Ok(bytes.map_or(Reply::Null, |bytes| Reply::Integer(bytes as i64)))
}
