//! The two places where events change rows: the rows being served, and those of a generation
//! being loaded.

use std::sync::Arc;

use granary_pipelines::{Error, Rows};
use granary_storage::{GenerationLoader, Merge, OnlineStore};

use super::generation::Generation;

/// The rows being served: changes wait in memory for a reader or the next flush.
pub(super) struct StagedRows<'a> {
    store: &'a OnlineStore,
    generation: u64,
    merge: Arc<dyn Merge>,
}

impl<'a> StagedRows<'a> {
    /// The rows of the generation that is served.
    pub(super) fn new(store: &'a OnlineStore, generation: &Generation) -> StagedRows<'a> {
        StagedRows {
            store,
            generation: generation.number,
            merge: generation.serving.clone(),
        }
    }
}

impl Rows for StagedRows<'_> {
    fn change<T>(
        &mut self,
        key: &[u8],
        take: impl FnOnce(&[u8], &mut Vec<u8>) -> T,
    ) -> Result<T, Error> {
        let (store, generation) = (self.store, self.generation);
        Ok(store.stage_change(generation, key, &self.merge, take)?)
    }
}

/// The rows of a generation that is not yet served.
pub(super) struct LoadedRows<'a, 'b> {
    loader: &'a mut GenerationLoader<'b>,
    merge: Arc<dyn Merge>,
}

impl<'a, 'b> LoadedRows<'a, 'b> {
    /// The rows that a loader has so far.
    pub(super) fn new(
        loader: &'a mut GenerationLoader<'b>,
        generation: &Generation,
    ) -> LoadedRows<'a, 'b> {
        LoadedRows {
            loader,
            merge: generation.serving.clone(),
        }
    }
}

impl Rows for LoadedRows<'_, '_> {
    fn change<T>(
        &mut self,
        key: &[u8],
        take: impl FnOnce(&[u8], &mut Vec<u8>) -> T,
    ) -> Result<T, Error> {
        Ok(self.loader.change_row(key, &self.merge, take)?)
    }
}
