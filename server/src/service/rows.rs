//! The two places where events are folded into rows: the rows being served, and those of a
//! generation being loaded.

use granary_pipelines::{Error, Rows, StoredRow};
use granary_storage::{GenerationLoader, OnlineStore};

/// The rows being served: changed ones wait in memory for the next flush.
pub(super) struct StagedRows<'a> {
    /// The store.
    pub store: &'a OnlineStore,
    /// The generation that is served.
    pub generation: u64,
}

impl Rows for StagedRows<'_> {
    fn read(&mut self, key: &[u8]) -> Result<Option<StoredRow>, Error> {
        let row = self.store.view().full_row(key)?;
        Ok(row.map(|row| {
            (
                row.row.to_vec(),
                row.vectors.as_deref().unwrap_or_default().to_vec(),
            )
        }))
    }

    fn write(&mut self, key: &[u8], row: &[u8], vectors: &[u8]) -> Result<(), Error> {
        let vectors = (!vectors.is_empty()).then_some(vectors);
        Ok(self.store.stage(self.generation, key, row, vectors)?)
    }
}

/// The rows of a generation that is not yet served.
pub(super) struct LoadedRows<'a, 'b> {
    /// The generation's loader.
    pub loader: &'a mut GenerationLoader<'b>,
}

impl Rows for LoadedRows<'_, '_> {
    fn read(&mut self, key: &[u8]) -> Result<Option<StoredRow>, Error> {
        let Some(row) = self.loader.row(key)? else {
            return Ok(None);
        };
        let row = row.to_vec();
        let vectors = self.loader.vectors(key)?;
        Ok(Some((row, vectors.as_deref().unwrap_or_default().to_vec())))
    }

    fn write(&mut self, key: &[u8], row: &[u8], vectors: &[u8]) -> Result<(), Error> {
        let vectors = (!vectors.is_empty()).then_some(vectors);
        Ok(self.loader.upsert(key, row, vectors)?)
    }
}
