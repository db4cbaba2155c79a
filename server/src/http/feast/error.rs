//! Refusals in the forms that Feast's client reads: of its own errors a JSON text that holds JSON,
//! of a request in the wrong form a list of places. Called by the routes of `feast`.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};
use serde_json::{Value as Json, json};

use crate::http::error::ApiError;
use crate::service::ServiceError;

/// Why a request was refused.
#[derive(Debug)]
pub(in crate::http) enum FeastError {
    /// As one of Feast's exceptions, which its client raises.
    Raised {
        status: StatusCode,
        class: &'static str,
        message: String,
    },
    /// A field of the body.
    Field {
        kind: &'static str,
        place: Vec<Json>,
        message: String,
    },
    /// As everywhere else.
    Other(ApiError),
}

impl FeastError {
    /// What is named is not there.
    pub(super) fn not_found(class: &'static str, message: String) -> FeastError {
        FeastError::Raised {
            status: StatusCode::NOT_FOUND,
            class,
            message,
        }
    }

    /// A field that is not there.
    pub(super) fn missing(place: &[&str]) -> FeastError {
        FeastError::Field {
            kind: "missing",
            place: in_body(place),
            message: "Field required".to_owned(),
        }
    }

    /// A field of the wrong form.
    pub(super) fn wrong(place: &[&str], message: impl Into<String>) -> FeastError {
        FeastError::Field {
            kind: "value_error",
            place: in_body(place),
            message: message.into(),
        }
    }
}

impl FeastError {
    /// What is wrong with the part of the address behind the question mark.
    pub(super) fn in_query(message: String) -> FeastError {
        FeastError::Field {
            kind: "value_error",
            place: vec!["query".into()],
            message,
        }
    }
}

fn in_body(place: &[&str]) -> Vec<Json> {
    let body = std::iter::once("body");
    body.chain(place.iter().copied()).map(Json::from).collect()
}

impl fmt::Display for FeastError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FeastError::Raised { message, .. } | FeastError::Field { message, .. } => {
                f.write_str(message)
            }
            FeastError::Other(error) => error.fmt(f),
        }
    }
}

impl ResponseError for FeastError {
    fn status_code(&self) -> StatusCode {
        match self {
            FeastError::Raised { status, .. } => *status,
            FeastError::Field { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            FeastError::Other(error) => error.status_code(),
        }
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponseBuilder::new(self.status_code());
        match self {
            FeastError::Raised { class, message, .. } => {
                let raised = json!({"module": "feast.errors", "class": class, "message": message});
                response.json(raised.to_string())
            }
            FeastError::Field {
                kind,
                place,
                message,
            } => {
                let fault = json!({"type": kind, "loc": place, "msg": message});
                response.json(json!({"detail": [fault]}))
            }
            // A text, so that the client has something to parse whatever it makes of it.
            FeastError::Other(error) => {
                error.report();
                response.json(error.to_string())
            }
        }
    }
}

impl From<ApiError> for FeastError {
    fn from(error: ApiError) -> FeastError {
        FeastError::Other(error)
    }
}

impl From<ServiceError> for FeastError {
    fn from(error: ServiceError) -> FeastError {
        FeastError::Other(error.into())
    }
}

impl From<serde_json::Error> for FeastError {
    fn from(error: serde_json::Error) -> FeastError {
        FeastError::Other(error.into())
    }
}
