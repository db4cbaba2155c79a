//! The commands about the server. Called by `command`, done by `execute::server`.

use super::{Arguments, Command, Refusal, Spec, at, lower, unknown_subcommand};

/// About the server.
#[derive(Clone, Debug)]
pub enum ServerCommand<'a> {
    /// Sections in lower case; none for the usual ones.
    Info(Vec<String>),
    DbSize,
    Time,
    ConfigGet(Vec<&'a [u8]>),
    ConfigHelp,
    /// `COMMAND` and `COMMAND INFO`: of all, or of these.
    CommandInfo(Option<Vec<&'a [u8]>>),
    CommandDocs(Option<Vec<&'a [u8]>>),
    CommandCount,
    CommandList {
        pattern: Option<&'a [u8]>,
    },
    CommandHelp,
    /// `FLUSHDB` and `FLUSHALL` clear plain keys alone, and there are none.
    Flush,
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
        |_, _| Ok(Command::Server(ServerCommand::Flush)),
    ),
    spec(
        "flushdb",
        -1,
        "1.0.0",
        "Removes all plain keys; entities stay.",
        |_, _| Ok(Command::Server(ServerCommand::Flush)),
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
        "help" => ServerCommand::CommandHelp,
        _ => return Err(unknown_subcommand("COMMAND", arguments)),
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
