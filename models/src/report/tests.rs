//! The figures stand where readers of `metrics.json` look, and the page is well formed.

use std::sync::Arc;

use super::*;
use crate::testing::{Recipe, dataset, make};
use crate::{Options, Trained, train};

fn trained() -> Trained {
    let made = make(Recipe {
        rows: 900,
        ..Recipe::default()
    });
    let mut options = Options::default();
    options.forest.trees = 15;
    options.boosting.max_trees = 30;
    let mut dataset = dataset(&made.batches);
    let renamed: Vec<_> = made
        .batches
        .iter()
        .map(|batch| {
            let columns = batch.schema_ref().fields().iter().zip(batch.columns());
            let name = |name: &str| if name == "topic" { "<b>&topic" } else { name }.to_owned();
            let columns = columns.map(|(field, column)| (name(field.name()), column.clone()));
            arrow::record_batch::RecordBatch::try_from_iter(columns).unwrap()
        })
        .collect();
    dataset.batches = &renamed;
    dataset.features[6].name = Arc::from("<b>&topic");
    train(&dataset, &options, &|_| ()).unwrap()
}

const CONTEXT: ReportContext<'_> = ReportContext {
    model: "churn",
    version: "v<1>",
    trained_at: "2026-01-31T12:00:00Z",
    seconds: &[(Algorithm::Forest, 1.25)],
    oracle_roc_auc: Some(0.9123),
};

#[test]
fn metrics_hold_test_of_the_best_model_on_top() {
    let trained = trained();
    let metrics = metrics_json(&trained, &CONTEXT);
    let best = trained.best();
    assert_eq!(metrics["roc_auc"], best.test.roc_auc);
    assert_eq!(metrics["pr_auc"], best.test.pr_auc);
    assert_eq!(metrics["log_loss"], best.test.log_loss);
    assert_eq!(metrics["test"]["roc_auc"], best.test.roc_auc);
    assert_eq!(metrics["valid"]["log_loss"], best.valid.log_loss);
    assert_eq!(metrics["oracle_roc_auc"], 0.9123);
    assert_eq!(metrics["rows"]["train"], 540);
    assert_eq!(metrics["features"], 9);
    assert_eq!(metrics["candidates"].as_array().unwrap().len(), 3);
    assert_eq!(metrics["candidates"][1]["seconds"], 1.25);
    assert!(metrics["candidates"][0]["seconds"].is_null());
    let support = |class: &str| metrics["test"]["classification_report"][class]["support"].as_u64();
    assert_eq!(support("0").unwrap() + support("1").unwrap(), 180);
    assert_eq!(metrics["importance"].as_array().unwrap().len(), 9);
}

#[test]
fn the_page_is_whole_closed_and_escaped() {
    let page = report_html(&trained(), &CONTEXT);
    assert!(page.contains("v&lt;1&gt;") && page.contains("&lt;b&gt;&amp;topic"));
    assert!(!page.contains("v<1>") && !page.contains("<b>&topic"));
    assert_eq!(page.matches("<svg").count(), 4);
    for outside in ["<script", "http://", "https://", "NaN", "inf"] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert_balanced(&page);
}

/// Every tag that is opened is closed, in order.
fn assert_balanced(page: &str) {
    let mut open = Vec::new();
    for tag in page.split('<').skip(1) {
        let name: String = tag
            .trim_start_matches('/')
            .chars()
            .take_while(char::is_ascii_alphanumeric)
            .collect();
        let body = &tag[..tag.find('>').unwrap()];
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "at </{body}>");
        } else if !(tag.starts_with('!') || body.ends_with('/') || name == "meta") {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
}
