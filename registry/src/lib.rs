//! The shared vocabulary: turns `registry.yaml` into checked types that every
//! other crate reads. Knows nothing of files but the text it is given, and no clock.

mod value; // what a feature, a cell or a literal can be
mod time; // instants and spans
mod expression; // the expressions of `where`, `input` and derived features
mod definition; // what a registry holds once it is checked
mod columns; // which columns of a source features need

mod problem; // what is wrong with a file
mod yaml; // text to nodes with lines
mod place; // a node with its line and path
mod keys; // the keys of a file, section by section
mod shape; // a file against its keys
mod check; // what the values mean
mod original; // the form without entities and sources
mod sql; // SQL to expressions
mod typing; // the types of expressions
mod print; // expressions to SQL

mod fingerprint; // when stored bytes mean the same
mod diff; // what a change means for stored data
mod schema; // the JSON Schema for editors

pub use definition::{
    Aggregation, Clock, Column, DerivedColumn, Draw, Entity, Expectation, Feature, FeatureGroup,
    FeatureKind, FeatureService, Fingerprint, Function, Imputation, Instant, Label, LabelTarget,
    Registry, Rule, Severity, Source, Split, ValueColumns, Window,
};
pub use problem::{Problem, Problems, nearest};
pub use diff::{Change, ChangeKind, Consequence, Subject, diff};
pub use expression::{BinaryOp, Expression, ScalarFunction, UnaryOp};
pub use time::{EventTime, Span, TimeError};
pub use schema::json_schema;
pub use value::{DType, Value};
