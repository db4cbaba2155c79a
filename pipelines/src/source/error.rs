//! What can go wrong while raw inputs are found and read.
//! Returned by every function of `source`.

use std::io;
use std::path::PathBuf;

use arrow::error::ArrowError;
use granary_registry::DType;
use parquet::errors::ParquetError;

use super::{BadRow, Format};

/// Why a source could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// None of the candidate paths exists.
    #[error("find source `{source_name}`: nothing at {}", .tried.join(", "))]
    NotFound {
        /// The source.
        source_name: String,
        /// Every path that was tried, in order.
        tried: Vec<String>,
    },
    /// A path with `*`, `?` or `[` that is no glob.
    #[error("find source `{source_name}`: `{pattern}` is no glob: {error}")]
    Pattern {
        /// The source.
        source_name: String,
        /// As the registry writes it.
        pattern: String,
        /// Where it breaks.
        error: glob::PatternError,
    },
    /// A file that is named, but in no format that can be read.
    #[error(
        "read {}: unknown format; the name must end in .parquet, .csv, .jsonl or .ndjson, \
         the text formats also in .gz or .zst",
        .path.display()
    )]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// Files of several formats under one path.
    #[error(
        "read source `{source_name}`: {} is {first_format}, {} is {other_format}; \
         keep one format per source",
        .first.display(), .other.display()
    )]
    MixedFormats {
        /// The source.
        source_name: String,
        /// The first file.
        first: PathBuf,
        /// Its format.
        first_format: Format,
        /// The first file of another format.
        other: PathBuf,
        /// Its format.
        other_format: Format,
    },
    /// The system refused, or a compressed stream is damaged.
    #[error("read {}: {error}", .path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
    /// A CSV file without a header line.
    #[error("read {}: no header line; the first line must name the columns", .path.display())]
    NoHeader {
        /// The file.
        path: PathBuf,
    },
    /// A Parquet file that is damaged.
    #[error("read {}: {error}", .path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        error: ParquetError,
    },
    /// Decoded values that do not fit into an Arrow array.
    #[error("read {}: {error}", .path.display())]
    Arrow {
        /// The file.
        path: PathBuf,
        /// What Arrow said.
        error: ArrowError,
    },
    /// The reader of a format gave up on a damaged file.
    #[error("read {}: the file is damaged: {message}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        message: String,
    },
    /// The registry names a column that the file lacks.
    #[error("read {}: no column `{column}`; {}", .path.display(), nearest_or_all(.nearest.as_deref(), .present))]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// As the registry writes it.
        column: String,
        /// The present column of the most similar name.
        nearest: Option<String>,
        /// The columns that are there.
        present: Vec<String>,
    },
    /// A header names the wanted column more than once.
    #[error("read {}: the header names column `{column}` twice", .path.display())]
    RepeatedColumn {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
    },
    /// The file's type cannot become the registry's type without loss.
    #[error("read {}: column `{column}` is {found}, registry says {wanted}", .path.display())]
    ColumnType {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// The Arrow type of the file.
        found: String,
        /// The registry's type.
        wanted: DType,
    },
    /// A row that cannot be read, under the strict rule.
    #[error("read {0}; fix the row, or leave such rows out with `--on-bad-row skip`")]
    BadRow(Box<BadRow>),
    /// A record so long that a quote or a newline is surely missing.
    #[error(
        "read {}: the record at line {line} is longer than {limit} bytes; \
         a quote is left open or a newline is missing",
        .path.display()
    )]
    RecordTooLong {
        /// The file.
        path: PathBuf,
        /// Where it begins.
        line: u64,
        /// The longest record that is read.
        limit: usize,
    },
    /// The registry asks of our own layout what is not in it.
    #[error(
        "read the event log of source `{source_name}`: {why}; \
         `granary ingest --force {source_name}` writes it anew"
    )]
    Stale {
        /// The source.
        source_name: String,
        /// What is asked for.
        why: String,
    },
    /// A raw file is not what was ingested.
    #[error(
        "read source `{source_name}`: {} {what}; put it back as it was, \
         or `granary ingest --force {source_name}` writes the event log anew",
        .path.display()
    )]
    Ingested {
        /// The source.
        source_name: String,
        /// The file.
        path: PathBuf,
        /// What became of it.
        what: String,
    },
    /// The event log could not be read.
    #[error(transparent)]
    EventLog(#[from] granary_storage::Error),
    /// The side file of bad rows could not be written.
    #[error("write the bad rows of source `{source_name}`: {error}")]
    SideFile {
        /// The source.
        source_name: String,
        /// What the system said.
        error: io::Error,
    },
}

/// What to do about a missing column: the nearest name, or the list of names.
fn nearest_or_all(nearest: Option<&str>, present: &[String]) -> String {
    match nearest {
        Some(name) => format!("the nearest name is `{name}`"),
        None => format!("it has {}", present.join(", ")),
    }
}
