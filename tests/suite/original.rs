//! The original system's registry and its Parquet feature groups load, serve and train
//! unchanged. Its labels are noise, so anything learnt from them would be a leak.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use crate::support::Home;

fn reference() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/reference");
    path.exists().then_some(path)
}

#[test]
fn the_original_groups_are_served_as_they_are() {
    let Some(reference) = reference() else {
        println!("not run: the reference inputs are not beside the repository");
        return;
    };
    let mut home = Home::new();
    home.registry = home.data().join("original.yaml");
    let text = fs::read_to_string(reference.join("original_feature_registry.yaml")).unwrap();
    // The original's review group was lost; the other three are what there is.
    let lost = text.find("  user_review_features:").unwrap()..text.find("  churn_label:").unwrap();
    fs::write(
        &home.registry,
        [&text[..lost.start], &text[lost.end..]].concat(),
    )
    .unwrap();
    fs::create_dir(home.data().join("raw")).unwrap();
    for name in [
        "user_profile_features",
        "user_activity_features",
        "churn_labels",
    ] {
        let file = format!("{name}.parquet");
        fs::copy(
            reference.join("original").join(&file),
            home.data().join("raw").join(&file),
        )
        .unwrap();
    }
    home.ok(&["up", "--no-serve"]);
    let row: Json = serde_json::from_str(&home.ok(&["get", "c4ca4238a0b9", "--json"])).unwrap();
    let features = &row["features"];
    assert_eq!(features["age"], 27);
    assert_eq!(features["location"], "East");
    assert_eq!(features["premium"], true);
    let row: Json = serde_json::from_str(&home.ok(&["get", "00003e3b9e53", "--json"])).unwrap();
    let features = &row["features"];
    assert_eq!(features["total_events"], 350);
    let vector: Vec<f64> =
        serde_json::from_value(features["categorical_event_vector"].clone()).unwrap();
    assert_eq!(vector[..4], [19.0, 15.0, 20.0, 18.0]);
    let metrics = fs::read(home.data().join("models/churn/v000001/metrics.json")).unwrap();
    let metrics: Json = serde_json::from_slice(&metrics).unwrap();
    let auc = metrics["roc_auc"].as_f64().unwrap();
    assert!(
        (auc - 0.5).abs() < 0.02,
        "ROC-AUC {auc} on labels that are noise"
    );
}
