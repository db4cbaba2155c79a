//! The registry in force: as it stood in the file at the start, then as each push brought it.

use std::sync::{Arc, PoisonError};

use granary_registry::Registry;

use super::error::ServiceError;
use super::{Inner, Service};

/// A registry and the text it was parsed from.
pub(super) struct Definition {
    pub text: String,
    pub registry: Registry,
}

impl Definition {
    /// Checks a registry that a command sent.
    pub(super) fn parse(text: &str) -> Result<Definition, ServiceError> {
        let registry = Registry::parse(text).map_err(|problems| ServiceError::BadInput {
            field: "registry".to_owned(),
            reason: problems.to_string(),
        })?;
        Ok(Definition {
            text: text.to_owned(),
            registry,
        })
    }
}

impl Service {
    /// The names of the feature groups in the registry in force.
    pub fn groups(&self) -> Vec<String> {
        let definition = self.inner.definition();
        let groups = definition.registry.groups.iter();
        groups.map(|group| group.name.clone()).collect()
    }
}

impl Inner {
    pub(super) fn definition(&self) -> Arc<Definition> {
        self.definition
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn define(&self, definition: Arc<Definition>) {
        *self
            .definition
            .write()
            .unwrap_or_else(PoisonError::into_inner) = definition;
    }
}
