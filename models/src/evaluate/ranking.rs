//! How well probabilities put rows in order: ROC and precision-recall, ties as one step.

/// A point of a curve, reached by deciding 1 from `threshold` upwards.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CurvePoint {
    /// False positive rate (ROC) or recall (precision-recall).
    pub x: f64,
    /// True positive rate (ROC) or precision (precision-recall).
    pub y: f64,
    /// The probability from which on a row counts as 1.
    pub threshold: f64,
}

/// Rows with a probability of at least `threshold`, by label.
#[derive(Clone, Copy, Debug)]
pub(super) struct Above {
    pub(super) threshold: f64,
    pub(super) positives: f64,
    pub(super) negatives: f64,
}

/// One entry for each distinct probability, from the highest down.
pub(super) fn sweep(labels: &[bool], probabilities: &[f64]) -> Vec<Above> {
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.sort_unstable_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
    let mut steps: Vec<Above> = Vec::new();
    let (mut positives, mut negatives) = (0.0, 0.0);
    for row in order {
        *(if labels[row] {
            &mut positives
        } else {
            &mut negatives
        }) += 1.0;
        let threshold = probabilities[row];
        let above = Above {
            threshold,
            positives,
            negatives,
        };
        match steps.last_mut() {
            Some(last) if last.threshold == threshold => *last = above,
            _ => steps.push(above),
        }
    }
    steps
}

/// The chance that a row with label 1 has a higher probability than one with label 0,
/// ties counting half. NaN if a label does not occur.
pub fn roc_auc(labels: &[bool], probabilities: &[f64]) -> f64 {
    let mut area = 0.0;
    let (mut positives, mut negatives) = (0.0, 0.0);
    for step in sweep(labels, probabilities) {
        area += (step.negatives - negatives) * (step.positives + positives) / 2.0;
        (positives, negatives) = (step.positives, step.negatives);
    }
    area / (positives * negatives)
}

/// Average precision: the mean over the rows with label 1 of the precision at their
/// probability. NaN if there are none.
pub fn average_precision(labels: &[bool], probabilities: &[f64]) -> f64 {
    let mut area = 0.0;
    let mut positives = 0.0;
    for step in sweep(labels, probabilities) {
        let precision = step.positives / (step.positives + step.negatives);
        area += (step.positives - positives) * precision;
        positives = step.positives;
    }
    area / positives
}

/// From (0, 0) to (1, 1).
pub fn roc_curve(labels: &[bool], probabilities: &[f64]) -> Vec<CurvePoint> {
    let steps = sweep(labels, probabilities);
    let Some(&all) = steps.last() else {
        return Vec::new();
    };
    let start = CurvePoint {
        x: 0.0,
        y: 0.0,
        threshold: f64::INFINITY,
    };
    let point = |step: Above| CurvePoint {
        x: step.negatives / all.negatives,
        y: step.positives / all.positives,
        threshold: step.threshold,
    };
    std::iter::once(start)
        .chain(steps.into_iter().map(point))
        .collect()
}

/// From the highest probability, with little recall, to the lowest, with all of it.
pub fn pr_curve(labels: &[bool], probabilities: &[f64]) -> Vec<CurvePoint> {
    let steps = sweep(labels, probabilities);
    let Some(&all) = steps.last() else {
        return Vec::new();
    };
    let point = |step: Above| CurvePoint {
        x: step.positives / all.positives,
        y: step.positives / (step.positives + step.negatives),
        threshold: step.threshold,
    };
    steps.into_iter().map(point).collect()
}
