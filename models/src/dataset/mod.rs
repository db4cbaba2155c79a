//! What is trained on: Arrow batches with their roles named, read once into typed cells.
//! Called by `train` and by `Model::predict_batch`.

mod cells; // one feature of one batch, and one value of it
mod outcome; // labels and the three parts

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use granary_registry::DType;

use crate::Error;

pub(crate) use cells::{Cell, Cells};
pub(crate) use outcome::Outcome;
pub use outcome::Part;

/// A feature that a model reads: its column name and its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureColumn {
    /// Name of the column.
    pub name: Arc<str>,
    /// Type of the feature, as the registry says.
    pub dtype: DType,
}

/// A training set: batches with the columns that matter named.
#[derive(Clone, Debug)]
pub struct Dataset<'a> {
    /// The rows.
    pub batches: &'a [RecordBatch],
    /// The columns to learn from, in the order in which the model will take them.
    pub features: Vec<FeatureColumn>,
    /// The column to predict: 0 or 1 as int, float or bool.
    pub label: &'a str,
    /// The column that says `train`, `valid` or `test`.
    pub split: &'a str,
}

/// The feature columns of some batches, addressed by row of the whole.
pub(crate) struct Table {
    batches: Vec<Vec<Cells>>,
    /// First row of each batch, and the number of all rows.
    starts: Vec<usize>,
}

impl Table {
    /// Finds the features in the batches and brings them to their typed form.
    pub(crate) fn read(
        batches: &[RecordBatch],
        features: &[FeatureColumn],
    ) -> Result<Table, Error> {
        let mut starts = vec![0];
        let mut read = Vec::with_capacity(batches.len());
        for batch in batches {
            starts.push(starts[starts.len() - 1] + batch.num_rows());
            let cells = features.iter().map(|feature| Cells::read(feature, batch));
            read.push(cells.collect::<Result<_, _>>()?);
        }
        Ok(Table {
            batches: read,
            starts,
        })
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.starts[self.starts.len() - 1]
    }

    /// The values of one row, in feature order.
    pub(crate) fn row(&self, row: usize) -> impl Iterator<Item = Cell<'_>> {
        let (batch, row) = self.locate(row);
        self.batches[batch].iter().map(move |cells| cells.cell(row))
    }

    /// One value.
    pub(crate) fn cell(&self, row: usize, feature: usize) -> Cell<'_> {
        let (batch, row) = self.locate(row);
        self.batches[batch][feature].cell(row)
    }

    fn locate(&self, row: usize) -> (usize, usize) {
        let batch = self.starts.partition_point(|&start| start <= row) - 1;
        (batch, row - self.starts[batch])
    }
}

/// The column of a batch, or an error that lists what is there.
fn column<'a>(
    batch: &'a RecordBatch,
    column: &str,
    role: &'static str,
) -> Result<&'a arrow::array::ArrayRef, Error> {
    batch.column_by_name(column).ok_or_else(|| {
        let schema = batch.schema();
        let names: Vec<&str> = schema
            .fields()
            .iter()
            .map(|field| field.name().as_str())
            .collect();
        Error::MissingColumn {
            column: column.to_owned(),
            role,
            found: names.join(", "),
        }
    })
}
