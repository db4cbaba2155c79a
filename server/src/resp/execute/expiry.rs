//! Does the commands about when keys and fields expire. Called by `execute`.

use crate::service::keys::{KeyKind, NEVER, PlainValue};

use super::hash_write::expire_field;
use super::string::expire;
use super::{Context, exists, features, is_entity, wrong_type};
use crate::resp::Reply;
use crate::resp::command::ExpiryCommand;
use crate::resp::command::expiry::{ExpireIf, Shown};
use crate::resp::command::hash_write::Names;
use crate::service::ServiceError;

/// What the commands answer for a key or field that is not there, or has no expiry.
const ABSENT: i64 = -2;
const ENDLESS: i64 = -1;

pub(super) fn execute(
    command: &ExpiryCommand<'_>,
    context: &mut Context<'_, '_>,
) -> Result<Reply, ServiceError> {
    let now = context.turn.now();
    Ok(match command {
        ExpiryCommand::Expire {
            key,
            lifetime,
            condition,
        } => {
            let instant = lifetime.instant(now);
            let set = context.turn.change(key, |change| {
                let set = change.exists() && condition.holds(change.expires(), instant);
                if set {
                    expire(change, instant, now);
                }
                set
            });
            Reply::Integer(i64::from(set?))
        }
        ExpiryCommand::Persist(key) => {
            let persisted = context.turn.change(key, |change| {
                let expires = change.exists() && change.expires() != NEVER;
                change.expire(NEVER);
                expires
            });
            Reply::Integer(i64::from(persisted?))
        }
        ExpiryCommand::Left { key, shown } if is_entity(context.catalog, key) => {
            let is_there = exists(context.service, context.catalog, key)?;
            Reply::Integer(tell(is_there.then_some(NEVER), *shown, now))
        }
        ExpiryCommand::Left { key, shown } => {
            let expires = context
                .turn
                .read(key, |found| found.map(|(_, expires)| expires))?;
            Reply::Integer(tell(expires, *shown, now))
        }
        ExpiryCommand::ExpireFields {
            key,
            lifetime,
            condition,
            names,
        } => expire_fields(context, key, lifetime.instant(now), *condition, names)?,
        ExpiryCommand::PersistFields { key, names } => persist_fields(context, key, names)?,
        ExpiryCommand::LeftOfFields { key, shown, names } => {
            left_of_fields(context, key, *shown, names)?
        }
    })
}

fn tell(expires: Option<i64>, shown: Shown, now: i64) -> i64 {
    match (expires, shown) {
        (None, _) => ABSENT,
        (Some(NEVER), _) => ENDLESS,
        (Some(instant), Shown::MillisLeft) => (instant - now).max(0),
        (Some(instant), Shown::SecondsLeft) => (instant - now).max(0).saturating_add(500) / 1_000,
        (Some(instant), Shown::AtMilli) => instant,
        (Some(instant), Shown::AtSecond) => instant.saturating_add(500) / 1_000,
    }
}

fn absent(names: &Names<'_>) -> Reply {
    Reply::Array(names.iter().map(|_| Reply::Integer(ABSENT)).collect())
}

fn expire_fields(
    context: &mut Context<'_, '_>,
    key: &[u8],
    instant: i64,
    condition: ExpireIf,
    names: &Names<'_>,
) -> Result<Reply, ServiceError> {
    let now = context.turn.now();
    Ok(context.turn.change(key, |change| {
        match change.kind() {
            None => return absent(names),
            Some(KeyKind::Text) => return wrong_type(),
            Some(KeyKind::Hash) => {}
        }
        let set = |name: &[u8]| {
            let before = change.fields().and_then(|fields| fields.expires(name));
            let answer = match before {
                None => ABSENT,
                Some(before) if !condition.holds(before, instant) => 0,
                Some(_) if instant <= now => 2,
                Some(_) => 1,
            };
            if answer > 0 {
                expire_field(change, name, instant, now);
            }
            Reply::Integer(answer)
        };
        Reply::Array(names.iter().map(set).collect())
    })?)
}

fn persist_fields(
    context: &mut Context<'_, '_>,
    key: &[u8],
    names: &Names<'_>,
) -> Result<Reply, ServiceError> {
    Ok(context.turn.change(key, |change| {
        match change.kind() {
            None => return absent(names),
            Some(KeyKind::Text) => return wrong_type(),
            Some(KeyKind::Hash) => {}
        }
        let persist = |name: &[u8]| {
            let before = change.fields().and_then(|fields| fields.expires(name));
            change.expire_field(name, NEVER);
            Reply::Integer(match before {
                None => ABSENT,
                Some(NEVER) => ENDLESS,
                Some(_) => 1,
            })
        };
        Reply::Array(names.iter().map(persist).collect())
    })?)
}

/// A feature never expires; one that is null is not there.
fn left_of_fields(
    context: &mut Context<'_, '_>,
    key: &[u8],
    shown: Shown,
    names: &Names<'_>,
) -> Result<Reply, ServiceError> {
    if is_entity(context.catalog, key) {
        let tell = |name: &[u8]| {
            let is_there = features::is_there(context, key, name)?;
            Ok(Reply::Integer(if is_there { ENDLESS } else { ABSENT }))
        };
        let told = names.iter().map(tell).collect::<Result<_, ServiceError>>();
        return told.map(Reply::Array);
    }
    let now = context.turn.now();
    Ok(context.turn.read(key, |found| match found {
        None => absent(names),
        Some((PlainValue::Text(_), _)) => wrong_type(),
        Some((PlainValue::Hash(fields), _)) => {
            let tell = |name: &[u8]| Reply::Integer(tell(fields.expires(name), shown, now));
            Reply::Array(names.iter().map(tell).collect())
        }
    })?)
}
