//! The commands that would change a key. All are known, so that each can be refused with the
//! right way to do it. Called by `command`, done by `execute::write`.

use super::{Arguments, Command, Refusal, Spec};

/// Would change one key or more.
#[derive(Clone, Copy, Debug)]
pub struct WriteCommand<'a> {
    /// Where the keys stand.
    pub spec: &'static Spec,
    /// The request.
    pub arguments: Arguments<'a>,
}

impl<'a> WriteCommand<'a> {
    /// The keys of the request.
    pub fn keys(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let (first, last, step) = self.spec.keys;
        let last = if last < 0 {
            self.arguments.len() as i64 + last
        } else {
            last
        };
        let count = (last - first + 1).max(0) as usize;
        self.arguments
            .from(first as usize)
            .take(count)
            .step_by(step as usize)
    }
}

const FLAGS: &[&str] = &["write", "denyoom"];

const ONE: (i64, i64, i64) = (1, 1, 1);
const TWO: (i64, i64, i64) = (1, 2, 1);
const ALL: (i64, i64, i64) = (1, -1, 1);
const PAIRS: (i64, i64, i64) = (1, -1, 2);

pub(super) const SPECS: &[Spec] = &[
    spec(
        "append",
        3,
        ONE,
        "string",
        "Appends a string to the value of a key.",
    ),
    spec(
        "copy",
        -3,
        TWO,
        "generic",
        "Copies the value of a key to a new key.",
    ),
    spec(
        "decr",
        2,
        ONE,
        "string",
        "Decrements the integer value of a key by one.",
    ),
    spec(
        "decrby",
        3,
        ONE,
        "string",
        "Decrements the integer value of a key.",
    ),
    spec("del", -2, ALL, "generic", "Deletes one or more keys."),
    spec(
        "expire",
        -3,
        ONE,
        "generic",
        "Sets the expiration time of a key in seconds.",
    ),
    spec(
        "expireat",
        -3,
        ONE,
        "generic",
        "Sets the expiration time of a key to an instant.",
    ),
    spec(
        "getdel",
        2,
        ONE,
        "string",
        "Returns the value of a key and deletes it.",
    ),
    spec(
        "getex",
        -2,
        ONE,
        "string",
        "Returns the value of a key and sets its expiration.",
    ),
    spec(
        "getset",
        3,
        ONE,
        "string",
        "Returns the old value of a key and sets a new one.",
    ),
    spec(
        "hdel",
        -3,
        ONE,
        "hash",
        "Deletes one or more fields of a hash.",
    ),
    spec(
        "hincrby",
        4,
        ONE,
        "hash",
        "Increments the integer value of a field in a hash.",
    ),
    spec(
        "hincrbyfloat",
        4,
        ONE,
        "hash",
        "Increments the number of a field in a hash.",
    ),
    spec(
        "hmset",
        -4,
        ONE,
        "hash",
        "Sets the values of fields in a hash.",
    ),
    spec(
        "hset",
        -4,
        ONE,
        "hash",
        "Sets the values of fields in a hash.",
    ),
    spec(
        "hsetnx",
        4,
        ONE,
        "hash",
        "Sets a field of a hash if it does not exist.",
    ),
    spec(
        "incr",
        2,
        ONE,
        "string",
        "Increments the integer value of a key by one.",
    ),
    spec(
        "incrby",
        3,
        ONE,
        "string",
        "Increments the integer value of a key.",
    ),
    spec(
        "incrbyfloat",
        3,
        ONE,
        "string",
        "Increments the number of a key.",
    ),
    spec(
        "move",
        3,
        ONE,
        "generic",
        "Moves a key to another database.",
    ),
    spec(
        "mset",
        -3,
        PAIRS,
        "string",
        "Sets the string values of one or more keys.",
    ),
    spec(
        "msetnx",
        -3,
        PAIRS,
        "string",
        "Sets string values if none of the keys exist.",
    ),
    spec(
        "persist",
        2,
        ONE,
        "generic",
        "Removes the expiration time of a key.",
    ),
    spec(
        "pexpire",
        -3,
        ONE,
        "generic",
        "Sets the expiration of a key in milliseconds.",
    ),
    spec(
        "pexpireat",
        -3,
        ONE,
        "generic",
        "Sets the expiration of a key to an instant.",
    ),
    spec(
        "psetex",
        4,
        ONE,
        "string",
        "Sets the value and expiration of a key.",
    ),
    spec("rename", 3, TWO, "generic", "Renames a key."),
    spec(
        "renamenx",
        3,
        TWO,
        "generic",
        "Renames a key unless the new name exists.",
    ),
    spec(
        "restore",
        -4,
        ONE,
        "generic",
        "Creates a key from its serialized value.",
    ),
    spec("set", -3, ONE, "string", "Sets the string value of a key."),
    spec(
        "setex",
        4,
        ONE,
        "string",
        "Sets the value and expiration of a key.",
    ),
    spec(
        "setnx",
        3,
        ONE,
        "string",
        "Sets the value of a key if it does not exist.",
    ),
    spec(
        "setrange",
        4,
        ONE,
        "string",
        "Overwrites a part of a string value.",
    ),
    spec("unlink", -2, ALL, "generic", "Deletes one or more keys."),
];

const fn spec(
    name: &'static str,
    arity: i64,
    keys: (i64, i64, i64),
    group: &'static str,
    summary: &'static str,
) -> Spec {
    Spec {
        name,
        arity,
        flags: FLAGS,
        keys,
        group,
        since: "1.0.0",
        summary,
        parse: write,
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the shape of every parser in the table"
)]
fn write<'a>(spec: &'static Spec, arguments: Arguments<'a>) -> Result<Command<'a>, Refusal> {
    Ok(Command::Write(WriteCommand { spec, arguments }))
}
