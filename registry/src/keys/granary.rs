//! The keys of the form to write: a file with entities, sources, groups, labels and services.

use super::{Key, MapKey, Shape, Table, optional, required};
use crate::{DType, Function, Imputation};

/// A whole file.
pub(crate) const FILE: Table = Table {
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

const ENTITY: Table = Table {
    name: "entity",
    doc: "A kind of thing that features describe.",
    keys: &[
        required(
            "key",
            Shape::Name,
            "The join key column, such as `user_id`.",
        ),
        optional(
            "type",
            Shape::Choice(&["text", "int"]),
            "The key's type. Default text.",
        ),
        optional(
            "prefix",
            Shape::Text,
            "Prefix of its rows over RESP. Default `<name>:`.",
        ),
    ],
    one_of: &[],
};

const SOURCE: Table = Table {
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
        optional(
            "created",
            Shape::Text,
            "The column with the instant at which a row became known, for rows that come after their `event_time`. Training sets leave out what was not known yet.",
        ),
        optional(
            "id",
            Shape::Text,
            "The column that tells copies of an event.",
        ),
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

const GROUP: Table = Table {
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
        optional(
            "session_gap",
            Shape::Span,
            "Longest gap inside a session. Default 30m.",
        ),
        required(
            "features",
            Shape::List(&Shape::Table(&FEATURE)),
            "Its features.",
        ),
    ],
    one_of: &[],
};

const FEATURE: Table = Table {
    name: "feature",
    doc: "A value (a column as it stands), an aggregation, or an expression over other features of the group.",
    keys: &[
        required(
            "name",
            Shape::Name,
            "Its name, unique among all features of the entity.",
        ),
        DTYPE,
        DESCRIPTION,
        optional(
            "column",
            Shape::Text,
            "A value's column, if its name is another.",
        ),
        optional(
            "aggregation",
            Shape::Choice(&Function::NAMES),
            "How the entity's rows are folded into one value.",
        ),
        optional(
            "input",
            Shape::Expression,
            "What is folded: a column or an SQL expression.",
        ),
        optional(
            "where",
            Shape::Expression,
            "Only rows for which this SQL condition is true.",
        ),
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
            "edges",
            Shape::List(&Shape::Number),
            "Where the elements of a `histogram` vector begin, ascending; one more element is below the first.",
        ),
        optional(
            "k",
            Shape::Whole,
            "How many inputs `first_k` and `last_k` keep, 1 to 100.",
        ),
        optional(
            "bound",
            Shape::Whole,
            "How many different inputs `count_distinct` counts exactly, 1 to 65,536; beyond it estimates. Default 1,024.",
        ),
        optional(
            "percentile",
            Shape::Number,
            "Which share of inputs lies below an `approx_percentile`, 0 to 1.",
        ),
        optional(
            "half_life",
            Shape::Span,
            "After which age an input counts half in a `decayed_sum`.",
        ),
        optional(
            "per",
            Shape::Span,
            "The span that a `rate` or `trend` is told for. Default 1d.",
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

const CONSTANT: Table = Table {
    name: "constant",
    doc: "A fixed value.",
    keys: &[required("constant", Shape::Literal, "The value.")],
    one_of: &[],
};

const EXPECTATION: Table = Table {
    name: "expectation",
    doc: "A rule with its consequence.",
    keys: &[
        optional("not_null", Shape::Bool, "No nulls."),
        optional(
            "range",
            Shape::Table(&RANGE),
            "Within the bounds, ends included; nulls are not looked at.",
        ),
        optional(
            "in",
            Shape::List(&Shape::Literal),
            "One of these; nulls are not looked at.",
        ),
        optional(
            "unique",
            Shape::Bool,
            "No value twice; nulls are not looked at.",
        ),
        optional(
            "null_share",
            Shape::Number,
            "At most this share of nulls, 0 to 1.",
        ),
        optional(
            "severity",
            Shape::Choice(&["error", "warn"]),
            "Whether a broken rule stops publication or is only reported. Default error.",
        ),
    ],
    one_of: &["not_null", "range", "in", "unique", "null_share"],
};

const RANGE: Table = Table {
    name: "range",
    doc: "Bounds, ends included.",
    keys: &[
        optional("min", Shape::Number, "Lower bound."),
        optional("max", Shape::Number, "Upper bound."),
    ],
    one_of: &[],
};

const LABEL: Table = Table {
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
        optional(
            "column",
            Shape::Text,
            "The column with the label, 0/1 or true/false.",
        ),
        optional(
            "draw",
            Shape::Table(&DRAW),
            "Drawn by hash of seed and key.",
        ),
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

const DRAW: Table = Table {
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

const INACTIVITY: Table = Table {
    name: "inactivity",
    doc: "No event of a kind within a horizon after the instant.",
    keys: &[
        optional(
            "where",
            Shape::Expression,
            "The kind of event. Default any.",
        ),
        required("horizon", Shape::Span, "How far behind the instant."),
    ],
    one_of: &[],
};

const INSTANT_COLUMN: Table = Table {
    name: "instant_column",
    doc: "An instant per row.",
    keys: &[required(
        "column",
        Shape::Text,
        "A timestamp column of the label's source.",
    )],
    one_of: &[],
};

const SPLIT: Table = Table {
    name: "split",
    doc: "The parts of a training set.",
    keys: &[
        required("train", Shape::Number, "Share to learn from."),
        required("valid", Shape::Number, "Share to choose by."),
        optional(
            "test",
            Shape::Number,
            "Share to report on. Default the rest.",
        ),
        optional(
            "by",
            Shape::Choice(&["key", "time"]),
            "By hash of the key, or later instants into valid and test. Default key.",
        ),
    ],
    one_of: &[],
};

const SERVICE: Table = Table {
    name: "feature_service",
    doc: "The named feature list of a model.",
    keys: &[
        DESCRIPTION,
        optional("label", Shape::Text, "The label it predicts."),
        required("features", TEXTS, "Whole groups, or `group:feature`."),
    ],
    one_of: &[],
};

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

const TEXTS: Shape = Shape::List(&Shape::Text);
pub(super) const DESCRIPTION: Key = optional("description", Shape::Text, "For people.");
pub(super) const OWNER: Key = optional("owner", Shape::Text, "Who to ask.");
pub(super) const TAGS: Key = optional("tags", TEXTS, "For people and access rules, such as `pii`.");
pub(super) const SERVICES: Key = optional(
    "feature_services",
    Shape::Map(MapKey::Name, &Shape::Table(&SERVICE)),
    "The named feature lists of models.",
);
pub(super) const CLOCK: Key = optional(
    "clock",
    Shape::Choice(&["wall", "data"]),
    "What `now` means for reads without an instant: the machine's clock, or one microsecond past the newest event. Default wall.",
);
pub(super) const DTYPE: Key = required("dtype", Shape::Choice(&DTYPES), "The type of its values.");
pub(super) const IMPUTATION: Key = optional(
    "imputation",
    Shape::Either(&[Shape::Choice(&Imputation::NAMES), Shape::Table(&CONSTANT)]),
    "How training sets fill its nulls, fitted on the training part. Stores and reads never fill.",
);
pub(super) const EXPECT: Key = optional(
    "expect",
    Shape::List(&Shape::Table(&EXPECTATION)),
    "Rules that every build checks.",
);
