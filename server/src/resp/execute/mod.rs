//! A command to a reply: no socket, so easy to test. Called by `connection`.

mod config; // the settings that CONFIG GET shows
mod connection; // PING, HELLO, CLIENT …
mod expiry; // EXPIRE, TTL, HEXPIRE …
pub(super) mod features; // the same of an entity's features
pub(super) mod feature_store; // FS.GET, FS.PREDICT …
mod hash; // HGETALL, HGET …
mod hash_write; // HSET, HDEL …
mod info; // the text of INFO
mod keys; // EXISTS, DEL, RENAME …
mod numbers; // sums of INCRBY, HINCRBYFLOAT …
pub(super) mod permit; // who may do which command
mod random; // HRANDFIELD
mod protect; // keeps writes off rows of features
mod scan; // SCAN, KEYS
mod server; // DBSIZE, TIME, COMMAND …
mod slowlog; // what took long
mod stream; // XADD
mod string; // GET, SET, INCR …
pub(super) mod transaction; // MULTI, EXEC, WATCH …
pub(super) mod values; // HSET, HINCRBY … of an entity

use std::sync::Arc;

use crate::service::keys::Turn;

use super::batch::is_of_values;
use super::command::Spec;
use super::{Arguments, Command, Labels, Reply, Session, Writer};
use crate::service::{Catalog, Reader, Service, ServiceError};

/// What a command works on.
pub struct Context<'c, 's> {
    /// The use cases.
    pub service: &'c Service,
    /// Reads of features; none while nothing is loaded.
    pub reader: &'c mut Option<Reader<'s>>,
    /// The connection.
    pub session: &'c mut Session,
    /// Its turn at the plain keys.
    pub turn: &'c mut Turn<'s>,
    /// What is served.
    pub catalog: &'c Arc<Catalog>,
    /// The names of its features.
    pub labels: &'c mut Labels,
    /// Where long answers are written at once.
    pub writer: &'c mut Writer,
}

/// Does one command. The session changes with `HELLO`, `CLIENT SETNAME`, `QUIT` and the like.
pub fn execute(
    command: &Command<'_>,
    spec: &'static Spec,
    arguments: Arguments<'_>,
    context: &mut Context<'_, '_>,
) -> Reply {
    let writes = spec.writes();
    if writes {
        context.session.note(spec.name, context.service);
    }
    if matches!(command, Command::Connection(_) | Command::Server(_))
        && permit::is_admins(command, spec)
    {
        context.session.note_admin(context.service, arguments);
    }
    if let Command::HashWrite(command) = command
        && is_of_values(&command.change)
        && is_entity(context.catalog, command.key)
    {
        return values::execute(command, context);
    }
    if writes && let Some(refusal) = protect::refused(spec, arguments, context.catalog) {
        return refusal;
    }
    let done = match command {
        Command::Connection(command) => Ok(connection::execute(command, context)),
        Command::Server(command) => server::execute(command, context),
        Command::Keys(command) => keys::execute(command, context),
        Command::Hash(command) => hash::execute(command, context),
        Command::HashWrite(command) => hash_write::execute(command, context),
        Command::Strings(command) => string::execute(command, context),
        Command::Expiry(command) => expiry::execute(command, context),
        Command::Transaction(command) => transaction::execute(*command, context),
        Command::FeatureStore(command) => feature_store::execute(command, context),
        Command::Stream(command) => Ok(stream::execute(command, context)),
    };
    done.unwrap_or_else(|error| refuse(&error))
}

/// Whether a Redis key is an entity's, by its prefix.
pub(super) fn is_entity(catalog: &Catalog, key: &[u8]) -> bool {
    !catalog.prefix.is_empty() && key.starts_with(catalog.prefix.as_bytes())
}

fn wrong_type() -> Reply {
    Reply::error("WRONGTYPE Operation against a key holding the wrong kind of value")
}

/// The entity that a Redis key names, without its prefix; none for any other key.
fn entity_key<'a>(catalog: &Catalog, key: &'a [u8]) -> Option<&'a str> {
    if catalog.prefix.is_empty() {
        return None;
    }
    let entity = key.strip_prefix(catalog.prefix.as_bytes())?;
    std::str::from_utf8(entity)
        .ok()
        .filter(|entity| !entity.is_empty())
}

fn exists(service: &Service, catalog: &Catalog, key: &[u8]) -> Result<bool, ServiceError> {
    entity_key(catalog, key).map_or(Ok(false), |key| service.contains(key))
}

/// The one place where the service's refusals become Redis errors.
pub(super) fn refuse(error: &ServiceError) -> Reply {
    let code = match error {
        ServiceError::UnknownEntity { .. }
        | ServiceError::UnknownFeature { .. }
        | ServiceError::NothingLoaded
        | ServiceError::NoModel
        | ServiceError::ModelMismatch { .. }
        | ServiceError::BadInput { .. }
        | ServiceError::FutureEvent { .. } => "ERR",
        ServiceError::Hidden { .. } => "NOPERM",
        ServiceError::Busy(_) => "TRYAGAIN",
        ServiceError::Unwritable(_) => "MISCONF",
        ServiceError::Internal(_) => {
            tracing::error!(%error, "a RESP command failed");
            "ERR"
        }
    };
    Reply::Error(format!("{code} {error}"))
}

fn lines(lines: &[&'static str]) -> Reply {
    Reply::Array(lines.iter().map(|line| Reply::Simple(line)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_prefix_names_entities() {
        let catalog = Catalog {
            prefix: "user:".to_owned(),
            ..Catalog::default()
        };
        assert_eq!(entity_key(&catalog, b"user:7"), Some("7"));
        assert_eq!(entity_key(&catalog, b"user:a:b"), Some("a:b"));
        assert_eq!(entity_key(&catalog, b"user:"), None);
        assert_eq!(entity_key(&catalog, b"user"), None);
        assert_eq!(entity_key(&catalog, b"User:7"), None);
        assert_eq!(entity_key(&catalog, b"user:\xff"), None);
        assert_eq!(entity_key(&Catalog::default(), b"7"), None);
    }

    #[test]
    fn refusals_carry_a_code_and_the_reason() {
        let text = |error: &ServiceError| match refuse(error) {
            Reply::Error(text) => text,
            other => panic!("{other:?} is no error"),
        };
        let empty = ServiceError::NothingLoaded;
        assert_eq!(text(&empty), format!("ERR {empty}"));
        assert_eq!(
            text(&ServiceError::Busy("pushing".to_owned())),
            "TRYAGAIN busy: pushing"
        );
    }
}
