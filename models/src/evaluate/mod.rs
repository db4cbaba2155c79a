//! How good probabilities are, against what happened. Called by `train` for every
//! candidate on `valid` and `test`; `report` shows the result.

mod calibration; // do the probabilities come true
mod classes; // decisions at a threshold
mod loss; // log loss and Brier score
mod ranking; // ROC and precision-recall

pub use calibration::{CalibrationBin, ScoreBin, calibration, score_histogram};
pub use classes::{ClassReport, Confusion, best_f1_threshold};
pub use loss::{brier, log_loss};
pub use ranking::{CurvePoint, average_precision, pr_curve, roc_auc, roc_curve};

/// The most points that a curve is kept with.
const MAX_POINTS: usize = 400;

/// Probabilities of one part held against its labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// Rows looked at.
    pub rows: usize,
    /// Rows with label 1.
    pub positives: usize,
    /// Chance that a row with label 1 has a higher probability than one with label 0.
    pub roc_auc: f64,
    /// Average precision.
    pub pr_auc: f64,
    /// Mean negative logarithm of the probability of what happened.
    pub log_loss: f64,
    /// Mean squared distance between probability and label.
    pub brier: f64,
    /// Where a probability becomes the decision 1.
    pub threshold: f64,
    /// Decisions at that threshold.
    pub confusion: Confusion,
    /// False positive rate to true positive rate.
    pub roc: Vec<CurvePoint>,
    /// Recall to precision.
    pub pr: Vec<CurvePoint>,
    /// Mean probability to share of 1, in ten bins with as many rows each.
    pub calibration: Vec<CalibrationBin>,
    /// Rows by probability and label, in twenty bins of one width.
    pub scores: Vec<ScoreBin>,
}

impl Evaluation {
    /// Evaluates probabilities, with decisions at a threshold. Both labels must occur.
    pub fn of(labels: &[bool], probabilities: &[f64], threshold: f64) -> Evaluation {
        Evaluation {
            rows: labels.len(),
            positives: labels.iter().filter(|&&label| label).count(),
            roc_auc: roc_auc(labels, probabilities),
            pr_auc: average_precision(labels, probabilities),
            log_loss: log_loss(labels, probabilities),
            brier: brier(labels, probabilities),
            threshold,
            confusion: Confusion::at(labels, probabilities, threshold),
            roc: thinned(&roc_curve(labels, probabilities)),
            pr: thinned(&pr_curve(labels, probabilities)),
            calibration: calibration(labels, probabilities, 10),
            scores: score_histogram(labels, probabilities, 20),
        }
    }
}

/// At most `MAX_POINTS` of the points, evenly taken, with both ends.
fn thinned(points: &[CurvePoint]) -> Vec<CurvePoint> {
    let last = points.len().saturating_sub(1);
    if last < MAX_POINTS {
        return points.to_vec();
    }
    (0..MAX_POINTS)
        .map(|at| points[at * last / (MAX_POINTS - 1)])
        .collect()
}

#[cfg(test)]
mod tests;
