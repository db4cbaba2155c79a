//! What is to be predicted, and which row serves which purpose: labels and parts.
//! Called by `train`.

use std::fmt;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};

use super::{Dataset, column};
use crate::Error;

/// What a row of the training set is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Fits the encoder and the models.
    Train,
    /// Stops the boosting early, chooses the model and its threshold.
    Valid,
    /// Is only reported on.
    Test,
}

impl Part {
    /// The three of them.
    pub const ALL: [Part; 3] = [Part::Train, Part::Valid, Part::Test];

    /// As the split column writes it.
    pub fn name(self) -> &'static str {
        match self {
            Part::Train => "train",
            Part::Valid => "valid",
            Part::Test => "test",
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Rows and labels of each part.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    parts: [Rows; 3],
}

/// The rows of one part, ascending, with their labels.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    /// Rows of the whole dataset.
    pub(crate) rows: Vec<u32>,
    /// Their labels.
    pub(crate) labels: Vec<bool>,
}

impl Outcome {
    /// Reads labels and parts; every part must hold both labels.
    pub(crate) fn read(dataset: &Dataset<'_>) -> Result<Outcome, Error> {
        let mut outcome = Outcome::default();
        let mut first = 0;
        for batch in dataset.batches {
            let labels = labels(column(batch, dataset.label, "label")?, dataset.label, first)?;
            let parts = parts(column(batch, dataset.split, "split")?, dataset.split, first)?;
            for (offset, (label, part)) in labels.into_iter().zip(parts).enumerate() {
                let of_part = &mut outcome.parts[part as usize];
                of_part.rows.push((first + offset) as u32);
                of_part.labels.push(label);
            }
            first += batch.num_rows();
        }
        for part in Part::ALL {
            outcome.part(part).check(part)?;
        }
        Ok(outcome)
    }

    /// The rows of a part.
    pub(crate) fn part(&self, part: Part) -> &Rows {
        &self.parts[part as usize]
    }
}

impl Rows {
    fn check(&self, part: Part) -> Result<(), Error> {
        let Some(&first) = self.labels.first() else {
            return Err(Error::NoRows { part });
        };
        if self.labels.iter().all(|&label| label == first) {
            let rows = self.labels.len();
            return Err(Error::OneClass {
                part,
                rows,
                label: u8::from(first),
            });
        }
        Ok(())
    }
}

fn labels(array: &ArrayRef, column: &str, first: usize) -> Result<Vec<bool>, Error> {
    if !(array.data_type().is_numeric() || array.data_type() == &DataType::Boolean) {
        return Err(Error::ColumnType {
            column: column.to_owned(),
            found: array.data_type().to_string(),
            wanted: "0 or 1 as int, float or bool".to_owned(),
        });
    }
    let numbers = cast(array, &DataType::Float64).map_err(|source| Error::Arrow {
        column: column.to_owned(),
        source,
    })?;
    let numbers = numbers.as_primitive::<Float64Type>();
    let label = |(offset, label): (usize, Option<f64>)| match label {
        Some(1.0) => Ok(true),
        Some(0.0) => Ok(false),
        other => Err(Error::Label {
            column: column.to_owned(),
            row: first + offset,
            found: other.map_or_else(|| "null".to_owned(), |number| number.to_string()),
        }),
    };
    numbers.iter().enumerate().map(label).collect()
}

fn parts(array: &ArrayRef, column: &str, first: usize) -> Result<Vec<Part>, Error> {
    let wrong_type = || Error::ColumnType {
        column: column.to_owned(),
        found: array.data_type().to_string(),
        wanted: "text".to_owned(),
    };
    if array.data_type().is_numeric() {
        return Err(wrong_type());
    }
    let texts = cast(array, &DataType::Utf8).map_err(|_| wrong_type())?;
    let part = |(offset, text): (usize, Option<&str>)| {
        let named = |part: &Part| text == Some(part.name());
        Part::ALL
            .into_iter()
            .find(named)
            .ok_or_else(|| Error::Part {
                column: column.to_owned(),
                row: first + offset,
                found: text.map_or_else(|| "null".to_owned(), |text| format!("`{text}`")),
            })
    };
    texts
        .as_string::<i32>()
        .iter()
        .enumerate()
        .map(part)
        .collect()
}
