//! The commands about strings. Called by `command`, done by `execute::string`.

use super::lifetime::{Asked, Lifetime, Unit};
use super::{Arguments, Command, Refusal, Spec, at, number};

/// About strings.
#[derive(Clone, Debug)]
pub enum StringCommand<'a> {
    Get(&'a [u8]),
    Length(&'a [u8]),
    Range {
        key: &'a [u8],
        start: i64,
        end: i64,
    },
    MGet(Arguments<'a>),
    Set(Set<'a>),
    GetDel(&'a [u8]),
    GetEx {
        key: &'a [u8],
        lifetime: Keep<'a>,
    },
    /// `MSET` and, if none of the keys may be there, `MSETNX`.
    MSet {
        pairs: Arguments<'a>,
        unless_there: bool,
    },
    Append {
        key: &'a [u8],
        text: &'a [u8],
    },
    SetRange {
        key: &'a [u8],
        at: i64,
        text: &'a [u8],
    },
    Add {
        key: &'a [u8],
        by: i64,
    },
    AddFloat {
        key: &'a [u8],
        by: &'a [u8],
    },
}

/// `SET` and its kin.
#[derive(Clone, Copy, Debug)]
pub struct Set<'a> {
    pub key: &'a [u8],
    pub text: &'a [u8],
    pub lifetime: Keep<'a>,
    pub condition: Option<Condition>,
    pub answer: SetAnswer,
}

/// What becomes of a key's expiry.
#[derive(Clone, Copy, Debug)]
pub enum Keep<'a> {
    /// It has none from now on.
    Drop,
    /// It stays.
    Stay,
    /// It is this.
    Set(Asked<'a>),
}

/// When to set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// `NX`
    IfAbsent,
    /// `XX`
    IfThere,
}

/// What `SET` and its kin answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetAnswer {
    /// `OK`, or null if the condition did not hold.
    Done,
    /// 1 or 0.
    Count,
    /// What the key held.
    Old,
}

const READ: &[&str] = &["readonly", "fast"];
const WRITE: &[&str] = &["write", "denyoom", "fast"];
const ONE: (i64, i64, i64) = (1, 1, 1);
const ALL: (i64, i64, i64) = (1, -1, 1);
const PAIRS: (i64, i64, i64) = (1, -1, 2);

pub(super) const SPECS: &[Spec] = &[
    spec(
        "append",
        3,
        WRITE,
        ONE,
        "2.0.0",
        "Appends a string to the value of a key.",
        |_, a| {
            done(StringCommand::Append {
                key: at(a, 1),
                text: at(a, 2),
            })
        },
    ),
    spec(
        "decr",
        2,
        WRITE,
        ONE,
        "1.0.0",
        "Decrements the integer value of a key by one.",
        |_, a| {
            done(StringCommand::Add {
                key: at(a, 1),
                by: -1,
            })
        },
    ),
    spec(
        "decrby",
        3,
        WRITE,
        ONE,
        "1.0.0",
        "Decrements the integer value of a key.",
        |_, a| {
            let by = number(at(a, 2))?
                .checked_neg()
                .ok_or(Refusal::DecrementOverflow)?;
            done(StringCommand::Add { key: at(a, 1), by })
        },
    ),
    spec(
        "get",
        2,
        READ,
        ONE,
        "1.0.0",
        "Returns the string value of a key.",
        |_, a| done(StringCommand::Get(at(a, 1))),
    ),
    spec(
        "getdel",
        2,
        WRITE,
        ONE,
        "6.2.0",
        "Returns the value of a key and deletes it.",
        |_, a| done(StringCommand::GetDel(at(a, 1))),
    ),
    spec(
        "getex",
        -2,
        WRITE,
        ONE,
        "6.2.0",
        "Returns the value of a key and sets its expiration.",
        getex,
    ),
    spec(
        "getrange",
        4,
        READ,
        ONE,
        "2.4.0",
        "Returns a part of a string value.",
        range,
    ),
    spec(
        "getset",
        3,
        WRITE,
        ONE,
        "1.0.0",
        "Returns the old value of a key and sets a new one.",
        |_, a| set_to(a, 2, Keep::Drop, None, SetAnswer::Old),
    ),
    spec(
        "incr",
        2,
        WRITE,
        ONE,
        "1.0.0",
        "Increments the integer value of a key by one.",
        |_, a| {
            done(StringCommand::Add {
                key: at(a, 1),
                by: 1,
            })
        },
    ),
    spec(
        "incrby",
        3,
        WRITE,
        ONE,
        "1.0.0",
        "Increments the integer value of a key.",
        |_, a| {
            done(StringCommand::Add {
                key: at(a, 1),
                by: number(at(a, 2))?,
            })
        },
    ),
    spec(
        "incrbyfloat",
        3,
        WRITE,
        ONE,
        "2.6.0",
        "Increments the number of a key.",
        |_, a| {
            done(StringCommand::AddFloat {
                key: at(a, 1),
                by: at(a, 2),
            })
        },
    ),
    spec(
        "mget",
        -2,
        READ,
        ALL,
        "1.0.0",
        "Returns the string values of one or more keys.",
        |_, a| done(StringCommand::MGet(a)),
    ),
    spec(
        "mset",
        -3,
        WRITE,
        PAIRS,
        "1.0.1",
        "Sets the string values of one or more keys.",
        mset,
    ),
    spec(
        "msetnx",
        -3,
        WRITE,
        PAIRS,
        "1.0.1",
        "Sets string values if none of the keys exist.",
        mset,
    ),
    spec(
        "psetex",
        4,
        WRITE,
        ONE,
        "2.6.0",
        "Sets the value and expiration of a key.",
        |_, a| {
            let lifetime = asked(Unit::Millis, at(a, 2), "psetex");
            set_to(a, 3, lifetime, None, SetAnswer::Done)
        },
    ),
    spec(
        "set",
        -3,
        WRITE,
        ONE,
        "1.0.0",
        "Sets the string value of a key.",
        set,
    ),
    spec(
        "setex",
        4,
        WRITE,
        ONE,
        "2.0.0",
        "Sets the value and expiration of a key.",
        |_, a| {
            let lifetime = asked(Unit::Seconds, at(a, 2), "setex");
            set_to(a, 3, lifetime, None, SetAnswer::Done)
        },
    ),
    spec(
        "setnx",
        3,
        WRITE,
        ONE,
        "1.0.0",
        "Sets the value of a key if it does not exist.",
        |_, a| {
            set_to(
                a,
                2,
                Keep::Drop,
                Some(Condition::IfAbsent),
                SetAnswer::Count,
            )
        },
    ),
    spec(
        "setrange",
        4,
        WRITE,
        ONE,
        "2.2.0",
        "Overwrites a part of a string value.",
        |_, a| {
            done(StringCommand::SetRange {
                key: at(a, 1),
                at: number(at(a, 2))?,
                text: at(a, 3),
            })
        },
    ),
    spec(
        "strlen",
        2,
        READ,
        ONE,
        "2.2.0",
        "Returns the length of a string value.",
        |_, a| done(StringCommand::Length(at(a, 1))),
    ),
    spec(
        "substr",
        4,
        READ,
        ONE,
        "1.0.0",
        "Returns a part of a string value.",
        range,
    ),
];

const fn spec(
    name: &'static str,
    arity: i64,
    flags: &'static [&'static str],
    keys: (i64, i64, i64),
    since: &'static str,
    summary: &'static str,
    parse: super::Parse,
) -> Spec {
    Spec {
        name,
        arity,
        flags,
        keys,
        group: "string",
        since,
        summary,
        parse,
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the shape of every parser in the table"
)]
fn done(command: StringCommand<'_>) -> Result<Command<'_>, Refusal> {
    Ok(Command::Strings(command))
}

fn range<'a>(_: &Spec, arguments: Arguments<'a>) -> Result<Command<'a>, Refusal> {
    done(StringCommand::Range {
        key: at(arguments, 1),
        start: number(at(arguments, 2))?,
        end: number(at(arguments, 3))?,
    })
}

fn asked<'a>(unit: Unit, number: &'a [u8], command: &'static str) -> Keep<'a> {
    Keep::Set(Asked {
        unit,
        number,
        command,
    })
}

fn set_to<'a>(
    arguments: Arguments<'a>,
    text: usize,
    lifetime: Keep<'a>,
    condition: Option<Condition>,
    answer: SetAnswer,
) -> Result<Command<'a>, Refusal> {
    done(StringCommand::Set(Set {
        key: at(arguments, 1),
        text: at(arguments, text),
        lifetime,
        condition,
        answer,
    }))
}

/// `SET key value [NX|XX] [GET] [EX s|PX ms|EXAT s|PXAT ms|KEEPTTL]`
fn set<'a>(spec: &'static Spec, arguments: Arguments<'a>) -> Result<Command<'a>, Refusal> {
    let (mut lifetime, mut condition, mut answer) = (None, None, SetAnswer::Done);
    let mut words = arguments.from(3);
    while let Some(word) = words.next() {
        let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
        if is(b"nx") || is(b"xx") {
            let asked = if is(b"nx") {
                Condition::IfAbsent
            } else {
                Condition::IfThere
            };
            if condition
                .replace(asked)
                .is_some_and(|before| before != asked)
            {
                return Err(Refusal::Syntax);
            }
        } else if is(b"get") {
            answer = SetAnswer::Old;
        } else {
            let asked = keep(word, &mut words, spec.name, Keep::Stay, b"keepttl")?;
            if lifetime.replace(asked).is_some() {
                return Err(Refusal::Syntax);
            }
        }
    }
    set_to(
        arguments,
        2,
        lifetime.unwrap_or(Keep::Drop),
        condition,
        answer,
    )
}

/// `GETEX key [EX s|PX ms|EXAT s|PXAT ms|PERSIST]`
fn getex<'a>(spec: &'static Spec, arguments: Arguments<'a>) -> Result<Command<'a>, Refusal> {
    let mut words = arguments.from(2);
    let lifetime = match words.next() {
        Some(word) => keep(word, &mut words, spec.name, Keep::Drop, b"persist")?,
        None => Keep::Stay,
    };
    if words.next().is_some() {
        return Err(Refusal::Syntax);
    }
    done(StringCommand::GetEx {
        key: at(arguments, 1),
        lifetime,
    })
}

impl Keep<'_> {
    /// The same with a lifetime that makes sense.
    pub fn resolve(&self) -> Result<Resolved, Refusal> {
        Ok(match self {
            Keep::Drop => Resolved::Drop,
            Keep::Stay => Resolved::Stay,
            Keep::Set(asked) => Resolved::Set(asked.ahead()?),
        })
    }
}

/// What becomes of a key's expiry, with a lifetime that makes sense.
#[derive(Clone, Copy, Debug)]
pub enum Resolved {
    Drop,
    Stay,
    Set(Lifetime),
}

/// An option about expiry: with a number, or the one word that needs none.
pub(super) fn keep<'a>(
    word: &[u8],
    words: &mut impl Iterator<Item = &'a [u8]>,
    command: &'static str,
    alone: Keep<'a>,
    alone_word: &[u8],
) -> Result<Keep<'a>, Refusal> {
    if word.eq_ignore_ascii_case(alone_word) {
        return Ok(alone);
    }
    let unit = Unit::of_option(word).ok_or(Refusal::Syntax)?;
    let number = words.next().ok_or(Refusal::Syntax)?;
    Ok(asked(unit, number, command))
}

fn mset<'a>(spec: &'static Spec, pairs: Arguments<'a>) -> Result<Command<'a>, Refusal> {
    if pairs.len().is_multiple_of(2) {
        return Err(Refusal::Arity(spec.name.to_owned()));
    }
    let unless_there = spec.name == "msetnx";
    done(StringCommand::MSet {
        pairs,
        unless_there,
    })
}
