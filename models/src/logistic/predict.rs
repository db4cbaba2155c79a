//! A fitted logistic regression.

use serde::{Deserialize, Serialize};

use crate::encoder::{EncodedRow, Encoder, LinearForm};
use crate::sigmoid;

/// The weights, and the form of a row that they belong to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Logistic {
    pub(super) form: LinearForm,
    pub(super) weights: Vec<f64>,
    pub(super) intercept: f64,
}

impl Logistic {
    /// The probability of label 1.
    #[inline]
    pub(crate) fn probability(&self, row: &EncodedRow) -> f64 {
        let columns = self.form.row(&row.slots, &row.codes);
        let weighted = columns
            .zip(&self.weights)
            .map(|(column, weight)| column * weight);
        sigmoid(self.intercept + weighted.sum::<f64>())
    }

    /// The weight of each feature: the sum of its columns' weights without sign, which
    /// can be compared because columns are standardised.
    pub(crate) fn gains(&self, encoder: &Encoder) -> Vec<f64> {
        let mut gains = vec![0.0; encoder.features()];
        for (feature, weight) in self.form.features(encoder).zip(&self.weights) {
            gains[feature] += weight.abs();
        }
        gains
    }

    pub(crate) fn is_sound(&self, encoder: &Encoder) -> bool {
        self.weights.len() == self.form.width() && self.form.is_sound(encoder)
    }
}
