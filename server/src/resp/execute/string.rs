//! Does the commands about strings. Called by `execute`.

use crate::service::keys::{Change, KeyKind, NEVER, PlainValue};

use super::numbers;
use super::{Context, exists, is_entity, wrong_type};
use crate::resp::command::StringCommand;
use crate::resp::command::string::{Condition, Resolved, Set, SetAnswer};
use crate::resp::frame::MAX_BULK;
use crate::resp::{Arguments, Reply, Writer};
use crate::service::ServiceError;

pub(super) fn execute(
    command: &StringCommand<'_>,
    context: &mut Context<'_, '_>,
) -> Result<Reply, ServiceError> {
    match command {
        StringCommand::Get(key) => read(context, key, Reply::Null, |text, writer| {
            writer.bulk(text);
            Reply::Written
        }),
        StringCommand::Length(key) => read(context, key, Reply::Integer(0), |text, _| {
            Reply::Integer(text.len() as i64)
        }),
        StringCommand::Range { key, start, end } => {
            read(context, key, Reply::Bulk(Vec::new()), |text, writer| {
                writer.bulk(range(text, *start, *end));
                Reply::Written
            })
        }
        StringCommand::MGet(keys) => get_many(context, *keys),
        StringCommand::Set(set) => {
            let now = context.turn.now();
            let lifetime = match set.lifetime.resolve() {
                Ok(lifetime) => lifetime,
                Err(refusal) => return Ok(Reply::Error(refusal.to_string())),
            };
            Ok(context
                .turn
                .change(set.key, |change| set_one(change, set, lifetime, now))?)
        }
        StringCommand::GetDel(key) => change(context, key, |change, _| {
            let old = text_of(change);
            change.remove();
            old
        }),
        StringCommand::GetEx { key, lifetime } => change(context, key, |change, now| {
            // Redis looks at the key before it looks at the number.
            if !change.exists() {
                return Reply::Null;
            }
            let lifetime = match lifetime.resolve() {
                Ok(lifetime) => lifetime,
                Err(refusal) => return Reply::Error(refusal.to_string()),
            };
            let old = text_of(change);
            match lifetime {
                Resolved::Stay => {}
                Resolved::Drop => change.expire(NEVER),
                Resolved::Set(lifetime) => expire(change, lifetime.instant(now), now),
            }
            old
        }),
        StringCommand::MSet {
            pairs,
            unless_there,
        } => set_many(context, *pairs, *unless_there),
        StringCommand::Append { key, text } => change(context, key, |change, _| {
            let length = change.text().map_or(0, <[u8]>::len);
            splice(change, length, text)
        }),
        StringCommand::SetRange { key, at, text } => match usize::try_from(*at) {
            Ok(at) => change(context, key, |change, _| {
                if text.is_empty() {
                    return Reply::Integer(change.text().map_or(0, <[u8]>::len) as i64);
                }
                splice(change, at, text)
            }),
            Err(_) => Ok(Reply::error("ERR offset is out of range")),
        },
        StringCommand::Add { key, by } => change(context, key, |change, _| {
            match numbers::add(change.text(), *by) {
                Ok(sum) => {
                    let expires = change.expires();
                    change.set_text(sum.to_string().as_bytes(), expires);
                    Reply::Integer(sum)
                }
                Err(error) => Reply::error(error.in_text()),
            }
        }),
        StringCommand::AddFloat { key, by } => change(context, key, |change, _| {
            match numbers::add_float(change.text(), by) {
                Ok(sum) => {
                    let expires = change.expires();
                    change.set_text(sum.as_bytes(), expires);
                    Reply::Text(sum)
                }
                Err(error) => Reply::error(error.in_text()),
            }
        }),
    }
}

/// Sets when a key expires; an instant that lies behind removes it.
pub(super) fn expire(change: &mut Change<'_>, instant: i64, now: i64) {
    if instant <= now {
        change.remove();
    } else {
        change.expire(instant);
    }
}

fn read(
    context: &mut Context<'_, '_>,
    key: &[u8],
    absent: Reply,
    take: impl FnOnce(&[u8], &mut Writer) -> Reply,
) -> Result<Reply, ServiceError> {
    if is_entity(context.catalog, key) {
        let is_there = exists(context.service, context.catalog, key)?;
        return Ok(if is_there { wrong_type() } else { absent });
    }
    let writer = &mut *context.writer;
    Ok(context.turn.read(key, |found| match found {
        None => absent,
        Some((PlainValue::Text(text), _)) => take(text, writer),
        Some((PlainValue::Hash(_), _)) => wrong_type(),
    })?)
}

/// Opens a key that must hold a text, or nothing.
fn change(
    context: &mut Context<'_, '_>,
    key: &[u8],
    make: impl FnOnce(&mut Change<'_>, i64) -> Reply,
) -> Result<Reply, ServiceError> {
    let now = context.turn.now();
    Ok(context.turn.change(key, |change| match change.kind() {
        Some(KeyKind::Hash) => wrong_type(),
        Some(KeyKind::Text) | None => make(change, now),
    })?)
}

fn text_of(change: &Change<'_>) -> Reply {
    change
        .text()
        .map_or(Reply::Null, |text| Reply::Bulk(text.to_vec()))
}

fn set_one(change: &mut Change<'_>, set: &Set<'_>, lifetime: Resolved, now: i64) -> Reply {
    let wants_old = set.answer == SetAnswer::Old;
    if wants_old && change.kind() == Some(KeyKind::Hash) {
        return wrong_type();
    }
    let old = if wants_old {
        text_of(change)
    } else {
        Reply::Null
    };
    let holds = match set.condition {
        None => true,
        Some(Condition::IfAbsent) => !change.exists(),
        Some(Condition::IfThere) => change.exists(),
    };
    if holds {
        match lifetime {
            Resolved::Drop => change.set_text(set.text, NEVER),
            Resolved::Stay => {
                let expires = change.expires();
                change.set_text(set.text, expires);
            }
            Resolved::Set(lifetime) => {
                let instant = lifetime.instant(now);
                change.set_text(set.text, instant);
                expire(change, instant, now);
            }
        }
    }
    match set.answer {
        SetAnswer::Old => old,
        SetAnswer::Count => Reply::Integer(i64::from(holds)),
        SetAnswer::Done if holds => Reply::OK,
        SetAnswer::Done => Reply::Null,
    }
}

fn get_many(context: &mut Context<'_, '_>, keys: Arguments<'_>) -> Result<Reply, ServiceError> {
    let values = context.turn.alone(|turn| {
        let text = |found: Option<(&PlainValue, i64)>| match found {
            Some((PlainValue::Text(text), _)) => Reply::Bulk(text.clone()),
            _ => Reply::Null,
        };
        let values = keys.from(1).map(|key| turn.read(key, text));
        values.collect::<crate::service::keys::KeyResult<Vec<Reply>>>()
    })??;
    Ok(Reply::Array(values))
}

fn set_many(
    context: &mut Context<'_, '_>,
    pairs: Arguments<'_>,
    unless_there: bool,
) -> Result<Reply, ServiceError> {
    let set = context.turn.alone(|turn| {
        if unless_there {
            for key in pairs.from(1).step_by(2) {
                if turn.read(key, |found| found.is_some())? {
                    return Ok(false);
                }
            }
        }
        for (key, text) in pairs.from(1).step_by(2).zip(pairs.from(2).step_by(2)) {
            turn.change(key, |change| change.set_text(text, NEVER))?;
        }
        Ok::<_, crate::service::keys::KeyError>(true)
    })??;
    Ok(if unless_there {
        Reply::Integer(i64::from(set))
    } else {
        Reply::OK
    })
}

fn splice(change: &mut Change<'_>, at: usize, text: &[u8]) -> Reply {
    let before = change.text().map_or(0, <[u8]>::len);
    let length = before.max(at.saturating_add(text.len()));
    if length > MAX_BULK {
        return Reply::error("ERR string exceeds maximum allowed size (proto-max-bulk-len)");
    }
    change.splice(at, text, length);
    Reply::Integer(length as i64)
}

/// From one position to another, both included; negative ones count from the end.
fn range(text: &[u8], start: i64, end: i64) -> &[u8] {
    let length = text.len() as i64;
    if start < 0 && end < 0 && start > end {
        return &[];
    }
    let place = |index: i64| {
        if index < 0 {
            (index + length).max(0)
        } else {
            index
        }
    };
    let (start, end) = (place(start), place(end).min(length - 1));
    if length == 0 || start > end {
        return &[];
    }
    &text[start as usize..=end as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_as_redis_cuts_them() {
        let part = |start, end| std::str::from_utf8(range(b"Hello World", start, end)).unwrap();
        assert_eq!(part(0, 3), "Hell");
        assert_eq!(part(0, -1), "Hello World");
        assert_eq!(part(-4, -1), "orld");
        assert_eq!(part(5, 3), "");
        assert_eq!(part(5, 5000), " World");
        assert_eq!(part(-5000, 10000), "Hello World");
        assert_eq!(part(-1, -5), "");
        assert_eq!(range(b"", 0, -1), b"");
    }
}
