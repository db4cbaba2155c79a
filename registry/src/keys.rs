//! The keys of a registry file, section by section: the one description that `shape` checks
//! files against and `schema` turns into the JSON Schema for editors.

use crate::{DType, Imputation};

/// What may stand at a place.
pub(crate) enum Shape {
    /// Any text.
    Text,
    /// A text that can be part of a file name and a key.
    Name,
    /// `true` or `false`.
    Bool,
    /// A whole number from 0.
    Whole,
    /// Any finite number.
    Number,
    /// A number, a text, `true` or `false`.
    Literal,
    /// `30d`
    Span,
    /// `2026-01-31T12:00:00Z`
    Instant,
    /// An SQL expression.
    Expression,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list.
    List(&'static Shape),
    /// A list, or one without its brackets.
    OneOrMany(&'static Shape),
    /// A map whose keys the user chooses.
    Map(MapKey, &'static Shape),
    /// A map with these keys.
    Table(&'static Table),
    /// Any of these.
    Either(&'static [Shape]),
}

/// What the keys of a map are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum MapKey {
    /// Names of the registry.
    Name,
    /// Columns of a file, which may have any name.
    Column,
    /// Scores.
    Number,
}

/// A map with fixed keys.
pub(crate) struct Table {
    /// Its name in the JSON Schema.
    pub(crate) name: &'static str,
    /// What it describes.
    pub(crate) doc: &'static str,
    /// Its keys, in the order to write them.
    pub(crate) keys: &'static [Key],
    /// Exactly one of these must be there, if there are any.
    pub(crate) one_of: &'static [&'static str],
}

/// A key of a table.
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    pub(crate) required: bool,
    pub(crate) doc: &'static str,
}

const fn required(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key { name, shape, required: true, doc }
}

const fn optional(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key { name, shape, required: false, doc }
}

/// The names of all types.
const DTYPES: [&str; DType::NAMES.len()] = {
    let mut names = [""; DType::NAMES.len()];
    let mut index = 0;
    while index < names.len() {
        names[index] = DType::NAMES[index].0;
        index += 1;
    }
    names
};

/// The names of all aggregations.
pub(crate) const AGGREGATIONS: [&str; 13] = [
    "count", "sum", "mean", "min", "max", "variance", "stddev", "first", "last", "count_by",
    "sessions", "session_length", "days_since_last",
];

const TEXTS: Shape = Shape::List(&Shape::Text);
const DESCRIPTION: Key = optional("description", Shape::Text, "For people.");
const OWNER: Key = optional("owner", Shape::Text, "Who to ask.");
const TAGS: Key = optional("tags", TEXTS, "For people and access rules, such as `pii`.");
const SERVICES: Key = optional(
    "feature_services",
    Shape::Map(MapKey::Name, &Shape::Table(&SERVICE)),
    "The named feature lists of models.",
);
const CLOCK: Key = optional(
    "clock",
    Shape::Choice(&["wall", "data"]),
    "What `now` means for reads without an instant: the machine's clock, or one microsecond past the newest event. Default wall.",
);
const DTYPE: Key = required("dtype", Shape::Choice(&DTYPES), "The type of its values.");
const IMPUTATION: Key = optional(
    "imputation",
    Shape::Either(&[Shape::Choice(&Imputation::NAMES), Shape::Table(&CONSTANT)]),
    "How training sets fill its nulls, fitted on the training part. Stores and reads never fill.",
);
const EXPECT: Key = optional(
    "expect",
    Shape::List(&Shape::Table(&EXPECTATION)),
    "Rules that every build checks.",
);

/// A whole file.
pub(crate) static FILE: Table = Table {
    name: "registry",
    doc: "The feature definitions of a project.",
    keys: &[
        required("project", Shape::Name, "Name of the project."),
        CLOCK,
        required(
            "entities",
            Shape::Map(MapKey::Name, &Shape::Table(&ENTITY)),
            "The kinds of things that features describe.",
        ),
        required(
            "sources",
            Shape::Map(MapKey::Name, &Shape::Table(&SOURCE)),
            "Raw tables and event logs.",
        ),
        required(
            "feature_groups",
            Shape::Map(MapKey::Name, &Shape::Table(&GROUP)),
            "Features of one entity from one source, built and versioned together.",
        ),
        optional(
            "labels",
            Shape::Map(MapKey::Name, &Shape::Table(&LABEL)),
            "What models learn to predict.",
        ),
        SERVICES,
    ],
    one_of: &[],
};

static ENTITY: Table = Table {
    name: "entity",
    doc: "A kind of thing that features describe.",
    keys: &[
        required("key", Shape::Name, "The join key column, such as `user_id`."),
        optional("type", Shape::Choice(&["text", "int"]), "The key's type. Default text."),
        optional("prefix", Shape::Text, "Prefix of its rows over RESP. Default `<name>:`."),
    ],
    one_of: &[],
};

static SOURCE: Table = Table {
    name: "source",
    doc: "A raw table or event log.",
    keys: &[
        required(
            "path",
            Shape::OneOrMany(&Shape::Text),
            "A path or glob relative to the data directory, or several of which the first that exists is read.",
        ),
        required("entity", Shape::Text, "The entity its rows belong to."),
        optional(
            "event_time",
            Shape::Text,
            "The column with the instant of a row. A table without one is valid from the beginning of time.",
        ),
        optional("id", Shape::Text, "The column that tells copies of an event."),
        optional(
            "allowed_lateness",
            Shape::Span,
            "How far behind an entity's newest event a live event may come and still count. Default 2d.",
        ),
        required(
            "columns",
            Shape::Map(MapKey::Column, &Shape::Choice(&DTYPES)),
            "The columns that may be used with their types, the entity's key and the event time included.",
        ),
        optional(
            "derived",
            Shape::Map(MapKey::Name, &Shape::Expression),
            "Columns computed once per row, in order, such as `vader(review_text)`.",
        ),
    ],
    one_of: &[],
};

static GROUP: Table = Table {
    name: "feature_group",
    doc: "Features of one entity from one source.",
    keys: &[
        DESCRIPTION,
        required("entity", Shape::Text, "The entity it describes."),
        required("source", Shape::Text, "The source it reads."),
        OWNER,
        TAGS,
        optional(
            "freshness",
            Shape::Span,
            "How old the group's data may be. For monitoring; never changes a value.",
        ),
        optional(
            "max_age",
            Shape::Span,
            "How old a value may be before reads answer null. For groups of values alone.",
        ),
        optional("session_gap", Shape::Span, "Longest gap inside a session. Default 30m."),
        required("features", Shape::List(&Shape::Table(&FEATURE)), "Its features."),
    ],
    one_of: &[],
};

static FEATURE: Table = Table {
    name: "feature",
    doc: "A value (a column as it stands), an aggregation, or an expression over other features of the group.",
    keys: &[
        required("name", Shape::Name, "Its name, unique among all features of the entity."),
        DTYPE,
        DESCRIPTION,
        optional("column", Shape::Text, "A value's column, if its name is another."),
        optional(
            "aggregation",
            Shape::Choice(&AGGREGATIONS),
            "How the entity's rows are folded into one value.",
        ),
        optional("input", Shape::Expression, "What is folded: a column or an SQL expression."),
        optional("where", Shape::Expression, "Only rows for which this SQL condition is true."),
        optional("window", Shape::Span, "Only rows this near to the instant."),
        optional(
            "windows",
            Shape::List(&Shape::Span),
            "One feature per window, named `<name>_<window>`.",
        ),
        optional(
            "hop",
            Shape::Span,
            "The steps in which a window's tail moves; 0 is exact. Default 1d, 1h or 5m by the window's length.",
        ),
        optional(
            "categories",
            TEXTS,
            "The elements of a `count_by` vector, in order.",
        ),
        optional(
            "expression",
            Shape::Expression,
            "An SQL expression over other features of the group.",
        ),
        IMPUTATION,
        EXPECT,
    ],
    one_of: &[],
};

static CONSTANT: Table = Table {
    name: "constant",
    doc: "A fixed value.",
    keys: &[required("constant", Shape::Literal, "The value.")],
    one_of: &[],
};

static EXPECTATION: Table = Table {
    name: "expectation",
    doc: "A rule with its consequence.",
    keys: &[
        optional("not_null", Shape::Bool, "No nulls."),
        optional(
            "range",
            Shape::Table(&RANGE),
            "Within the bounds, ends included; nulls are not looked at.",
        ),
        optional("in", Shape::List(&Shape::Literal), "One of these; nulls are not looked at."),
        optional("unique", Shape::Bool, "No value twice; nulls are not looked at."),
        optional("null_share", Shape::Number, "At most this share of nulls, 0 to 1."),
        optional(
            "severity",
            Shape::Choice(&["error", "warn"]),
            "Whether a broken rule stops publication or is only reported. Default error.",
        ),
    ],
    one_of: &["not_null", "range", "in", "unique", "null_share"],
};

static RANGE: Table = Table {
    name: "range",
    doc: "Bounds, ends included.",
    keys: &[
        optional("min", Shape::Number, "Lower bound."),
        optional("max", Shape::Number, "Upper bound."),
    ],
    one_of: &[],
};

static LABEL: Table = Table {
    name: "label",
    doc: "What a model learns to predict: a column, a draw from a score, or an inactivity rule.",
    keys: &[
        DESCRIPTION,
        required("entity", Shape::Text, "The entity it describes."),
        required(
            "source",
            Shape::Text,
            "The source it reads. None of its columns can be a feature, unless the label is an inactivity rule.",
        ),
        optional("column", Shape::Text, "The column with the label, 0/1 or true/false."),
        optional("draw", Shape::Table(&DRAW), "Drawn by hash of seed and key."),
        optional(
            "inactivity",
            Shape::Table(&INACTIVITY),
            "1 when no event of a kind falls within a horizon after the instant.",
        ),
        optional(
            "name",
            Shape::Name,
            "Its column in the training set. Default the column's name, or the label's.",
        ),
        optional(
            "instant",
            Shape::Either(&[Shape::Instant, Shape::Table(&INSTANT_COLUMN)]),
            "When features are taken. Default the data clock at the time of the build.",
        ),
        optional(
            "split",
            Shape::Table(&SPLIT),
            "The parts of a training set. Default 0.7, 0.15 and 0.15 by key.",
        ),
    ],
    one_of: &["column", "draw", "inactivity"],
};

static DRAW: Table = Table {
    name: "draw",
    doc: "A label drawn from a score.",
    keys: &[
        required("from", Shape::Text, "The score column."),
        required(
            "p",
            Shape::Map(MapKey::Number, &Shape::Number),
            "Probability by upper bound of the score; 0 beyond the highest.",
        ),
        required("seed", Shape::Whole, "Seed of the hash."),
    ],
    one_of: &[],
};

static INACTIVITY: Table = Table {
    name: "inactivity",
    doc: "No event of a kind within a horizon after the instant.",
    keys: &[
        optional("where", Shape::Expression, "The kind of event. Default any."),
        required("horizon", Shape::Span, "How far behind the instant."),
    ],
    one_of: &[],
};

static INSTANT_COLUMN: Table = Table {
    name: "instant_column",
    doc: "An instant per row.",
    keys: &[required("column", Shape::Text, "A timestamp column of the label's source.")],
    one_of: &[],
};

static SPLIT: Table = Table {
    name: "split",
    doc: "The parts of a training set.",
    keys: &[
        required("train", Shape::Number, "Share to learn from."),
        required("valid", Shape::Number, "Share to choose by."),
        optional("test", Shape::Number, "Share to report on. Default the rest."),
        optional(
            "by",
            Shape::Choice(&["key", "time"]),
            "By hash of the key, or later instants into valid and test. Default key.",
        ),
    ],
    one_of: &[],
};

static SERVICE: Table = Table {
    name: "feature_service",
    doc: "The named feature list of a model.",
    keys: &[
        DESCRIPTION,
        optional("label", Shape::Text, "The label it predicts."),
        required("features", TEXTS, "Whole groups, or `group:feature`."),
    ],
    one_of: &[],
};

/// A whole file in the original form.
pub(crate) static ORIGINAL_FILE: Table = Table {
    name: "original_registry",
    doc: "The form without entities and sources: groups with keys that declare only values.",
    keys: &[
        optional("project", Shape::Name, "Name of the project. Default churn."),
        CLOCK,
        required(
            "feature_groups",
            Shape::Map(MapKey::Name, &Shape::Table(&ORIGINAL_GROUP)),
            "Tables of values. One named churn_label is the label.",
        ),
        SERVICES,
    ],
    one_of: &[],
};

static ORIGINAL_GROUP: Table = Table {
    name: "original_feature_group",
    doc: "A table of values.",
    keys: &[
        DESCRIPTION,
        required(
            "keys",
            Shape::OneOrMany(&Shape::Name),
            "The one key column; `user_id` is the key of entity `user`.",
        ),
        optional("source", Shape::Text, "The raw table that the values once came from."),
        OWNER,
        TAGS,
        optional(
            "freshness",
            Shape::Either(&[Shape::Span, Shape::Choice(&["static"])]),
            "How old the group's data may be. For monitoring; never changes a value.",
        ),
        required("features", Shape::List(&Shape::Table(&ORIGINAL_FEATURE)), "Its columns."),
    ],
    one_of: &[],
};

static ORIGINAL_FEATURE: Table = Table {
    name: "original_feature",
    doc: "A value: the column of the same name.",
    keys: &[
        required("name", Shape::Name, "Its name, unique among all features of the entity."),
        DTYPE,
        DESCRIPTION,
        IMPUTATION,
        EXPECT,
    ],
    one_of: &[],
};
