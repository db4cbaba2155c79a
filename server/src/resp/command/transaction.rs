//! The commands about transactions. Called by `command`; `connection` queues what comes between
//! `MULTI` and `EXEC`, `execute::transaction` does it.

use super::{Arguments, Command, Refusal, Spec};

/// About transactions.
#[derive(Clone, Copy, Debug)]
pub enum TransactionCommand<'a> {
    Multi,
    Exec,
    Discard,
    /// The keys begin at 1.
    Watch(Arguments<'a>),
    Unwatch,
}

pub(super) const SPECS: &[Spec] = &[
    spec(
        "discard",
        1,
        NONE,
        "2.0.0",
        "Discards a transaction.",
        |_, _| done(TransactionCommand::Discard),
    ),
    spec(
        "exec",
        1,
        NONE,
        "1.2.0",
        "Executes all commands of a transaction.",
        |_, _| done(TransactionCommand::Exec),
    ),
    spec(
        "multi",
        1,
        NONE,
        "1.2.0",
        "Starts a transaction.",
        |_, _| done(TransactionCommand::Multi),
    ),
    spec(
        "unwatch",
        1,
        NONE,
        "2.2.0",
        "Forgets about watched keys.",
        |_, _| done(TransactionCommand::Unwatch),
    ),
    spec(
        "watch",
        -2,
        (1, -1, 1),
        "2.2.0",
        "Watches keys for changes before a transaction.",
        |_, a| done(TransactionCommand::Watch(a)),
    ),
];

const NONE: (i64, i64, i64) = (0, 0, 0);

const fn spec(
    name: &'static str,
    arity: i64,
    keys: (i64, i64, i64),
    since: &'static str,
    summary: &'static str,
    parse: super::Parse,
) -> Spec {
    let flags: &[&str] = &["noscript", "loading", "stale", "fast"];
    Spec {
        name,
        arity,
        flags,
        keys,
        group: "transactions",
        since,
        summary,
        parse,
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the shape of every parser in the table"
)]
fn done(command: TransactionCommand<'_>) -> Result<Command<'_>, Refusal> {
    Ok(Command::Transaction(command))
}
