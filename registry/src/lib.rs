//! The shared vocabulary: turns `registry.yaml` into checked types that every
//! other crate reads. Knows nothing of files but the text it is given, and no clock.

mod columns; // which columns of a source features need
mod definition; // what a registry holds once it is checked
mod function; // the folds by name, with their arguments
mod expression; // the expressions of `where`, `input` and derived features
mod time; // instants and spans
mod value; // what a feature, a cell or a literal can be

mod check; // what the values mean
mod keys; // the keys of a file, section by section
mod original; // the form without entities and sources
mod place; // a node with its line and path
mod print; // expressions to SQL
mod problem; // what is wrong with a file
mod shape; // a file against its keys
mod sql; // SQL to expressions
mod typing; // the types of expressions
mod yaml; // text to nodes with lines

mod diff; // what a change means for stored data
mod fingerprint; // when stored bytes mean the same
mod schema; // the JSON Schema for editors

pub use definition::{
    Aggregation, Clock, Column, DerivedColumn, Draw, Entity, Expectation, Feature, FeatureGroup,
    FeatureKind, FeatureService, Fingerprint, Imputation, Instant, Label, LabelTarget, Registry,
    Rule, Severity, Source, Split, ValueColumns, Window,
};
pub use diff::{Change, ChangeKind, Consequence, Subject, diff};
pub use expression::{BinaryOp, Expression, ScalarFunction, UnaryOp};
pub use function::Function;
pub use problem::{Problem, Problems, nearest};
pub use schema::json_schema;
pub use time::{EventTime, Span, TimeError};
pub use value::{DType, Value, ValueRef};
