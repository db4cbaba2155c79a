//! What the caller asks for and gets back. Called by the `synth` subcommand.

use std::io::{self, Write};

use granary_registry::EventTime;

/// 2026-01-01T00:00:00Z.
pub const DEFAULT_END: EventTime = EventTime(1_767_225_600_000_000);

/// The data to make. The same plan gives the same bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How many users.
    pub users: u64,
    /// Where the random numbers begin.
    pub seed: u64,
    /// Which files.
    pub formats: Formats,
    /// The label instant: every event lies before it, and account ages are as of it.
    pub end: EventTime,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan {
            users: 10_000,
            seed: 42,
            formats: Formats::Parquet,
            end: DEFAULT_END,
        }
    }
}

/// The file formats of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Formats {
    /// `<table>.parquet`.
    Parquet,
    /// `<table>.csv`.
    Csv,
    /// Both, holding the same rows.
    Both,
}

impl Formats {
    /// Whether Parquet files are written.
    pub fn parquet(self) -> bool {
        self != Formats::Csv
    }

    /// Whether CSV files are written.
    pub fn csv(self) -> bool {
        self != Formats::Parquet
    }
}

/// Where one file goes. A file that is dropped without `commit` must not appear.
pub trait Output: Write + Send {
    /// The file is complete: make it visible.
    fn commit(self: Box<Self>) -> io::Result<()>;
}

/// Opens the output of a file such as `event_logs.parquet`.
pub type Open<'a> = &'a (dyn Fn(&str) -> io::Result<Box<dyn Output>> + Sync);

/// How far a run is; reported after each chunk, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Users whose rows are written.
    pub users_done: u64,
    /// Users of the plan.
    pub users: u64,
    /// Rows of `event_logs` written.
    pub events: u64,
}

/// What a run wrote.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// The four tables.
    pub tables: Vec<TableSummary>,
    /// Share of churned users; `None` without users.
    pub churn_share: Option<f64>,
    /// ROC-AUC of predicting churn from the true satisfaction score; `None`
    /// unless there are both churned and staying users.
    pub oracle_roc_auc: Option<f64>,
}

/// What a run wrote of one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSummary {
    /// Its name, such as `event_logs`.
    pub table: &'static str,
    /// Its rows.
    pub rows: u64,
    /// Its files and their bytes.
    pub files: Vec<(String, u64)>,
}

/// Why no data came out. No file has been committed, unless the failure is that
/// of a commit.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// More users than there are distinct ids to count on.
    #[error("synth: {users} users asked for, at most {most} are possible")]
    TooManyUsers {
        /// What was asked for.
        users: u64,
        /// What is possible.
        most: u64,
    },
    /// An end outside the years that ISO-8601 writes with four digits.
    #[error("synth: end {end} us is outside the years 1980 to 9999")]
    End {
        /// Microseconds since the epoch.
        end: i64,
    },
    /// A file could not be opened, written or committed.
    #[error("write `{file}`")]
    File {
        /// Its name.
        file: String,
        /// What went wrong.
        source: io::Error,
    },
    /// A table could not be encoded or written.
    #[error("write table `{table}`")]
    Encode {
        /// Its name.
        table: &'static str,
        /// What went wrong.
        source: parquet::errors::ParquetError,
    },
    /// The columns of a chunk do not form a table.
    #[error("lay out the rows of users {first} and following")]
    Columns {
        /// Index of the first user of the chunk.
        first: u64,
        /// What went wrong.
        source: arrow::error::ArrowError,
    },
}
