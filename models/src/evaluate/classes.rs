//! Decisions at a threshold: the confusion matrix, what follows from it, and the
//! threshold itself.

use super::ranking::sweep;

/// Rows by label and decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Confusion {
    /// Label 1, decision 1.
    pub true_positives: u64,
    /// Label 0, decision 1.
    pub false_positives: u64,
    /// Label 0, decision 0.
    pub true_negatives: u64,
    /// Label 1, decision 0.
    pub false_negatives: u64,
}

/// How well one class is found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassReport {
    /// Of the rows decided to be of the class, how many are; 0 if there are none.
    pub precision: f64,
    /// Of the rows of the class, how many were found; 0 if there are none.
    pub recall: f64,
    /// Harmonic mean of both; 0 if both are 0.
    pub f1: f64,
    /// Rows of the class.
    pub support: u64,
}

impl Confusion {
    /// Counts; a probability of at least the threshold is decided 1.
    pub fn at(labels: &[bool], probabilities: &[f64], threshold: f64) -> Confusion {
        let mut confusion = Confusion::default();
        for (&label, &p) in labels.iter().zip(probabilities) {
            *match (label, p >= threshold) {
                (true, true) => &mut confusion.true_positives,
                (false, true) => &mut confusion.false_positives,
                (false, false) => &mut confusion.true_negatives,
                (true, false) => &mut confusion.false_negatives,
            } += 1;
        }
        confusion
    }

    /// The report of class 0 and of class 1.
    pub fn classes(&self) -> [ClassReport; 2] {
        [
            ClassReport::of(
                self.true_negatives,
                self.false_negatives,
                self.false_positives,
            ),
            ClassReport::of(
                self.true_positives,
                self.false_positives,
                self.false_negatives,
            ),
        ]
    }

    /// Share of right decisions.
    pub fn accuracy(&self) -> f64 {
        let right = self.true_positives + self.true_negatives;
        ratio(right, right + self.false_positives + self.false_negatives)
    }
}

impl ClassReport {
    fn of(hits: u64, false_alarms: u64, misses: u64) -> ClassReport {
        ClassReport {
            precision: ratio(hits, hits + false_alarms),
            recall: ratio(hits, hits + misses),
            f1: ratio(2 * hits, 2 * hits + false_alarms + misses),
            support: hits + misses,
        }
    }
}

/// The probability from which on deciding 1 gives the best F1 of class 1; of equally
/// good ones the highest.
pub fn best_f1_threshold(labels: &[bool], probabilities: &[f64]) -> f64 {
    let positives = labels.iter().filter(|&&label| label).count() as f64;
    let mut best = (0.0, 0.5);
    for step in sweep(labels, probabilities) {
        let f1 = 2.0 * step.positives / (step.positives + step.negatives + positives);
        if f1 > best.0 {
            best = (f1, step.threshold);
        }
    }
    best.1
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}
