//! Who may ask: the key that a request shows, and for web pages on the same machine the host and
//! the origin they name. Called by `routes` before every resource.

use std::net::IpAddr;

use actix_web::dev::ServiceRequest;
use actix_web::http::header::{AUTHORIZATION, HOST, HeaderName, ORIGIN};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpMessage, HttpRequest, web};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::error::ApiError;
use crate::service::access::{Denied, Identity, Role, Sight};
use crate::service::{Act, AuditEntry, Catalog, Service};

const API_KEY: &str = "x-api-key";

/// What a resource asks of whoever comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing: probes.
    Nothing,
    /// A key with this role.
    Role(Role),
}

/// Whether the door is on this machine alone, so that a name of it is what a client must mean.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reach {
    pub(super) is_loopback: bool,
}

/// Refuses a request that may not be done.
pub(super) fn check(request: &ServiceRequest, need: Need) -> Result<(), ApiError> {
    let reach = request.app_data::<web::Data<Reach>>();
    let is_loopback = reach.is_some_and(|reach| reach.is_loopback);
    check_place(request, is_loopback)?;
    let Need::Role(role) = need else {
        return Ok(());
    };
    let service = request.app_data::<web::Data<Service>>();
    let Some(service) = service.filter(|service| service.access().is_required()) else {
        return Ok(());
    };
    let access = service.access();
    let identity =
        shown(request).and_then(|(name, token)| access.identify(name.as_deref(), &token));
    let allowed = access.allows(identity.as_ref(), role);
    if let Some(identity) = identity {
        request.extensions_mut().insert(Asker(identity));
    }
    Ok(allowed?)
}

/// Writes down what was done or refused by a request of this id that asked for this.
pub(super) fn audit(request: &HttpRequest, id: &str, need: Need, status: StatusCode) {
    let is_refused = matches!(status.as_u16(), 401 | 403 | 429);
    let act = match need {
        _ if is_refused => Act::Denied,
        Need::Role(Role::Admin) => Act::Admin,
        Need::Role(Role::Write) => Act::Write,
        Need::Role(_) | Need::Nothing => return,
    };
    let Some(service) = request.app_data::<web::Data<Service>>() else {
        return;
    };
    if !service.audits(act) {
        return;
    }
    let extensions = request.extensions();
    let asker = extensions.get::<Asker>();
    service.audit(AuditEntry {
        act,
        door: "http",
        peer: request.peer_addr(),
        key: asker.map(|Asker(identity)| identity.name()),
        what: &format!("{} {}", request.method(), asked(request)),
        request: Some(id),
        entity: extensions.get::<Erased>().map(|Erased(hash)| hash.as_str()),
        outcome: status.as_str(),
    });
}

/// What was asked for, without whom it was about.
fn asked(request: &HttpRequest) -> String {
    let pattern = request.match_pattern();
    pattern.unwrap_or_else(|| request.path().to_owned())
}

/// Whoever asks, kept with the request.
struct Asker(Identity);

/// The keyed hash of an entity that was erased, kept with the request.
pub(super) struct Erased(pub(super) String);

/// Which features whoever asks may see.
pub(super) fn sight(request: &HttpRequest, catalog: &Catalog) -> Sight {
    let extensions = request.extensions();
    let asker = extensions.get::<Asker>();
    Sight::of(asker.map(|Asker(identity)| identity), catalog)
}

/// A page of another site, open in a browser on this machine, must not write here, nor read by a
/// name that it had resolved to this machine.
fn check_place(request: &ServiceRequest, is_loopback: bool) -> Result<(), ApiError> {
    let header = |name: HeaderName| request.headers().get(name).and_then(|it| it.to_str().ok());
    let host = header(HOST).unwrap_or_default();
    if is_loopback && !host.is_empty() && !is_local(host) {
        return Err(ApiError::ForeignHost {
            host: host.to_owned(),
        });
    }
    let is_read = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    let origin = header(ORIGIN).filter(|_| !is_read);
    let is_own = |origin: &str| {
        origin
            .split_once("://")
            .is_some_and(|(_, place)| place == host)
    };
    match origin {
        Some(origin) if !is_own(origin) => Err(ApiError::ForeignOrigin {
            origin: origin.to_owned(),
        }),
        _ => Ok(()),
    }
}

/// Whether a `Host` names this machine, whatever its port.
fn is_local(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let is_address = |name: &str| {
        name.parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
    };
    name.eq_ignore_ascii_case("localhost") || is_address(name)
}

/// The token of a request, and the name that came apart from it.
fn shown(request: &ServiceRequest) -> Option<(Option<String>, String)> {
    let header = |name: &str| request.headers().get(name).and_then(|it| it.to_str().ok());
    if let Some(token) = header(API_KEY) {
        return Some((None, token.trim().to_owned()));
    }
    let (scheme, credentials) = header(AUTHORIZATION.as_str())?.split_once(' ')?;
    let credentials = credentials.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some((None, credentials.to_owned()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    // What a browser asks its user for.
    let pair = String::from_utf8(STANDARD.decode(credentials).ok()?).ok()?;
    let (name, token) = pair.split_once(':')?;
    Some((Some(name.to_owned()), token.to_owned()))
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> ApiError {
        ApiError::Denied(denied)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_this_machine_are_known_with_and_without_a_port() {
        for host in [
            "localhost",
            "LOCALHOST:8000",
            "127.0.0.1:80",
            "127.3.2.1",
            "[::1]:8000",
        ] {
            assert!(is_local(host), "{host}");
        }
        for host in [
            "example.org",
            "localhost.example.org:8000",
            "10.0.0.1",
            "[::2]:1",
            "127.0.0.1.nip.io",
        ] {
            assert!(!is_local(host), "{host}");
        }
    }
}
