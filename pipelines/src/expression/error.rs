//! What can be wrong with an expression or with the columns it is given.

use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use granary_registry::{DType, TimeError};

/// Why an expression cannot be compiled or evaluated.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages name the fields")]
pub enum Error {
    /// A name that the caller offers no column for.
    #[error("find column `{column}`: there are {known}")]
    UnknownColumn { column: String, known: String },
    /// Fewer arrays than at compile time.
    #[error("read column `{column}`: it was compiled as number {slot}, {given} were given")]
    MissingColumn {
        column: String,
        slot: usize,
        given: usize,
    },
    /// An array of another type than the registry says.
    #[error("read column `{column}`: it is {found}, the registry says {wanted}")]
    ColumnType {
        column: String,
        wanted: DType,
        found: DataType,
    },
    /// An array of another length than the batch.
    #[error("read column `{column}`: it has {found} rows, the batch has {rows}")]
    ColumnLength {
        column: String,
        rows: usize,
        found: usize,
    },
    /// Types that an operator or a function is not defined for.
    #[error("compile `{operation}`: it is not defined for {found}")]
    Operands {
        operation: &'static str,
        found: String,
    },
    /// A wrong number of arguments.
    #[error("compile `{function}`: it takes {wanted} arguments, {found} were given")]
    Arguments {
        function: &'static str,
        wanted: &'static str,
        found: usize,
    },
    /// A text literal beside a timestamp that is no instant.
    #[error("compile a comparison with a timestamp")]
    Instant(#[from] TimeError),
    /// A filter that yields no boolean.
    #[error("filter by an expression of type {found}: a condition must be bool")]
    NotBoolean { found: String },
    /// An Arrow kernel refused.
    #[error("evaluate an expression")]
    Arrow(#[from] ArrowError),
}
