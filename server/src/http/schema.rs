//! The JSON shapes: of the OpenAPI document, and of the answers that are plain enough to be
//! serialized. Rows and predictions are written by hand in `json`, without a tree in between.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

/// A number, text, true or false, an array of numbers, or null.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum FeatureValue {
    /// `int` and `float`
    Number(f64),
    /// `text`, `categorical`, `timestamp`
    Text(String),
    /// `bool`
    Truth(bool),
    /// `vector`
    Vector(Vec<f32>),
    /// Nothing is known.
    Null,
}

/// One entity's features.
#[derive(Serialize, ToSchema)]
pub struct FeatureAnswer {
    /// The entity's key.
    #[schema(example = "u000042")]
    pub user_id: String,
    /// The instant the features hold at.
    #[schema(example = "2026-01-31T12:00:00Z")]
    pub as_of: String,
    /// `log` if they were computed from the event log, because the instant is past.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// By name; null where nothing is known.
    pub features: BTreeMap<String, FeatureValue>,
}

/// Which rows: `user_ids`, or `rows` with instants of their own.
#[derive(Serialize, ToSchema)]
pub struct FeatureRequest {
    /// Keys of entities.
    #[schema(example = json!(["u000042", "u000043"]))]
    pub user_ids: Option<Vec<String>>,
    /// Keys with an instant each.
    pub rows: Option<Vec<FeatureRequestRow>>,
    /// Names; all if left out.
    pub features: Option<Vec<String>>,
    /// The instant for all rows without one of their own; now if left out.
    pub as_of: Option<String>,
}

/// One row to look up.
#[derive(Serialize, ToSchema)]
pub struct FeatureRequestRow {
    /// The entity's key.
    pub user_id: String,
    /// The instant the features shall hold at.
    pub as_of: Option<String>,
}

/// The rows asked for, in order.
#[derive(Serialize, ToSchema)]
pub struct FeatureRows {
    /// Features, or an error.
    pub rows: Vec<FeatureRowOrRefusal>,
}

/// Features, or an error.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum FeatureRowOrRefusal {
    /// It was found.
    Row(FeatureAnswer),
    /// It was not.
    Refusal(RowRefusal),
}

/// Why one row of several was refused.
#[derive(Serialize, ToSchema)]
pub struct RowRefusal {
    /// The entity's key, if one was sent.
    pub user_id: Option<String>,
    /// Why.
    pub error: ErrorDetail,
}

/// One subject, several as `rows`, or an array of subjects.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum PredictRequest {
    /// One.
    One(PredictSubject),
    /// Several.
    Many {
        /// The subjects.
        rows: Vec<PredictSubject>,
    },
    /// Several.
    List(Vec<PredictSubject>),
}

/// Whom to predict for: an entity, features, or both.
#[derive(Serialize, ToSchema)]
pub struct PredictSubject {
    /// The entity's key.
    #[schema(example = "u000042")]
    pub user_id: Option<String>,
    /// Features by name; they win over the stored ones.
    pub features: Option<BTreeMap<String, FeatureValue>>,
}

/// One prediction, or several.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum PredictAnswer {
    /// For one subject.
    One(Prediction),
    /// For several.
    Many {
        /// In the order of the subjects; one that failed holds `error`.
        predictions: Vec<PredictionOrRefusal>,
    },
}

/// A prediction, or an error.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum PredictionOrRefusal {
    /// It was made.
    Prediction(Prediction),
    /// It was not.
    Refusal(RowRefusal),
}

/// A churn probability with all that it rests on.
#[derive(Serialize, ToSchema)]
pub struct Prediction {
    /// The entity's key, if one was sent.
    pub user_id: Option<String>,
    /// Of churning, 0 to 1.
    #[schema(example = 0.27)]
    pub probability: f64,
    /// `churn` if the probability reaches the threshold, else `stay`.
    #[schema(example = "stay")]
    pub decision: String,
    /// Chosen on the validation part.
    #[schema(example = 0.5)]
    pub threshold: f64,
    /// Name of the model.
    pub model: String,
    /// Version of the model.
    pub version: String,
    /// The instant the features hold at.
    pub as_of: String,
    /// The features used.
    pub features: BTreeMap<String, FeatureValue>,
}

/// One event, an array of events, or events with their source.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum EventRequest {
    /// One, with the columns of its source.
    One(BTreeMap<String, serde_json::Value>),
    /// Several.
    List(Vec<BTreeMap<String, serde_json::Value>>),
    /// Several, with their source.
    Envelope {
        /// Name of the event source.
        source: Option<String>,
        /// The events.
        events: Vec<BTreeMap<String, serde_json::Value>>,
    },
}

/// What became of the events.
#[derive(Serialize, ToSchema)]
pub struct Receipt {
    /// Written to the log and durable.
    pub accepted: u64,
    /// Of these, copies of events seen before.
    pub duplicates: u64,
    /// Of these, too late for the online state: they count from the next build on.
    pub late: u64,
}

/// The process answers.
#[derive(Serialize, ToSchema)]
pub struct Health {
    /// `ok`
    pub status: &'static str,
}

/// Whether features are loaded.
#[derive(Serialize, ToSchema)]
pub struct Ready {
    /// Whether they are.
    pub ready: bool,
    /// Why not, or what is due.
    pub notes: Vec<String>,
}

/// Why a request was refused.
#[derive(Serialize, ToSchema)]
pub struct Refusal {
    /// What was wrong.
    pub error: ErrorDetail,
}

/// What was wrong.
#[derive(Serialize, ToSchema)]
pub struct ErrorDetail {
    /// For programs: `unknown_entity`, `bad_input` …
    #[schema(example = "unknown_entity")]
    pub code: String,
    /// For people.
    pub message: String,
    /// The field at fault.
    pub field: Option<String>,
    /// The name that was probably meant.
    pub nearest: Option<String>,
    /// Where the JSON breaks.
    pub line: Option<usize>,
    /// Where the JSON breaks.
    pub column: Option<usize>,
}

/// What is loaded, for the page and for people.
#[derive(Serialize, ToSchema)]
pub struct Status {
    /// Version of the program.
    pub version: &'static str,
    /// Name of the project.
    pub project: String,
    /// Kind of entity.
    pub entity: String,
    /// Its key field.
    pub key: String,
    /// A key that can be looked up.
    pub example: Option<String>,
    /// Whether features are loaded.
    pub ready: bool,
    /// Why not, or what is due.
    pub notes: Vec<String>,
    /// Number of the generation served.
    pub generation: u64,
    /// Entities in it.
    pub entities: u64,
    /// "Now" by the registry's clock.
    pub now: Option<String>,
    /// Bytes of changed rows not yet flushed.
    pub staged_bytes: u64,
    /// End of the log.
    pub log_offset: u64,
    /// Events taken in since the start.
    pub events: Receipt,
    /// The groups served.
    pub groups: Vec<Group>,
    /// The features served, in order.
    pub features: Vec<Feature>,
    /// The serving model.
    pub model: Option<Model>,
}

/// A served group.
#[derive(Serialize, ToSchema)]
pub struct Group {
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
    pub watermark: Option<String>,
    /// Seconds from the watermark to now.
    pub age_seconds: Option<f64>,
    /// Whether the age is within the registry's freshness.
    pub fresh: Option<bool>,
}

/// A served feature.
#[derive(Serialize, ToSchema)]
pub struct Feature {
    /// Its name.
    pub name: String,
    /// Its group.
    pub group: String,
    /// `int`, `float`, `bool`, `text`, `categorical`, `timestamp` or `vector`.
    #[serde(rename = "type")]
    pub kind: String,
    /// For people.
    pub description: String,
    /// Whether it is a value, which can be written, rather than an aggregate.
    pub is_value: bool,
}

/// The serving model.
#[derive(Serialize, ToSchema)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `boosting` …
    pub algorithm: String,
    /// Its `metrics.json`.
    pub metrics: serde_json::Value,
}

/// What became of an erasure.
#[derive(Serialize, ToSchema)]
pub struct Erasure {
    /// Kind of entity.
    #[schema(example = "user")]
    pub entity: String,
    /// Keyed hash of the kind and the key, as in the audit log.
    pub hash: String,
    /// Whether the entity was served.
    pub was_served: bool,
    /// Records of the log that are gone.
    pub logged: u64,
    /// Lines that are gone from the serving log and from skipped rows.
    pub lines: u64,
    /// Rows that are gone from sources that were ingested.
    pub ingested: u64,
    /// Rows that are gone from raw files under the data directory.
    pub raw: Vec<ErasedRows>,
    /// Rows that are gone from versions of feature groups.
    pub versions: Vec<ErasedRows>,
    /// Rows that are gone from training sets.
    pub datasets: Vec<ErasedRows>,
    /// Rows that raw files elsewhere have still, which count no more.
    pub outside: Vec<ErasedRows>,
    /// Backups that were made before: nothing in them was changed.
    pub backups: Vec<String>,
    /// How long it took.
    pub seconds: f64,
}

/// So many rows of a file, a version or a training set.
#[derive(Serialize, ToSchema)]
pub struct ErasedRows {
    /// Its path or name.
    pub name: String,
    /// How many.
    pub rows: u64,
}
