//! What happens to rows that cannot be read: the first one is an error, or all are left out,
//! counted and written to a side file. Made by the caller of a build, used by every decoder.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use granary_registry::DType;
use serde::Serialize;

use super::Error;

/// Longest piece of a value that an error shows, in characters.
const SHOWN: usize = 80;

/// The rule for bad rows, shared by all threads of a build.
#[derive(Default)]
pub struct BadRows {
    side: Option<Mutex<Side>>,
}

struct Side {
    file: Box<dyn Write + Send>,
    /// A source may be read more than once; a bad row is told once.
    told: HashSet<(PathBuf, u64)>,
    counts: BTreeMap<String, u64>,
}

/// A row that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow {
    /// The file.
    pub path: PathBuf,
    /// Line of a text file on which the row begins, or number of the row in a Parquet file;
    /// both from 1.
    pub line: u64,
    /// The column, unless the row as a whole is broken.
    pub column: Option<String>,
    /// What stands there.
    pub value: String,
    /// What is wrong with it.
    pub reason: Reason,
    /// The row as it stands in a text file.
    pub raw: Option<String>,
}

/// Why a row cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The value is not of the registry's type.
    #[error("is no {0}")]
    NotA(DType),
    /// A JSON value of the wrong kind.
    #[error("is a JSON {found}, registry says {wanted}")]
    Kind {
        /// `text`, `number`, `bool`, `list` or `object`.
        found: &'static str,
        /// The registry's type.
        wanted: DType,
    },
    /// An entity key or an event time is missing.
    #[error("must not be empty")]
    Missing,
    /// Bytes that are no text.
    #[error("is not UTF-8")]
    NotUtf8,
    /// More or fewer fields than the header.
    #[error("the row has {found} fields, the header {wanted}")]
    Fields {
        /// In the row.
        found: usize,
        /// In the header.
        wanted: usize,
    },
    /// `"a"b`
    #[error("text follows a closing quote")]
    AfterQuote,
    /// The file ends inside quotes.
    #[error("a quote is never closed")]
    OpenQuote,
    /// A line that is no JSON object.
    #[error("not a JSON object: {0}")]
    Json(String),
}

impl BadRows {
    /// The first bad row is an error.
    pub fn strict() -> BadRows {
        BadRows { side: None }
    }

    /// Bad rows are left out, counted, and written to the side file as JSON lines
    /// `{"source", "file", "line", "column", "value", "reason", "raw"}`, in the order in which
    /// the threads meet them.
    pub fn skip(side_file: Box<dyn Write + Send>) -> BadRows {
        BadRows {
            side: Some(Mutex::new(Side {
                file: side_file,
                told: HashSet::new(),
                counts: BTreeMap::new(),
            })),
        }
    }

    /// How many rows of a source were left out so far.
    pub fn skipped(&self, source: &str) -> u64 {
        let Some(side) = &self.side else { return 0 };
        let side = side.lock().unwrap_or_else(PoisonError::into_inner);
        side.counts.get(source).copied().unwrap_or(0)
    }

    /// Applies the rule to one bad row.
    pub(super) fn report(&self, source: &str, row: BadRow) -> Result<(), Error> {
        let Some(side) = &self.side else {
            return Err(Error::BadRow(Box::new(row)));
        };
        let mut side = side.lock().unwrap_or_else(PoisonError::into_inner);
        let side = &mut *side;
        if !side.told.insert((row.path.clone(), row.line)) {
            return Ok(());
        }
        *side.counts.entry(source.to_owned()).or_insert(0) += 1;
        write_line(side.file.as_mut(), source, &row).map_err(|error| Error::SideFile {
            source_name: source.to_owned(),
            error,
        })
    }
}

/// One line of the side file.
#[derive(Serialize)]
struct SideLine<'a> {
    source: &'a str,
    file: String,
    line: u64,
    column: Option<&'a str>,
    value: &'a str,
    reason: String,
    raw: Option<&'a str>,
}

fn write_line(file: &mut dyn Write, source: &str, row: &BadRow) -> std::io::Result<()> {
    let line = SideLine {
        source,
        file: row.path.display().to_string(),
        line: row.line,
        column: row.column.as_deref(),
        value: &row.value,
        reason: row.reason.to_string(),
        raw: row.raw.as_deref(),
    };
    let mut bytes = serde_json::to_vec(&line)?;
    bytes.push(b'\n');
    file.write_all(&bytes)
}

impl fmt::Debug for BadRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.side.is_some() {
            "BadRows::skip"
        } else {
            "BadRows::strict"
        })
    }
}

impl fmt::Display for BadRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, row at {}: ", self.path.display(), self.line)?;
        match &self.column {
            Some(column) => {
                write!(
                    f,
                    "column `{column}`: `{}` {}",
                    shortened(&self.value),
                    self.reason
                )
            }
            None => write!(f, "{} in `{}`", self.reason, shortened(&self.value)),
        }
    }
}

fn shortened(value: &str) -> String {
    match value.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}
