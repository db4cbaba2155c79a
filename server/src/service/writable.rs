//! What may be written: values, by the types and expectations of the registry. One rule for all
//! doors. Called by the doors for `HSET`, pushes and writes to the online store.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;
use granary_pipelines::ValueWrite;
use granary_pipelines::quality::broken_by;
use granary_registry::{
    DType, Entity, EventTime, Feature, FeatureKind, Registry, Value, ValueColumns, nearest,
};
use serde_json::Value as Json;

use super::error::ServiceError;
use super::generation::LoadedVersion;
use super::{Service, cell};

/// The features of an entity, by name.
pub(super) struct Writable {
    entity: Entity,
    features: HashMap<Arc<str>, Target, FixedState>,
}

/// One feature.
struct Target {
    feature: Feature,
    group: Arc<str>,
    source: Arc<str>,
    /// Elements that its vectors have, if one is known.
    dimension: Option<usize>,
}

/// Takes values of one entity at a time. Made once for a request.
pub struct ValueGate {
    writable: Arc<Writable>,
    now: EventTime,
    known: EventTime,
    /// The instant past which a write is refused as coming from the future.
    limit: EventTime,
}

/// Values of one entity that may be logged.
#[derive(Clone, Debug)]
pub struct CheckedValues(pub(super) ValueWrite);

/// A feature that may be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WritableFeature {
    /// Its name.
    pub name: Arc<str>,
    /// The type of its values.
    pub dtype: DType,
}

impl Writable {
    /// Of a registry and the versions that are served of it.
    pub(super) fn new(registry: &Registry, entity: &Entity, versions: &[LoadedVersion]) -> Self {
        let groups = registry.groups.iter();
        let groups = groups.filter(|group| group.entity == entity.name);
        let features = groups.flat_map(|group| {
            let version = versions.iter().find(|held| held.group == group.name);
            let target = move |feature: &Feature| {
                let dimensions = version.map(|version| &version.dimensions);
                let target = Target {
                    group: group.name.as_str().into(),
                    source: group.source.as_str().into(),
                    dimension: dimensions.and_then(|all| all.get(&*feature.name).copied()),
                    feature: feature.clone(),
                };
                (feature.name.clone(), target)
            };
            group.features.iter().map(target)
        });
        Writable {
            entity: entity.clone(),
            features: features.collect(),
        }
    }

    fn target(&self, name: &str) -> Result<&Target, ServiceError> {
        self.features.get(name).ok_or_else(|| {
            let names = self.features.keys().map(|name| &**name);
            ServiceError::UnknownFeature {
                name: name.to_owned(),
                nearest: nearest(name, names),
            }
        })
    }

    /// Holds a value against its feature.
    pub(super) fn check(&self, name: &str, value: &Value) -> Result<(), ServiceError> {
        self.target(name)?.check(value)
    }
}

impl Target {
    /// Only values can be written; the error says what to do instead.
    fn check_kind(&self) -> Result<(), ServiceError> {
        let source = &self.source;
        Err(self.refused(match &self.feature.kind {
            FeatureKind::Value { .. } => return Ok(()),
            FeatureKind::Aggregate(_) => format!(
                "is an aggregation over `{source}` and follows from its events: send those by XADD {source}, \
                 POST /events or POST /push; nothing of this request was written"
            ),
            FeatureKind::Derived(expression) => format!(
                "is computed of other features (`{expression}`); nothing of this request was written"
            ),
        }))
    }

    fn check(&self, value: &Value) -> Result<(), ServiceError> {
        self.check_kind()?;
        if let (Value::Vector(elements), Some(wanted)) = (value, self.dimension)
            && elements.len() != wanted
        {
            let found = elements.len();
            return Err(self.refused(format!(
                "has {found} elements, the vectors that are served have {wanted}"
            )));
        }
        match broken_by(&self.feature, value) {
            Ok(None) => Ok(()),
            Ok(Some(rule)) => {
                let shown = cell::text_of(value);
                Err(self.refused(format!(
                    "is {shown}, which its expectation `{rule}` forbids"
                )))
            }
            Err(error) => Err(self.refused(error.to_string())),
        }
    }

    fn refused(&self, reason: String) -> ServiceError {
        ServiceError::BadInput {
            field: self.feature.name.to_string(),
            reason,
        }
    }

    fn writable(&self) -> WritableFeature {
        WritableFeature {
            name: self.feature.name.clone(),
            dtype: self.feature.dtype,
        }
    }
}

impl Service {
    /// The gate of written values. Before the first push that of the registry's first entity:
    /// the values then count from the next build on.
    pub fn value_gate(&self) -> Result<ValueGate, ServiceError> {
        let writable = if let Some(generation) = self.inner.generation() {
            generation.writable.clone()
        } else {
            let registry = &self.inner.definition().registry;
            let entity = super::push::served_entity(registry)?;
            Arc::new(Writable::new(registry, &entity, &[]))
        };
        let wall = self.inner.wall.now().0;
        let now = self.now();
        Ok(ValueGate {
            writable,
            now,
            known: EventTime(wall.max(now.0)),
            limit: EventTime(wall.saturating_add(self.inner.max_future.0)),
        })
    }
}

impl ValueGate {
    /// The entity's key column.
    pub fn key(&self) -> &str {
        &self.writable.entity.key
    }

    /// What may be written.
    pub(super) fn writable(&self) -> &Arc<Writable> {
        &self.writable
    }

    /// Values from names and texts; of a name that comes twice the last value counts.
    pub fn text<'a>(
        &self,
        key: &str,
        pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Result<CheckedValues, ServiceError> {
        let mut write = self.begin(self.key_of(&Json::from(key))?, None)?;
        for (name, text) in pairs {
            let target = self.writable.target(&String::from_utf8_lossy(name))?;
            target.check_kind()?;
            let value = cell::of_text(text, target.feature.dtype);
            add(&mut write, target, value.map_err(|it| target.refused(it))?)?;
        }
        Ok(CheckedValues(write))
    }

    /// A feature whose value is still to be worked out.
    pub fn undecided(&self, key: &str, name: &[u8]) -> Result<CheckedValues, ServiceError> {
        let mut write = self.begin(self.key_of(&Json::from(key))?, None)?;
        let target = self.writable.target(&String::from_utf8_lossy(name))?;
        target.check_kind()?;
        write
            .values
            .push((target.feature.name.clone(), Value::Null));
        Ok(CheckedValues(write))
    }

    /// Values from JSON, each with the feature that it is for.
    pub fn json<'a>(
        &self,
        key: &Json,
        time: Option<EventTime>,
        values: impl Iterator<Item = (&'a Arc<str>, &'a Json)>,
    ) -> Result<CheckedValues, ServiceError> {
        let mut write = self.begin(self.key_of(key)?, time)?;
        for (name, json) in values {
            let target = self.writable.target(name)?;
            let value = cell::of_json(json, target.feature.dtype);
            add(&mut write, target, value.map_err(|it| target.refused(it))?)?;
        }
        Ok(CheckedValues(write))
    }

    /// A feature of a group; its name alone says whether it may be written.
    pub fn feature(&self, group: &str, name: &str) -> Result<WritableFeature, ServiceError> {
        let target = self.writable.target(name)?;
        if *target.group != *group {
            return Err(target.refused(format!(
                "is a feature of group `{}`, not of `{group}`",
                target.group
            )));
        }
        target.check_kind()?;
        Ok(target.writable())
    }

    /// The values that stand in a column of a source.
    pub fn features_of_column(&self, source: &str, column: &str) -> Vec<WritableFeature> {
        let reads = |target: &&Target| match &target.feature.kind {
            FeatureKind::Value {
                columns: ValueColumns::One(names) | ValueColumns::Spread(names),
            } => *target.source == *source && names.iter().any(|name| name == column),
            _ => false,
        };
        let mut found: Vec<WritableFeature> = self
            .writable
            .features
            .values()
            .filter(reads)
            .map(Target::writable)
            .collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found
    }

    /// Whether a group has features of this entity.
    pub fn has_group(&self, name: &str) -> bool {
        let mut targets = self.writable.features.values();
        targets.any(|target| *target.group == *name)
    }

    /// Whether values are read from a source.
    pub fn has_values_of(&self, source: &str) -> bool {
        self.sources().iter().any(|name| **name == *source)
    }

    /// The sources that values are read from.
    pub fn sources(&self) -> Vec<Arc<str>> {
        let is_value = |target: &&Target| matches!(target.feature.kind, FeatureKind::Value { .. });
        let targets = self.writable.features.values().filter(is_value);
        let mut sources: Vec<Arc<str>> = targets.map(|target| target.source.clone()).collect();
        sources.sort();
        sources.dedup();
        sources
    }

    fn key_of(&self, json: &Json) -> Result<Value, ServiceError> {
        let refused = |reason: String| ServiceError::BadInput {
            field: self.key().to_owned(),
            reason,
        };
        let key = match (self.writable.entity.dtype, json) {
            (DType::Int, Json::String(text)) => cell::of_text(text.as_bytes(), DType::Int),
            (dtype, json) => cell::of_json(json, dtype),
        };
        match key.map_err(refused)? {
            Value::Text(text) if text.is_empty() => Err(refused("is empty".to_owned())),
            Value::Null => Err(refused(
                "is missing; every write needs its entity's key".to_owned(),
            )),
            key => Ok(key),
        }
    }

    fn begin(&self, key: Value, time: Option<EventTime>) -> Result<ValueWrite, ServiceError> {
        let time = time.unwrap_or(self.now);
        if time > self.limit.max(self.now) {
            return Err(ServiceError::BadInput {
                field: "event_timestamp".to_owned(),
                reason: format!("{time} is further ahead of the clock than max_future allows"),
            });
        }
        Ok(ValueWrite {
            entity: self.writable.entity.name.as_str().into(),
            key,
            time,
            known: self.known,
            values: Vec::new(),
        })
    }
}

impl CheckedValues {
    /// The first value.
    pub fn first(&self) -> Option<&Value> {
        self.0.values.first().map(|(_, value)| value)
    }

    /// The features written.
    pub fn features(&self) -> impl Iterator<Item = &Arc<str>> {
        self.0.values.iter().map(|(name, _)| name)
    }
}

fn add(write: &mut ValueWrite, target: &Target, value: Value) -> Result<(), ServiceError> {
    target.check(&value)?;
    let name = &target.feature.name;
    match write.values.iter_mut().find(|(held, _)| held == name) {
        Some((_, held)) => *held = value,
        None => write.values.push((name.clone(), value)),
    }
    Ok(())
}
