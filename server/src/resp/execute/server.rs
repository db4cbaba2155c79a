//! Does the commands about the server. Called by `execute`.

use std::time::{SystemTime, UNIX_EPOCH};

use super::{Context, config, info, slowlog};
use crate::resp::command::{ServerCommand, Spec, find, table};
use crate::resp::glob::matches;
use crate::resp::{Arguments, Reply};
use crate::service::ServiceError;

pub(super) fn execute(
    command: &ServerCommand<'_>,
    context: &mut Context<'_, '_>,
) -> Result<Reply, ServiceError> {
    let (service, session) = (context.service, &*context.session);
    Ok(match command {
        ServerCommand::Info(sections) => {
            let keys = service.len()? + context.turn.len();
            let status = service.status();
            let facts = info::Facts {
                server: &session.server,
                status: &status,
                keys,
                expiring: context.turn.expiring(),
            };
            Reply::Verbatim(info::text(&facts, sections))
        }
        ServerCommand::DbSize => Reply::Integer((service.len()? + context.turn.len()) as i64),
        ServerCommand::Time => time(),
        ServerCommand::ConfigGet(patterns) => config::get(patterns, &session.server, service),
        ServerCommand::ConfigSet(arguments) => config::set(*arguments, &session.server, service),
        ServerCommand::ConfigResetStat => {
            session.server.metrics.reset_resp();
            Reply::OK
        }
        ServerCommand::CommandCount => Reply::Integer(table().len() as i64),
        ServerCommand::CommandInfo(None) => {
            Reply::Array(table().iter().map(|spec| describe(spec)).collect())
        }
        ServerCommand::CommandInfo(Some(names)) => Reply::Array(
            names
                .iter()
                .map(|name| find(name).map_or(Reply::Null, describe))
                .collect(),
        ),
        ServerCommand::CommandDocs(None) => {
            Reply::Map(table().iter().map(|spec| document(spec)).collect())
        }
        ServerCommand::CommandDocs(Some(names)) => Reply::Map(
            names
                .iter()
                .filter_map(|name| find(name))
                .map(document)
                .collect(),
        ),
        ServerCommand::CommandList { pattern } => {
            let fits = |spec: &&&Spec| pattern.is_none_or(|p| matches(p, spec.name.as_bytes()));
            let names = table()
                .iter()
                .filter(fits)
                .map(|spec| Reply::text(spec.name));
            Reply::Array(names.collect())
        }
        ServerCommand::CommandKeys(arguments) => keys_of(*arguments),
        ServerCommand::Flush => {
            context.turn.clear()?;
            Reply::OK
        }
        ServerCommand::SlowLogGet(count) => {
            let count = count.map(|count| usize::try_from(count).unwrap_or(usize::MAX));
            slowlog::get(&session.server.slow, count)
        }
        ServerCommand::SlowLogLength => Reply::Integer(session.server.slow.len() as i64),
        ServerCommand::SlowLogReset => {
            session.server.slow.clear();
            Reply::OK
        }
        ServerCommand::SlowLogHelp => super::lines(&SLOWLOG_HELP),
        ServerCommand::ConfigHelp => super::lines(&CONFIG_HELP),
        ServerCommand::CommandHelp => super::lines(&COMMAND_HELP),
    })
}

const SLOWLOG_HELP: [&str; 6] = [
    "SLOWLOG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "GET [<count>]",
    "LEN",
    "RESET",
    "HELP",
    "    Print this help.",
];

const CONFIG_HELP: [&str; 6] = [
    "CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "GET <pattern>",
    "SET <directive> <value>",
    "RESETSTAT",
    "HELP",
    "    Print this help.",
];

const COMMAND_HELP: [&str; 9] = [
    "COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "(no subcommand)",
    "COUNT",
    "DOCS [<command-name> ...]",
    "GETKEYS <full-command>",
    "INFO [<command-name> ...]",
    "LIST [FILTERBY PATTERN <pattern>]",
    "HELP",
    "    Print this help.",
];

fn keys_of(arguments: Arguments<'_>) -> Reply {
    let request = arguments.after(2);
    let Some(spec) = find(request.get(0).unwrap_or_default()) else {
        return Reply::error("ERR Invalid command specified");
    };
    let keys: Vec<Reply> = spec
        .keys_of(request)
        .map(|key| Reply::Bulk(key.to_vec()))
        .collect();
    if keys.is_empty() {
        return Reply::error("ERR The command has no key arguments");
    }
    Reply::Array(keys)
}

fn time() -> Reply {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let parts = [now.as_secs().to_string(), now.subsec_micros().to_string()];
    Reply::Array(parts.map(Reply::Text).into())
}

/// Ten parts, as Redis 7 has them; the last three (tips, key specifications, subcommands) are
/// left empty.
fn describe(spec: &Spec) -> Reply {
    let flags = spec.flags.iter().map(|flag| Reply::Simple(flag)).collect();
    let (first, last, step) = spec.keys;
    Reply::Array(vec![
        Reply::text(spec.name),
        Reply::Integer(spec.arity),
        Reply::Set(flags),
        Reply::Integer(first),
        Reply::Integer(last),
        Reply::Integer(step),
        Reply::Set(Vec::new()),
        Reply::Set(Vec::new()),
        Reply::Set(Vec::new()),
        Reply::Array(Vec::new()),
    ])
}

fn document(spec: &Spec) -> (Reply, Reply) {
    let facts = [
        ("summary", spec.summary),
        ("since", spec.since),
        ("group", spec.group),
    ];
    let facts = facts.map(|(name, value)| (Reply::text(name), Reply::text(value)));
    (Reply::text(spec.name), Reply::Map(facts.into()))
}
