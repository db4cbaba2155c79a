//! A training for programs (`metrics.json`) and for people (`report.html`).
//! Called by the `train` command, which writes both beside the model.

mod html; // the page
mod json; // the figures
mod plot; // curves as SVG

use crate::{Algorithm, Candidate};

pub use html::report_html;
pub use json::metrics_json;

/// What the report says besides what training knows.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReportContext<'a> {
    /// Name of the model.
    pub model: &'a str,
    /// Its version.
    pub version: &'a str,
    /// When it was trained, as text.
    pub trained_at: &'a str,
    /// How long each algorithm took; may be empty.
    pub seconds: &'a [(Algorithm, f64)],
    /// ROC-AUC on `test` of one who knows the probabilities that labels were drawn with.
    pub oracle_roc_auc: Option<f64>,
}

impl ReportContext<'_> {
    fn seconds(&self, algorithm: Algorithm) -> Option<f64> {
        self.seconds
            .iter()
            .find(|(of, _)| *of == algorithm)
            .map(|(_, seconds)| *seconds)
    }
}

/// Accuracy of always deciding for the more frequent label.
fn majority_share(candidate: &Candidate) -> f64 {
    let share = candidate.test.positives as f64 / candidate.test.rows as f64;
    share.max(1.0 - share)
}

#[cfg(test)]
mod tests;
