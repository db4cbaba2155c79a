//! One function per use case. RESP and HTTP only translate; here it is decided.

mod answer; // what the use cases take and give back
mod error; // why one was refused

pub use answer::{
    Catalog, CatalogFeature, FeatureRow, GroupStatus, Lookup, ModelStatus, Origin, Prediction,
    Receipt, Status, Subject,
};
pub use error::ServiceError;

use std::sync::Arc;

/// The use cases over the open stores. Cheap to clone.
#[derive(Clone)]
pub struct Service {}

/// A JSON object as a client sent it.
pub type JsonObject = serde_json::Map<String, serde_json::Value>;

impl Service {
    /// What is served at the moment.
    pub fn catalog(&self) -> Arc<Catalog> {
        Arc::new(Catalog::default())
    }

    /// One entity's features. Microseconds, except for instants before its newest event.
    pub fn features(&self, lookup: Lookup<'_>) -> Result<FeatureRow, ServiceError> {
        let _ = lookup;
        Err(ServiceError::NothingLoaded)
    }

    /// Several entities' features from one view of the store; an unknown one is an error of its own.
    pub fn features_of(
        &self,
        lookups: &[Lookup<'_>],
    ) -> Result<Vec<Result<FeatureRow, ServiceError>>, ServiceError> {
        let _ = lookups;
        Err(ServiceError::NothingLoaded)
    }

    /// Whether an entity has a row.
    pub fn contains(&self, key: &str) -> Result<bool, ServiceError> {
        let _ = key;
        Ok(false)
    }

    /// Keys in order, after one, at most `limit`.
    pub fn keys(&self, after: Option<&str>, limit: usize) -> Result<Vec<String>, ServiceError> {
        let _ = (after, limit);
        Ok(Vec::new())
    }

    /// Number of entities.
    pub fn len(&self) -> Result<u64, ServiceError> {
        Ok(0)
    }

    /// Churn probabilities, from one view of the store.
    pub fn predict(&self, subjects: &[Subject]) -> Result<Vec<Result<Prediction, ServiceError>>, ServiceError> {
        let _ = subjects;
        Err(ServiceError::NoModel)
    }

    /// Logs events, folds them in, and returns once they are durable. All or nothing: a bad
    /// event refuses the request. Blocks for a disk sync.
    pub fn ingest(&self, source: Option<&str>, events: &[JsonObject]) -> Result<Receipt, ServiceError> {
        let _ = (source, events);
        Err(ServiceError::NothingLoaded)
    }

    /// For `/health`, `/ready`, `/metrics`, `INFO` and the page.
    pub fn status(&self) -> Status {
        Status::default()
    }
}
