//! What a registry holds once it is checked: every name resolved, every expression typed.
//! Built by `check`, read by every other crate.

use std::fmt;
use std::sync::Arc;

use crate::{DType, EventTime, Expression, Function, Span, Value};

/// The checked registry.
#[derive(Clone, Debug, PartialEq)]
pub struct Registry {
    /// Name of the project.
    pub project: String,
    /// What "now" means for reads without `as_of`.
    pub clock: Clock,
    /// Entities, in file order.
    pub entities: Vec<Entity>,
    /// Sources, in file order.
    pub sources: Vec<Source>,
    /// Feature groups, in file order.
    pub groups: Vec<FeatureGroup>,
    /// Labels, in file order.
    pub labels: Vec<Label>,
    /// Feature services, in file order.
    pub services: Vec<FeatureService>,
}

/// Where "now" comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The machine's clock.
    Wall,
    /// One microsecond past the newest event of any event source.
    Data,
}

/// A kind of thing that features describe.
#[derive(Clone, Debug, PartialEq)]
pub struct Entity {
    /// `user`
    pub name: String,
    /// The join key column, `user_id`.
    pub key: String,
    /// `Text` or `Int`.
    pub dtype: DType,
    /// Prefix of its rows over RESP, `user:`.
    pub prefix: String,
}

/// A raw table or event log.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// `event_logs`
    pub name: String,
    /// Candidate paths or globs relative to the data directory; the first that exists is read.
    /// One without an extension tries a directory, then .parquet, .csv, .jsonl, each plain,
    /// .gz and .zst.
    pub paths: Vec<String>,
    /// Name of the entity its rows belong to.
    pub entity: String,
    /// The column that holds the instant of a row; a table without one is valid from the
    /// beginning of time.
    pub event_time: Option<String>,
    /// The column that holds the instant at which a row became known, if it may be later than
    /// the row's own: training sets leave out what was not known yet.
    pub created: Option<String>,
    /// The dedupe key: copies of an event have the same entity, event time and id.
    pub id: Option<String>,
    /// How far behind an entity's newest event a live event may come and still count.
    pub allowed_lateness: Span,
    /// Columns of the file that may be used, with their types (the entity key and the
    /// event time included).
    pub columns: Vec<Column>,
    /// Columns computed once per row, in order: `sentiment: vader(review_text)`.
    pub derived: Vec<DerivedColumn>,
}

/// A column of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name in the file.
    pub name: String,
    /// Its type.
    pub dtype: DType,
}

/// A column computed from others of the same row.
#[derive(Clone, Debug, PartialEq)]
pub struct DerivedColumn {
    /// Its name.
    pub name: String,
    /// Its type.
    pub dtype: DType,
    /// How it is computed.
    pub expression: Expression,
}

/// Features of one entity from one source, built and versioned together.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureGroup {
    /// `user_activity_features`
    pub name: String,
    /// Name of the entity.
    pub entity: String,
    /// Name of the source.
    pub source: String,
    /// For people.
    pub description: String,
    /// For people.
    pub owner: String,
    /// For people and access rules (`pii`).
    pub tags: Vec<String>,
    /// How old the group's data may be; feeds monitoring, never changes a value.
    pub freshness: Option<Span>,
    /// How old a value may be before reads answer null.
    pub max_age: Option<Span>,
    /// Longest gap inside a session.
    pub session_gap: Span,
    /// In file order; a feature with several windows stands here once per window.
    pub features: Vec<Feature>,
    /// Of everything that decides the bytes of its states.
    pub fingerprint: Fingerprint,
}

/// One feature.
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    /// `purchases_7d`
    pub name: Arc<str>,
    /// The type of its values.
    pub dtype: DType,
    /// How it comes about.
    pub kind: FeatureKind,
    /// For people.
    pub description: String,
    /// How training sets fill its nulls; none leaves them missing.
    pub imputation: Option<Imputation>,
    /// Checked at every build.
    pub expectations: Vec<Expectation>,
}

/// How a feature comes about.
#[derive(Clone, Debug, PartialEq)]
pub enum FeatureKind {
    /// A column as it stands, folded by last: the only kind that can be written.
    Value {
        /// Where it reads.
        columns: ValueColumns,
    },
    /// A fold over the entity's events.
    Aggregate(Aggregation),
    /// An expression over other features of the same group, of kinds value or aggregate
    /// or derived and earlier in the list.
    Derived(Expression),
}

/// Where a value feature reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueColumns {
    /// The first of these columns that the file has (the name and its aliases).
    One(Vec<String>),
    /// A vector: a list column of one of these names, or else every column
    /// `<name>_<suffix>`, ordered by suffix.
    Spread(Vec<String>),
}

/// A fold with its arguments.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregation {
    /// Which fold.
    pub function: Function,
    /// What it folds; `count`, `sessions`, `session_length` and `days_since_last` need none.
    pub input: Option<Expression>,
    /// Only rows for which this is true.
    pub filter: Option<Expression>,
    /// Only rows this near to the instant; none is the lifetime.
    pub window: Option<Window>,
}

/// `[floor(t - length, hop), t)`; a hop of one microsecond is exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// How far back.
    pub length: Span,
    /// In which steps its tail moves.
    pub hop: Span,
}

/// How a training set fills the nulls of a feature, fitted on the training part.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the names are the rules")]
pub enum Imputation {
    Mean,
    Median,
    MostFrequent,
    Constant(Value),
}

/// A rule about a feature with its consequence.
#[derive(Clone, Debug, PartialEq)]
pub struct Expectation {
    /// What must hold.
    pub rule: Rule,
    /// What happens if it does not.
    pub severity: Severity,
}

/// What must hold for every row of a build.
#[derive(Clone, Debug, PartialEq)]
pub enum Rule {
    /// No nulls.
    NotNull,
    /// Nulls excepted, within the bounds, ends included.
    Range {
        /// None has no lower bound.
        min: Option<f64>,
        /// None has no upper bound.
        max: Option<f64>,
    },
    /// Nulls excepted, one of these.
    In(Vec<Value>),
    /// Nulls excepted, no value twice.
    Unique,
    /// At most this share of nulls, 0 to 1.
    NullShare(f64),
}

/// What a broken rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Stops publication.
    Error,
    /// Kept in the manifest and printed.
    Warn,
}

/// What a model learns to predict.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    /// `churn_label`
    pub name: String,
    /// Name of the entity.
    pub entity: String,
    /// Name of the source; none of its columns can be a feature.
    pub source: String,
    /// Column of the training set, `churned`.
    pub column: String,
    /// For people.
    pub description: String,
    /// Where the label comes from.
    pub target: LabelTarget,
    /// The instant at which features are taken.
    pub instant: Instant,
    /// How keys are split into train, valid and test.
    pub split: Split,
}

/// Where a label comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum LabelTarget {
    /// A column of the source as it stands (0/1, true/false).
    Column(String),
    /// Drawn by hash of (seed, key) with a probability by score.
    Draw(Draw),
    /// 1 when no event of the kind falls within the horizon after the instant.
    Inactivity {
        /// The kind of event, as a condition over the source's columns; none means any.
        filter: Option<Expression>,
        /// How far behind the instant.
        horizon: Span,
    },
}

/// A label drawn from a score.
#[derive(Clone, Debug, PartialEq)]
pub struct Draw {
    /// The score column.
    pub from: String,
    /// Probability by upper bound: the first entry whose score is not below the row's
    /// counts; sorted by score, and 0 beyond the highest bound.
    pub probability: Vec<(f64, f64)>,
    /// Of the hash.
    pub seed: u64,
}

/// When features are taken for a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Instant {
    /// A column of the label source.
    Column(String),
    /// The same for all rows.
    Fixed(EventTime),
    /// The data clock at build.
    DataClock,
}

/// How keys are split.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Split {
    /// Share for training, 0 to 1.
    pub train: f64,
    /// Share for choices; the rest is for the report.
    pub valid: f64,
    /// Later instants into valid and test, instead of by hash of the key.
    pub by_time: bool,
}

/// The named feature list of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureService {
    /// `churn`
    pub name: String,
    /// For people.
    pub description: String,
    /// (group, feature) by name, expanded and in order.
    pub features: Vec<(String, Arc<str>)>,
    /// Name of the label it predicts, if any.
    pub label: Option<String>,
}

/// A hash of a definition: equal when the stored bytes mean the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub u64);

impl Imputation {
    /// The rules that need no value, by name.
    pub const NAMES: [&'static str; 3] = ["mean", "median", "most_frequent"];
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FeatureGroup {
    /// The feature of this name.
    pub fn feature(&self, name: &str) -> Option<&Feature> {
        self.features.iter().find(|feature| &*feature.name == name)
    }
}

impl Registry {
    /// The entity of this name.
    pub fn entity(&self, name: &str) -> Option<&Entity> {
        self.entities.iter().find(|entity| entity.name == name)
    }

    /// The source of this name.
    pub fn source(&self, name: &str) -> Option<&Source> {
        self.sources.iter().find(|source| source.name == name)
    }

    /// The group of this name.
    pub fn group(&self, name: &str) -> Option<&FeatureGroup> {
        self.groups.iter().find(|group| group.name == name)
    }

    /// The label of this name.
    pub fn label(&self, name: &str) -> Option<&Label> {
        self.labels.iter().find(|label| label.name == name)
    }

    /// The feature service of this name.
    pub fn service(&self, name: &str) -> Option<&FeatureService> {
        self.services.iter().find(|service| service.name == name)
    }
}
