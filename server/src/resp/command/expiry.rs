//! The commands about when keys and fields expire. Called by `command`, done by
//! `execute::expiry`.

use super::hash_write::Names;
use super::lifetime::{Lifetime, Unit};
use super::{Arguments, Command, Refusal, Spec, at};

/// About when a key, or fields of one, expire.
#[derive(Clone, Debug)]
pub enum ExpiryCommand<'a> {
    /// `EXPIRE` and its kin.
    Expire {
        key: &'a [u8],
        lifetime: Lifetime,
        condition: ExpireIf,
    },
    Persist(&'a [u8]),
    /// `TTL` and its kin.
    Left {
        key: &'a [u8],
        shown: Shown,
    },
    /// `HEXPIRE` and its kin.
    ExpireFields {
        key: &'a [u8],
        lifetime: Lifetime,
        condition: ExpireIf,
        names: Names<'a>,
    },
    PersistFields {
        key: &'a [u8],
        names: Names<'a>,
    },
    /// `HTTL` and its kin.
    LeftOfFields {
        key: &'a [u8],
        shown: Shown,
        names: Names<'a>,
    },
}

/// When to set an expiry: all that are asked for must hold.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a word of the command"
)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExpireIf {
    /// `NX`
    pub has_none: bool,
    /// `XX`
    pub has_one: bool,
    /// `GT`; no expiry counts as the furthest.
    pub is_later: bool,
    /// `LT`
    pub is_earlier: bool,
}

/// How an expiry is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    SecondsLeft,
    MillisLeft,
    AtSecond,
    AtMilli,
}

impl ExpireIf {
    /// Whether an expiry may replace another; [`NEVER`](crate::service::keys::NEVER) is none.
    pub fn holds(self, before: i64, after: i64) -> bool {
        let is_none = before == crate::service::keys::NEVER;
        !(self.has_none && !is_none
            || self.has_one && is_none
            || self.is_later && after <= before
            || self.is_earlier && after >= before)
    }

    fn add(&mut self, word: &[u8]) -> Result<(), Refusal> {
        let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
        if is(b"nx") {
            self.has_none = true;
        } else if is(b"xx") {
            self.has_one = true;
        } else if is(b"gt") {
            self.is_later = true;
        } else if is(b"lt") {
            self.is_earlier = true;
        } else {
            let word = String::from_utf8_lossy(word).into_owned();
            return Err(Refusal::UnsupportedOption(word));
        }
        Ok(())
    }

    fn check(self) -> Result<ExpireIf, Refusal> {
        let others = self.has_one || self.is_later || self.is_earlier;
        if self.has_none && others {
            return Err(Refusal::NxWithOthers);
        }
        if self.is_later && self.is_earlier {
            return Err(Refusal::GtWithLt);
        }
        Ok(self)
    }
}

const WRITE: &[&str] = &["write", "fast"];
const READ: &[&str] = &["readonly", "fast"];

pub(super) const SPECS: &[Spec] = &[
    spec(
        "expire",
        -3,
        WRITE,
        "1.0.0",
        "Sets the expiration time of a key in seconds.",
        expire,
    ),
    spec(
        "expireat",
        -3,
        WRITE,
        "1.2.0",
        "Sets the expiration of a key to a second.",
        expire,
    ),
    spec(
        "expiretime",
        2,
        READ,
        "7.0.0",
        "Returns the second in which a key expires.",
        left,
    ),
    spec(
        "hexpire",
        -6,
        WRITE,
        "7.4.0",
        "Sets the expiration of fields in seconds.",
        expire_fields,
    ),
    spec(
        "hexpireat",
        -6,
        WRITE,
        "7.4.0",
        "Sets the expiration of fields to a second.",
        expire_fields,
    ),
    spec(
        "hexpiretime",
        -5,
        READ,
        "7.4.0",
        "Returns the seconds in which fields expire.",
        left_of_fields,
    ),
    spec(
        "hpersist",
        -5,
        WRITE,
        "7.4.0",
        "Removes the expiration of fields.",
        persist_fields,
    ),
    spec(
        "hpexpire",
        -6,
        WRITE,
        "7.4.0",
        "Sets the expiration of fields in milliseconds.",
        expire_fields,
    ),
    spec(
        "hpexpireat",
        -6,
        WRITE,
        "7.4.0",
        "Sets the expiration of fields to a millisecond.",
        expire_fields,
    ),
    spec(
        "hpexpiretime",
        -5,
        READ,
        "7.4.0",
        "Returns the milliseconds in which fields expire.",
        left_of_fields,
    ),
    spec(
        "hpttl",
        -5,
        READ,
        "7.4.0",
        "Returns how many milliseconds fields have left.",
        left_of_fields,
    ),
    spec(
        "httl",
        -5,
        READ,
        "7.4.0",
        "Returns how many seconds fields have left.",
        left_of_fields,
    ),
    spec(
        "persist",
        2,
        WRITE,
        "2.2.0",
        "Removes the expiration time of a key.",
        persist,
    ),
    spec(
        "pexpire",
        -3,
        WRITE,
        "2.6.0",
        "Sets the expiration of a key in milliseconds.",
        expire,
    ),
    spec(
        "pexpireat",
        -3,
        WRITE,
        "2.6.0",
        "Sets the expiration of a key to a millisecond.",
        expire,
    ),
    spec(
        "pexpiretime",
        2,
        READ,
        "7.0.0",
        "Returns the millisecond in which a key expires.",
        left,
    ),
    spec(
        "pttl",
        2,
        READ,
        "2.6.0",
        "Returns how many milliseconds a key has left.",
        left,
    ),
    spec(
        "ttl",
        2,
        READ,
        "1.0.0",
        "Returns how many seconds a key has left.",
        left,
    ),
];

const fn spec(
    name: &'static str,
    arity: i64,
    flags: &'static [&'static str],
    since: &'static str,
    summary: &'static str,
    parse: super::Parse,
) -> Spec {
    // The fields of a hash are its family's.
    let group = if name.as_bytes()[0] == b'h' {
        "hash"
    } else {
        "generic"
    };
    Spec {
        name,
        arity,
        flags,
        keys: (1, 1, 1),
        group,
        since,
        summary,
        parse,
    }
}

/// The unit in a command's name: `p` is milliseconds, `at` an instant.
fn unit(name: &str) -> Unit {
    let name = name.strip_prefix('h').unwrap_or(name);
    match (name.starts_with("pexp"), name.ends_with("at")) {
        (false, false) => Unit::Seconds,
        (true, false) => Unit::Millis,
        (false, true) => Unit::AtSecond,
        (true, true) => Unit::AtMilli,
    }
}

fn shown(name: &str) -> Shown {
    let name = name.strip_prefix('h').unwrap_or(name);
    match name {
        "expiretime" => Shown::AtSecond,
        "pexpiretime" => Shown::AtMilli,
        "pttl" => Shown::MillisLeft,
        _ => Shown::SecondsLeft,
    }
}

fn expire<'a>(spec: &'static Spec, arguments: Arguments<'a>) -> Result<Command<'a>, Refusal> {
    let mut condition = ExpireIf::default();
    for word in arguments.from(3) {
        condition.add(word)?;
    }
    Ok(Command::Expiry(ExpiryCommand::Expire {
        key: at(arguments, 1),
        condition: condition.check()?,
        lifetime: unit(spec.name).any(at(arguments, 2), spec.name)?,
    }))
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the shape of every parser in the table"
)]
fn persist<'a>(_: &'static Spec, arguments: Arguments<'a>) -> Result<Command<'a>, Refusal> {
    Ok(Command::Expiry(ExpiryCommand::Persist(at(arguments, 1))))
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the shape of every parser in the table"
)]
fn left<'a>(spec: &'static Spec, arguments: Arguments<'a>) -> Result<Command<'a>, Refusal> {
    let key = at(arguments, 1);
    Ok(Command::Expiry(ExpiryCommand::Left {
        key,
        shown: shown(spec.name),
    }))
}

/// `HEXPIRE key seconds [NX|XX|GT|LT] FIELDS numfields field …`
fn expire_fields<'a>(
    spec: &'static Spec,
    arguments: Arguments<'a>,
) -> Result<Command<'a>, Refusal> {
    let lifetime = unit(spec.name).any(at(arguments, 2), spec.name)?;
    if matches!(lifetime, Lifetime::In(millis) | Lifetime::At(millis) if millis < 0) {
        return Err(Refusal::ExpireTime(spec.name.to_owned()));
    }
    let (mut condition, mut next) = (ExpireIf::default(), 3);
    if !at(arguments, next).eq_ignore_ascii_case(b"fields") {
        condition.add(at(arguments, next))?;
        next += 1;
    }
    let names = Names::parse(arguments, next, 1)?;
    let key = at(arguments, 1);
    Ok(Command::Expiry(ExpiryCommand::ExpireFields {
        key,
        lifetime,
        condition,
        names,
    }))
}

fn persist_fields<'a>(_: &'static Spec, arguments: Arguments<'a>) -> Result<Command<'a>, Refusal> {
    let names = Names::parse(arguments, 2, 1)?;
    let key = at(arguments, 1);
    Ok(Command::Expiry(ExpiryCommand::PersistFields { key, names }))
}

fn left_of_fields<'a>(
    spec: &'static Spec,
    arguments: Arguments<'a>,
) -> Result<Command<'a>, Refusal> {
    let names = Names::parse(arguments, 2, 1)?;
    let (key, shown) = (at(arguments, 1), shown(spec.name));
    Ok(Command::Expiry(ExpiryCommand::LeftOfFields {
        key,
        shown,
        names,
    }))
}
