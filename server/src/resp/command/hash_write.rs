//! The commands that change the fields of one key. Called by `command`, done by
//! `execute::hash_write`.

use super::string::{Condition, Keep, Resolved, keep};
use super::{Arguments, Command, Refusal, Spec, at, number};

/// Changes the fields of one key.
#[derive(Clone, Debug)]
pub struct HashWrite<'a> {
    /// The key.
    pub key: &'a [u8],
    /// How.
    pub change: HashChange<'a>,
}

/// What to change of a hash.
#[derive(Clone, Debug)]
pub enum HashChange<'a> {
    /// `HSET`, and `HMSET` which answers `OK`.
    Set {
        pairs: Pairs<'a>,
        answers_ok: bool,
    },
    /// `HSETNX`
    SetNew {
        name: &'a [u8],
        value: &'a [u8],
    },
    Remove(Names<'a>),
    Add {
        name: &'a [u8],
        by: i64,
    },
    AddFloat {
        name: &'a [u8],
        by: &'a [u8],
    },
    /// `HGETDEL`
    TakeOut(Names<'a>),
    /// `HGETEX`
    GetExpiring {
        names: Names<'a>,
        lifetime: Resolved,
    },
    /// `HSETEX`
    SetExpiring {
        pairs: Pairs<'a>,
        lifetime: Resolved,
        condition: Option<Condition>,
    },
}

/// Some arguments in a row.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    arguments: Arguments<'a>,
    first: usize,
    count: usize,
}

/// Names with their values.
#[derive(Clone, Copy, Debug)]
pub struct Pairs<'a>(Names<'a>);

impl<'a> Names<'a> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.arguments.from(self.first).take(self.count)
    }

    /// `FIELDS numfields field …` at the end of a request.
    pub(super) fn parse(
        arguments: Arguments<'a>,
        from: usize,
        each: usize,
    ) -> Result<Names<'a>, Refusal> {
        let word = arguments.get(from).ok_or(Refusal::Syntax)?;
        if !word.eq_ignore_ascii_case(b"fields") {
            return Err(Refusal::FieldsMissing);
        }
        let given = at(arguments, from + 1);
        let count = number(given)
            .ok()
            .and_then(|count| usize::try_from(count).ok());
        let count = count
            .filter(|count| *count > 0)
            .ok_or(Refusal::FieldCount)?;
        let (first, count) = (from + 2, count.saturating_mul(each));
        if arguments.len() - first.min(arguments.len()) != count {
            return Err(Refusal::FieldMismatch);
        }
        Ok(Names {
            arguments,
            first,
            count,
        })
    }
}

impl<'a> Pairs<'a> {
    /// Each name with its value.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let Names {
            arguments,
            first,
            count,
        } = self.0;
        let names = arguments.from(first).step_by(2);
        names
            .zip(arguments.from(first + 1).step_by(2))
            .take(count / 2)
    }
}

pub(super) const SPECS: &[Spec] = &[
    spec(
        "hdel",
        -3,
        "2.0.0",
        "Deletes one or more fields of a hash.",
        |_, a| done(a, HashChange::Remove(rest(a))),
    ),
    spec(
        "hgetdel",
        -5,
        "8.0.0",
        "Returns the values of fields and deletes them.",
        |_, a| done(a, HashChange::TakeOut(Names::parse(a, 2, 1)?)),
    ),
    spec(
        "hgetex",
        -5,
        "8.0.0",
        "Returns the values of fields and sets their expiration.",
        getex,
    ),
    spec(
        "hincrby",
        4,
        "2.0.0",
        "Increments the integer value of a field in a hash.",
        |_, a| {
            done(
                a,
                HashChange::Add {
                    name: at(a, 2),
                    by: number(at(a, 3))?,
                },
            )
        },
    ),
    spec(
        "hincrbyfloat",
        4,
        "2.6.0",
        "Increments the number of a field in a hash.",
        |_, a| {
            done(
                a,
                HashChange::AddFloat {
                    name: at(a, 2),
                    by: at(a, 3),
                },
            )
        },
    ),
    spec(
        "hmset",
        -4,
        "2.0.0",
        "Sets the values of fields in a hash.",
        set,
    ),
    spec(
        "hset",
        -4,
        "2.0.0",
        "Sets the values of fields in a hash.",
        set,
    ),
    spec(
        "hsetex",
        -6,
        "8.0.0",
        "Sets the values of fields and their expiration.",
        setex,
    ),
    spec(
        "hsetnx",
        4,
        "2.0.0",
        "Sets a field of a hash if it does not exist.",
        |_, a| {
            done(
                a,
                HashChange::SetNew {
                    name: at(a, 2),
                    value: at(a, 3),
                },
            )
        },
    ),
];

const fn spec(
    name: &'static str,
    arity: i64,
    since: &'static str,
    summary: &'static str,
    parse: super::Parse,
) -> Spec {
    let (flags, keys): (&[&str], _) = (&["write", "denyoom", "fast"], (1, 1, 1));
    Spec {
        name,
        arity,
        flags,
        keys,
        group: "hash",
        since,
        summary,
        parse,
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the shape of every parser in the table"
)]
fn done<'a>(arguments: Arguments<'a>, change: HashChange<'a>) -> Result<Command<'a>, Refusal> {
    let key = at(arguments, 1);
    Ok(Command::HashWrite(HashWrite { key, change }))
}

fn rest(arguments: Arguments<'_>) -> Names<'_> {
    let count = arguments.len().saturating_sub(2);
    Names {
        arguments,
        first: 2,
        count,
    }
}

fn set<'a>(spec: &'static Spec, arguments: Arguments<'a>) -> Result<Command<'a>, Refusal> {
    if arguments.len() % 2 == 1 {
        return Err(Refusal::Arity(spec.name.to_owned()));
    }
    let pairs = Pairs(rest(arguments));
    done(
        arguments,
        HashChange::Set {
            pairs,
            answers_ok: spec.name == "hmset",
        },
    )
}

/// `HGETEX key [EX s|PX ms|EXAT s|PXAT ms|PERSIST] FIELDS numfields field …`
fn getex<'a>(spec: &'static Spec, arguments: Arguments<'a>) -> Result<Command<'a>, Refusal> {
    let (mut lifetime, mut next) = (Keep::Stay, 2);
    if !at(arguments, next).eq_ignore_ascii_case(b"fields") {
        let mut words = arguments.from(next + 1);
        lifetime = keep(
            at(arguments, next),
            &mut words,
            spec.name,
            Keep::Drop,
            b"persist",
        )?;
        next += if matches!(lifetime, Keep::Drop) { 1 } else { 2 };
    }
    let names = Names::parse(arguments, next, 1)?;
    let lifetime = lifetime.resolve()?;
    done(arguments, HashChange::GetExpiring { names, lifetime })
}

/// `HSETEX key [FNX|FXX] [EX s|PX ms|EXAT s|PXAT ms|KEEPTTL] FIELDS numfields field value …`
fn setex<'a>(spec: &'static Spec, arguments: Arguments<'a>) -> Result<Command<'a>, Refusal> {
    let (mut lifetime, mut condition, mut next) = (None, None, 2);
    loop {
        let word = arguments.get(next).ok_or(Refusal::FieldsMissing)?;
        let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
        if is(b"fields") {
            break;
        }
        if is(b"fnx") || is(b"fxx") {
            let asked = if is(b"fnx") {
                Condition::IfAbsent
            } else {
                Condition::IfThere
            };
            if condition.replace(asked).is_some() {
                return Err(Refusal::Syntax);
            }
            next += 1;
            continue;
        }
        let mut words = arguments.from(next + 1);
        let asked = keep(word, &mut words, spec.name, Keep::Stay, b"keepttl")?;
        if lifetime.replace(asked).is_some() {
            return Err(Refusal::Syntax);
        }
        next += if matches!(asked, Keep::Stay) { 1 } else { 2 };
    }
    let pairs = Pairs(Names::parse(arguments, next, 2)?);
    let lifetime = lifetime.unwrap_or(Keep::Drop).resolve()?;
    done(
        arguments,
        HashChange::SetExpiring {
            pairs,
            lifetime,
            condition,
        },
    )
}
