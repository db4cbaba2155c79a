//! A command to a reply: no socket, so easy to test. Called by `connection`.

mod config; // the settings that CONFIG GET shows
mod connection; // PING, HELLO, CLIENT …
mod hash; // HGETALL, HGET …
mod info; // the text of INFO
mod keys; // EXISTS, SCAN, TYPE …
mod server; // DBSIZE, TIME, COMMAND …
mod stream; // XADD
mod write; // refused, with the right way

use super::{Command, Reply, Session};
use crate::service::{Catalog, FeatureRow, Lookup, Service, ServiceError};

/// Does one command. The session changes with `HELLO`, `CLIENT SETNAME`, `QUIT` and the like.
pub fn execute(command: &Command<'_>, service: &Service, session: &mut Session) -> Reply {
    let done = match command {
        Command::Connection(command) => Ok(connection::execute(command, session)),
        Command::Server(command) => server::execute(command, service, session),
        Command::Keys(command) => keys::execute(command, service, session),
        Command::Hash(command) => hash::execute(command, service),
        Command::Stream(command) => Ok(stream::execute(command, service)),
        Command::Write(command) => Ok(write::execute(command, &service.catalog())),
    };
    done.unwrap_or_else(|error| refuse(&error))
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

/// An entity's features; none if it has no row, or the key is another.
fn row(
    service: &Service,
    catalog: &Catalog,
    key: &[u8],
    features: Option<&[usize]>,
) -> Result<Option<FeatureRow>, ServiceError> {
    let Some(key) = entity_key(catalog, key) else {
        return Ok(None);
    };
    match service.features(Lookup {
        key,
        features,
        generation: catalog.generation,
        as_of: None,
    }) {
        Ok(row) => Ok(Some(row)),
        Err(ServiceError::UnknownEntity { .. }) => Ok(None),
        Err(error) => Err(error),
    }
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
        ServiceError::Busy(_) => "TRYAGAIN",
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
