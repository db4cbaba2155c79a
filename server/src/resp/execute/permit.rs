//! Who may do which command: a connection logs in with a key, whose roles decide. Called by
//! `connection` before anything else, and by the commands that log in.

use crate::resp::command::server::ServerCommand;
use crate::resp::command::{Command, ConnectionCommand, FeatureStoreCommand, Spec};
use crate::resp::session::Login;
use crate::resp::{Reply, Session};
use crate::service::Service;
use crate::service::access::{Access, Denied, Role};

/// The refusal of a command that whoever is connected may not do.
pub(in crate::resp) fn refused(
    command: &Command<'_>,
    spec: &Spec,
    session: &Session,
    access: &Access,
) -> Option<Reply> {
    if !access.is_required() {
        return None;
    }
    let identity = session.login.as_ref().map(|login| &login.identity);
    let allowed = match asked(command, spec) {
        Asked::Nothing => return None,
        Asked::Key => access.admits(identity),
        Asked::Role(role) => access.allows(identity, role),
    };
    match allowed {
        Ok(()) => None,
        Err(denied @ Denied::TooMany { .. }) => Some(Reply::Error(format!("TRYAGAIN {denied}"))),
        Err(Denied::Unknown) => Some(Reply::error("NOAUTH Authentication required.")),
        Err(Denied::Lacks { name, role }) => Some(Reply::Error(format!(
            "NOPERM User {name} has no permissions to run the '{}' command: its key does not have the role {role}",
            spec.name
        ))),
    }
}

/// Whether a command is one that administrators alone may do.
pub(in crate::resp) fn is_admins(command: &Command<'_>, spec: &Spec) -> bool {
    matches!(asked(command, spec), Asked::Role(Role::Admin))
}

/// What a command asks of whoever is connected.
enum Asked {
    Nothing,
    /// Any key.
    Key,
    Role(Role),
}

fn asked(command: &Command<'_>, spec: &Spec) -> Asked {
    match command {
        Command::Connection(
            ConnectionCommand::Auth { .. }
            | ConnectionCommand::Hello(_)
            | ConnectionCommand::Quit
            | ConnectionCommand::Reset,
        ) => Asked::Nothing,
        Command::Connection(
            ConnectionCommand::ClientKill(_) | ConnectionCommand::ClientList { .. },
        )
        | Command::Server(
            ServerCommand::ConfigSet(_)
            | ServerCommand::ConfigResetStat
            | ServerCommand::Flush
            | ServerCommand::SlowLogGet(_)
            | ServerCommand::SlowLogReset,
        ) => Asked::Role(Role::Admin),
        // What a client library says when it connects, whatever its key is for.
        Command::Connection(_)
        | Command::Server(
            ServerCommand::Info(_)
            | ServerCommand::CommandInfo(_)
            | ServerCommand::CommandDocs(_)
            | ServerCommand::CommandCount
            | ServerCommand::CommandList { .. }
            | ServerCommand::CommandKeys(_)
            | ServerCommand::CommandHelp,
        )
        | Command::Transaction(_) => Asked::Key,
        Command::FeatureStore(FeatureStoreCommand::Predict(_)) => Asked::Role(Role::Predict),
        _ if spec.writes() => Asked::Role(Role::Write),
        _ => Asked::Role(Role::Read),
    }
}

/// Asks again who is connected if keys have changed since.
pub(in crate::resp) fn renew(session: &mut Session, access: &Access) {
    let epoch = access.epoch();
    if let Some(login) = session.login.take_if(|login| login.epoch != epoch) {
        let identity = access.renewed(&login.identity);
        session.login = identity.map(|identity| Login::new(epoch, identity));
    }
}

/// Logs in with the key of this name; as `default`, or without one, with the name that the token
/// begins with.
pub(super) fn log_in(
    session: &mut Session,
    service: &Service,
    user: Option<&[u8]>,
    password: &[u8],
) -> Result<(), Reply> {
    let access = service.access();
    if !access.is_required() {
        return without_keys(user);
    }
    let text = |bytes: &'_ [u8]| String::from_utf8_lossy(bytes).into_owned();
    let name = user.filter(|user| *user != b"default").map(text);
    let Some(identity) = access.identify(name.as_deref(), &text(password)) else {
        session.note_stranger(service, name.as_deref());
        return Err(wrong());
    };
    session.login = Some(Login::new(access.epoch(), identity));
    Ok(())
}

/// As in Redis, the default user needs no password, and `AUTH password` alone is taken for a
/// mistake in the client's settings.
fn without_keys(user: Option<&[u8]>) -> Result<(), Reply> {
    match user {
        Some(b"default") => Ok(()),
        Some(_) => Err(wrong()),
        None => Err(Reply::error(
            "ERR AUTH <password> called without any password configured for the default user. \
             Are you sure your configuration is correct?",
        )),
    }
}

fn wrong() -> Reply {
    Reply::error("WRONGPASS invalid username-password pair or user is disabled.")
}
