//! Offline versions become the generation served: loaded beside the old one, caught up with
//! the log, and switched to at once.

use std::sync::Arc;
use std::time::Instant;

use granary_pipelines::{Progress, catch_up, push};
use granary_registry::{Entity, EventTime, Registry};
use granary_storage::{LogReader, OfflineStore, Offset, Version};
use serde::{Deserialize, Serialize};

use super::Service;
use super::definition::Definition;
use super::error::ServiceError;
use super::generation::{Generation, GenerationMeta};
use super::group_commit::lock;
use super::rows::LoadedRows;

/// What a push asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PushRequest {
    /// Text of the registry that the versions were built under; the service goes on with it.
    pub registry: String,
    /// Loads even versions that are older than those served, or the very same.
    pub force: bool,
}

/// What a push did.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PushReport {
    /// The generation now served.
    pub generation: u64,
    /// Entities in it.
    pub rows: u64,
    /// Logged events folded in.
    pub caught_up: u64,
    /// The versions served, as `group@version`.
    pub versions: Vec<String>,
    /// Whether the same versions were served before, so that nothing was done.
    pub unchanged: bool,
    /// How long it took.
    pub seconds: f64,
}

impl Service {
    /// Loads the newest version of every group.
    pub fn push(
        &self,
        request: &PushRequest,
        progress: &dyn Fn(Progress<'_>),
    ) -> Result<PushReport, ServiceError> {
        let Ok(_one) = self.inner.pushing.try_lock() else {
            return Err(ServiceError::Busy("another push is running".to_owned()));
        };
        let started = Instant::now();
        let _in = tracing::info_span!("push").entered();
        let definition = Arc::new(Definition::parse(&request.registry)?);
        let entity = served_entity(&definition.registry)?;
        let versions = self.newest_versions(&definition.registry, &entity)?;
        let meta = GenerationMeta::new(
            &definition.text,
            self.inner.embedder.id(),
            &entity.name,
            &versions,
        );
        if !request.force && self.is_served(&meta)? {
            let generation = self
                .inner
                .generation()
                .map_or(0, |generation| generation.number);
            return Ok(report(&meta, generation, self.len()?, 0, true, started));
        }
        let mut loader = self.inner.store.begin_generation()?;
        let generation = Generation::open(loader.number(), meta, &self.inner.embedder)?;
        let erased = self.inner.erased();
        push::load(
            &generation.serving,
            &versions,
            &erased,
            &mut loader,
            progress,
        )?;

        let from = versions
            .iter()
            .map(|version| version.manifest().log_offset)
            .min();
        let from = from.unwrap_or(Offset(0));
        let log = LogReader::open(self.inner.data.log());
        let mut rows = LoadedRows::new(&mut loader, &generation);
        // Most of the log is folded in while events still arrive; the rest under the lock.
        let reached = self.log_end();
        let mut caught_up = catch_up(
            &generation.serving,
            &log,
            (from.max(log.first()?), reached),
            &erased,
            &mut rows,
        )?;
        // So that little is left to do while ingest waits.
        loader.settle()?;
        let mut rows = LoadedRows::new(&mut loader, &generation);
        let writer = lock(&self.inner.writer);
        let end = self.inner.log.written();
        caught_up.add(catch_up(
            &generation.serving,
            &log,
            (reached, end),
            &erased,
            &mut rows,
        )?);
        let newest = caught_up.newest.map(EventTime).max(generation.watermark());
        if let Some(newest) = newest {
            self.inner
                .advance_clock(EventTime(newest.0.saturating_add(1)));
        }
        let meta = generation.meta.clone();
        let number = generation.number;
        {
            let mut current = self
                .inner
                .generation
                .write()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            let synced = || self.inner.log.sync().map(|_| ());
            loader.publish(end, self.inner.data_clock(), &meta.to_bytes(), synced)?;
            *current = Some(Arc::new(generation));
            self.inner.define(definition);
        }
        drop(writer);
        self.reload_model();
        Ok(report(
            &meta,
            number,
            self.len()?,
            caught_up.folded,
            false,
            started,
        ))
    }

    /// The newest version of each of the entity's groups; every one must have been built
    /// under the registry's present definition.
    fn newest_versions(
        &self,
        registry: &Registry,
        entity: &Entity,
    ) -> Result<Vec<Version>, ServiceError> {
        let store = OfflineStore::new(&self.inner.data);
        let mut versions = Vec::new();
        for group in registry
            .groups
            .iter()
            .filter(|group| group.entity == entity.name)
        {
            let version = store
                .current(&group.name)?
                .ok_or_else(|| ServiceError::BadInput {
                    field: group.name.clone(),
                    reason: "was never built; run `granary build`".to_owned(),
                })?;
            if version.manifest().fingerprint != group.fingerprint.to_string() {
                return Err(ServiceError::BadInput {
                    field: group.name.clone(),
                    reason: format!(
                        "version {} was built under another definition; run `granary build`",
                        version.name()
                    ),
                });
            }
            versions.push(version);
        }
        Ok(versions)
    }

    /// Whether these versions are served already; an older one is refused.
    fn is_served(&self, meta: &GenerationMeta) -> Result<bool, ServiceError> {
        let Some(generation) = self.inner.generation() else {
            return Ok(false);
        };
        for version in &meta.versions {
            let served = generation
                .meta
                .versions
                .iter()
                .find(|held| held.group == version.group);
            if served.is_some_and(|served| served.log_offset > version.log_offset) {
                return Err(ServiceError::BadInput {
                    field: version.group.clone(),
                    reason: format!(
                        "version {} knows less of the log than the one served; build again, or push with --force",
                        version.version
                    ),
                });
            }
        }
        let same = |meta: &GenerationMeta| {
            let versions = meta.versions.iter();
            versions
                .map(|held| (held.group.clone(), held.version.clone()))
                .collect::<Vec<_>>()
        };
        Ok(same(&generation.meta) == same(meta) && generation.meta.registry == meta.registry)
    }
}

/// The entity that the first group describes.
pub(super) fn served_entity(registry: &Registry) -> Result<Entity, ServiceError> {
    let name = registry.groups.first().map(|group| &group.entity);
    let entity = name.and_then(|name| registry.entity(name));
    entity.cloned().ok_or_else(|| ServiceError::BadInput {
        field: "registry".to_owned(),
        reason: "has no feature group; add one under `feature_groups`".to_owned(),
    })
}

fn report(
    meta: &GenerationMeta,
    generation: u64,
    rows: u64,
    caught_up: u64,
    unchanged: bool,
    started: Instant,
) -> PushReport {
    let name = |held: &super::LoadedVersion| format!("{}@{}", held.group, held.version);
    PushReport {
        generation,
        rows,
        caught_up,
        versions: meta.versions.iter().map(name).collect(),
        unchanged,
        seconds: started.elapsed().as_secs_f64(),
    }
}
