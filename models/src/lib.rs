//! Dataset to matrix, train, evaluate, report, encode, predict. Takes Arrow batches and
//! values, gives back bytes and structs: no files, no sockets, no clock.

mod dataset; // what is trained on, read into typed cells
mod encoder; // from cells to the numbers that models read

mod boosting; // gradient boosting
mod forest; // random forest
mod logistic; // logistic regression
mod trees; // the one tree core

mod evaluate; // how good probabilities are
mod model; // encoder and predictor together, and their bytes
mod report; // an evaluation for programs and for people
mod train; // all of it in order

mod algorithm; // the names of the algorithms
mod error; // what can go wrong
mod random; // where every draw comes from

pub use algorithm::Algorithm;
pub use boosting::Params as BoostingParams;
pub use dataset::{Dataset, FeatureColumn, Part};
pub use error::Error;
pub use evaluate::{
    CalibrationBin, ClassReport, Confusion, CurvePoint, Evaluation, ScoreBin, average_precision,
    best_f1_threshold, brier, calibration, log_loss, pr_curve, roc_auc, roc_curve, score_histogram,
};
pub use forest::Params as ForestParams;
pub use logistic::Params as LogisticParams;
pub use model::{Importance, Metadata, Model, Scratch};
pub use report::{ReportContext, metrics_json, report_html};
pub use train::{Candidate, Options, Progress, Trained, train};

#[cfg(test)]
mod testing; // made-up datasets for the tests

/// Log-odds as a probability.
fn sigmoid(log_odds: f64) -> f64 {
    1.0 / (1.0 + (-log_odds).exp())
}
