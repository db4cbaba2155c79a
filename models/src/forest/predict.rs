//! A fitted forest.

use serde::{Deserialize, Serialize};

use crate::encoder::{EncodedRow, Encoder};
use crate::trees::Trees;

/// The trees; the probability is their mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Forest {
    pub(super) trees: Trees,
    /// By slot.
    pub(super) gains: Vec<f64>,
}

impl Forest {
    /// The probability of label 1.
    #[inline]
    pub(crate) fn probability(&self, row: &EncodedRow) -> f64 {
        self.trees.sum(&row.slots) / self.trees.len() as f64
    }

    /// What each feature gained over all splits.
    pub(crate) fn gains(&self, encoder: &Encoder) -> Vec<f64> {
        encoder.gains_by_feature(&self.gains)
    }

    pub(crate) fn is_sound(&self, encoder: &Encoder) -> bool {
        self.trees.len() > 0
            && self.gains.len() == encoder.slots()
            && self.trees.is_sound(encoder.slots())
    }
}
