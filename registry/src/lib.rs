//! The shared vocabulary: turns `registry.yaml` into checked types that every
//! other crate reads. Knows nothing of files but the text it is given, and no clock.

mod definition; // what a registry holds once it is checked
mod expression; // the expressions of `where`, `input` and derived features
mod time; // instants and spans
mod value; // what a feature, a cell or a literal can be

mod print; // expressions as SQL
mod problem; // what is wrong with a file
mod sql; // SQL to expressions
mod typing; // the types of expressions
mod yaml; // text to nodes with lines

pub use definition::{
    Aggregation, Clock, Column, DerivedColumn, Draw, Entity, Expectation, Feature, FeatureGroup,
    FeatureKind, FeatureService, Fingerprint, Function, Imputation, Instant, Label, LabelTarget,
    Registry, Rule, Severity, Source, Split, ValueColumns, Window,
};
pub use problem::{Problem, Problems};
pub use expression::{BinaryOp, Expression, ScalarFunction, UnaryOp};
pub use time::{EventTime, Span, TimeError};
pub use value::{DType, Value};
