//! What becomes of categories, vectors and gaps, and that no label leaks into its row.

use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeListArray, Float64Array, ListArray, StringArray};
use arrow::datatypes::{Float32Type, Float64Type};
use arrow::record_batch::RecordBatch;

use super::*;
use crate::evaluate::roc_auc;

fn feature(name: &str, dtype: DType) -> FeatureColumn {
    FeatureColumn {
        name: Arc::from(name),
        dtype,
    }
}

fn table(features: &[FeatureColumn], arrays: Vec<ArrayRef>) -> Table {
    let columns = features
        .iter()
        .map(|feature| feature.name.to_string())
        .zip(arrays);
    Table::read(&[RecordBatch::try_from_iter(columns).unwrap()], features).unwrap()
}

fn fit(features: &[FeatureColumn], arrays: Vec<ArrayRef>, labels: &[bool]) -> (Encoder, Encoded) {
    let table = table(features, arrays);
    let rows: Vec<u32> = (0..labels.len() as u32).collect();
    Encoder::fit(
        features,
        TrainRows {
            table: &table,
            rows: &rows,
            labels,
        },
        5,
    )
}

fn encoded(encoder: &Encoder, cells: &[Cell<'_>]) -> EncodedRow {
    let mut row = EncodedRow::default();
    encoder.encode_row(cells.iter().copied(), &mut row);
    row
}

#[test]
fn categories_have_smoothed_rates_and_missing_is_one_of_them() {
    // a: 60 of 80, b: 10 of 40, missing: 20 of 40, rare: 1 of 1.
    let groups = [
        (Some("a"), 80, 60),
        (Some("b"), 40, 10),
        (None, 40, 20),
        (Some("rare"), 1, 1),
    ];
    let (mut names, mut labels) = (Vec::new(), Vec::new());
    for (name, rows, ones) in groups {
        names.extend(std::iter::repeat_n(name, rows));
        labels.extend((0..rows).map(|row| row < ones));
    }
    let overall = 91.0 / 161.0;
    let smoothed = |ones: f64, rows: f64| ((ones + 20.0 * overall) / (rows + 20.0)) as f32;
    let features = [feature("city", DType::Categorical)];
    let (encoder, train) = fit(&features, vec![Arc::new(StringArray::from(names))], &labels);

    let rate = |cell| encoded(&encoder, &[cell]).slots[0];
    let code = |cell| encoded(&encoder, &[cell]).codes[0];
    assert_eq!(rate(Cell::Text("a")), smoothed(60.0, 80.0));
    assert_eq!(rate(Cell::Text("b")), smoothed(10.0, 40.0));
    assert_eq!(rate(Cell::Missing), smoothed(20.0, 40.0));
    for unknown in ["rare", "never seen", ""] {
        assert_eq!(rate(Cell::Text(unknown)), overall as f32, "{unknown}");
        assert_eq!(code(Cell::Text(unknown)), 0);
    }
    assert_eq!(
        [
            code(Cell::Text("a")),
            code(Cell::Text("b")),
            code(Cell::Missing)
        ],
        [1, 2, 3]
    );
    // Out of fold: a train row does not have the rate that a new row of its category has.
    assert!((0..80).all(|row| (train.slots(row)[0] - rate(Cell::Text("a"))).abs() < 0.1));
    assert!((0..80).any(|row| train.slots(row)[0] != rate(Cell::Text("a"))));
    assert_eq!(train.slots(160)[0], overall as f32);
}

#[test]
fn labels_do_not_leak_into_their_own_rows() {
    let mut random = Random::new(8, 8);
    let rows = 4000;
    let labels: Vec<bool> = (0..rows).map(|_| random.unit() < 0.3).collect();
    let names: Vec<String> = (0..rows)
        .map(|_| format!("c{}", random.below(500)))
        .collect();
    let noise: Vec<Option<Vec<Option<f32>>>> = (0..rows)
        .map(|_| Some((0..100).map(|_| Some(random.normal() as f32)).collect()))
        .collect();
    let features = [
        feature("category", DType::Text),
        feature("noise", DType::Vector),
    ];
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(names)),
        Arc::new(FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(noise, 100)),
    ];
    let (encoder, train) = fit(&features, arrays, &labels);
    assert_eq!(encoder.slots(), 2);
    for slot in 0..2 {
        let values: Vec<f64> = train.slot(slot).map(f64::from).collect();
        // In fold these would be 0.65 and more. Out of fold noise leans to below one half.
        let auc = roc_auc(&labels, &values);
        assert!(
            (0.42..0.53).contains(&auc),
            "slot {slot} alone has ROC-AUC {auc}"
        );
    }
}

#[test]
fn a_short_vector_gives_its_score_and_its_elements() {
    let mut random = Random::new(9, 9);
    let vectors: Vec<[f64; 3]> = (0..600)
        .map(|_| [random.normal(), random.normal() * 9.0, 4.0])
        .collect();
    let labels: Vec<bool> = vectors
        .iter()
        .map(|x| x[0] + 0.3 * random.normal() > 0.0)
        .collect();
    let lists = vectors.iter().map(|x| Some(x.map(Some).to_vec()));
    let array = ListArray::from_iter_primitive::<Float64Type, _, _>(lists);
    let (encoder, train) = fit(
        &[feature("v", DType::Vector)],
        vec![Arc::new(array)],
        &labels,
    );
    assert_eq!(train.slots(5)[1..], vectors[5].map(|x| x as f32));
    let scores: Vec<f64> = train.slot(0).map(f64::from).collect();
    assert!(roc_auc(&labels, &scores) > 0.95);
    assert!(encoded(&encoder, &[Cell::Vector(&[2.0, 0.0, 4.0])]).slots[0] > 0.7);

    for wrong in [Cell::Missing, Cell::Vector(&[1.0, 2.0]), Cell::Text("x")] {
        assert!(
            encoded(&encoder, &[wrong])
                .slots
                .iter()
                .all(|slot| slot.is_nan())
        );
    }
    let with_gap = encoded(&encoder, &[Cell::Vector(&[2.0, f32::NAN, 4.0])]);
    assert!(with_gap.slots[0].is_finite() && with_gap.slots[2].is_nan());
}

#[test]
fn the_linear_form_is_standard_and_marks_gaps() {
    let numbers: Vec<Option<f64>> = (0..101)
        .map(|row| (row % 4 != 0).then_some(f64::from(row)))
        .collect();
    let labels: Vec<bool> = (0..101).map(|row| row % 2 == 0).collect();
    let features = [
        feature("x", DType::Float),
        feature("constant", DType::Float),
    ];
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(Float64Array::from(numbers)),
        Arc::new(Float64Array::from(vec![7.5; 101])),
    ];
    let (encoder, train) = fit(&features, arrays, &labels);
    let form = LinearForm::fit(&encoder, &train);
    assert_eq!(form.features(&encoder).collect::<Vec<_>>(), [0, 0, 1]);
    let matrix = form.matrix(&train);
    for column in 0..2 {
        let column = matrix.column(column);
        assert!(column.sum().abs() < 1e-9);
        assert!((column.dot(&column) / 101.0 - 1.0).abs() < 1e-9);
    }
    let row = |cell| {
        let row = encoded(&encoder, &[cell, Cell::Number(9e300)]);
        form.row(&row.slots, &row.codes).collect::<Vec<f64>>()
    };
    assert_eq!(
        row(Cell::Missing)[0],
        row(Cell::Number(50.0))[0],
        "50 is the median"
    );
    assert!(row(Cell::Missing)[1] > 0.0 && row(Cell::Number(50.0))[1] < 0.0);
    assert_eq!(
        row(Cell::Number(50.0))[2],
        0.0,
        "a constant column says nothing"
    );
    assert_eq!(row(Cell::Number(1e300))[0], 8.0, "cut off");
}
