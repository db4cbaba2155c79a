//! The closed set of what can predict, one arm per algorithm folder. Called by `Model`.

use serde::{Deserialize, Serialize};

use crate::Algorithm;
use crate::boosting::Boosting;
use crate::encoder::{EncodedRow, Encoder};
use crate::forest::Forest;
use crate::logistic::Logistic;

/// A fitted algorithm. The order of the arms is part of the stored format.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Predictor {
    Logistic(Logistic),
    Forest(Forest),
    Boosting(Boosting),
}

impl Predictor {
    pub(crate) fn algorithm(&self) -> Algorithm {
        match self {
            Predictor::Logistic(_) => Algorithm::Logistic,
            Predictor::Forest(_) => Algorithm::Forest,
            Predictor::Boosting(_) => Algorithm::Boosting,
        }
    }

    /// The probability of label 1.
    #[inline]
    pub(crate) fn probability(&self, row: &EncodedRow) -> f64 {
        match self {
            Predictor::Logistic(fitted) => fitted.probability(row),
            Predictor::Forest(fitted) => fitted.probability(row),
            Predictor::Boosting(fitted) => fitted.probability(row),
        }
    }

    /// What each feature contributes, in a unit of the algorithm's own.
    pub(crate) fn gains(&self, encoder: &Encoder) -> Vec<f64> {
        match self {
            Predictor::Logistic(fitted) => fitted.gains(encoder),
            Predictor::Forest(fitted) => fitted.gains(encoder),
            Predictor::Boosting(fitted) => fitted.gains(encoder),
        }
    }

    /// Whether it reads only what this encoder writes, which stored bytes need not.
    pub(crate) fn is_sound(&self, encoder: &Encoder) -> bool {
        match self {
            Predictor::Logistic(fitted) => fitted.is_sound(encoder),
            Predictor::Forest(fitted) => fitted.is_sound(encoder),
            Predictor::Boosting(fitted) => fitted.is_sound(encoder),
        }
    }
}
