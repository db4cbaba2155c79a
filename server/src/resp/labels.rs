//! The names of the served features as the bulks that are sent, made once for a catalog. Called
//! by `execute::features`.

use std::sync::Arc;

use super::Writer;
use crate::service::Catalog;

/// The names of a catalog's features, each as a bulk.
#[derive(Debug, Default)]
pub struct Labels {
    catalog: Option<Arc<Catalog>>,
    bulks: Writer,
    ends: Vec<usize>,
}

impl Labels {
    /// Makes them those of a catalog, if they are of another.
    pub(super) fn renew(&mut self, catalog: &Arc<Catalog>) {
        if let Some(held) = &self.catalog
            && Arc::ptr_eq(held, catalog)
        {
            return;
        }
        self.catalog = Some(Arc::clone(catalog));
        self.bulks.out.clear();
        self.ends.clear();
        for feature in catalog.features.iter() {
            self.bulks.bulk(feature.name.as_bytes());
            self.ends.push(self.bulks.out.len());
        }
    }

    /// The bulk of the feature at a position.
    pub(super) fn get(&self, position: usize) -> &[u8] {
        let start = match position {
            0 => 0,
            position => self.ends[position - 1],
        };
        &self.bulks.out[start..self.ends[position]]
    }
}
