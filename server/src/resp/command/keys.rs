//! The commands about keys, whatever they hold. Called by `command`, done by `execute::keys`.

use super::scan::{Dialect, ScanOptions, cursor};
use super::{Arguments, Command, Refusal, Spec, at, lower, number, unknown_subcommand};

/// About keys, whatever they hold.
#[derive(Clone, Debug)]
pub enum KeyCommand<'a> {
    /// `EXISTS` and `TOUCH`: how many of the keys there are.
    Exists(Arguments<'a>),
    Type(&'a [u8]),
    /// `DEL` and `UNLINK`
    Remove(Arguments<'a>),
    Rename {
        from: &'a [u8],
        to: &'a [u8],
        unless_there: bool,
    },
    Copy {
        from: &'a [u8],
        to: &'a [u8],
        replace: bool,
    },
    Scan {
        cursor: u64,
        options: ScanOptions<'a>,
    },
    Keys(&'a [u8]),
    RandomKey,
    Object {
        fact: ObjectFact,
        key: &'a [u8],
    },
    ObjectHelp,
    MemoryUsage(&'a [u8]),
    MemoryHelp,
}

/// What `OBJECT` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectFact {
    Encoding,
    IdleTime,
    RefCount,
    Frequency,
}

const READ: &[&str] = &["readonly", "fast"];
const WRITE: &[&str] = &["write", "fast"];
const NONE: (i64, i64, i64) = (0, 0, 0);
const ONE: (i64, i64, i64) = (1, 1, 1);
const TWO: (i64, i64, i64) = (1, 2, 1);
const SECOND: (i64, i64, i64) = (2, 2, 1);
const ALL: (i64, i64, i64) = (1, -1, 1);

pub(super) const SPECS: &[Spec] = &[
    spec(
        "copy",
        -3,
        WRITE,
        TWO,
        "6.2.0",
        "Copies the value of a key to a new key.",
        copy,
    ),
    spec(
        "del",
        -2,
        WRITE,
        ALL,
        "1.0.0",
        "Deletes one or more keys.",
        |_, a| done(KeyCommand::Remove(a)),
    ),
    spec(
        "exists",
        -2,
        READ,
        ALL,
        "1.0.0",
        "Determines whether one or more keys exist.",
        |_, a| done(KeyCommand::Exists(a)),
    ),
    spec(
        "keys",
        2,
        READ,
        NONE,
        "1.0.0",
        "Returns all key names that match a pattern.",
        |_, a| done(KeyCommand::Keys(at(a, 1))),
    ),
    spec(
        "memory",
        -2,
        READ,
        SECOND,
        "4.0.0",
        "A container for memory diagnostics.",
        memory,
    ),
    spec(
        "move",
        3,
        WRITE,
        ONE,
        "1.0.0",
        "Moves a key to another database.",
        |_, _| Err(Refusal::Database),
    ),
    spec(
        "object",
        -2,
        READ,
        SECOND,
        "2.2.3",
        "A container for object introspection.",
        object,
    ),
    spec(
        "randomkey",
        1,
        READ,
        NONE,
        "1.0.0",
        "Returns a random key name.",
        |_, _| done(KeyCommand::RandomKey),
    ),
    spec("rename", 3, WRITE, TWO, "1.0.0", "Renames a key.", rename),
    spec(
        "renamenx",
        3,
        WRITE,
        TWO,
        "1.0.0",
        "Renames a key unless the new name exists.",
        rename,
    ),
    spec(
        "scan",
        -2,
        READ,
        NONE,
        "2.8.0",
        "Iterates over the key names.",
        |_, a| {
            let cursor = cursor(at(a, 1))?;
            let options = ScanOptions::parse(a, 2, Dialect::Keys)?;
            done(KeyCommand::Scan { cursor, options })
        },
    ),
    spec(
        "touch",
        -2,
        READ,
        ALL,
        "3.2.1",
        "Returns the number of existing keys.",
        |_, a| done(KeyCommand::Exists(a)),
    ),
    spec(
        "type",
        2,
        READ,
        ONE,
        "1.0.0",
        "Determines the type of value stored at a key.",
        |_, a| done(KeyCommand::Type(at(a, 1))),
    ),
    spec(
        "unlink",
        -2,
        WRITE,
        ALL,
        "4.0.0",
        "Deletes one or more keys.",
        |_, a| done(KeyCommand::Remove(a)),
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
        group: "generic",
        since,
        summary,
        parse,
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the shape of every parser in the table"
)]
fn done(command: KeyCommand<'_>) -> Result<Command<'_>, Refusal> {
    Ok(Command::Keys(command))
}

fn rename<'a>(spec: &'static Spec, arguments: Arguments<'a>) -> Result<Command<'a>, Refusal> {
    done(KeyCommand::Rename {
        from: at(arguments, 1),
        to: at(arguments, 2),
        unless_there: spec.name == "renamenx",
    })
}

/// `COPY from to [DB 0] [REPLACE]`
fn copy<'a>(_: &'static Spec, arguments: Arguments<'a>) -> Result<Command<'a>, Refusal> {
    let mut replace = false;
    let mut words = arguments.from(3);
    while let Some(word) = words.next() {
        if word.eq_ignore_ascii_case(b"replace") {
            replace = true;
        } else if word.eq_ignore_ascii_case(b"db") {
            match number(words.next().ok_or(Refusal::Syntax)?)? {
                0 => {}
                _ => return Err(Refusal::Database),
            }
        } else {
            return Err(Refusal::Syntax);
        }
    }
    done(KeyCommand::Copy {
        from: at(arguments, 1),
        to: at(arguments, 2),
        replace,
    })
}

fn object<'a>(_: &'static Spec, arguments: Arguments<'a>) -> Result<Command<'a>, Refusal> {
    let name = lower(at(arguments, 1));
    let fact = match name.as_str() {
        "encoding" => ObjectFact::Encoding,
        "idletime" => ObjectFact::IdleTime,
        "refcount" => ObjectFact::RefCount,
        "freq" => ObjectFact::Frequency,
        "help" => return done(KeyCommand::ObjectHelp),
        _ => return Err(unknown_subcommand("OBJECT", arguments)),
    };
    if arguments.len() != 3 {
        return Err(Refusal::Arity(format!("object|{name}")));
    }
    done(KeyCommand::Object {
        fact,
        key: at(arguments, 2),
    })
}

/// `MEMORY USAGE key [SAMPLES count]`
fn memory<'a>(_: &'static Spec, arguments: Arguments<'a>) -> Result<Command<'a>, Refusal> {
    match lower(at(arguments, 1)).as_str() {
        "usage" => {}
        "help" => return done(KeyCommand::MemoryHelp),
        _ => return Err(unknown_subcommand("MEMORY", arguments)),
    }
    match arguments.len() {
        3 => {}
        5 if at(arguments, 3).eq_ignore_ascii_case(b"samples") => {
            number(at(arguments, 4))?;
        }
        0..=2 => return Err(Refusal::Arity("memory|usage".to_owned())),
        _ => return Err(Refusal::Syntax),
    }
    done(KeyCommand::MemoryUsage(at(arguments, 2)))
}
