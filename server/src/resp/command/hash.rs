//! The commands about the fields of one key. Called by `command`, done by `execute::hash`.

use super::scan::{Dialect, ScanOptions, cursor};
use super::{Arguments, Command, Refusal, Spec, at};

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
    /// A hash is answered whole, as Redis does with small ones.
    Scan(ScanOptions<'a>),
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
    spec(
        "hscan",
        -3,
        "Iterates over fields and values of a hash.",
        |_, arguments| {
            cursor(at(arguments, 2))?;
            let options = ScanOptions::parse(arguments, 3, Dialect::Hash)?;
            read(arguments, HashRead::Scan(options))
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
