//! Does the commands about the server. Called by `execute`.

use std::time::{SystemTime, UNIX_EPOCH};

use super::{config, info};
use crate::resp::command::{ServerCommand, Spec, find, table};
use crate::resp::glob::matches;
use crate::resp::{Reply, Session};
use crate::service::{Service, ServiceError};

pub(super) fn execute(
    command: &ServerCommand<'_>,
    service: &Service,
    session: &Session,
) -> Result<Reply, ServiceError> {
    Ok(match command {
        ServerCommand::Info(sections) => {
            let entities = service.len()?;
            let status = service.status();
            let facts = info::Facts {
                server: &session.server,
                status: &status,
                entities,
            };
            Reply::Verbatim(info::text(&facts, sections))
        }
        ServerCommand::DbSize => Reply::Integer(service.len()? as i64),
        ServerCommand::Time => time(),
        ServerCommand::ConfigGet(patterns) => config::get(patterns, &session.server),
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
        ServerCommand::Flush => Reply::OK,
        ServerCommand::ConfigHelp => super::lines(&CONFIG_HELP),
        ServerCommand::CommandHelp => super::lines(&COMMAND_HELP),
    })
}

const CONFIG_HELP: [&str; 4] = [
    "CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "GET <pattern>",
    "HELP",
    "    Print this help.",
];

const COMMAND_HELP: [&str; 8] = [
    "COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "(no subcommand)",
    "COUNT",
    "DOCS [<command-name> ...]",
    "INFO [<command-name> ...]",
    "LIST [FILTERBY PATTERN <pattern>]",
    "HELP",
    "    Print this help.",
];

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
