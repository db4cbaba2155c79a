//! The state of the server, for `/health`, `/ready`, `/metrics`, `INFO` and the page.

use std::sync::atomic::Ordering;

use granary_pipelines::ServedGroup;
use granary_registry::EventTime;

use super::answer::{Catalog, CatalogFeatures, GroupStatus, ModelStatus, Status};
use super::error::ServiceError;
use super::generation::{Generation, LoadedVersion};
use super::group_commit::lock;
use super::{Inner, Service};

impl Service {
    /// The state of everything.
    pub fn status(&self) -> Status {
        let inner = &self.inner;
        let generation = inner.generation();
        let now = self.now();
        let model = inner.model();
        let (answers_logged, answers_dropped) = self.sampled();
        let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        Status {
            project: self.catalog().project.clone(),
            ready: generation.is_some(),
            notes: self.notes(generation.as_deref()),
            generation: generation
                .as_ref()
                .map_or(0, |generation| generation.number),
            entities: self.len().unwrap_or(0),
            now: generation.as_ref().map(|_| now),
            staged_bytes: inner.store.staged_bytes() as u64,
            log_offset: self.log_end().0,
            log_bytes: inner.log.bytes().unwrap_or(0),
            store_bytes: inner.store.path().metadata().map_or(0, |file| file.len()),
            plain_keys: self.turn().len(),
            waiting: lock(&inner.waiting).len() as u64,
            answers_waiting: self.samples_waiting(),
            events_accepted: load(&inner.counters.accepted),
            events_duplicate: load(&inner.counters.duplicates),
            events_late: load(&inner.counters.late),
            values_written: load(&inner.counters.written),
            answers_logged,
            answers_dropped,
            tail_lines: load(&inner.counters.tail_lines),
            tail_bad_lines: load(&inner.counters.tail_bad_lines),
            groups: generation.as_ref().map_or_else(Vec::new, |generation| {
                let versions = generation.meta.versions.iter();
                versions
                    .map(|version| group_status(inner, generation, version, now))
                    .collect()
            }),
            model: model.map(|model| ModelStatus {
                name: model.name.clone(),
                version: model.version.clone(),
                algorithm: model.model.algorithm().name().to_owned(),
                metrics: model.metrics.clone(),
            }),
        }
    }

    /// What is due, and why nothing is served.
    fn notes(&self, generation: Option<&Generation>) -> Vec<String> {
        let Some(generation) = generation else {
            return vec!["nothing is loaded: run `granary build` and `granary push`".to_owned()];
        };
        let mut notes = Vec::new();
        for group in &self.inner.definition().registry.groups {
            let served = generation
                .serving
                .groups
                .iter()
                .find(|served| served.fold.name == group.name);
            match served {
                None => notes.push(format!(
                    "group `{}` is new: build and push are due",
                    group.name
                )),
                Some(served) if served.fold.fingerprint != group.fingerprint => {
                    notes.push(format!(
                        "group `{}` is served under its old definition: build and push are due",
                        group.name
                    ));
                }
                Some(_) => {}
            }
        }
        notes
    }
}

fn group_status(
    inner: &Inner,
    generation: &Generation,
    version: &LoadedVersion,
    now: EventTime,
) -> GroupStatus {
    let group = generation.serving.registry.group(&version.group);
    // Live events move a group's watermark on.
    let is_live = group.and_then(|group| generation.serving.registry.source(&group.source));
    let is_live = is_live.is_some_and(|source| source.event_time.is_some());
    let served = generation
        .serving
        .groups
        .iter()
        .find(|served| served.fold.name == version.group);
    let newest = served.and_then(ServedGroup::newest);
    let watermark = version.watermark.max(newest).filter(|_| is_live);
    let age = watermark.map(|watermark| now.0.saturating_sub(watermark).max(0));
    let freshness = inner
        .definition()
        .registry
        .group(&version.group)
        .and_then(|group| group.freshness);
    GroupStatus {
        name: version.group.clone(),
        description: group.map_or_else(String::new, |group| group.description.clone()),
        version: version.version.clone(),
        rows: version.rows,
        features: group.map_or(0, |group| group.features.len()),
        watermark: watermark.map(EventTime),
        age,
        fresh: age
            .zip(freshness)
            .map(|(age, freshness)| age <= freshness.0),
    }
}

impl Catalog {
    /// Positions of features by name.
    pub fn places(&self, names: &[String]) -> Result<Vec<usize>, ServiceError> {
        let known = || self.features.iter().map(|feature| &*feature.name);
        let place = |name: &String| {
            let unknown = || ServiceError::UnknownFeature {
                name: name.clone(),
                nearest: granary_registry::nearest(name, known()),
            };
            self.features.position(name).ok_or_else(unknown)
        };
        names.iter().map(place).collect()
    }

    /// Before the first push: the names, and no features.
    pub(super) fn unloaded(registry: &granary_registry::Registry) -> Catalog {
        let entity = registry
            .groups
            .first()
            .and_then(|group| registry.entity(&group.entity));
        let entity = entity.or(registry.entities.first());
        Catalog {
            generation: 0,
            project: registry.project.clone(),
            entity: entity.map_or_else(String::new, |entity| entity.name.clone()),
            key: entity.map_or_else(|| "user_id".to_owned(), |entity| entity.key.clone()),
            prefix: entity.map_or_else(String::new, |entity| entity.prefix.clone()),
            has_number_keys: false,
            features: CatalogFeatures::default(),
            services: Vec::new(),
        }
    }
}
