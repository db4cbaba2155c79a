//! A trained model: the encoder, what predicts from its rows, and where probability
//! becomes decision. Made by `train`, stored by its bytes, called by `/predict`.

mod codec; // as versioned bytes
mod predictor; // the closed set of algorithms

use std::collections::BTreeMap;

use arrow::record_batch::RecordBatch;
use granary_registry::Value;
use rayon::prelude::*;

use crate::dataset::{Cell, FeatureColumn, Table};
use crate::encoder::{Encoded, EncodedRow, Encoder};
use crate::{Algorithm, Error};

pub(crate) use predictor::Predictor;

/// A model that predicts the probability of label 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    features: Vec<FeatureColumn>,
    encoder: Encoder,
    predictor: Predictor,
    threshold: f64,
    metadata: Metadata,
}

/// Where a model comes from.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Metadata {
    /// The column that it predicts.
    pub label: String,
    /// The seed that it was trained with.
    pub seed: u64,
    /// Rows of `train`, `valid` and `test`.
    pub rows: [u64; 3],
    /// What the caller wanted kept with it.
    pub notes: BTreeMap<String, String>,
}

/// A feature's part in a model's decisions.
#[derive(Clone, Debug, PartialEq)]
pub struct Importance {
    /// The feature.
    pub feature: String,
    /// Its share; all shares together are 1, or all are 0.
    pub share: f64,
}

/// Memory of one prediction, to be used again for the next.
#[derive(Clone, Debug, Default)]
pub struct Scratch(EncodedRow);

/// Rows that one thread predicts at a time.
const BLOCK: usize = 512;

impl Model {
    /// A model that decides 1 from one half upwards.
    pub(crate) fn new(
        features: &[FeatureColumn],
        encoder: Encoder,
        predictor: Predictor,
        metadata: Metadata,
    ) -> Model {
        Model {
            features: features.to_vec(),
            encoder,
            predictor,
            threshold: 0.5,
            metadata,
        }
    }

    /// The features that it reads, in the order in which `predict` takes them.
    pub fn features(&self) -> &[FeatureColumn] {
        &self.features
    }

    /// What it is.
    pub fn algorithm(&self) -> Algorithm {
        self.predictor.algorithm()
    }

    /// The probability from which on the decision is 1.
    pub fn threshold(&self) -> f64 {
        self.threshold
    }

    /// Where it comes from.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    pub(crate) fn set_threshold(&mut self, threshold: f64) {
        self.threshold = threshold;
    }

    /// The probability of label 1 for one row: values in `features()` order.
    pub fn predict(&self, row: &[Value]) -> Result<f64, Error> {
        self.predict_with(row, &mut Scratch::default())
    }

    /// As `predict`, without allocating once the scratch has been used.
    pub fn predict_with(&self, row: &[Value], scratch: &mut Scratch) -> Result<f64, Error> {
        if row.len() != self.features.len() {
            return Err(Error::RowLength {
                found: row.len(),
                wanted: self.features.len(),
            });
        }
        let mut wrong = None;
        let cells = self.features.iter().zip(row).map(|(feature, value)| {
            Cell::of(value, feature.dtype).unwrap_or_else(|| {
                wrong = Some((feature, value));
                Cell::Missing
            })
        });
        self.encoder.encode_row(cells, &mut scratch.0);
        if let Some((feature, value)) = wrong {
            return Err(Error::ValueType {
                feature: feature.name.to_string(),
                found: kind(value),
                wanted: feature.dtype,
            });
        }
        Ok(self.predictor.probability(&scratch.0))
    }

    /// The probability of label 1 for every row, in order.
    pub fn predict_batch(&self, batches: &[RecordBatch]) -> Result<Vec<f64>, Error> {
        let table = Table::read(batches, &self.features)?;
        let predict = |row: usize, scratch: &mut EncodedRow| {
            self.encoder.encode_row(table.row(row), scratch);
            self.predictor.probability(scratch)
        };
        Ok(in_blocks(table.rows(), predict))
    }

    /// As `predict_batch`, for rows that are encoded already.
    pub(crate) fn predict_encoded(&self, encoded: &Encoded) -> Vec<f64> {
        in_blocks(encoded.rows(), |row, scratch| {
            scratch.slots.clear();
            scratch.slots.extend_from_slice(encoded.slots(row));
            scratch.codes.clear();
            scratch.codes.extend_from_slice(encoded.codes(row));
            self.predictor.probability(scratch)
        })
    }

    /// Every feature's share in the decisions, the greatest first: gain of the splits for
    /// trees, weight of the standardised columns for logistic regression.
    pub fn importance(&self) -> Vec<Importance> {
        let gains = self.predictor.gains(&self.encoder);
        let total: f64 = gains.iter().sum();
        let share = |gain: f64| if total > 0.0 { gain / total } else { 0.0 };
        let name = |feature: &FeatureColumn| feature.name.to_string();
        let importance = |(feature, gain)| Importance {
            feature: name(feature),
            share: share(gain),
        };
        let mut shares: Vec<Importance> = self.features.iter().zip(gains).map(importance).collect();
        shares.sort_by(|a, b| b.share.total_cmp(&a.share));
        shares
    }
}

/// The type of a value, for messages: never the value itself, which may be personal.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Int(_) => "int",
        Value::Float(_) => "float",
        Value::Bool(_) => "bool",
        Value::Text(_) => "text",
        Value::Timestamp(_) => "timestamp",
        Value::Vector(_) => "vector",
    }
}

fn in_blocks(rows: usize, predict: impl Fn(usize, &mut EncodedRow) -> f64 + Sync) -> Vec<f64> {
    let mut probabilities = vec![0.0; rows];
    probabilities
        .par_chunks_mut(BLOCK)
        .enumerate()
        .for_each(|(block, probabilities)| {
            let mut scratch = EncodedRow::default();
            for (offset, probability) in probabilities.iter_mut().enumerate() {
                *probability = predict(block * BLOCK + offset, &mut scratch);
            }
        });
    probabilities
}

#[cfg(test)]
mod tests;
