//! What wrong probabilities cost.

/// Probabilities nearer to 0 or 1 than this count as this, so that one row cannot cost
/// infinitely much.
const EPSILON: f64 = 1e-15;

/// Mean negative logarithm of the probability given to what happened.
pub fn log_loss(labels: &[bool], probabilities: &[f64]) -> f64 {
    mean(labels, probabilities, |label, p| {
        let p = p.clamp(EPSILON, 1.0 - EPSILON);
        if label { -p.ln() } else { -(1.0 - p).ln() }
    })
}

/// Mean squared distance between probability and label.
pub fn brier(labels: &[bool], probabilities: &[f64]) -> f64 {
    mean(labels, probabilities, |label, p| {
        (p - f64::from(u8::from(label))).powi(2)
    })
}

fn mean(labels: &[bool], probabilities: &[f64], cost: impl Fn(bool, f64) -> f64) -> f64 {
    let costs = labels
        .iter()
        .zip(probabilities)
        .map(|(&label, &p)| cost(label, p));
    costs.sum::<f64>() / labels.len() as f64
}
