//! What a generation of the online store says about itself, and its folds compiled: the
//! definition that wrote the states also reads them, whatever the registry says by now.

use std::collections::BTreeMap;
use std::sync::Arc;

use granary_pipelines::text::Embedder;
use granary_pipelines::{Serving, Wanted};
use granary_registry::{DType, EventTime, Registry};
use granary_storage::{Offset, Version};
use serde::{Deserialize, Serialize};

use super::answer::{Catalog, CatalogFeature, CatalogService};
use super::error::ServiceError;
use super::served::Provenance;
use super::writable::Writable;

/// Kept with the generation, as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GenerationMeta {
    /// Text of the registry that the states were built under.
    pub registry: String,
    /// Id of the embedder that made their vectors.
    pub embedder: String,
    /// Name of the entity.
    pub entity: String,
    /// The versions loaded, in order of the groups.
    pub versions: Vec<LoadedVersion>,
}

/// One group's version in a generation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LoadedVersion {
    /// Name of the group.
    pub group: String,
    /// Version of the offline store.
    pub version: String,
    /// Rows in it.
    pub rows: u64,
    /// Newest event in it.
    pub watermark: Option<i64>,
    /// The log's records before this are in it.
    pub log_offset: u64,
    /// How many elements the vectors of its features have.
    #[serde(default)]
    pub dimensions: BTreeMap<String, usize>,
}

/// A generation ready to serve.
pub(super) struct Generation {
    /// Its number; 0 before the first.
    pub number: u64,
    /// What it says about itself.
    pub meta: GenerationMeta,
    /// What the serving log says of it.
    pub provenance: Arc<Provenance>,
    /// Its folds.
    pub serving: Arc<Serving>,
    /// What the doors see of it.
    pub catalog: Arc<Catalog>,
    /// Every feature, for reads of everything.
    pub all: Wanted,
    /// What of it can be written.
    pub writable: Arc<Writable>,
}

impl GenerationMeta {
    /// Describes a generation that is about to be loaded.
    pub fn new(registry_text: &str, embedder: &str, entity: &str, versions: &[Version]) -> Self {
        let loaded = versions.iter().map(|version| {
            let manifest = version.manifest();
            LoadedVersion {
                group: manifest.group.clone(),
                version: version.name().to_owned(),
                rows: manifest.rows,
                watermark: manifest.watermark,
                log_offset: manifest.log_offset.0,
                dimensions: dimensions(version),
            }
        });
        GenerationMeta {
            registry: registry_text.to_owned(),
            embedder: embedder.to_owned(),
            entity: entity.to_owned(),
            versions: loaded.collect(),
        }
    }

    /// As bytes for the store.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and numbers are JSON")
    }

    /// From the store's bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ServiceError> {
        serde_json::from_slice(bytes).map_err(|error| {
            ServiceError::Internal(format!(
                "the online store's description is unreadable: {error}"
            ))
        })
    }
}

impl Generation {
    /// Compiles the folds that a generation was written by.
    pub(super) fn open(
        number: u64,
        meta: GenerationMeta,
        embedder: &Arc<dyn Embedder>,
    ) -> Result<Generation, ServiceError> {
        let registry = Registry::parse(&meta.registry).map_err(|problems| {
            ServiceError::Internal(format!(
                "the registry kept with the online store: {problems}"
            ))
        })?;
        let entity = registry.entity(&meta.entity).cloned().ok_or_else(|| {
            ServiceError::Internal(format!(
                "entity `{}` is not in the kept registry",
                meta.entity
            ))
        })?;
        if meta.embedder != embedder.id() {
            return Err(ServiceError::Internal(format!(
                "the vectors were made by `{}`, this binary embeds with `{}`; run `granary build` and `granary push`",
                meta.embedder,
                embedder.id()
            )));
        }
        let mut serving = Serving::new(registry, &entity, embedder)?;
        for (group, version) in serving.groups.iter_mut().zip(&meta.versions) {
            group.built_until = Offset(version.log_offset);
        }
        let writable = Arc::new(Writable::new(&serving.registry, &entity, &meta.versions));
        let provenance = Arc::new(Provenance::new(number, &meta, &serving));
        let catalog = Arc::new(catalog(number, &serving));
        let all: Vec<usize> = (0..serving.features.len()).collect();
        let all = serving.wanted(&all);
        Ok(Generation {
            number,
            meta,
            provenance,
            serving: Arc::new(serving),
            catalog,
            all,
            writable,
        })
    }

    /// The newest watermark of its versions.
    pub(super) fn watermark(&self) -> Option<EventTime> {
        self.meta
            .versions
            .iter()
            .filter_map(|version| version.watermark)
            .max()
            .map(EventTime)
    }
}

fn dimensions(version: &Version) -> BTreeMap<String, usize> {
    let columns = version.manifest().columns.iter();
    columns
        .filter_map(|column| Some((column.name.clone(), column.dimension?)))
        .collect()
}

/// The tag of groups that hold personal data.
const PII: &str = "pii";

fn catalog(generation: u64, serving: &Serving) -> Catalog {
    let features = serving.features.iter().map(|served| {
        let fold = &serving.groups[served.group].fold;
        let group = serving.registry.group(&fold.name);
        let feature = group.and_then(|group| {
            group
                .features
                .iter()
                .find(|feature| feature.name == served.name)
        });
        CatalogFeature {
            name: served.name.clone(),
            group: Arc::from(fold.name.as_str()),
            dtype: fold.slots[served.slot].dtype,
            description: feature.map_or_else(String::new, |feature| feature.description.clone()),
            is_value: feature.is_some_and(|feature| {
                matches!(feature.kind, granary_registry::FeatureKind::Value { .. })
            }),
            is_pii: group.is_some_and(|group| group.tags.iter().any(|tag| tag == PII)),
            max_age: group.and_then(|group| group.max_age),
        }
    });
    // A service with features of another entity is not answered from these rows.
    let services = serving.registry.services.iter().filter_map(|service| {
        let names = service.features.iter();
        let features = names.map(|(_, name)| serving.feature(name));
        Some(CatalogService {
            name: service.name.clone(),
            features: features.collect::<Option<_>>()?,
        })
    });
    Catalog {
        has_number_keys: serving.entity.dtype == DType::Int,
        services: services.collect(),
        generation,
        project: serving.registry.project.clone(),
        entity: serving.entity.name.clone(),
        key: serving.entity.key.clone(),
        prefix: serving.entity.prefix.clone(),
        features: features.collect(),
    }
}
