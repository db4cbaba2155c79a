//! The commands about the fields of one key. Called by `command`, done by `execute::hash`.

use super::scan::{Dialect, ScanOptions, cursor};
use super::{Arguments, Command, Refusal, Spec, at, number};

/// A read of one key's fields.
#[derive(Clone, Debug)]
pub struct HashCommand<'a> {
    /// The whole key, with its prefix.
    pub key: &'a [u8],
    /// What of it.
    pub read: HashRead<'a>,
}

/// What to read of a hash.
#[derive(Clone, Debug)]
pub enum HashRead<'a> {
    All,
    Names,
    Values,
    Length,
    Field(&'a [u8]),
    FieldExists(&'a [u8]),
    FieldLength(&'a [u8]),
    /// `HMGET`: the request, whose fields begin at 2.
    Fields(Arguments<'a>),
    Scan {
        cursor: u64,
        options: ScanOptions<'a>,
    },
    /// `HRANDFIELD`
    Random(Draw),
}

/// What `HRANDFIELD` draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draw {
    /// One name.
    One,
    /// Names, each at most once, or so many with repetitions if negative.
    Some { count: i64, with_values: bool },
}

const FLAGS: &[&str] = &["readonly", "fast"];

pub(super) const SPECS: &[Spec] = &[
    spec(
        "hexists",
        3,
        "Determines whether a field exists in a hash.",
        |_, arguments| read(arguments, HashRead::FieldExists(at(arguments, 2))),
    ),
    spec(
        "hget",
        3,
        "Returns the value of a field in a hash.",
        |_, arguments| read(arguments, HashRead::Field(at(arguments, 2))),
    ),
    spec(
        "hgetall",
        2,
        "Returns all fields and values in a hash.",
        |_, arguments| read(arguments, HashRead::All),
    ),
    spec(
        "hkeys",
        2,
        "Returns all fields in a hash.",
        |_, arguments| read(arguments, HashRead::Names),
    ),
    spec(
        "hlen",
        2,
        "Returns the number of fields in a hash.",
        |_, arguments| read(arguments, HashRead::Length),
    ),
    spec(
        "hmget",
        -3,
        "Returns the values of the given fields of a hash.",
        |_, arguments| read(arguments, HashRead::Fields(arguments)),
    ),
    spec("hrandfield", -2, "Returns random fields of a hash.", random),
    spec(
        "hscan",
        -3,
        "Iterates over fields and values of a hash.",
        |_, arguments| {
            let cursor = cursor(at(arguments, 2))?;
            let options = ScanOptions::parse(arguments, 3, Dialect::Hash)?;
            read(arguments, HashRead::Scan { cursor, options })
        },
    ),
    spec(
        "hstrlen",
        3,
        "Returns the length of the value of a field.",
        |_, arguments| read(arguments, HashRead::FieldLength(at(arguments, 2))),
    ),
    spec(
        "hvals",
        2,
        "Returns all values in a hash.",
        |_, arguments| read(arguments, HashRead::Values),
    ),
];

const fn spec(name: &'static str, arity: i64, summary: &'static str, parse: super::Parse) -> Spec {
    let keys = (1, 1, 1);
    Spec {
        name,
        arity,
        flags: FLAGS,
        keys,
        group: "hash",
        since: "2.0.0",
        summary,
        parse,
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the shape of every parser in the table"
)]
fn read<'a>(arguments: Arguments<'a>, read: HashRead<'a>) -> Result<Command<'a>, Refusal> {
    Ok(Command::Hash(HashCommand {
        key: at(arguments, 1),
        read,
    }))
}

/// `HRANDFIELD key [count [WITHVALUES]]`
fn random<'a>(_: &'static Spec, arguments: Arguments<'a>) -> Result<Command<'a>, Refusal> {
    let Some(count) = arguments.get(2) else {
        return read(arguments, HashRead::Random(Draw::One));
    };
    let count = number(count)?;
    let with_values = match arguments.get(3) {
        None => false,
        Some(word) if word.eq_ignore_ascii_case(b"withvalues") => true,
        Some(_) => return Err(Refusal::Syntax),
    };
    if arguments.len() > 4 {
        return Err(Refusal::Syntax);
    }
    if count.unsigned_abs() > MOST_DRAWN {
        return Err(Refusal::OutOfRange);
    }
    read(
        arguments,
        HashRead::Random(Draw::Some { count, with_values }),
    )
}

/// Redis draws the line where the count doubled is no number; here an answer must also fit
/// into memory.
const MOST_DRAWN: u64 = 1 << 24;
