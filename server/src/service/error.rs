//! Why a use case was refused: fields, not sentences. The doors map each to a status.

use granary_registry::EventTime;

/// Why a use case was refused.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// No such entity.
    #[error("{entity} `{key}` is not in the online store")]
    UnknownEntity {
        /// Kind of entity.
        entity: String,
        /// The key asked for.
        key: String,
    },
    /// No such feature.
    #[error("feature `{name}` is not served{}", suggestion(nearest.as_deref()))]
    UnknownFeature {
        /// The name asked for.
        name: String,
        /// The nearest name there is.
        nearest: Option<String>,
    },
    /// The key that was shown may not see it.
    #[error(
        "key `{key}` may neither read nor write feature `{feature}`: group `{group}` is not among its groups"
    )]
    Hidden {
        /// Name of the key.
        key: String,
        /// The feature asked for.
        feature: String,
        /// Its group.
        group: String,
    },
    /// Nothing was pushed yet.
    #[error("no features are loaded; run `granary build` and `granary push` (or `granary up`)")]
    NothingLoaded,
    /// No model was trained yet.
    #[error(
        "no model is promoted; run `granary materialize` and `granary train` (or `granary up`)"
    )]
    NoModel,
    /// The model does not fit what is served.
    #[error("model `{model}` cannot be served: {reason}")]
    ModelMismatch {
        /// Name and version.
        model: String,
        /// Which features changed or are gone.
        reason: String,
    },
    /// A field of a request is wrong.
    #[error("{field}: {reason}")]
    BadInput {
        /// Where, e.g. `events[3].timestamp`.
        field: String,
        /// What was wrong and what to do.
        reason: String,
    },
    /// An event lies too far ahead of the clock.
    #[error("events[{index}]: {time} is further ahead of the clock than max_future allows")]
    FutureEvent {
        /// Which event.
        index: usize,
        /// Its instant.
        time: EventTime,
    },
    /// A task took another's place.
    #[error("busy: {0}")]
    Busy(String),
    /// Nothing can be written at the moment; reads go on.
    #[error(
        "nothing can be written: {0}; free some space on the disk, or look at the log of the server"
    )]
    Unwritable(String),
    /// The disk or a stored file failed.
    #[error("internal: {0}")]
    Internal(String),
}

impl ServiceError {
    /// The same for another event of a group that failed as a whole: a failure of the disk, or
    /// of a stored file.
    pub(super) fn again(&self) -> ServiceError {
        ServiceError::Internal(match self {
            ServiceError::Internal(reason) => reason.clone(),
            other => other.to_string(),
        })
    }
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}

impl From<granary_storage::Error> for ServiceError {
    fn from(error: granary_storage::Error) -> Self {
        match error {
            granary_storage::Error::Locked { .. } => ServiceError::Busy(error.to_string()),
            granary_storage::Error::LogPoisoned { .. }
            | granary_storage::Error::Io {
                operation: "write" | "sync",
                ..
            } => ServiceError::Unwritable(error.to_string()),
            error => ServiceError::Internal(error.to_string()),
        }
    }
}

impl From<super::access::KeyFileError> for ServiceError {
    fn from(error: super::access::KeyFileError) -> Self {
        ServiceError::Internal(error.to_string())
    }
}

impl From<granary_pipelines::Error> for ServiceError {
    fn from(error: granary_pipelines::Error) -> Self {
        ServiceError::Internal(error.to_string())
    }
}
