//! The names of the served features as JSON writes them, made once for a catalog. Called by
//! `features`.

use std::sync::Arc;

use super::input::key_name;
use super::json::write_name;
use crate::service::Catalog;

/// The names of a catalog's features, each with its colon.
#[derive(Debug, Default)]
pub(super) struct Names {
    catalog: Option<Arc<Catalog>>,
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Names {
    /// Makes them those of a catalog, if they are of another.
    pub(super) fn renew(&mut self, catalog: &Arc<Catalog>) {
        if let Some(held) = &self.catalog
            && Arc::ptr_eq(held, catalog)
        {
            return;
        }
        self.catalog = Some(Arc::clone(catalog));
        self.bytes.clear();
        self.ends.clear();
        for feature in catalog.features.iter() {
            write_name(&mut self.bytes, &feature.name);
            self.ends.push(self.bytes.len());
        }
    }

    /// The name of the entity's key.
    pub(super) fn key(&self) -> &str {
        self.catalog.as_deref().map_or("", key_name)
    }

    /// The name of the feature at a position.
    pub(super) fn get(&self, position: usize) -> &[u8] {
        let start = match position {
            0 => 0,
            position => self.ends[position - 1],
        };
        &self.bytes[start..self.ends[position]]
    }
}
