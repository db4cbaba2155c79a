//! What can go wrong with bytes, rows and files. Returned by every call of this crate;
//! the texts read after "failed to", the cause is the error's source.

use std::io;
use std::path::{Path, PathBuf};

use crate::log::Offset;

/// The result of every call of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, with which file, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error("{operation} `{}`", path.display())]
    Io {
        /// What was tried: `open`, `write`, `rename` …
        operation: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A name that must not become a file name.
    #[error("use the {kind} name `{name}`: allowed are A-Z a-z 0-9 _ . - and no dot at the start")]
    Name {
        /// What it names.
        kind: &'static str,
        /// The name as given.
        name: String,
    },
    /// Another process holds the lock.
    #[error(
        "take the {role} lock: process {} holds `{}`; stop it, or wait for it to end",
        holder.map_or_else(|| "of unknown id".to_owned(), |pid| pid.to_string()),
        path.display()
    )]
    Locked {
        /// `builder` or `server`.
        role: &'static str,
        /// The lock file.
        path: PathBuf,
        /// The holder's process id, if it could be read.
        holder: Option<u32>,
    },
    /// What waited for a row could not be folded into it.
    #[error("fold what is new into the row of `{key}`")]
    Merge {
        /// The entity.
        key: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A backup is to go where something is.
    #[error(
        "restore into `{}`: there is `{}` in it; name a directory that is empty or not there",
        path.display(),
        found.display()
    )]
    NotEmpty {
        /// The directory.
        path: PathBuf,
        /// What is in it.
        found: PathBuf,
    },
    /// A restore was cut short.
    #[error(
        "open `{}`: a restore into it was cut short; empty it and run `granary restore` again",
        path.display()
    )]
    HalfRestored {
        /// The directory.
        path: PathBuf,
    },
    /// A file is no backup, or not whole.
    #[error("restore `{}`: {reason}; nothing was restored, use another backup", path.display())]
    Backup {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Something asked for by name is not there.
    #[error("find {kind} `{name}` in `{}`", path.display())]
    NotFound {
        /// What was looked for.
        kind: &'static str,
        /// Its name.
        name: String,
        /// Where it would be.
        path: PathBuf,
    },
    /// A file of a format this program does not know, most likely a newer one.
    #[error(
        "read `{}`: it has format {found}, this program knows formats up to {known}; \
         use the newer granary that wrote it",
        path.display()
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// The format number found.
        found: u32,
        /// The newest format known.
        known: u32,
    },
    /// A JSON file of ours does not read.
    #[error("read `{}` as JSON", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A Parquet file does not read or write.
    #[error("{operation} Parquet file `{}`", path.display())]
    Parquet {
        /// What was tried.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: parquet::errors::ParquetError,
    },
    /// A Parquet file of ours lacks a column.
    #[error("read column `{column}` of `{}`: the file has {}", path.display(), present.join(", "))]
    NoColumn {
        /// The column asked for.
        column: String,
        /// The file.
        path: PathBuf,
        /// The columns it has.
        present: Vec<String>,
    },
    /// The key column has a type or a value that no key can have.
    #[error("write `{}`: key column `{column}` is {found}; keys are text or int64, without nulls", path.display())]
    KeyColumn {
        /// The file.
        path: PathBuf,
        /// The key column.
        column: String,
        /// What was found.
        found: String,
    },
    /// Rows that must ascend by key do not.
    #[error(
        "write {target}: key `{key}` does not come after `{previous}`; sort by key, one row each"
    )]
    KeyOrder {
        /// The file or table.
        target: String,
        /// The key before.
        previous: String,
        /// The key out of order.
        key: String,
    },
    /// A version was to be published without its features.
    #[error("publish `{}`: features were never written", path.display())]
    NoFeatures {
        /// The unfinished version.
        path: PathBuf,
    },
    /// A data file and its manifest do not belong together.
    #[error(
        "read `{}`: its bytes are not those its manifest describes ({reason}); write it again",
        path.display()
    )]
    TornPair {
        /// The data file.
        path: PathBuf,
        /// What differs.
        reason: String,
    },
    /// Bytes of the log that were once synced are damaged.
    #[error(
        "read log segment `{}` at byte {position}: {reason}; restore the file from a backup",
        file.display()
    )]
    LogCorrupt {
        /// The segment.
        file: PathBuf,
        /// The byte in the file at which the damaged record begins.
        position: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A write or sync of the log failed before; what it left behind is unknown.
    #[error("append to the log in `{}`: an earlier write failed; reopen the log", directory.display())]
    LogPoisoned {
        /// The log's directory.
        directory: PathBuf,
    },
    /// A record of plain keys in the log cannot be read.
    #[error("read a change of plain keys from the log: {reason}")]
    PlainRecord {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A record is larger than a record may be.
    #[error("append a record of {bytes} bytes: the limit is {limit}")]
    RecordTooLarge {
        /// Its size.
        bytes: usize,
        /// The most allowed.
        limit: usize,
    },
    /// The log no longer has, or never had, this position.
    #[error("read the log in `{}` from {offset}: it holds {first} to {end}", directory.display())]
    LogRange {
        /// The log's directory.
        directory: PathBuf,
        /// The position asked for.
        offset: Offset,
        /// The oldest position still there.
        first: Offset,
        /// Its end.
        end: Offset,
    },
    /// The online database refused.
    #[error("{operation} online store `{}`", path.display())]
    Online {
        /// What was tried.
        operation: &'static str,
        /// The database file.
        path: PathBuf,
        /// Why not.
        source: Box<redb::Error>,
    },
    /// The online database is open elsewhere.
    #[error(
        "open online store `{}`: another process has it open; ask the running server, or stop it",
        path.display()
    )]
    OnlineInUse {
        /// The database file.
        path: PathBuf,
    },
    /// The state record of the online database does not read.
    #[error("read the state of online store `{}`: {reason}; delete the file and push again", path.display())]
    OnlineState {
        /// The database file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A row was computed from another generation than the one that is served.
    #[error("stage a row of generation {staged}: generation {serving} is served; compute it again")]
    GenerationChanged {
        /// The generation the row was computed from.
        staged: u64,
        /// The generation served, 0 for none.
        serving: u64,
    },
    /// Two loads of a generation at once.
    #[error("begin a generation in `{}`: another load is running; wait for it to end", path.display())]
    LoadRunning {
        /// The database file.
        path: PathBuf,
    },
}

impl Error {
    /// For `map_err` on an operation with a path.
    pub(crate) fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::Io {
            operation,
            path: path.to_owned(),
            source,
        }
    }

    /// For `map_err` on an operation with a Parquet file.
    pub(crate) fn parquet(
        operation: &'static str,
        path: &Path,
    ) -> impl FnOnce(parquet::errors::ParquetError) -> Error {
        move |source| Error::Parquet {
            operation,
            path: path.to_owned(),
            source,
        }
    }

    /// For `map_err` on a JSON file.
    pub(crate) fn json(path: &Path) -> impl FnOnce(serde_json::Error) -> Error {
        move |source| Error::Json {
            path: path.to_owned(),
            source,
        }
    }
}
