//! The commands about the connection itself. Called by `command`, done by
//! `execute::connection`.

use super::{Arguments, Command, Refusal, Spec, at, integer, lower, number, unknown_subcommand};
use crate::resp::Protocol;

/// About the connection itself.
#[derive(Clone, Debug)]
pub enum ConnectionCommand<'a> {
    Ping(Option<&'a [u8]>),
    Echo(&'a [u8]),
    Hello(Hello<'a>),
    Auth {
        user: Option<&'a [u8]>,
    },
    Select(i64),
    Quit,
    Reset,
    ClientId,
    ClientGetName,
    ClientSetName(&'a [u8]),
    ClientSetInfo {
        attribute: Attribute,
        value: &'a [u8],
    },
    ClientInfo,
    ClientList {
        ids: Vec<u64>,
        others: bool,
    },
    /// `NO-EVICT`, `NO-TOUCH`: there is nothing to switch.
    ClientNothing,
    ClientHelp,
}

/// `HELLO [version [AUTH user password] [SETNAME name]]`
#[derive(Clone, Copy, Debug, Default)]
pub struct Hello<'a> {
    /// None leaves the protocol as it is.
    pub protocol: Option<Protocol>,
    /// The user to log in.
    pub user: Option<&'a [u8]>,
    /// The connection's name from now on.
    pub name: Option<&'a [u8]>,
}

/// What `CLIENT SETINFO` sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attribute {
    LibraryName,
    LibraryVersion,
}

const FLAGS: &[&str] = &["loading", "stale", "fast"];

pub(super) const SPECS: &[Spec] = &[
    spec("auth", -2, "1.0.0", "Authenticates the connection.", auth),
    spec(
        "client",
        -2,
        "2.4.0",
        "A container for client connection commands.",
        client,
    ),
    spec(
        "echo",
        2,
        "1.0.0",
        "Returns the given string.",
        |_, arguments| {
            Ok(Command::Connection(ConnectionCommand::Echo(at(
                arguments, 1,
            ))))
        },
    ),
    spec("hello", -1, "6.0.0", "Handshakes with the server.", hello),
    spec(
        "ping",
        -1,
        "1.0.0",
        "Returns the server's liveliness response.",
        ping,
    ),
    spec("quit", -1, "1.0.0", "Closes the connection.", |_, _| {
        Ok(Command::Connection(ConnectionCommand::Quit))
    }),
    spec("reset", 1, "6.2.0", "Resets the connection.", |_, _| {
        Ok(Command::Connection(ConnectionCommand::Reset))
    }),
    spec(
        "select",
        2,
        "1.0.0",
        "Changes the selected database.",
        |_, arguments| {
            Ok(Command::Connection(ConnectionCommand::Select(number(at(
                arguments, 1,
            ))?)))
        },
    ),
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
        group: "connection",
        since,
        summary,
        parse,
    }
}

fn ping<'a>(spec: &Spec, arguments: Arguments<'a>) -> Result<Command<'a>, Refusal> {
    if arguments.len() > 2 {
        return Err(Refusal::Arity(spec.name.to_owned()));
    }
    Ok(Command::Connection(ConnectionCommand::Ping(
        arguments.get(1),
    )))
}

fn auth<'a>(_: &Spec, arguments: Arguments<'a>) -> Result<Command<'a>, Refusal> {
    let user = match arguments.len() {
        2 => None,
        3 => Some(at(arguments, 1)),
        _ => return Err(Refusal::Syntax),
    };
    Ok(Command::Connection(ConnectionCommand::Auth { user }))
}

fn hello<'a>(_: &Spec, arguments: Arguments<'a>) -> Result<Command<'a>, Refusal> {
    let mut hello = Hello::default();
    if let Some(version) = arguments.get(1) {
        hello.protocol = Some(
            match integer(version).ok_or(Refusal::VersionNotAnInteger)? {
                2 => Protocol::Resp2,
                3 => Protocol::Resp3,
                _ => return Err(Refusal::Version),
            },
        );
    }
    let mut next = 2;
    while let Some(option) = arguments.get(next) {
        let more = arguments.len() - next - 1;
        if option.eq_ignore_ascii_case(b"auth") && more >= 2 {
            hello.user = arguments.get(next + 1);
            next += 3;
        } else if option.eq_ignore_ascii_case(b"setname") && more >= 1 {
            hello.name = arguments.get(next + 1);
            next += 2;
        } else {
            return Err(Refusal::HelloOption(
                String::from_utf8_lossy(option).into_owned(),
            ));
        }
    }
    Ok(Command::Connection(ConnectionCommand::Hello(hello)))
}

fn client<'a>(_: &Spec, arguments: Arguments<'a>) -> Result<Command<'a>, Refusal> {
    let name = lower(at(arguments, 1));
    let arity = |fits: bool| {
        if fits {
            Ok(())
        } else {
            Err(Refusal::Arity(format!("client|{name}")))
        }
    };
    let given = arguments.len();
    let command = match name.as_str() {
        "id" => arity(given == 2).map(|()| ConnectionCommand::ClientId)?,
        "getname" => arity(given == 2).map(|()| ConnectionCommand::ClientGetName)?,
        "info" => arity(given == 2).map(|()| ConnectionCommand::ClientInfo)?,
        "help" => arity(given == 2).map(|()| ConnectionCommand::ClientHelp)?,
        "setname" => {
            arity(given == 3)?;
            ConnectionCommand::ClientSetName(at(arguments, 2))
        }
        "setinfo" => {
            arity(given == 4)?;
            let attribute = attribute(at(arguments, 2))?;
            ConnectionCommand::ClientSetInfo {
                attribute,
                value: at(arguments, 3),
            }
        }
        "no-evict" | "no-touch" => {
            arity(given == 3)?;
            on_or_off(at(arguments, 2))?;
            ConnectionCommand::ClientNothing
        }
        "list" => client_list(arguments)?,
        _ => return Err(unknown_subcommand("CLIENT", arguments)),
    };
    Ok(Command::Connection(command))
}

/// `CLIENT LIST [TYPE normal|master|replica|pubsub] [ID id …]`; all there are, are normal.
fn client_list(arguments: Arguments<'_>) -> Result<ConnectionCommand<'_>, Refusal> {
    let everyone = ConnectionCommand::ClientList {
        ids: Vec::new(),
        others: true,
    };
    let Some(option) = arguments.get(2) else {
        return Ok(everyone);
    };
    match lower(option).as_str() {
        "type" if arguments.len() == 4 => match lower(at(arguments, 3)).as_str() {
            "normal" => Ok(everyone),
            "master" | "replica" | "slave" | "pubsub" => Ok(ConnectionCommand::ClientList {
                ids: Vec::new(),
                others: false,
            }),
            _ => Err(Refusal::Syntax),
        },
        "id" if arguments.len() > 3 => {
            let id = |text| u64::try_from(number(text)?).map_err(|_| Refusal::NotAnInteger);
            let ids = arguments.from(3).map(id).collect::<Result<_, _>>()?;
            Ok(ConnectionCommand::ClientList { ids, others: false })
        }
        _ => Err(Refusal::Syntax),
    }
}

fn attribute(name: &[u8]) -> Result<Attribute, Refusal> {
    match lower(name).as_str() {
        "lib-name" => Ok(Attribute::LibraryName),
        "lib-ver" => Ok(Attribute::LibraryVersion),
        _ => Err(Refusal::SetInfoOption(
            String::from_utf8_lossy(name).into_owned(),
        )),
    }
}

fn on_or_off(argument: &[u8]) -> Result<(), Refusal> {
    let known = argument.eq_ignore_ascii_case(b"on") || argument.eq_ignore_ascii_case(b"off");
    if known { Ok(()) } else { Err(Refusal::Syntax) }
}
