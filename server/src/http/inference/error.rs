//! Refusals as the Open Inference Protocol has them: `{"error": "…"}`. Called by `inference`.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};

use super::schema::InferenceRefusal;
use crate::http::error::ApiError;
use crate::service::ServiceError;

/// Why a request was refused.
#[derive(Debug)]
pub(in crate::http) enum InferenceError {
    /// By this dialect.
    Here(StatusCode, String),
    /// As everywhere else.
    Other(ApiError),
}

impl InferenceError {
    /// The request cannot be understood.
    pub(super) fn bad(said: impl Into<String>) -> InferenceError {
        InferenceError::Here(StatusCode::BAD_REQUEST, said.into())
    }

    /// What is named is not there.
    pub(super) fn not_found(said: String) -> InferenceError {
        InferenceError::Here(StatusCode::NOT_FOUND, said)
    }
}

impl fmt::Display for InferenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InferenceError::Here(_, said) => f.write_str(said),
            InferenceError::Other(error) => error.fmt(f),
        }
    }
}

impl ResponseError for InferenceError {
    fn status_code(&self) -> StatusCode {
        match self {
            InferenceError::Here(status, _) => *status,
            // The protocol knows one status for input of the wrong form.
            InferenceError::Other(error) => match error.status_code() {
                StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
                status => status,
            },
        }
    }

    fn error_response(&self) -> HttpResponse {
        if let InferenceError::Other(error) = self {
            error.report();
        }
        HttpResponseBuilder::new(self.status_code()).json(InferenceRefusal {
            error: self.to_string(),
        })
    }
}

impl From<ServiceError> for InferenceError {
    fn from(error: ServiceError) -> InferenceError {
        InferenceError::Other(error.into())
    }
}

impl From<serde_json::Error> for InferenceError {
    fn from(error: serde_json::Error) -> InferenceError {
        InferenceError::bad(format!("the body is no inference request: {error}"))
    }
}
