//! The figures of a training as JSON: `test` of the best model at the top level.

use serde_json::{Value, json};

use super::ReportContext;
use crate::{Candidate, CurvePoint, Evaluation, Importance, Trained};

/// What stands in `metrics.json`.
pub fn metrics_json(trained: &Trained, context: &ReportContext<'_>) -> Value {
    let best = trained.best();
    let [train, valid, test] = best.model.metadata().rows;
    let candidates = trained.candidates.iter().map(|candidate| {
        json!({
            "algorithm": candidate.algorithm.name(),
            "seconds": context.seconds(candidate.algorithm),
            "best": candidate.algorithm == best.algorithm,
            "valid": figures(&candidate.valid),
            "test": figures(&candidate.test),
        })
    });
    json!({
        "roc_auc": best.test.roc_auc,
        "pr_auc": best.test.pr_auc,
        "log_loss": best.test.log_loss,
        "brier": best.test.brier,
        "oracle_roc_auc": context.oracle_roc_auc,
        "model": context.model,
        "version": context.version,
        "trained_at": context.trained_at,
        "algorithm": best.algorithm.name(),
        "label": best.model.metadata().label,
        "seed": best.model.metadata().seed,
        "notes": best.model.metadata().notes,
        "threshold": best.model.threshold(),
        "features": best.model.features().len(),
        "rows": { "train": train, "valid": valid, "test": test },
        "valid": figures(&best.valid),
        "test": figures(&best.test),
        "curves": curves(&best.test),
        "importance": importance(best),
        "candidates": candidates.collect::<Vec<Value>>(),
    })
}

fn figures(evaluation: &Evaluation) -> Value {
    let confusion = evaluation.confusion;
    let classes = confusion.classes().map(|class| {
        json!({
            "precision": class.precision,
            "recall": class.recall,
            "f1": class.f1,
            "support": class.support,
        })
    });
    json!({
        "rows": evaluation.rows,
        "positives": evaluation.positives,
        "roc_auc": evaluation.roc_auc,
        "pr_auc": evaluation.pr_auc,
        "log_loss": evaluation.log_loss,
        "brier": evaluation.brier,
        "threshold": evaluation.threshold,
        "accuracy": confusion.accuracy(),
        "classification_report": { "0": classes[0], "1": classes[1] },
        "confusion": {
            "true_positives": confusion.true_positives,
            "false_positives": confusion.false_positives,
            "true_negatives": confusion.true_negatives,
            "false_negatives": confusion.false_negatives,
        },
    })
}

fn curves(evaluation: &Evaluation) -> Value {
    let points = |curve: &[CurvePoint]| -> Vec<[f64; 2]> {
        curve.iter().map(|point| [point.x, point.y]).collect()
    };
    let calibration = evaluation.calibration.iter().map(|bin| {
        json!({
            "predicted": bin.predicted, "observed": bin.observed, "rows": bin.rows,
        })
    });
    json!({
        "roc": points(&evaluation.roc),
        "pr": points(&evaluation.pr),
        "calibration": calibration.collect::<Vec<Value>>(),
    })
}

fn importance(best: &Candidate) -> Vec<Value> {
    let share = |importance: Importance| {
        json!({
            "feature": importance.feature, "share": importance.share,
        })
    };
    best.model.importance().into_iter().map(share).collect()
}
