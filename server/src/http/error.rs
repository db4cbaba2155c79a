//! Refusals to statuses and JSON bodies, in one exhaustive match. Called by every resource.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};
use serde::Serialize;

use crate::service::ServiceError;
use crate::service::access::Denied;

/// Why a request was refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    /// The service refused it.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The path names a feature that is not served.
    #[error(transparent)]
    FeatureInPath(ServiceError),
    /// The body is no JSON.
    #[error("the body is not valid JSON: {reason} at line {line}, column {column}")]
    Json {
        line: usize,
        column: usize,
        reason: String,
    },
    /// A field is missing, or has the wrong form.
    #[error("{field}: {reason}")]
    Field { field: String, reason: String },
    /// A field that nobody reads.
    #[error("{field}: there is no such field; {}", choice(nearest.as_deref(), allowed))]
    UnknownField {
        field: String,
        nearest: Option<String>,
        allowed: Vec<&'static str>,
    },
    /// The body is too long.
    #[error("the body is longer than {limit} bytes; send several smaller requests")]
    TooLarge { limit: usize },
    /// The body did not arrive.
    #[error("failed to read the body: {0}")]
    Body(String),
    /// It took too long: a body that came too slowly, or too much work.
    #[error("the request took longer than {} s; send less at once, or faster", limit.as_secs())]
    Slow { limit: Duration },
    /// No such path.
    #[error("there is nothing at {path}; there are {}", .routes.join(", "))]
    NoRoute {
        path: String,
        routes: Vec<&'static str>,
    },
    /// No key, or not with this role.
    #[error("{}", denial(.0))]
    Denied(Denied),
    /// A name that is none of this machine's.
    #[error(
        "`Host: {host}` is not this machine, where alone the server listens; ask by localhost, or serve on another address"
    )]
    ForeignHost { host: String },
    /// A page of another site.
    #[error("pages of {origin} may not send anything here")]
    ForeignOrigin { origin: String },
    /// The path takes other methods.
    #[error("{method} is not answered here; use {allow}")]
    Method { method: String, allow: &'static str },
}

/// `{"error": {…}}`
#[derive(Serialize)]
struct Body<'a> {
    error: ErrorBody<'a>,
}

/// What a client can act on.
#[derive(Serialize)]
pub(super) struct ErrorBody<'a> {
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nearest: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
}

impl ApiError {
    /// A field that is missing or has the wrong form.
    pub(super) fn field(field: impl Into<String>, reason: impl Into<String>) -> ApiError {
        ApiError::Field {
            field: field.into(),
            reason: reason.into(),
        }
    }

    fn parts(&self) -> (StatusCode, &'static str) {
        match self {
            ApiError::Service(error) => service_parts(error),
            ApiError::FeatureInPath(error) => (StatusCode::NOT_FOUND, service_parts(error).1),
            ApiError::Json { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "bad_json"),
            ApiError::Field { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "bad_input"),
            ApiError::UnknownField { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "unknown_field"),
            ApiError::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
            ApiError::Body(_) => (StatusCode::BAD_REQUEST, "broken_body"),
            ApiError::Slow { .. } => (StatusCode::REQUEST_TIMEOUT, "too_slow"),
            ApiError::NoRoute { .. } => (StatusCode::NOT_FOUND, "no_such_path"),
            ApiError::Denied(Denied::Unknown) => (StatusCode::UNAUTHORIZED, "unauthenticated"),
            ApiError::Denied(Denied::Lacks { .. }) => (StatusCode::FORBIDDEN, "forbidden"),
            ApiError::Denied(Denied::TooMany { .. }) => {
                (StatusCode::TOO_MANY_REQUESTS, "too_many_requests")
            }
            ApiError::ForeignHost { .. } => (StatusCode::FORBIDDEN, "foreign_host"),
            ApiError::ForeignOrigin { .. } => (StatusCode::FORBIDDEN, "foreign_origin"),
            ApiError::Method { .. } => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
        }
    }

    /// The part of the body that says what was wrong; also used within lists of answers.
    pub(super) fn body(&self) -> ErrorBody<'_> {
        let (field, nearest) = match self {
            ApiError::Service(error) | ApiError::FeatureInPath(error) => service_details(error),
            ApiError::Field { field, .. } => (Some(field.as_str()), None),
            ApiError::UnknownField { field, nearest, .. } => {
                (Some(field.as_str()), nearest.as_deref())
            }
            _ => (None, None),
        };
        let (line, column) = match self {
            ApiError::Json { line, column, .. } => (Some(*line), Some(*column)),
            _ => (None, None),
        };
        let code = self.parts().1;
        ErrorBody {
            code,
            message: self.to_string(),
            field,
            nearest,
            line,
            column,
        }
    }

    /// Writes to the log what is our fault; a client's mistakes are the client's to read.
    pub(super) fn report(&self) {
        if let ApiError::Service(error @ ServiceError::Internal(_)) = self {
            tracing::error!(%error, "an HTTP request failed");
        }
    }
}

fn service_parts(error: &ServiceError) -> (StatusCode, &'static str) {
    match error {
        ServiceError::UnknownEntity { .. } => (StatusCode::NOT_FOUND, "unknown_entity"),
        ServiceError::UnknownFeature { .. } => {
            (StatusCode::UNPROCESSABLE_ENTITY, "unknown_feature")
        }
        ServiceError::Hidden { .. } => (StatusCode::FORBIDDEN, "forbidden"),
        ServiceError::NothingLoaded => (StatusCode::SERVICE_UNAVAILABLE, "nothing_loaded"),
        ServiceError::NoModel => (StatusCode::SERVICE_UNAVAILABLE, "no_model"),
        ServiceError::ModelMismatch { .. } => (StatusCode::SERVICE_UNAVAILABLE, "model_mismatch"),
        ServiceError::BadInput { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "bad_input"),
        ServiceError::FutureEvent { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "future_event"),
        ServiceError::Busy(_) => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
        ServiceError::Unwritable(_) => (StatusCode::INSUFFICIENT_STORAGE, "unwritable"),
        ServiceError::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
    }
}

/// The field at fault and the name that was probably meant.
fn service_details(error: &ServiceError) -> (Option<&str>, Option<&str>) {
    match error {
        ServiceError::BadInput { field, .. } => (Some(field), None),
        ServiceError::UnknownFeature { name, nearest } => (Some(name), nearest.as_deref()),
        _ => (None, None),
    }
}

fn denial(denied: &Denied) -> String {
    match denied {
        Denied::Unknown => format!("{denied}; send `Authorization: Bearer <key>` or `X-API-KEY`"),
        Denied::Lacks { .. } | Denied::TooMany { .. } => denied.to_string(),
    }
}

fn choice(nearest: Option<&str>, allowed: &[&str]) -> String {
    match nearest {
        Some(name) => format!("did you mean `{name}`?"),
        None if allowed.is_empty() => "none is taken here".to_owned(),
        None => format!("there are {}", allowed.join(", ")),
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.parts().0
    }

    fn error_response(&self) -> HttpResponse {
        self.report();
        let mut response = HttpResponseBuilder::new(self.status_code());
        match self {
            ApiError::Method { allow, .. } => {
                response.insert_header((ALLOW, *allow));
            }
            ApiError::Service(ServiceError::Busy(_)) => {
                response.insert_header((RETRY_AFTER, "1"));
            }
            ApiError::Denied(Denied::TooMany { wait, .. }) => {
                let seconds = wait.as_secs() + 1;
                response.insert_header((RETRY_AFTER, seconds.to_string()));
            }
            ApiError::Denied(Denied::Unknown) => {
                response.insert_header((WWW_AUTHENTICATE, "Bearer"));
                response.append_header((WWW_AUTHENTICATE, "Basic realm=\"granary\""));
            }
            _ => {}
        }
        response.json(Body { error: self.body() })
    }
}

impl From<serde_json::Error> for ApiError {
    fn from(error: serde_json::Error) -> ApiError {
        let text = error.to_string();
        let reason = text
            .split(" at line ")
            .next()
            .unwrap_or_default()
            .to_owned();
        ApiError::Json {
            line: error.line(),
            column: error.column(),
            reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use granary_registry::EventTime;

    use super::*;

    #[test]
    fn every_refusal_of_the_service_has_its_status() {
        let name = || "x".to_owned();
        let cases = [
            (
                ServiceError::UnknownEntity {
                    entity: name(),
                    key: name(),
                },
                404,
                "unknown_entity",
            ),
            (
                ServiceError::UnknownFeature {
                    name: name(),
                    nearest: None,
                },
                422,
                "unknown_feature",
            ),
            (ServiceError::NothingLoaded, 503, "nothing_loaded"),
            (ServiceError::NoModel, 503, "no_model"),
            (
                ServiceError::ModelMismatch {
                    model: name(),
                    reason: name(),
                },
                503,
                "model_mismatch",
            ),
            (
                ServiceError::BadInput {
                    field: name(),
                    reason: name(),
                },
                422,
                "bad_input",
            ),
            (
                ServiceError::FutureEvent {
                    index: 0,
                    time: EventTime(0),
                },
                422,
                "future_event",
            ),
            (ServiceError::Busy(name()), 503, "busy"),
            (ServiceError::Unwritable(name()), 507, "unwritable"),
            (ServiceError::Internal(name()), 500, "internal"),
        ];
        for (error, status, code) in cases {
            let message = error.to_string();
            let error = ApiError::from(error);
            assert_eq!(error.status_code().as_u16(), status, "{code}");
            assert_eq!(error.body().code, code);
            assert_eq!(error.body().message, message);
        }
    }

    #[test]
    fn bodies_name_the_field_and_what_was_meant() {
        let nearest = Some("age".to_owned());
        let error = ServiceError::UnknownFeature {
            name: "agee".to_owned(),
            nearest,
        };
        let error = ApiError::FeatureInPath(error);
        assert_eq!(error.status_code(), StatusCode::NOT_FOUND);
        let body = serde_json::to_value(error.body()).unwrap();
        assert_eq!(body["code"], "unknown_feature");
        assert_eq!(body["field"], "agee");
        assert_eq!(body["nearest"], "age");
        assert!(body.get("line").is_none());
    }

    #[test]
    fn broken_json_is_placed() {
        let error = serde_json::from_str::<serde_json::Value>("{\n  \"a\": }").unwrap_err();
        let error = ApiError::from(error);
        let body = serde_json::to_value(error.body()).unwrap();
        assert_eq!((&body["line"], &body["column"]), (&2.into(), &8.into()));
        let said = "the body is not valid JSON: expected value at line 2, column 8";
        assert_eq!(body["message"], said);
    }
}
