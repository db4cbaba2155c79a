//! An answer with all that is needed to compute it again, and its line in the serving log.
//! Written by the sampling thread, read by `verify`; people read it with any JSON reader.

use std::collections::HashMap;
use std::sync::Arc;

use granary_pipelines::Serving;
use granary_pipelines::verify::Served;
use granary_registry::{DType, EventTime, Registry, Value};
use granary_storage::Offset;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value as Json};

use super::answer::{FeatureRow, Origin};
use super::cell;
use super::generation::GenerationMeta;

/// What was served at the moment of an answer.
#[derive(Debug)]
pub struct Provenance {
    generation: u64,
    /// Fingerprint of the registry, in hex.
    registry: String,
    /// Versions by group.
    versions: Vec<(String, String)>,
}

/// One entity's features with where they come from.
#[derive(Clone, Debug)]
pub struct ServedRow {
    /// The answer.
    pub row: FeatureRow,
    /// What was served.
    pub provenance: Arc<Provenance>,
    /// Events before the first offset were in the states, those from the second on were not.
    pub known: (Offset, Offset),
}

/// A line of the serving log.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    key: String,
    as_of: String,
    /// `online` or `log`.
    from: String,
    generation: u64,
    registry: String,
    versions: Map<String, Json>,
    known_from: u64,
    known_until: u64,
    features: Map<String, Json>,
}

impl Provenance {
    /// Of a generation.
    pub(super) fn new(number: u64, meta: &GenerationMeta, serving: &Serving) -> Provenance {
        let version = |held: &super::LoadedVersion| (held.group.clone(), held.version.clone());
        Provenance {
            generation: number,
            registry: serving.registry.fingerprint().to_string(),
            versions: meta.versions.iter().map(version).collect(),
        }
    }
}

impl ServedRow {
    /// Whose answer a line is.
    pub(super) fn key_of(line: &str) -> Option<String> {
        let line: Line = serde_json::from_str(line).ok()?;
        Some(line.key)
    }

    /// Its line, without the line break. Floats are written so that they read back exactly.
    pub fn to_line(&self) -> String {
        let features = self.row.features.iter();
        let versions = self.provenance.versions.iter();
        let line = Line {
            key: self.row.key.clone(),
            as_of: self.row.as_of.to_string(),
            from: match self.row.from {
                Origin::Online => "online".to_owned(),
                Origin::Log => "log".to_owned(),
            },
            generation: self.provenance.generation,
            registry: self.provenance.registry.clone(),
            versions: versions
                .map(|(group, version)| (group.clone(), Json::from(version.clone())))
                .collect(),
            known_from: self.known.0.0,
            known_until: self.known.1.0,
            features: features
                .map(|(name, value)| (name.to_string(), json(value)))
                .collect(),
        };
        serde_json::to_string(&line).expect("text and numbers have a JSON form")
    }
}

fn json(value: &Value) -> Json {
    let float = |x: f64| Number::from_f64(x).map_or(Json::Null, Json::Number);
    match value {
        Value::Null => Json::Null,
        Value::Int(x) => Json::from(*x),
        Value::Float(x) => float(*x),
        Value::Bool(x) => Json::from(*x),
        Value::Text(text) => Json::from(&**text),
        Value::Timestamp(time) => Json::from(time.to_string()),
        Value::Vector(elements) => elements.iter().map(|x| float(f64::from(*x))).collect(),
    }
}

/// Reads lines of the serving log under a registry. Names and versions, of which there are
/// few, are kept once.
pub struct ServedReader {
    features: HashMap<String, (Arc<str>, Option<DType>)>,
    registries: HashMap<String, Arc<str>>,
    versions: HashMap<u64, Vec<Versions>>,
}

/// As group and version.
type Versions = Arc<[(Arc<str>, Arc<str>)]>;

impl ServedReader {
    /// Features have the registry's types.
    pub fn new(registry: &Registry) -> ServedReader {
        let features = registry.groups.iter().flat_map(|group| &group.features);
        let named = features.map(|feature| {
            let name = feature.name.clone();
            (name.to_string(), (name, Some(feature.dtype)))
        });
        ServedReader {
            features: named.collect(),
            registries: HashMap::new(),
            versions: HashMap::new(),
        }
    }

    /// The answer, or what is wrong with the line.
    pub fn read(&mut self, line: &str) -> Result<Served, String> {
        let line: Line = serde_json::from_str(line).map_err(|error| error.to_string())?;
        let as_of = EventTime::parse(&line.as_of)
            .map_err(|error| format!("as_of is `{}`: {error}", line.as_of))?;
        let from_log = match line.from.as_str() {
            "online" => false,
            "log" => true,
            other => return Err(format!("from is `{other}`, wants `online` or `log`")),
        };
        let registry = self.registries.entry(line.registry);
        let registry = registry.or_insert_with_key(|hex| Arc::from(hex.as_str()));
        let registry = registry.clone();
        let features = line.features.into_iter();
        let features = features.map(|(name, value)| self.feature(name, &value));
        Ok(Served {
            key: Arc::from(line.key),
            as_of,
            from_log,
            known_from: Offset(line.known_from),
            known_until: Offset(line.known_until),
            registry,
            features: features.collect(),
            versions: self.versions(line.generation, &line.versions)?,
        })
    }

    fn feature(&mut self, name: String, value: &Json) -> (Arc<str>, Value) {
        let known = self.features.entry(name);
        let (name, dtype) = known.or_insert_with_key(|name| (Arc::from(name.as_str()), None));
        // A value of another type is kept as the text it is, and will not be equal.
        let other = || Value::Text(value.to_string().into());
        let value = match dtype {
            Some(dtype) => cell::of_json(value, *dtype).unwrap_or_else(|_| other()),
            None => other(),
        };
        (name.clone(), value)
    }

    fn versions(&mut self, generation: u64, line: &Map<String, Json>) -> Result<Versions, String> {
        let held = self.versions.entry(generation).or_default();
        let same = |versions: &&Versions| {
            let mut pairs = versions.iter();
            let same = |(group, version): &(Arc<str>, Arc<str>)| {
                line.get(&**group).and_then(Json::as_str) == Some(version)
            };
            versions.len() == line.len() && pairs.all(same)
        };
        if let Some(versions) = held.iter().find(same) {
            return Ok(versions.clone());
        }
        let pair = |(group, version): (&String, &Json)| {
            let version = version.as_str();
            let version = version.ok_or_else(|| format!("the version of {group} is no text"))?;
            Ok::<_, String>((Arc::from(group.as_str()), Arc::from(version)))
        };
        let versions: Versions = line.iter().map(pair).collect::<Result<_, _>>()?;
        held.push(versions.clone());
        Ok(versions)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn registry() -> Registry {
        Registry::parse(include_str!("../../../registry.yaml")).unwrap()
    }

    fn line(features: Vec<(Arc<str>, Value)>, as_of: i64, from: Origin) -> String {
        let row = ServedRow {
            row: FeatureRow {
                key: "7\"".to_owned(),
                as_of: EventTime(as_of),
                from,
                features,
            },
            provenance: Arc::new(Provenance {
                generation: 3,
                registry: "00ff".to_owned(),
                versions: vec![("a".to_owned(), "v000001".to_owned())],
            }),
            known: (Offset(5), Offset(6)),
        };
        row.to_line()
    }

    proptest! {
        #[test]
        fn a_line_reads_back_exactly(
            whole: i64,
            number in any::<f64>().prop_map(Value::float),
            vector in prop::collection::vec(prop::option::of(-1e30f32..1e30), 0..5),
            as_of in -1_000_000_000_000_000i64..4_000_000_000_000_000,
            log: bool,
        ) {
            let vector: Vec<f32> = vector.into_iter().map(|x| x.unwrap_or(f32::NAN)).collect();
            let features: Vec<(Arc<str>, Value)> = vec![
                ("purchases_7d".into(), Value::Int(whole)),
                ("avg_rating".into(), number),
                ("event_vector".into(), Value::Vector(vector.clone().into())),
                ("gender".into(), Value::Null),
            ];
            let from = if log { Origin::Log } else { Origin::Online };
            let read = ServedReader::new(&registry()).read(&line(features.clone(), as_of, from)).unwrap();
            prop_assert_eq!((&*read.key, read.as_of, read.from_log), ("7\"", EventTime(as_of), log));
            prop_assert_eq!((read.known_from, read.known_until), (Offset(5), Offset(6)));
            prop_assert_eq!(&*read.versions, &[(Arc::from("a"), Arc::from("v000001"))][..]);
            for (name, value) in &read.features {
                let wanted = &features.iter().find(|(held, _)| held == name).unwrap().1;
                match (value, wanted) {
                    (Value::Vector(a), Value::Vector(b)) => {
                        let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                        prop_assert_eq!(bits(a), bits(b));
                    }
                    (value, wanted) => prop_assert_eq!(value, wanted),
                }
            }
        }

        #[test]
        fn garbage_is_an_error_that_tells(garbage: String) {
            prop_assert!(ServedReader::new(&registry()).read(&garbage).is_err());
        }
    }

    #[test]
    fn what_is_of_another_type_is_kept_to_be_told() {
        let text: Vec<(Arc<str>, Value)> = vec![("purchases_7d".into(), Value::Text("x".into()))];
        let line = line(text, 5, Origin::Online);
        let read = ServedReader::new(&registry()).read(&line).unwrap();
        assert_eq!(read.features[0].1, Value::Text("\"x\"".into()));
    }
}
