//! Why a job of the pipelines failed.

use crate::fold::{CompileError, DecodeError};
use crate::{expression, source};

/// Why a job of the pipelines failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A source could not be read.
    #[error(transparent)]
    Source(#[from] source::Error),
    /// An expression does not fit the data.
    #[error("evaluate an expression: {0}")]
    Expression(expression::Error),
    /// A group cannot be compiled.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// A stored state cannot be read.
    #[error(
        "read the state of `{key}` in group `{group}`: {source}; run `granary build` and `granary push` again"
    )]
    State {
        /// The entity's key.
        key: String,
        /// The group.
        group: String,
        /// What is wrong with the bytes.
        source: DecodeError,
    },
    /// An event in the log, or written values, cannot be read.
    #[error("read the record at offset {offset} of the log: {source}")]
    LoggedEvent {
        /// Where it stands.
        offset: u64,
        /// What is wrong with the bytes.
        source: DecodeError,
    },
    /// The stores failed.
    #[error(transparent)]
    Storage(#[from] granary_storage::Error),
    /// Columns that do not fit together.
    #[error("arrow: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
    /// A source that cannot be ingested.
    #[error("ingest source `{source_name}`: it has no `event_time`, and is read whole as it is")]
    NoEventTime {
        /// The source.
        source_name: String,
    },
    /// An event log that cannot be written anew.
    #[error(
        "ingest source `{source_name}` anew: {what}; put it back, or move `event_log/{source_name}` \
         out of the data directory to give up its rows"
    )]
    IngestAnew {
        /// The source.
        source_name: String,
        /// What would be lost.
        what: String,
    },
    /// A value feature's column is not in the files.
    #[error("source `{source_name}` has no column `{wanted}`; its files have: {present}")]
    NoColumn {
        /// The source.
        source_name: String,
        /// The column or columns looked for.
        wanted: String,
        /// Those there are.
        present: String,
    },
    /// Vectors of different lengths in one column.
    #[error("a vector has {found} elements, those before it {wanted}")]
    Dimension {
        /// Elements of this one.
        found: usize,
        /// Elements of the first.
        wanted: usize,
    },
    /// Expectations with severity `error` were broken.
    #[error("group `{group}` is not published: {}", broken.join("; "))]
    Expectations {
        /// The group.
        group: String,
        /// One line for each.
        broken: Vec<String>,
    },
    /// The registry lacks something that was asked for.
    #[error("the registry has no {what} `{name}`; it has {}", known.join(", "))]
    NoSuch {
        /// Group, label, feature service …
        what: &'static str,
        /// The name asked for.
        name: String,
        /// Those there are.
        known: Vec<String>,
    },
    /// A label row or spine row that cannot be used.
    #[error("{what}: {reason}")]
    Row {
        /// Which source or file, and which row.
        what: String,
        /// Why.
        reason: String,
    },
}
