//! Training on data with a known truth, on noise, and on data that cannot be trained on.

use arrow::array::{Array, ArrayRef, Int64Array, StringArray};
use arrow::record_batch::RecordBatch;
use std::sync::{Arc, Mutex};

use super::*;
use crate::evaluate::roc_auc;
use crate::testing::{Made, Recipe, dataset, features, make};

fn quick() -> Options {
    Options {
        forest: forest::Params {
            trees: 40,
            ..forest::Params::default()
        },
        boosting: boosting::Params {
            max_trees: 150,
            learning_rate: 0.1,
            ..boosting::Params::default()
        },
        ..Options::default()
    }
}

fn trained(made: &Made, options: &Options) -> Trained {
    train(&dataset(&made.batches), options, &|_| ()).unwrap()
}

/// ROC-AUC on test of one who knows the truth.
fn bayes(made: &Made) -> f64 {
    let of_test = |row: &usize| made.parts[*row] == "test";
    let rows: Vec<usize> = (0..made.labels.len()).filter(of_test).collect();
    let labels: Vec<bool> = rows.iter().map(|&row| made.labels[row]).collect();
    let truth: Vec<f64> = rows.iter().map(|&row| made.truth[row]).collect();
    roc_auc(&labels, &truth)
}

/// Replaces a column of the only batch.
fn with_column(made: &Made, name: &str, array: &ArrayRef) -> RecordBatch {
    let all = arrow::compute::concat_batches(&made.batches[0].schema(), &made.batches).unwrap();
    let columns = all
        .schema_ref()
        .fields()
        .iter()
        .zip(all.columns())
        .map(|(field, column)| {
            let column = if field.name() == name { array } else { column };
            (field.name().clone(), column.clone())
        });
    RecordBatch::try_from_iter(columns).unwrap()
}

fn labels_with(made: &Made, change: impl Fn(usize, Option<i64>) -> Option<i64>) -> RecordBatch {
    let label = |(row, &label): (usize, &bool)| change(row, Some(i64::from(label)));
    let labels: Int64Array = made.labels.iter().enumerate().map(label).collect();
    with_column(made, "churned", &(Arc::new(labels) as ArrayRef))
}

fn parts_with(
    made: &Made,
    change: impl Fn(usize, &'static str) -> Option<&'static str>,
) -> RecordBatch {
    let part = |(row, &part): (usize, &&'static str)| change(row, part);
    let parts: StringArray = made.parts.iter().enumerate().map(part).collect();
    with_column(made, "split", &(Arc::new(parts) as ArrayRef))
}

fn message(dataset: &Dataset<'_>) -> String {
    train(dataset, &quick(), &|_| ()).unwrap_err().to_string()
}

#[test]
fn every_algorithm_comes_near_to_the_truth() {
    let made = make(Recipe {
        rows: 6000,
        ..Recipe::default()
    });
    let (trained, bayes) = (trained(&made, &quick()), bayes(&made));
    assert!(bayes > 0.84, "the data can be learnt: {bayes}");
    // Logistic regression cannot see that age and premium act together.
    for (candidate, short_of) in trained.candidates.iter().zip([0.09, 0.09, 0.05]) {
        let auc = candidate.test.roc_auc;
        assert!(
            auc > bayes - short_of,
            "{}: {auc}, truth {bayes}",
            candidate.algorithm
        );
        assert!(
            auc < bayes + 0.02,
            "{}: {auc}, truth {bayes}",
            candidate.algorithm
        );
    }
    let boosting = &trained.candidates[2];
    assert_eq!(trained.best().algorithm, Algorithm::Boosting);
    assert!(boosting.test.roc_auc > trained.candidates[0].test.roc_auc + 0.02);
    let importance = boosting.model.importance();
    assert_eq!(importance[0].feature, "topic");
    assert!((importance.iter().map(|of| of.share).sum::<f64>() - 1.0).abs() < 1e-9);
    let place = |name| importance.iter().position(|of| of.feature == name).unwrap();
    assert!(place("noise") > place("spend") && place("user") > place("city"));
}

#[test]
fn noise_is_not_learnt() {
    let made = make(Recipe {
        rows: 8000,
        strength: 0.0,
        base: -0.5,
        ..Recipe::default()
    });
    for candidate in trained(&made, &quick()).candidates {
        let (algorithm, auc) = (candidate.algorithm, candidate.test.roc_auc);
        assert!((auc - 0.5).abs() < 0.04, "{algorithm}: {auc}");
    }
}

#[test]
fn higher_risk_has_the_higher_probability_whichever_label_is_rarer() {
    for base in [-2.0, 2.0] {
        let made = make(Recipe {
            base,
            ..Recipe::default()
        });
        for candidate in trained(&made, &quick()).candidates {
            let auc = candidate.test.roc_auc;
            assert!(auc > 0.7, "{} at base {base}: {auc}", candidate.algorithm);
            let mean: f64 = candidate
                .test
                .calibration
                .iter()
                .map(|bin| bin.predicted / 10.0)
                .sum();
            assert_eq!(
                mean > 0.5,
                base > 0.0,
                "{} at base {base}: {mean}",
                candidate.algorithm
            );
        }
    }
}

#[test]
fn one_seed_gives_the_same_bytes_on_any_number_of_threads() {
    let made = make(Recipe::default());
    let bytes = |threads, seed| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let trained = pool.install(|| trained(&made, &Options { seed, ..quick() }));
        trained
            .candidates
            .iter()
            .map(|of| of.model.encode())
            .collect::<Vec<_>>()
    };
    let one = bytes(1, 42);
    assert!(one == bytes(2, 42), "1 and 2 threads differ");
    assert!(one == bytes(3, 42), "1 and 3 threads differ");
    assert!(one != bytes(1, 43), "the seed is used");
}

#[test]
fn batches_and_the_order_of_columns_in_them_do_not_matter() {
    let made = make(Recipe::default());
    let reference = trained(&made, &quick());
    let all = arrow::compute::concat_batches(&made.batches[0].schema(), &made.batches).unwrap();
    let reversed: Vec<usize> = (0..all.num_columns()).rev().collect();
    let other = [all.project(&reversed).unwrap()];
    let other = train(&dataset(&other), &quick(), &|_| ()).unwrap();
    for (a, b) in reference.candidates.iter().zip(&other.candidates) {
        assert!(a.model == b.model, "{}", a.algorithm);
    }
}

#[test]
fn the_order_of_features_changes_places_and_not_quality() {
    let made = make(Recipe::default());
    let mut dataset = dataset(&made.batches);
    let reference = train(&dataset, &quick(), &|_| ()).unwrap();
    dataset.features.reverse();
    let reversed = train(&dataset, &quick(), &|_| ()).unwrap();
    for (a, b) in reference.candidates.iter().zip(&reversed.candidates) {
        assert!(
            (a.test.roc_auc - b.test.roc_auc).abs() < 0.02,
            "{}",
            a.algorithm
        );
        assert_eq!(&*b.model.features()[0].name, "user");
    }
    // Logistic regression sums in another order, and that is all.
    let (a, b) = (&reference.candidates[0].test, &reversed.candidates[0].test);
    assert!((a.log_loss - b.log_loss).abs() < 1e-3);
}

#[test]
fn valid_chooses_and_test_takes_no_part() {
    let made = make(Recipe::default());
    let reference = trained(&made, &quick());
    let flipped = labels_with(&made, |row, label| {
        if made.parts[row] == "test" {
            label.map(|label| 1 - label)
        } else {
            label
        }
    });
    let flipped = [flipped];
    let flipped = train(&dataset(&flipped), &quick(), &|_| ()).unwrap();
    assert_eq!(reference.best, flipped.best);
    for (a, b) in reference.candidates.iter().zip(&flipped.candidates) {
        assert!(a.model == b.model && a.valid == b.valid, "{}", a.algorithm);
        assert!((a.test.roc_auc + b.test.roc_auc - 1.0).abs() < 1e-9);
    }
    let least = reference
        .candidates
        .iter()
        .map(|of| of.valid.log_loss)
        .fold(1.0, f64::min);
    assert_eq!(reference.best().valid.log_loss, least);
}

#[test]
fn progress_tells_every_phase() {
    let made = make(Recipe {
        rows: 600,
        ..Recipe::default()
    });
    let seen = Mutex::new(Vec::new());
    train(&dataset(&made.batches), &quick(), &|step| {
        seen.lock().unwrap().push(step);
    })
    .unwrap();
    let seen = seen.into_inner().unwrap();
    assert_eq!(seen[0], Progress::Encoding { rows: 600 });
    for algorithm in Algorithm::ALL {
        let place = |wanted| seen.iter().position(|&step| step == wanted).unwrap();
        assert!(place(Progress::Started { algorithm }) < place(Progress::Finished { algorithm }));
    }
    let algorithm = Algorithm::Forest;
    assert!(seen.contains(&Progress::Trees {
        algorithm,
        done: 40,
        total: 40
    }));
}

#[test]
fn what_cannot_be_trained_on_is_named() {
    let made = make(Recipe {
        rows: 300,
        ..Recipe::default()
    });
    let with = |batch: &RecordBatch| message(&dataset(std::slice::from_ref(batch)));

    let one_class = labels_with(&made, |row, label| {
        if made.parts[row] == "train" {
            Some(0)
        } else {
            label
        }
    });
    assert!(
        with(&one_class).contains("all 180 `train` rows have label 0"),
        "{}",
        with(&one_class)
    );
    let no_valid = parts_with(&made, |_, part| {
        Some(if part == "valid" { "test" } else { part })
    });
    assert!(
        with(&no_valid).contains("no `valid` rows"),
        "{}",
        with(&no_valid)
    );
    let odd_part = parts_with(&made, |row, part| {
        Some(if row == 217 { "holdout" } else { part })
    });
    assert!(
        with(&odd_part).contains("`split` of row 217: it is `holdout`"),
        "{}",
        with(&odd_part)
    );
    let no_part = parts_with(&made, |row, part| (row != 217).then_some(part));
    assert!(
        with(&no_part).contains("row 217: it is null"),
        "{}",
        with(&no_part)
    );
    let no_label = labels_with(&made, |row, label| label.filter(|_| row != 123));
    assert!(
        with(&no_label).contains("`churned` of row 123: it is null"),
        "{}",
        with(&no_label)
    );
    let odd_label = labels_with(&made, |row, label| if row == 4 { Some(2) } else { label });
    assert!(
        with(&odd_label).contains("row 4: it is 2"),
        "{}",
        with(&odd_label)
    );

    let mut unknown = dataset(&made.batches);
    unknown.features[1].name = Arc::from("spent");
    assert!(message(&unknown).contains("feature column `spent`"));
    assert!(message(&unknown).contains("spend, premium"));
    let twelve: ArrayRef = Arc::new(StringArray::from(vec!["12"; 300]));
    let text = with_column(&made, "spend", &twelve);
    assert!(
        with(&text).contains("column `spend`: it holds Utf8, wanted float"),
        "{}",
        with(&text)
    );
    let mut empty = dataset(&made.batches);
    empty.features.clear();
    assert!(message(&empty).contains("no features"));
    let none = Options {
        algorithms: Vec::new(),
        ..quick()
    };
    assert!(train(&dataset(&made.batches), &none, &|_| ()).is_err());
}

#[test]
fn features_that_say_nothing_are_harmless() {
    let made = make(Recipe {
        rows: 600,
        ..Recipe::default()
    });
    let nulls = arrow::array::new_null_array(&arrow::datatypes::DataType::Float64, 600);
    assert_eq!(nulls.null_count(), 600);
    let batch = [with_column(&made, "spend", &nulls)];
    let mut only_nulls = dataset(&batch);
    only_nulls.features = features()
        .into_iter()
        .filter(|of| &*of.name == "spend")
        .collect();
    for candidate in train(&only_nulls, &quick(), &|_| ()).unwrap().candidates {
        assert_eq!(candidate.test.roc_auc, 0.5, "{}", candidate.algorithm);
    }
}
