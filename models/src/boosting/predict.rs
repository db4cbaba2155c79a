//! A fitted boosting.

use serde::{Deserialize, Serialize};

use crate::encoder::{EncodedRow, Encoder};
use crate::sigmoid;
use crate::trees::Trees;

/// The trees, whose sum on top of the base is the log-odds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Boosting {
    pub(super) base: f64,
    pub(super) trees: Trees,
    /// By slot.
    pub(super) gains: Vec<f64>,
}

impl Boosting {
    /// The probability of label 1.
    #[inline]
    pub(crate) fn probability(&self, row: &EncodedRow) -> f64 {
        sigmoid(self.base + self.trees.sum(&row.slots))
    }

    /// What each feature gained over all splits.
    pub(crate) fn gains(&self, encoder: &Encoder) -> Vec<f64> {
        encoder.gains_by_feature(&self.gains)
    }

    pub(crate) fn is_sound(&self, encoder: &Encoder) -> bool {
        self.gains.len() == encoder.slots() && self.trees.is_sound(encoder.slots())
    }
}
