//! One request as it is told of: by its id, which the client gave it or gets back, and by a span.
//! Called by `routes` around every resource.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use tracing::Span;

/// What names a request in answers, in lines of the log and in the audit log.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id that a client may choose.
const LONGEST: usize = 128;

/// A request on its way.
pub(super) struct Traced {
    id: HeaderValue,
    pub(super) span: Span,
}

impl Traced {
    /// Of a request for this route.
    pub(super) fn of(request: &ServiceRequest, route: &str) -> Traced {
        let given = request.headers().get(REQUEST_ID).filter(|id| is_id(id));
        let id = given.cloned().unwrap_or_else(new_id);
        let method = request.method().as_str();
        let span = tracing::info_span!(
            "request",
            otel.name = format_args!("{method} {route}"),
            otel.kind = "server",
            http.request.method = method,
            http.route = route,
            http.response.status_code = tracing::field::Empty,
            request_id = id.to_str().unwrap_or_default(),
        );
        #[cfg(feature = "otel")]
        crate::telemetry::continue_trace(&span, request.headers());
        Traced { id, span }
    }

    /// The request's id.
    pub(super) fn id(&self) -> &str {
        self.id.to_str().unwrap_or_default()
    }

    /// Puts the id into the answer, and tells how it went.
    pub(super) fn answered<B>(self, answer: &mut ServiceResponse<B>, took: Duration) {
        let status = answer.status().as_u16();
        answer.headers_mut().insert(REQUEST_ID, self.id);
        self.span.record("http.response.status_code", status);
        self.span.in_scope(|| {
            let micros = took.as_micros() as u64;
            tracing::debug!(status, micros, "answered");
        });
    }
}

/// Whether a client's id can stand in a line.
fn is_id(id: &HeaderValue) -> bool {
    let bytes = id.as_bytes();
    (1..=LONGEST).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
}

/// Another than any other, of this process or of another.
fn new_id() -> HeaderValue {
    static RUN: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(std::process::id()));
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    // The finalizer of splitmix64: neighbours look nothing alike.
    let mut x = RUN.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^= x >> 31;
    let digit = |at: usize| b"0123456789abcdef"[(x >> (4 * at)) as usize & 15];
    let text: [u8; 16] = std::array::from_fn(digit);
    HeaderValue::from_bytes(&text).expect("digits are visible")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_differ_and_those_of_clients_stay_in_their_line() {
        let ids: HashSet<HeaderValue> = (0..1_000).map(|_| new_id()).collect();
        assert_eq!(ids.len(), 1_000);
        assert!(ids.iter().all(is_id));
        for (id, is) in [("a-1", true), ("", false), ("a b", false)] {
            assert_eq!(is_id(&HeaderValue::from_str(id).unwrap()), is, "{id}");
        }
        assert!(!is_id(&HeaderValue::from_str(&"x".repeat(129)).unwrap()));
    }
}
