//! Why a dataset could not be trained on, a row not scored, or a model not read.
//! Returned by every public function of this crate.

use granary_registry::DType;

use crate::{Algorithm, Part};

/// What went wrong, with the thing it went wrong with and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A column is not in the dataset.
    #[error("find {role} column `{column}` in the dataset; its columns are {found}")]
    MissingColumn {
        /// The column that was looked for.
        column: String,
        /// `feature`, `label` or `split`.
        role: &'static str,
        /// The columns that are there.
        found: String,
    },
    /// A column holds something else than it should.
    #[error("read column `{column}`: it holds {found}, wanted {wanted}")]
    ColumnType {
        /// The column.
        column: String,
        /// Its Arrow type.
        found: String,
        /// What can be read.
        wanted: String,
    },
    /// A label that is neither 0 nor 1.
    #[error(
        "read label `{column}` of row {row}: it is {found}; labels are 0 or 1, drop the rows without one"
    )]
    Label {
        /// The label column.
        column: String,
        /// Row of the dataset, from 0.
        row: usize,
        /// What stands there.
        found: String,
    },
    /// A part that is neither `train`, `valid` nor `test`.
    #[error("read split `{column}` of row {row}: it is {found}, wanted `train`, `valid` or `test`")]
    Part {
        /// The split column.
        column: String,
        /// Row of the dataset, from 0.
        row: usize,
        /// What stands there.
        found: String,
    },
    /// A part without rows.
    #[error(
        "train: the dataset has no `{part}` rows; give more rows or a larger share for `{part}`"
    )]
    NoRows {
        /// The empty part.
        part: Part,
    },
    /// A part in which every label is the same.
    #[error(
        "train: all {rows} `{part}` rows have label {label}; both 0 and 1 are needed, check the label or give more rows"
    )]
    OneClass {
        /// The part.
        part: Part,
        /// Its rows.
        rows: usize,
        /// The one label.
        label: u8,
    },
    /// Nothing to learn from or nothing to train.
    #[error("train: no {what} given; name at least one")]
    Nothing {
        /// `features` or `algorithms`.
        what: &'static str,
    },
    /// More matrix columns than a node of a tree can name.
    #[error(
        "train: the features make {columns} matrix columns, at most {limit} are possible; use fewer"
    )]
    TooWide {
        /// Columns of the matrix.
        columns: usize,
        /// The most there can be.
        limit: usize,
    },
    /// The solver gave up.
    #[error("fit {algorithm}: the solver stopped without a solution")]
    Fit {
        /// The algorithm.
        algorithm: Algorithm,
        /// What it says.
        #[source]
        source: Box<linfa_logistic::error::Error>,
    },
    /// A row with another number of values than the model has features.
    #[error("predict: the row has {found} values, the model takes {wanted} features")]
    RowLength {
        /// Values of the row.
        found: usize,
        /// Features of the model.
        wanted: usize,
    },
    /// A value of another type than its feature.
    #[error("predict: feature `{feature}` is {wanted}, got {found}")]
    ValueType {
        /// The feature.
        feature: String,
        /// The type of what was given.
        found: &'static str,
        /// The feature's type.
        wanted: DType,
    },
    /// Bytes that are not a model at all.
    #[error("read model: the bytes do not begin as a granary model does; is this the right file?")]
    NotAModel,
    /// A model of another version of this format.
    #[error(
        "read model: format {found}, this program reads format {supported}; train it again or use the program that wrote it"
    )]
    Format {
        /// The format byte of the file.
        found: u8,
        /// The one that can be read.
        supported: u8,
    },
    /// A model whose bytes have changed or contradict themselves.
    #[error("read model: {reason}; restore it from a backup or train it again")]
    Corrupt {
        /// What is wrong.
        reason: String,
    },
    /// Arrow refused.
    #[error("convert column `{column}`")]
    Arrow {
        /// The column.
        column: String,
        /// What it says.
        #[source]
        source: arrow::error::ArrowError,
    },
}
