//! Churn probabilities: the serving model over features looked up, sent along, or both.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use granary_models::Model;
use granary_registry::Value;
use granary_storage::Artifacts;
use serde::{Deserialize, Serialize};

use super::Service;
use super::answer::{Lookup, ModelShape, Prediction, Subject};
use super::error::ServiceError;
use super::features::Reader;
use super::generation::Generation;
use super::group_commit::lock;

/// Kept beside a model: what it was trained from, so that it is never served over features
/// that mean something else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// The feature service whose features it takes.
    pub service: String,
    /// The label it predicts.
    pub label: String,
    /// Fingerprints of its features, by `group:feature`.
    pub features: BTreeMap<String, String>,
    /// blake3 of the training set.
    pub dataset: String,
    /// Seed of the training.
    pub seed: u64,
    /// Which algorithms were tried.
    pub models: String,
}

/// The serving model.
pub(super) struct LoadedModel {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) model: Model,
    pub(super) metrics: String,
    lineage: Lineage,
    /// Where its features stand in a generation, found once for each.
    places: Mutex<Option<(u64, Arc<[usize]>)>>,
}

/// Files of a model's version.
pub const MODEL_FILE: &str = "model";
/// Its evaluation.
pub const METRICS_FILE: &str = "metrics.json";
/// Where it comes from.
pub const LINEAGE_FILE: &str = "lineage.json";
/// Its evaluation for people.
pub const REPORT_FILE: &str = "report.html";

impl Service {
    /// Churn probabilities, from one view of the store.
    pub fn predict(
        &self,
        subjects: &[Subject],
    ) -> Result<Vec<Result<Prediction, ServiceError>>, ServiceError> {
        let model = self.inner.model();
        let model = model.ok_or(ServiceError::NoModel)?;
        self.reading(|reader| {
            let reader = reader.unsampled();
            let places = model.places(reader.generation())?;
            let predict = |subject| self.predict_one(&model, reader, &places, subject);
            Ok(subjects.iter().map(predict).collect())
        })
    }

    /// What the serving model takes, if it fits what is served.
    pub fn model_shape(&self) -> Result<ModelShape, ServiceError> {
        let model = self.inner.model().ok_or(ServiceError::NoModel)?;
        let (generation, _) = self.current()?;
        model.places(&generation)?;
        let features = model.model.features().iter();
        Ok(ModelShape {
            name: model.name.clone(),
            version: model.version.clone(),
            algorithm: model.model.algorithm().name().to_owned(),
            features: features
                .map(|feature| (feature.name.clone(), feature.dtype))
                .collect(),
        })
    }

    /// Loads the current version of the model, if there is one; called at start, after a
    /// push, and when a training has finished.
    pub fn reload_model(&self) {
        match self.load_model() {
            Ok(model) => {
                *self
                    .inner
                    .model
                    .write()
                    .unwrap_or_else(PoisonError::into_inner) = model.map(Arc::new);
            }
            Err(error) => tracing::error!(%error, "the model was not loaded"),
        }
    }

    fn load_model(&self) -> Result<Option<LoadedModel>, ServiceError> {
        let definition = self.inner.definition();
        let registry = &definition.registry;
        let Some(service) = registry
            .services
            .iter()
            .find(|service| service.label.is_some())
        else {
            return Ok(None);
        };
        let artifacts = Artifacts::new(&self.inner.data);
        let Some(version) = artifacts.current(&service.name)? else {
            return Ok(None);
        };
        let read = |file: &str| artifacts.read(&service.name, &version, file);
        let model = Model::decode(&read(MODEL_FILE)?).map_err(|error| {
            ServiceError::Internal(format!("model {} {version}: {error}", service.name))
        })?;
        let lineage = serde_json::from_slice(&read(LINEAGE_FILE)?).map_err(|error| {
            ServiceError::Internal(format!(
                "{LINEAGE_FILE} of model {} {version}: {error}",
                service.name
            ))
        })?;
        let metrics = String::from_utf8_lossy(&read(METRICS_FILE)?).into_owned();
        Ok(Some(LoadedModel {
            name: service.name.clone(),
            version,
            model,
            metrics,
            lineage,
            places: Mutex::new(None),
        }))
    }

    fn predict_one(
        &self,
        model: &LoadedModel,
        reader: &mut Reader<'_>,
        places: &[usize],
        subject: &Subject,
    ) -> Result<Prediction, ServiceError> {
        let names = model.model.features();
        let mut as_of = self.now();
        let mut values = vec![Value::Null; names.len()];
        if let Some(key) = &subject.key {
            let lookup = Lookup {
                key,
                features: Some(places),
                generation: reader.generation().number,
                as_of: None,
            };
            let row = reader.row(lookup)?;
            as_of = row.as_of;
            for (value, (_, found)) in values.iter_mut().zip(row.features) {
                *value = found;
            }
        } else if subject.features.is_empty() {
            return Err(ServiceError::BadInput {
                field: reader.generation().serving.entity.key.clone(),
                reason: "send it, or `features`, or both".to_owned(),
            });
        }
        for (name, value) in &subject.features {
            let at = names.iter().position(|feature| *feature.name == **name);
            let at = at.ok_or_else(|| ServiceError::UnknownFeature {
                name: name.clone(),
                nearest: granary_registry::nearest(name, names.iter().map(|held| &*held.name)),
            })?;
            values[at] = value.clone();
        }
        let probability = model
            .model
            .predict(&values)
            .map_err(|error| ServiceError::BadInput {
                field: "features".to_owned(),
                reason: error.to_string(),
            })?;
        let threshold = model.model.threshold();
        let names = names.iter().map(|feature| feature.name.clone());
        Ok(Prediction {
            key: subject.key.clone(),
            probability,
            decision: probability >= threshold,
            threshold,
            model: model.name.clone(),
            version: model.version.clone(),
            as_of,
            features: names.zip(values).collect(),
        })
    }
}

impl LoadedModel {
    /// Where the model's features stand in a generation; refuses one whose definitions
    /// differ from those it learnt from.
    fn places(&self, generation: &Generation) -> Result<Arc<[usize]>, ServiceError> {
        let mut held = lock(&self.places);
        if let Some((_, places)) = held.as_ref().filter(|(of, _)| *of == generation.number) {
            return Ok(places.clone());
        }
        let places = self.find_places(generation)?;
        *held = Some((generation.number, places.clone()));
        Ok(places)
    }

    fn find_places(&self, generation: &Generation) -> Result<Arc<[usize]>, ServiceError> {
        let mismatch = |reason: String| ServiceError::ModelMismatch {
            model: format!("{} {}", self.name, self.version),
            reason,
        };
        let registry = &generation.serving.registry;
        for (name, learnt) in &self.lineage.features {
            let (group, feature) = name.split_once(':').unwrap_or_default();
            let served = registry.feature_fingerprint(group, feature);
            if served.is_none_or(|served| served.to_string() != *learnt) {
                return Err(mismatch(format!(
                    "feature `{name}` is gone or was defined otherwise when it was trained; run `granary materialize` and `granary train`"
                )));
            }
        }
        let place = |feature: &granary_models::FeatureColumn| {
            generation
                .serving
                .feature(&feature.name)
                .ok_or_else(|| mismatch(format!("feature `{}` is no longer served", feature.name)))
        };
        self.model.features().iter().map(place).collect()
    }
}

impl super::Inner {
    pub(super) fn model(&self) -> Option<Arc<LoadedModel>> {
        self.model
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
