//! One row of values against the same row of Arrow, and what a row must be.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::testing::{Recipe, dataset, make};
use crate::{Options, train};

pub(super) fn trained() -> (Vec<Model>, crate::testing::Made) {
    let made = make(Recipe {
        rows: 1500,
        ..Recipe::default()
    });
    let mut options = Options::default();
    options.forest.trees = 20;
    options.boosting.max_trees = 40;
    options
        .notes
        .insert("command".to_owned(), "granary train".to_owned());
    let trained = train(&dataset(&made.batches), &options, &|_| ()).unwrap();
    (
        trained
            .candidates
            .into_iter()
            .map(|candidate| candidate.model)
            .collect(),
        made,
    )
}

#[test]
fn a_row_of_values_and_a_row_of_arrow_agree_to_the_last_bit() {
    let (models, made) = trained();
    // The rows hold nulls, and of `user` every value is unknown.
    assert!(made.values.iter().any(|row| row.iter().any(Value::is_null)));
    for model in &models {
        let batch = model.predict_batch(&made.batches).unwrap();
        let mut scratch = Scratch::default();
        for (values, &probability) in made.values.iter().zip(&batch) {
            assert_eq!(
                model.predict(values).unwrap().to_bits(),
                probability.to_bits()
            );
            let again = model.predict_with(values, &mut scratch).unwrap();
            assert_eq!(again.to_bits(), probability.to_bits());
        }
        assert!(batch.iter().any(|&p| p >= model.threshold()));
        assert!(batch.iter().any(|&p| p < model.threshold()));
    }
}

#[test]
fn slices_and_other_arrow_forms_of_a_column_give_the_same() {
    let (models, made) = trained();
    let all = arrow::compute::concat_batches(&made.batches[0].schema(), &made.batches).unwrap();
    let slices: Vec<RecordBatch> = [(0, 7), (7, 0), (7, 900), (907, 593)]
        .into_iter()
        .map(|(from, rows)| all.slice(from, rows))
        .collect();
    let forms = [
        ("age", "Int32"),
        ("premium", "Int8"),
        ("city", "LargeUtf8"),
        ("joined", "Timestamp(Nanosecond, Some(\"+00:00\"))"),
        ("user", "Utf8View"),
        ("counts", "List(Float64)"),
    ];
    let other = slices.iter().map(|slice| {
        let schema = slice.schema();
        let columns = schema
            .fields()
            .iter()
            .zip(slice.columns())
            .map(|(field, column)| {
                let form = forms.iter().find(|(name, _)| name == field.name());
                let column = form.map_or(column.clone(), |(_, form)| {
                    arrow::compute::cast(column, &form.parse().unwrap()).unwrap()
                });
                (field.name().clone(), column)
            });
        RecordBatch::try_from_iter(columns).unwrap()
    });
    let other: Vec<RecordBatch> = other.collect();
    for model in &models {
        let reference = model.predict_batch(&made.batches).unwrap();
        assert!(
            model.predict_batch(&slices).unwrap() == reference,
            "{}",
            model.algorithm()
        );
        assert!(
            model.predict_batch(&other).unwrap() == reference,
            "{}",
            model.algorithm()
        );
    }
}

#[test]
fn unknown_categories_and_rows_of_nulls_have_probabilities() {
    let (models, made) = trained();
    for model in &models {
        let nulls = vec![Value::Null; model.features().len()];
        let p = model.predict(&nulls).unwrap();
        assert!(p > 0.0 && p < 1.0, "{p}");
        let mut row = made.values[0].clone();
        row[3] = Value::Text(Arc::from("Atlantis"));
        let unknown = model.predict(&row).unwrap();
        row[3] = Value::Text(Arc::from("Shangri-La"));
        assert_eq!(model.predict(&row).unwrap(), unknown);
    }
}

#[test]
fn a_row_that_does_not_fit_is_named() {
    let (models, made) = trained();
    let short = models[0].predict(&made.values[0][..3]).unwrap_err();
    assert!(
        short.to_string().contains("3 values, the model takes 9"),
        "{short}"
    );
    let mut row = made.values[0].clone();
    row[1] = Value::Text(Arc::from("secret"));
    let wrong = models[0].predict(&row).unwrap_err().to_string();
    assert!(
        wrong.contains("feature `spend` is float, got text"),
        "{wrong}"
    );
    assert!(!wrong.contains("secret"));
}

/// Values of every kind, fitting or not, finite or not.
fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::Int),
        any::<f64>().prop_map(Value::Float),
        any::<bool>().prop_map(Value::Bool),
        ".{0,8}".prop_map(|text| Value::Text(Arc::from(text))),
        any::<i64>().prop_map(|at| Value::Timestamp(granary_registry::EventTime(at))),
        proptest::collection::vec(any::<f32>(), 0..50).prop_map(|x| Value::Vector(Arc::from(x))),
    ]
}

#[test]
fn no_row_makes_a_model_panic_or_leave_the_unit_interval() {
    let (models, _) = trained();
    let rows = proptest::collection::vec(any_value(), 9);
    proptest!(|(row in rows)| {
        for model in &models {
            let fitting: Vec<Value> = model.features().iter().zip(&row).map(|(feature, value)| {
                if Cell::of(value, feature.dtype).is_some() { value.clone() } else { Value::Null }
            }).collect();
            let p = model.predict(&fitting).unwrap();
            prop_assert!((0.0..=1.0).contains(&p), "{p}");
            let is_error = model.predict(&row).is_err();
            prop_assert_eq!(is_error, row != fitting && row.iter().zip(&fitting).any(|(a, b)| b.is_null() && !a.is_null()));
        }
    });
}
