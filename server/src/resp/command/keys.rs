//! The commands about keys, whatever they hold. Called by `command`, done by `execute::keys`.

use super::scan::{Dialect, ScanOptions, cursor};
use super::{Arguments, Command, Refusal, Spec, at, lower, unknown_subcommand};

/// About keys, whatever they hold.
#[derive(Clone, Debug)]
pub enum KeyCommand<'a> {
    /// `EXISTS` and `TOUCH`: how many of the keys there are.
    Exists(Arguments<'a>),
    Type(&'a [u8]),
    Scan {
        cursor: u64,
        options: ScanOptions<'a>,
    },
    Keys(&'a [u8]),
    RandomKey,
    /// `TTL` and `PTTL`
    TimeToLive(&'a [u8]),
    Encoding(&'a [u8]),
    ObjectHelp,
    /// `GET`, `STRLEN`: reads of a string.
    Get(&'a [u8]),
    Length(&'a [u8]),
    MGet(Arguments<'a>),
}

const FLAGS: &[&str] = &["readonly", "fast"];

pub(super) const SPECS: &[Spec] = &[
    spec(
        "exists",
        -2,
        (1, -1, 1),
        "Determines whether one or more keys exist.",
        exists,
    ),
    spec(
        "get",
        2,
        ONE,
        "Returns the string value of a key.",
        |_, arguments| Ok(Command::Keys(KeyCommand::Get(at(arguments, 1)))),
    ),
    spec(
        "keys",
        2,
        (0, 0, 0),
        "Returns all key names that match a pattern.",
        |_, arguments| Ok(Command::Keys(KeyCommand::Keys(at(arguments, 1)))),
    ),
    spec(
        "mget",
        -2,
        (1, -1, 1),
        "Returns the string values of one or more keys.",
        |_, keys| Ok(Command::Keys(KeyCommand::MGet(keys))),
    ),
    spec(
        "object",
        -2,
        (2, 2, 1),
        "A container for object introspection commands.",
        object,
    ),
    spec(
        "pttl",
        2,
        ONE,
        "Returns the expiration time in milliseconds of a key.",
        ttl,
    ),
    spec(
        "randomkey",
        1,
        (0, 0, 0),
        "Returns a random key name.",
        |_, _| Ok(Command::Keys(KeyCommand::RandomKey)),
    ),
    spec(
        "scan",
        -2,
        (0, 0, 0),
        "Iterates over the key names.",
        |_, arguments| {
            let cursor = cursor(at(arguments, 1))?;
            let options = ScanOptions::parse(arguments, 2, Dialect::Keys)?;
            Ok(Command::Keys(KeyCommand::Scan { cursor, options }))
        },
    ),
    spec(
        "strlen",
        2,
        ONE,
        "Returns the length of a string value.",
        |_, arguments| Ok(Command::Keys(KeyCommand::Length(at(arguments, 1)))),
    ),
    spec(
        "touch",
        -2,
        (1, -1, 1),
        "Returns the number of existing keys.",
        exists,
    ),
    spec(
        "ttl",
        2,
        ONE,
        "Returns the expiration time in seconds of a key.",
        ttl,
    ),
    spec(
        "type",
        2,
        ONE,
        "Determines the type of value stored at a key.",
        |_, arguments| Ok(Command::Keys(KeyCommand::Type(at(arguments, 1)))),
    ),
];

const ONE: (i64, i64, i64) = (1, 1, 1);

const fn spec(
    name: &'static str,
    arity: i64,
    keys: (i64, i64, i64),
    summary: &'static str,
    parse: super::Parse,
) -> Spec {
    Spec {
        name,
        arity,
        flags: FLAGS,
        keys,
        group: "generic",
        since: "1.0.0",
        summary,
        parse,
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the shape of every parser in the table"
)]
fn exists<'a>(_: &Spec, arguments: Arguments<'a>) -> Result<Command<'a>, Refusal> {
    Ok(Command::Keys(KeyCommand::Exists(arguments)))
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the shape of every parser in the table"
)]
fn ttl<'a>(_: &Spec, arguments: Arguments<'a>) -> Result<Command<'a>, Refusal> {
    Ok(Command::Keys(KeyCommand::TimeToLive(at(arguments, 1))))
}

fn object<'a>(_: &Spec, arguments: Arguments<'a>) -> Result<Command<'a>, Refusal> {
    let command = match lower(at(arguments, 1)).as_str() {
        "encoding" if arguments.len() == 3 => KeyCommand::Encoding(at(arguments, 2)),
        "encoding" => return Err(Refusal::Arity("object|encoding".to_owned())),
        "help" => KeyCommand::ObjectHelp,
        _ => return Err(unknown_subcommand("OBJECT", arguments)),
    };
    Ok(Command::Keys(command))
}
