//! Does the commands about the connection itself. Called by `execute`.

use super::Context;
use super::permit::log_in;
use super::transaction::unwatch;
use crate::resp::command::ConnectionCommand;
use crate::resp::command::connection::{Attribute, Hello, Kill, Reply as Switch};
use crate::resp::session::{Client, Hears};
use crate::resp::{Protocol, Reply, Session};
use crate::service::Service;

/// The Redis release whose behaviour clients may expect; they compare it.
pub(super) const REDIS_VERSION: &str = "8.0.0";

pub(super) fn execute(command: &ConnectionCommand<'_>, context: &mut Context<'_, '_>) -> Reply {
    if matches!(command, ConnectionCommand::Reset) {
        context.session.queue = None;
        unwatch(context);
    }
    let service = context.service;
    let session = &mut *context.session;
    match command {
        ConnectionCommand::Ping(None) => Reply::Simple("PONG"),
        ConnectionCommand::Ping(Some(text)) | ConnectionCommand::Echo(text) => {
            Reply::Bulk(text.to_vec())
        }
        ConnectionCommand::Hello(hello) => greet(hello, session, service),
        ConnectionCommand::Auth { user, password } => {
            log_in(session, service, *user, password).map_or_else(|error| error, |()| Reply::OK)
        }
        ConnectionCommand::Select(0) | ConnectionCommand::ClientNothing => Reply::OK,
        ConnectionCommand::Select(_) => Reply::Error("ERR DB index is out of range".to_owned()),
        ConnectionCommand::Quit => {
            session.closing = true;
            Reply::OK
        }
        ConnectionCommand::Reset => {
            session.speak(Protocol::Resp2);
            session.hears = Hears::All;
            session.login = None;
            session.client.rename(|names| names.name.clear());
            Reply::Simple("RESET")
        }
        ConnectionCommand::ClientId => Reply::Integer(session.client.id as i64),
        ConnectionCommand::ClientGetName => match session.client.names().name {
            name if name.is_empty() => Reply::Null,
            name => Reply::Text(name),
        },
        ConnectionCommand::ClientSetName(name) => {
            set_name(session, name).map_or_else(|error| error, |()| Reply::OK)
        }
        ConnectionCommand::ClientSetInfo { attribute, value } => {
            set_info(session, *attribute, value)
        }
        ConnectionCommand::ClientInfo => Reply::Verbatim(describe(&session.client)),
        ConnectionCommand::ClientList { ids, others } => list(session, ids, *others),
        ConnectionCommand::ClientKill(kill) => close(session, kill),
        ConnectionCommand::ClientReply(reply) => {
            session.hears = match reply {
                Switch::On => Hears::All,
                Switch::Off => Hears::Nothing,
                Switch::Skip if session.hears == Hears::Nothing => Hears::Nothing,
                Switch::Skip => Hears::SkipNext,
            };
            match reply {
                Switch::On => Reply::OK,
                Switch::Off | Switch::Skip => Reply::Written,
            }
        }
        ConnectionCommand::ClientHelp => super::lines(&HELP),
    }
}

const HELP: [&str; 14] = [
    "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "GETNAME",
    "ID",
    "INFO",
    "KILL <addr:port>",
    "KILL [ID <id>] [ADDR <addr:port>] [LADDR <addr:port>] [SKIPME (YES|NO)] ...",
    "LIST [TYPE (NORMAL|MASTER|REPLICA|PUBSUB)] [ID id ...]",
    "NO-EVICT (ON|OFF)",
    "NO-TOUCH (ON|OFF)",
    "REPLY (ON|OFF|SKIP)",
    "SETINFO <LIB-NAME|LIB-VER> <value>",
    "SETNAME <name>",
    "HELP",
    "    Print this help.",
];

fn greet(hello: &Hello<'_>, session: &mut Session, service: &Service) -> Reply {
    if let Some((user, password)) = hello.login
        && let Err(error) = log_in(session, service, Some(user), password)
    {
        return error;
    }
    if service.access().is_required() && session.login.is_none() {
        return Reply::error(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the \
             HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and \
             select the RESP protocol version at the same time",
        );
    }
    if let Some(name) = hello.name
        && let Err(error) = set_name(session, name)
    {
        return error;
    }
    if let Some(protocol) = hello.protocol {
        session.speak(protocol);
    }
    let version = if session.protocol == Protocol::Resp3 {
        3
    } else {
        2
    };
    let pairs = [
        ("server", Reply::text("redis")),
        ("version", Reply::text(REDIS_VERSION)),
        ("proto", Reply::Integer(version)),
        ("id", Reply::Integer(session.client.id as i64)),
        ("mode", Reply::text("standalone")),
        ("role", Reply::text("master")),
        ("modules", Reply::Array(Vec::new())),
    ];
    Reply::Map(pairs.map(|(name, value)| (Reply::text(name), value)).into())
}

/// The name as text, if it fits on one line of `CLIENT LIST` without breaking its columns.
fn plain<'a>(what: &str, name: &'a [u8]) -> Result<&'a str, Reply> {
    let text = std::str::from_utf8(name).ok();
    text.filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()))
        .ok_or_else(|| {
            Reply::Error(format!(
                "ERR {what} cannot contain spaces, newlines or special characters."
            ))
        })
}

fn set_name(session: &Session, name: &[u8]) -> Result<(), Reply> {
    let name = plain("Client names", name)?;
    session
        .client
        .rename(|names| name.clone_into(&mut names.name));
    Ok(())
}

fn set_info(session: &Session, attribute: Attribute, value: &[u8]) -> Reply {
    let what = match attribute {
        Attribute::LibraryName => "lib-name",
        Attribute::LibraryVersion => "lib-ver",
    };
    match plain(what, value) {
        Ok(text) => {
            session.client.rename(|names| {
                text.clone_into(match attribute {
                    Attribute::LibraryName => &mut names.library,
                    Attribute::LibraryVersion => &mut names.library_version,
                });
            });
            Reply::OK
        }
        Err(error) => error,
    }
}

/// Closes every connection that fits.
fn close(session: &mut Session, kill: &Kill<'_>) -> Reply {
    let fits = |wanted: Option<&[u8]>, address: std::net::SocketAddr| {
        wanted.is_none_or(|wanted| address.to_string().as_bytes() == wanted)
    };
    let mut closed = 0;
    for client in session.server.clients() {
        let is_me = client.id == session.client.id;
        let is_meant = !kill.none
            && kill.id.is_none_or(|id| id == client.id)
            && fits(kill.address, client.peer.remote)
            && fits(kill.local_address, client.peer.local)
            && !(is_me && kill.skips_me);
        if !is_meant {
            continue;
        }
        closed += 1;
        if is_me {
            session.closing = true;
        } else {
            client.killed.notify_one();
        }
    }
    match (kill.is_old_form, closed) {
        (false, closed) => Reply::Integer(closed),
        (true, 0) => Reply::error("ERR No such client"),
        (true, _) => Reply::OK,
    }
}

fn list(session: &Session, ids: &[u64], others: bool) -> Reply {
    let clients = session.server.clients();
    let wanted = clients
        .iter()
        .filter(|client| others || ids.contains(&client.id));
    Reply::Verbatim(wanted.map(|client| describe(client)).collect())
}

fn describe(client: &Client) -> String {
    use std::sync::atomic::Ordering::Relaxed;
    let names = client.names();
    let age = client.connected.elapsed().as_secs();
    let idle = age.saturating_sub(client.active_ms.load(Relaxed) / 1000);
    format!(
        "id={} addr={} laddr={} name={} age={age} idle={idle} flags=N db=0 resp={} lib-name={} \
         lib-ver={}\n",
        client.id,
        client.peer.remote,
        client.peer.local,
        names.name,
        if client.resp3.load(Relaxed) { 3 } else { 2 },
        names.library,
        names.library_version,
    )
}
