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
        password: &'a [u8],
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
    /// `CLIENT KILL address`, and its form with filters.
    ClientKill(Kill<'a>),
    ClientReply(Reply),
    /// `NO-EVICT`, `NO-TOUCH`: there is nothing to switch.
    ClientNothing,
    ClientHelp,
}

/// `HELLO [version [AUTH user password] [SETNAME name]]`
#[derive(Clone, Copy, Debug, Default)]
pub struct Hello<'a> {
    /// None leaves the protocol as it is.
    pub protocol: Option<Protocol>,
    /// The user to log in, and the password.
    pub login: Option<(&'a [u8], &'a [u8])>,
    /// The connection's name from now on.
    pub name: Option<&'a [u8]>,
}

/// Whom `CLIENT KILL` closes: whoever fits all that is given.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kill<'a> {
    pub id: Option<u64>,
    pub address: Option<&'a [u8]>,
    pub local_address: Option<&'a [u8]>,
    /// Whether whoever asks is left out.
    pub skips_me: bool,
    /// Whether the answer is `OK` or an error, instead of a count.
    pub is_old_form: bool,
    /// Whether nobody fits: of another type or user than there are.
    pub none: bool,
}

/// What `CLIENT REPLY` switches to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    On,
    Off,
    Skip,
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
    let password = at(arguments, arguments.len() - 1);
    Ok(Command::Connection(ConnectionCommand::Auth {
        user,
        password,
    }))
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
            hello.login = Some((at(arguments, next + 1), at(arguments, next + 2)));
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
        "kill" => client_kill(arguments)?,
        "reply" => {
            arity(given == 3)?;
            ConnectionCommand::ClientReply(match lower(at(arguments, 2)).as_str() {
                "on" => Reply::On,
                "off" => Reply::Off,
                "skip" => Reply::Skip,
                _ => return Err(Refusal::Syntax),
            })
        }
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

/// `CLIENT KILL addr:port` or `CLIENT KILL [ID id] [ADDR a] [LADDR a] [TYPE t] [USER u]
/// [SKIPME yes|no] …`
fn client_kill(arguments: Arguments<'_>) -> Result<ConnectionCommand<'_>, Refusal> {
    let mut kill = Kill {
        skips_me: true,
        ..Kill::default()
    };
    if arguments.len() == 3 {
        kill.address = arguments.get(2);
        (kill.is_old_form, kill.skips_me) = (true, false);
        return Ok(ConnectionCommand::ClientKill(kill));
    }
    let filters = arguments.from(2).step_by(2);
    let mut values = arguments.from(3).step_by(2);
    for filter in filters {
        let value = values.next().ok_or(Refusal::Syntax)?;
        match lower(filter).as_str() {
            "id" => {
                let id = number(value).ok().and_then(|id| u64::try_from(id).ok());
                kill.id = Some(id.ok_or(Refusal::ClientId)?);
            }
            "addr" => kill.address = Some(value),
            "laddr" => kill.local_address = Some(value),
            "type" => match lower(value).as_str() {
                "normal" => {}
                "master" | "replica" | "slave" | "pubsub" => kill.none = true,
                _ => return Err(Refusal::Syntax),
            },
            "user" => kill.none |= value != b"default",
            "skipme" => match lower(value).as_str() {
                "yes" => kill.skips_me = true,
                "no" => kill.skips_me = false,
                _ => return Err(Refusal::Syntax),
            },
            _ => return Err(Refusal::Syntax),
        }
    }
    if arguments.len() < 3 {
        return Err(Refusal::Syntax);
    }
    Ok(ConnectionCommand::ClientKill(kill))
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
