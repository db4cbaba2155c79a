//! From feature values to the numbers that models read. Fitted on the train rows alone,
//! stored with the model, and the only way into a model, in training and in prediction.
//!
//! A row becomes *slots*, one `f32` each, that trees read as they are (NaN is missing):
//!
//! | feature | slots |
//! |---|---|
//! | int, float, bool | the number |
//! | timestamp | days since 1970 |
//! | text, categorical | how often the label is 1 in that category, smoothed |
//! | vector | one linear score; up to 32 elements also one slot each |
//!
//! and category *codes*; the linear form makes standardised columns of both. Rates and
//! scores of train rows are computed out of fold, from rows of other folds, because a
//! label that took part in its own feature would be learnt from; all other rows use the
//! one table fitted on all of train.

mod category; // rates by category
mod folds; // which train rows may not see each other
mod linear; // the standardised form for linear models
mod matrix; // encoded rows
mod vector; // one score from a vector

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::dataset::{Cell, FeatureColumn, Table};
use crate::random::Random;
use category::CategoryTable;
use folds::Folds;
use granary_registry::DType;
pub(crate) use linear::LinearForm;
pub(crate) use matrix::{Encoded, EncodedRow};
use vector::VectorScore;

/// How each feature is turned into slots.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Encoder {
    columns: Vec<Column>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Column {
    Number,
    Category(CategoryTable),
    Vector(VectorScore),
}

/// The train rows of a table with their labels: all that fitting may see.
#[derive(Clone, Copy)]
pub(crate) struct TrainRows<'a> {
    pub(crate) table: &'a Table,
    pub(crate) rows: &'a [u32],
    pub(crate) labels: &'a [bool],
}

impl TrainRows<'_> {
    fn cells(&self, feature: usize) -> impl Iterator<Item = Cell<'_>> {
        self.rows
            .iter()
            .map(move |&row| self.table.cell(row as usize, feature))
    }
}

impl Encoder {
    /// Fits on the train rows and encodes them, out of fold where labels take part.
    pub(crate) fn fit(
        features: &[FeatureColumn],
        train: TrainRows<'_>,
        seed: u64,
    ) -> (Encoder, Encoded) {
        let folds = Folds::stratified(train.labels, &mut Random::new(seed, FOLD_STREAM));
        let fit = |(feature, column): (usize, &FeatureColumn)| match column.dtype {
            DType::Int | DType::Float | DType::Bool | DType::Timestamp => (Column::Number, None),
            DType::Text | DType::Categorical => {
                let (table, rates) = CategoryTable::fit(train, feature, &folds);
                (Column::Category(table), Some(rates))
            }
            DType::Vector => {
                let (score, scores) = VectorScore::fit(train, feature, &folds);
                (Column::Vector(score), Some(scores))
            }
        };
        let fitted: Vec<(Column, Option<Vec<f32>>)> =
            features.par_iter().enumerate().map(fit).collect();
        let (columns, out_of_fold): (Vec<Column>, Vec<Option<Vec<f32>>>) =
            fitted.into_iter().unzip();
        let encoder = Encoder { columns };
        let mut encoded = encoder.encode(train.table, train.rows);
        for (first, values) in encoder.first_slots().zip(out_of_fold) {
            if let Some(values) = values {
                encoded.replace_slot(first, &values);
            }
        }
        (encoder, encoded)
    }

    /// Encodes rows of a table.
    pub(crate) fn encode(&self, table: &Table, rows: &[u32]) -> Encoded {
        let mut encoded = Encoded::zeroed(rows.len(), self.slots(), self.codes());
        encoded.fill(rows, |row, slots, codes| {
            self.write(table.row(row as usize), slots, codes);
        });
        encoded
    }

    /// Encodes one row, given as one cell per feature.
    pub(crate) fn encode_row<'a>(
        &self,
        cells: impl Iterator<Item = Cell<'a>>,
        row: &mut EncodedRow,
    ) {
        row.slots.resize(self.slots(), f32::NAN);
        row.codes.resize(self.codes(), 0);
        self.write(cells, &mut row.slots, &mut row.codes);
    }

    /// Number of features.
    pub(crate) fn features(&self) -> usize {
        self.columns.len()
    }

    /// Numbers that a row becomes.
    pub(crate) fn slots(&self) -> usize {
        self.columns.iter().map(Column::slots).sum()
    }

    /// Category codes that a row becomes.
    pub(crate) fn codes(&self) -> usize {
        self.columns
            .iter()
            .filter(|column| matches!(column, Column::Category(_)))
            .count()
    }

    /// The feature that each slot comes from.
    pub(crate) fn feature_of_slot(&self) -> Vec<usize> {
        let slots = |(feature, column): (usize, &Column)| vec![feature; column.slots()];
        self.columns.iter().enumerate().flat_map(slots).collect()
    }

    /// The feature that each code comes from.
    pub(crate) fn feature_of_code(&self) -> Vec<usize> {
        let is_category = |column: &Column| matches!(column, Column::Category(_));
        (0..self.columns.len())
            .filter(|&feature| is_category(&self.columns[feature]))
            .collect()
    }

    /// Sums what the slots gained over the slots of each feature.
    pub(crate) fn gains_by_feature(&self, by_slot: &[f64]) -> Vec<f64> {
        let mut gains = vec![0.0; self.columns.len()];
        for (feature, gain) in self.feature_of_slot().into_iter().zip(by_slot) {
            gains[feature] += gain;
        }
        gains
    }

    /// The number of known categories behind each code.
    fn categories(&self) -> impl Iterator<Item = usize> {
        self.columns.iter().filter_map(|column| match column {
            Column::Category(table) => Some(table.categories()),
            Column::Number | Column::Vector(_) => None,
        })
    }

    /// Whether the parts fit together, which stored bytes need not.
    pub(crate) fn is_sound(&self) -> bool {
        self.columns.iter().all(|column| match column {
            Column::Number => true,
            Column::Category(table) => table.is_sound(),
            Column::Vector(score) => score.is_sound(),
        })
    }

    /// Whether a feature of this type is encoded as the column at its place is.
    pub(crate) fn takes(&self, feature: usize, dtype: DType) -> bool {
        matches!(
            (self.columns.get(feature), dtype),
            (
                Some(Column::Number),
                DType::Int | DType::Float | DType::Bool | DType::Timestamp
            ) | (Some(Column::Category(_)), DType::Text | DType::Categorical)
                | (Some(Column::Vector(_)), DType::Vector)
        )
    }

    fn first_slots(&self) -> impl Iterator<Item = usize> {
        self.columns.iter().scan(0, |next, column| {
            let first = *next;
            *next += column.slots();
            Some(first)
        })
    }

    #[inline]
    fn write<'a>(
        &self,
        cells: impl Iterator<Item = Cell<'a>>,
        mut slots: &mut [f32],
        mut codes: &mut [u16],
    ) {
        for (column, cell) in self.columns.iter().zip(cells) {
            let (own, rest) = slots.split_at_mut(column.slots());
            slots = rest;
            match column {
                Column::Number => own[0] = number(cell),
                Column::Category(table) => {
                    let (code, rest) = codes.split_at_mut(1);
                    codes = rest;
                    (own[0], code[0]) = table.encode(cell);
                }
                Column::Vector(score) => score.encode(cell, own),
            }
        }
    }
}

impl Column {
    fn slots(&self) -> usize {
        match self {
            Column::Number | Column::Category(_) => 1,
            Column::Vector(score) => score.slots(),
        }
    }
}

const FOLD_STREAM: u64 = 1;

fn number(cell: Cell<'_>) -> f32 {
    match cell {
        // Finite, so that no threshold and no mean meets an infinity.
        Cell::Number(x) => (x as f32).clamp(f32::MIN, f32::MAX),
        Cell::Missing | Cell::Text(_) | Cell::Vector(_) => f32::NAN,
    }
}

#[cfg(test)]
mod tests;
