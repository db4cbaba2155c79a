//! The commands about the server. Called by `command`, done by `execute::server`.

use super::{Arguments, Command, Refusal, Spec, at, lower, number, unknown_subcommand};

/// About the server.
#[derive(Clone, Debug)]
pub enum ServerCommand<'a> {
    /// Sections in lower case; none for the usual ones.
    Info(Vec<String>),
    DbSize,
    Time,
    ConfigGet(Vec<&'a [u8]>),
    ConfigSet(Arguments<'a>),
    ConfigResetStat,
    ConfigHelp,
    /// `COMMAND` and `COMMAND INFO`: of all, or of these.
    CommandInfo(Option<Vec<&'a [u8]>>),
    CommandDocs(Option<Vec<&'a [u8]>>),
    CommandCount,
    CommandList {
        pattern: Option<&'a [u8]>,
    },
    /// `COMMAND GETKEYS`: the request, whose command begins at 2.
    CommandKeys(Arguments<'a>),
    CommandHelp,
    /// `FLUSHDB` and `FLUSHALL` clear plain keys alone.
    Flush,
    /// None for the usual number, and −1 for all.
    SlowLogGet(Option<i64>),
    SlowLogLength,
    SlowLogReset,
    SlowLogHelp,
}

const FLAGS: &[&str] = &["loading", "stale"];

pub(super) const SPECS: &[Spec] = &[
    spec(
        "command",
        -1,
        "2.8.13",
        "Returns detailed information about all commands.",
        command,
    ),
    spec(
        "config",
        -2,
        "2.0.0",
        "A container for server configuration commands.",
        config,
    ),
    spec(
        "dbsize",
        1,
        "1.0.0",
        "Returns the number of keys.",
        |_, _| Ok(Command::Server(ServerCommand::DbSize)),
    ),
    spec(
        "flushall",
        -1,
        "1.0.0",
        "Removes all plain keys; entities stay.",
        flush,
    ),
    spec(
        "flushdb",
        -1,
        "1.0.0",
        "Removes all plain keys; entities stay.",
        flush,
    ),
    spec(
        "info",
        -1,
        "1.0.0",
        "Returns information about the server.",
        |_, arguments| {
            Ok(Command::Server(ServerCommand::Info(
                arguments.from(1).map(lower).collect(),
            )))
        },
    ),
    spec(
        "slowlog",
        -2,
        "2.2.12",
        "A container for slow log commands.",
        slowlog,
    ),
    spec("time", 1, "2.6.0", "Returns the server time.", |_, _| {
        Ok(Command::Server(ServerCommand::Time))
    }),
];

const fn spec(
    name: &'static str,
    arity: i64,
    since: &'static str,
    summary: &'static str,
    parse: super::Parse,
) -> Spec {
    Spec {
        name,
        arity,
        flags: FLAGS,
        keys: (0, 0, 0),
        group: "server",
        since,
        summary,
        parse,
    }
}

fn config<'a>(_: &Spec, arguments: Arguments<'a>) -> Result<Command<'a>, Refusal> {
    let command = match lower(at(arguments, 1)).as_str() {
        "get" if arguments.len() > 2 => ServerCommand::ConfigGet(arguments.from(2).collect()),
        "get" => return Err(Refusal::Arity("config|get".to_owned())),
        "set" if arguments.len() > 3 && arguments.len().is_multiple_of(2) => {
            ServerCommand::ConfigSet(arguments)
        }
        "set" => return Err(Refusal::Arity("config|set".to_owned())),
        "resetstat" => ServerCommand::ConfigResetStat,
        "help" => ServerCommand::ConfigHelp,
        _ => return Err(unknown_subcommand("CONFIG", arguments)),
    };
    Ok(Command::Server(command))
}

fn command<'a>(_: &Spec, arguments: Arguments<'a>) -> Result<Command<'a>, Refusal> {
    let named = || (arguments.len() > 2).then(|| arguments.from(2).collect());
    let Some(subcommand) = arguments.get(1) else {
        return Ok(Command::Server(ServerCommand::CommandInfo(None)));
    };
    let command = match lower(subcommand).as_str() {
        "info" => ServerCommand::CommandInfo(named()),
        "docs" => ServerCommand::CommandDocs(named()),
        "count" if arguments.len() == 2 => ServerCommand::CommandCount,
        "count" => return Err(Refusal::Arity("command|count".to_owned())),
        "list" => ServerCommand::CommandList {
            pattern: filter(arguments)?,
        },
        "getkeys" if arguments.len() > 2 => ServerCommand::CommandKeys(arguments),
        "getkeys" => return Err(Refusal::Arity("command|getkeys".to_owned())),
        "help" => ServerCommand::CommandHelp,
        _ => return Err(unknown_subcommand("COMMAND", arguments)),
    };
    Ok(Command::Server(command))
}

/// `[ASYNC|SYNC]`, which are one here.
fn flush<'a>(_: &'static Spec, arguments: Arguments<'a>) -> Result<Command<'a>, Refusal> {
    let is_mode =
        |word: &[u8]| word.eq_ignore_ascii_case(b"async") || word.eq_ignore_ascii_case(b"sync");
    if arguments.len() > 2 || !arguments.from(1).all(is_mode) {
        return Err(Refusal::Syntax);
    }
    Ok(Command::Server(ServerCommand::Flush))
}

fn slowlog<'a>(_: &'static Spec, arguments: Arguments<'a>) -> Result<Command<'a>, Refusal> {
    let name = lower(at(arguments, 1));
    let command = match (name.as_str(), arguments.len()) {
        ("get", 2) => ServerCommand::SlowLogGet(None),
        ("get", 3) => match number(at(arguments, 2))? {
            ..-1 => return Err(Refusal::SlowLogCount),
            count => ServerCommand::SlowLogGet(Some(count)),
        },
        ("len", 2) => ServerCommand::SlowLogLength,
        ("reset", 2) => ServerCommand::SlowLogReset,
        ("help", 2) => ServerCommand::SlowLogHelp,
        ("get" | "len" | "reset" | "help", _) => {
            return Err(Refusal::Arity(format!("slowlog|{name}")));
        }
        _ => return Err(unknown_subcommand("SLOWLOG", arguments)),
    };
    Ok(Command::Server(command))
}

/// `[FILTERBY PATTERN pattern]`
fn filter(arguments: Arguments<'_>) -> Result<Option<&[u8]>, Refusal> {
    if arguments.len() == 2 {
        return Ok(None);
    }
    let by_pattern = arguments.len() == 5
        && at(arguments, 2).eq_ignore_ascii_case(b"filterby")
        && at(arguments, 3).eq_ignore_ascii_case(b"pattern");
    if by_pattern {
        Ok(arguments.get(4))
    } else {
        Err(Refusal::Syntax)
    }
}
