//! Whether probabilities come true, and how they are spread.

/// Rows with neighbouring probabilities.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CalibrationBin {
    /// Mean probability.
    pub predicted: f64,
    /// Share of rows with label 1.
    pub observed: f64,
    /// Rows.
    pub rows: usize,
}

/// Rows whose probability lies in `[low, high)`; the last bin includes 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreBin {
    /// Lower edge.
    pub low: f64,
    /// Upper edge.
    pub high: f64,
    /// Rows with label 0.
    pub negatives: usize,
    /// Rows with label 1.
    pub positives: usize,
}

/// Bins of as many rows each, in the order of their probability; none is empty.
pub fn calibration(labels: &[bool], probabilities: &[f64], bins: usize) -> Vec<CalibrationBin> {
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.sort_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b]));
    let edge = |bin: usize| bin * order.len() / bins;
    let of_bin = |bin: usize| {
        let rows = &order[edge(bin)..edge(bin + 1)];
        let count = rows.len() as f64;
        CalibrationBin {
            predicted: rows.iter().map(|&row| probabilities[row]).sum::<f64>() / count,
            observed: rows.iter().filter(|&&row| labels[row]).count() as f64 / count,
            rows: rows.len(),
        }
    };
    (0..bins)
        .filter(|&bin| edge(bin) < edge(bin + 1))
        .map(of_bin)
        .collect()
}

/// Bins of one width over `[0, 1]`.
pub fn score_histogram(labels: &[bool], probabilities: &[f64], bins: usize) -> Vec<ScoreBin> {
    let edge = |bin: usize| bin as f64 / bins as f64;
    let empty = |bin| ScoreBin {
        low: edge(bin),
        high: edge(bin + 1),
        negatives: 0,
        positives: 0,
    };
    let mut histogram: Vec<ScoreBin> = (0..bins).map(empty).collect();
    for (&label, &p) in labels.iter().zip(probabilities) {
        let bin = &mut histogram[((p * bins as f64) as usize).min(bins - 1)];
        *(if label {
            &mut bin.positives
        } else {
            &mut bin.negatives
        }) += 1;
    }
    histogram
}
