//! Does the changes of a key's fields. Called by `execute`. Features are written elsewhere: a
//! key of an entity does not come here.

use crate::service::keys::{Change, KeyKind, NEVER};

use super::{Context, numbers, wrong_type};
use crate::resp::Reply;
use crate::resp::command::HashWrite;
use crate::resp::command::hash_write::{HashChange, Names, Pairs};
use crate::resp::command::string::{Condition, Resolved};
use crate::service::ServiceError;

pub(super) fn execute(
    command: &HashWrite<'_>,
    context: &mut Context<'_, '_>,
) -> Result<Reply, ServiceError> {
    if let HashChange::AddFloat { by, .. } = command.change
        && !numbers::is_float(by)
    {
        return Ok(Reply::error(numbers::SumError::NotAFloatToAdd.in_hash()));
    }
    let now = context.turn.now();
    Ok(context
        .turn
        .change(command.key, |change| match change.kind() {
            Some(KeyKind::Text) => wrong_type(),
            Some(KeyKind::Hash) | None => make(&command.change, change, now),
        })?)
}

fn make(what: &HashChange<'_>, change: &mut Change<'_>, now: i64) -> Reply {
    match what {
        HashChange::Set { pairs, answers_ok } => {
            let mut new = 0;
            for (name, value) in pairs.iter() {
                new += i64::from(change.set_field(name, value, NEVER));
            }
            if *answers_ok {
                Reply::OK
            } else {
                Reply::Integer(new)
            }
        }
        HashChange::SetNew { name, value } => {
            let is_new = field(change, name).is_none();
            if is_new {
                change.set_field(name, value, NEVER);
            }
            Reply::Integer(i64::from(is_new))
        }
        HashChange::Remove(names) => {
            let removed = names.iter().filter(|name| change.remove_field(name));
            Reply::Integer(removed.count() as i64)
        }
        HashChange::Add { name, by } => match numbers::add(field(change, name), *by) {
            Ok(sum) => {
                replace(change, name, sum.to_string().as_bytes());
                Reply::Integer(sum)
            }
            Err(error) => Reply::error(error.in_hash()),
        },
        HashChange::AddFloat { name, by } => match numbers::add_float(field(change, name), by) {
            Ok(sum) => {
                replace(change, name, sum.as_bytes());
                Reply::Text(sum)
            }
            Err(error) => Reply::error(error.in_hash()),
        },
        HashChange::TakeOut(names) => each(change, names, |change, name| {
            change.remove_field(name);
        }),
        HashChange::GetExpiring { names, lifetime } => {
            each(change, names, |change, name| match lifetime {
                Resolved::Stay => {}
                Resolved::Drop => drop_expiry(change, name),
                Resolved::Set(lifetime) => expire_field(change, name, lifetime.instant(now), now),
            })
        }
        HashChange::SetExpiring {
            pairs,
            lifetime,
            condition,
        } => set_expiring(change, pairs, *lifetime, *condition, now),
    }
}

/// Sets when a field expires; an instant that lies behind removes it.
pub(super) fn expire_field(change: &mut Change<'_>, name: &[u8], instant: i64, now: i64) {
    if instant <= now {
        change.remove_field(name);
    } else {
        change.expire_field(name, instant);
    }
}

fn drop_expiry(change: &mut Change<'_>, name: &[u8]) {
    change.expire_field(name, NEVER);
}

fn field<'a>(change: &'a Change<'_>, name: &[u8]) -> Option<&'a [u8]> {
    change.fields().and_then(|fields| fields.get(name))
}

/// Another value for a field, which goes on to expire when it did.
fn replace(change: &mut Change<'_>, name: &[u8], value: &[u8]) {
    let expires = change.fields().and_then(|fields| fields.expires(name));
    change.set_field(name, value, expires.unwrap_or(NEVER));
}

/// The values of fields, of which each is then changed.
fn each(
    change: &mut Change<'_>,
    names: &Names<'_>,
    mut make: impl FnMut(&mut Change<'_>, &[u8]),
) -> Reply {
    let answer = |name: &[u8]| {
        let value = field(change, name).map(<[u8]>::to_vec);
        make(change, name);
        value.map_or(Reply::Null, Reply::Bulk)
    };
    Reply::Array(names.iter().map(answer).collect())
}

fn set_expiring(
    change: &mut Change<'_>,
    pairs: &Pairs<'_>,
    lifetime: Resolved,
    condition: Option<Condition>,
    now: i64,
) -> Reply {
    let holds = |name: &[u8]| match condition {
        None => true,
        Some(Condition::IfAbsent) => field(change, name).is_none(),
        Some(Condition::IfThere) => field(change, name).is_some(),
    };
    if !pairs.iter().all(|(name, _)| holds(name)) {
        return Reply::Integer(0);
    }
    for (name, value) in pairs.iter() {
        match lifetime {
            Resolved::Drop => {
                change.set_field(name, value, NEVER);
            }
            Resolved::Stay => replace(change, name, value),
            Resolved::Set(lifetime) => {
                let instant = lifetime.instant(now);
                change.set_field(name, value, instant);
                expire_field(change, name, instant, now);
            }
        }
    }
    Reply::Integer(1)
}
