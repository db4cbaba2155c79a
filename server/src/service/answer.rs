//! What the use cases take and give back: plain types without JSON or RESP shapes.

use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use foldhash::fast::FixedState;
use granary_registry::{DType, EventTime, Span, Value};

/// What is served at the moment; replaced as a whole by a push.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// The generation it describes; 0 before the first.
    pub generation: u64,
    /// Name of the project.
    pub project: String,
    /// Name of the entity, `user`.
    pub entity: String,
    /// Its join key, `user_id`.
    pub key: String,
    /// Prefix of its rows over RESP, `user:`.
    pub prefix: String,
    /// Whether its keys are whole numbers.
    pub has_number_keys: bool,
    /// Every feature in order.
    pub features: CatalogFeatures,
    /// Lists of features that have a name.
    pub services: Vec<CatalogService>,
}

/// The features of a service, all of them served.
#[derive(Clone, Debug)]
pub struct CatalogService {
    /// `churn`
    pub name: String,
    /// Positions in [`Catalog::features`], in its order.
    pub features: Vec<usize>,
}

/// The served features in order, found by name.
#[derive(Clone, Debug, Default)]
pub struct CatalogFeatures {
    features: Vec<CatalogFeature>,
    positions: HashMap<Box<[u8]>, usize, FixedState>,
}

impl CatalogFeatures {
    /// The position of a feature.
    pub fn position(&self, name: impl AsRef<[u8]>) -> Option<usize> {
        self.positions.get(name.as_ref()).copied()
    }
}

impl FromIterator<CatalogFeature> for CatalogFeatures {
    fn from_iter<I: IntoIterator<Item = CatalogFeature>>(features: I) -> CatalogFeatures {
        let features: Vec<CatalogFeature> = features.into_iter().collect();
        let mut positions = HashMap::default();
        for (position, feature) in features.iter().enumerate() {
            let name = Box::from(feature.name.as_bytes());
            positions.entry(name).or_insert(position);
        }
        CatalogFeatures {
            features,
            positions,
        }
    }
}

impl Deref for CatalogFeatures {
    type Target = [CatalogFeature];

    fn deref(&self) -> &[CatalogFeature] {
        &self.features
    }
}

/// One served feature.
#[derive(Clone, Debug)]
pub struct CatalogFeature {
    /// `purchases_7d`
    pub name: Arc<str>,
    /// `user_activity_features`
    pub group: Arc<str>,
    /// Type of its values.
    pub dtype: DType,
    /// For people.
    pub description: String,
    /// Whether it is a value, which can be written, rather than an aggregate.
    pub is_value: bool,
    /// Whether its group is tagged as personal.
    pub is_pii: bool,
    /// The age beyond which it is null, if there is one.
    pub max_age: Option<Span>,
}

/// What a reader asks for.
#[derive(Clone, Copy, Debug)]
pub struct Lookup<'a> {
    /// The entity's key, without prefix.
    pub key: &'a str,
    /// Positions in [`Catalog::features`]; none means all.
    pub features: Option<&'a [usize]>,
    /// The generation of that catalog: positions of another one would be other features.
    pub generation: u64,
    /// None means now, by the registry's clock.
    pub as_of: Option<EventTime>,
}

/// One entity's features.
#[derive(Clone, Debug)]
pub struct FeatureRow {
    /// The entity's key.
    pub key: String,
    /// The instant they hold at.
    pub as_of: EventTime,
    /// Where they were computed.
    pub from: Origin,
    /// Values in the order asked for.
    pub features: Vec<(Arc<str>, Value)>,
}

/// Where an answer was computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From the stored states.
    Online,
    /// From the event log, because the instant lies before the entity's newest event.
    Log,
}

/// What to predict for: an entity whose features are looked up, features sent along, or both
/// (those sent win).
#[derive(Clone, Debug, Default)]
pub struct Subject {
    /// The entity's key.
    pub key: Option<String>,
    /// Features by name.
    pub features: Vec<(String, Value)>,
}

/// A churn probability with all that it rests on.
#[derive(Clone, Debug)]
pub struct Prediction {
    /// The entity's key, if one was given.
    pub key: Option<String>,
    /// Of churning.
    pub probability: f64,
    /// Whether it reaches the threshold.
    pub decision: bool,
    /// Chosen on the validation part.
    pub threshold: f64,
    /// Name of the model.
    pub model: String,
    /// Version of the model.
    pub version: String,
    /// The instant the features hold at.
    pub as_of: EventTime,
    /// The features used.
    pub features: Vec<(Arc<str>, Value)>,
}

/// What the serving model takes.
#[derive(Clone, Debug)]
pub struct ModelShape {
    /// Name of the model.
    pub name: String,
    /// Version of the model.
    pub version: String,
    /// `boosting` …
    pub algorithm: String,
    /// Its features in order.
    pub features: Vec<(Arc<str>, DType)>,
}

/// What became of accepted events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// Written to the log and durable.
    pub accepted: u64,
    /// Of these, copies of events seen before.
    pub duplicates: u64,
    /// Of these, too late for the online state: they count from the next build on.
    pub late: u64,
}

/// Where an event stands among all: an id that ascends in the order of the log. Shown as the
/// ids of a Redis stream are, `<milliseconds>-<number>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Of the event, or of the newest event before it if that is later.
    pub millis: u64,
    /// Its offset in the log, which ascends by itself.
    pub offset: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.millis, self.offset)
    }
}

/// The state of the server for people and probes.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// Name of the project.
    pub project: String,
    /// Whether features are loaded.
    pub ready: bool,
    /// Why not, or what is due (a build, a push).
    pub notes: Vec<String>,
    /// Number of the generation served.
    pub generation: u64,
    /// Entities in it.
    pub entities: u64,
    /// "Now" by the registry's clock.
    pub now: Option<EventTime>,
    /// Bytes of changed rows not yet flushed.
    pub staged_bytes: u64,
    /// End of the log.
    pub log_offset: u64,
    /// The log's segments on disk.
    pub log_bytes: u64,
    /// The online store on disk.
    pub store_bytes: u64,
    /// Redis keys that are no entity's.
    pub plain_keys: u64,
    /// Requests that wait for the log at the moment.
    pub waiting: u64,
    /// Answers that wait to be written to the serving log.
    pub answers_waiting: u64,
    /// Events accepted since start.
    pub events_accepted: u64,
    /// Of these, copies.
    pub events_duplicate: u64,
    /// Of these, too late for the online state.
    pub events_late: u64,
    /// Writes of values accepted since start.
    pub values_written: u64,
    /// Answers written to the serving log since start.
    pub answers_logged: u64,
    /// Answers that were to be logged and could not.
    pub answers_dropped: u64,
    /// Lines read from tailed files.
    pub tail_lines: u64,
    /// Of these, written to bad_rows instead of taken.
    pub tail_bad_lines: u64,
    /// The groups served.
    pub groups: Vec<GroupStatus>,
    /// The serving model.
    pub model: Option<ModelStatus>,
}

/// One served group.
#[derive(Clone, Debug)]
pub struct GroupStatus {
    /// Its name.
    pub name: String,
    /// For people.
    pub description: String,
    /// Version of the offline store that was pushed.
    pub version: String,
    /// Rows in it.
    pub rows: u64,
    /// Number of features.
    pub features: usize,
    /// Newest event in it.
    pub watermark: Option<EventTime>,
    /// Microseconds from the watermark to now.
    pub age: Option<i64>,
    /// Whether `age` is within the registry's `freshness`, where it has one.
    pub fresh: Option<bool>,
}

/// The serving model.
#[derive(Clone, Debug)]
pub struct ModelStatus {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `boosting` …
    pub algorithm: String,
    /// `metrics.json` as text, which has `roc_auc`, `pr_auc`, `log_loss` at the top level.
    pub metrics: String,
}
