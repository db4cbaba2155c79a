//! Reading features: of the stored states where they can answer, of the log where the
//! instant lies before the entity's newest event.

use granary_pipelines::source::BadRows;
use granary_pipelines::{Job, KnownFiles};
use granary_registry::EventTime;
use granary_storage::View;

use super::Service;
use super::answer::{FeatureRow, Lookup, Origin};
use super::error::ServiceError;
use super::generation::Generation;

impl Service {
    /// One entity's features. Microseconds, except for instants before its newest event.
    pub fn features(&self, lookup: Lookup<'_>) -> Result<FeatureRow, ServiceError> {
        let (generation, view) = self.current()?;
        self.read(&generation, &view, lookup)
    }

    /// Several entities' features from one view of the store; an unknown one is an error of
    /// its own.
    pub fn features_of(
        &self,
        lookups: &[Lookup<'_>],
    ) -> Result<Vec<Result<FeatureRow, ServiceError>>, ServiceError> {
        let (generation, view) = self.current()?;
        Ok(lookups
            .iter()
            .map(|lookup| self.read(&generation, &view, *lookup))
            .collect())
    }

    /// Whether an entity has a row. Before the first push none has.
    pub fn contains(&self, key: &str) -> Result<bool, ServiceError> {
        Ok(self.inner.store.view().contains(key.as_bytes())?)
    }

    /// Keys in order, after one, at most `limit`.
    pub fn keys(&self, after: Option<&str>, limit: usize) -> Result<Vec<String>, ServiceError> {
        let rows = self
            .inner
            .store
            .view()
            .scan(after.map(str::as_bytes), limit)?;
        Ok(rows
            .into_iter()
            .map(|(key, _)| String::from_utf8_lossy(&key).into_owned())
            .collect())
    }

    /// Number of entities.
    pub fn len(&self) -> Result<u64, ServiceError> {
        Ok(self.inner.store.view().len())
    }

    /// Whether nothing is loaded.
    pub fn is_empty(&self) -> bool {
        self.len().is_ok_and(|len| len == 0)
    }

    pub(super) fn read(
        &self,
        generation: &Generation,
        view: &View,
        lookup: Lookup<'_>,
    ) -> Result<FeatureRow, ServiceError> {
        let serving = &generation.serving;
        if lookup.features.is_some() && lookup.generation != generation.number {
            return Err(ServiceError::Busy(
                "a push has just replaced what is served; ask again".to_owned(),
            ));
        }
        let key = lookup.key.as_bytes();
        let features = lookup.features.unwrap_or(&generation.all);
        let unknown = || ServiceError::UnknownEntity {
            entity: serving.entity.name.clone(),
            key: lookup.key.to_owned(),
        };
        let row = view.row(key)?.ok_or_else(unknown)?;
        // Left out, vectors cost nothing; features that need them were not asked for.
        let vectors = if serving.needs_vectors(features) {
            Some(view.vectors(key)?)
        } else {
            None
        };
        let vectors = vectors
            .as_ref()
            .map(|held| held.as_deref().unwrap_or_default());
        let open = serving.open(lookup.key, &row, vectors, features)?;
        let after_newest = open
            .newest()
            .map(|newest| EventTime(newest.0.saturating_add(1)));
        let now = || self.now().max(after_newest.unwrap_or(EventTime::MIN));
        let as_of = lookup.as_of.unwrap_or_else(now);
        let (from, values) = if after_newest.is_some_and(|after| as_of < after) {
            (
                Origin::Log,
                self.read_log(generation, lookup.key, features, as_of)?,
            )
        } else {
            (
                Origin::Online,
                features.iter().map(|&at| open.value(at, as_of)).collect(),
            )
        };
        let names = features.iter().map(|&at| serving.features[at].name.clone());
        Ok(FeatureRow {
            key: lookup.key.to_owned(),
            as_of,
            from,
            features: names.zip(values).collect(),
        })
    }

    fn read_log(
        &self,
        generation: &Generation,
        key: &str,
        features: &[usize],
        as_of: EventTime,
    ) -> Result<Vec<granary_registry::Value>, ServiceError> {
        let job = Job {
            registry: &generation.serving.registry,
            data: &self.inner.data,
            log_until: self.log_end(),
            embedder: self.inner.embedder.clone(),
            bad_rows: &BadRows::strict(),
            known: &KnownFiles::default(),
            progress: &|_| {},
        };
        Ok(self
            .inner
            .past
            .features(&job, &generation.serving, key, features, as_of)?)
    }
}
