//! Fills the nulls of a training set: the value is fitted on the training part alone and
//! kept, so that the model's encoder applies the same one. Stores and reads never impute.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef};
use granary_registry::{DType, Feature, Imputation, Value};

use crate::expression::value_at;
use crate::fold::ColumnBuilder;
use crate::label::Part;

/// What the nulls of a feature were filled with.
#[derive(Clone, Debug, PartialEq)]
pub struct Fill {
    /// The feature.
    pub feature: String,
    /// `mean`, `median`, `most_frequent` or `constant`.
    pub rule: &'static str,
    /// The value.
    pub value: Value,
    /// How many rows it filled.
    pub filled: u64,
}

/// Fits a feature's imputation and applies it; none for a feature without one, or when the
/// training part has no value to fit it on.
pub(crate) fn fit(
    feature: &Feature,
    column: &ArrayRef,
    parts: &[Part],
) -> Option<(ArrayRef, Fill)> {
    let imputation = feature.imputation.as_ref()?;
    let known: Vec<Value> = (0..column.len())
        .filter(|&row| parts[row] == Part::Train && column.is_valid(row))
        .map(|row| value_at(column, row))
        .collect();
    let (rule, value) = match imputation {
        Imputation::Mean => ("mean", mean(&known)),
        Imputation::Median => ("median", median(&known)),
        Imputation::MostFrequent => ("most_frequent", most_frequent(&known)),
        Imputation::Constant(value) => ("constant", Some(value.clone())),
    };
    let value = of_type(value?, feature.dtype);
    let mut filled = ColumnBuilder::new(feature.dtype);
    for row in 0..column.len() {
        if column.is_null(row) {
            filled.push(&value);
        } else {
            filled.push(&value_at(column, row));
        }
    }
    let fill = Fill {
        feature: feature.name.to_string(),
        rule,
        value,
        filled: column.null_count() as u64,
    };
    Some((filled.finish(0), fill))
}

fn mean(known: &[Value]) -> Option<Value> {
    let numbers: Vec<f64> = known.iter().filter_map(Value::as_f64).collect();
    (!numbers.is_empty()).then(|| Value::float(numbers.iter().sum::<f64>() / numbers.len() as f64))
}

fn median(known: &[Value]) -> Option<Value> {
    let mut numbers: Vec<f64> = known.iter().filter_map(Value::as_f64).collect();
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    match numbers.len() % 2 {
        _ if numbers.is_empty() => None,
        1 => Some(Value::float(numbers[middle])),
        _ => Some(Value::float(numbers[middle - 1].midpoint(numbers[middle]))),
    }
}

/// The value that occurs most; of several the one whose text is first, so that the choice
/// does not depend on the order of rows.
fn most_frequent(known: &[Value]) -> Option<Value> {
    let mut counts: HashMap<String, (u64, &Value)> = HashMap::new();
    for value in known {
        counts.entry(format!("{value:?}")).or_insert((0, value)).0 += 1;
    }
    let best = counts
        .into_iter()
        .max_by(|a, b| a.1.0.cmp(&b.1.0).then_with(|| b.0.cmp(&a.0)));
    best.map(|(_, (_, value))| value.clone())
}

fn of_type(value: Value, dtype: DType) -> Value {
    match (dtype, &value) {
        (DType::Int, Value::Float(number)) => Value::Int(number.round() as i64),
        (DType::Bool, Value::Float(number)) => Value::Bool(*number >= 0.5),
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use granary_registry::{FeatureKind, ValueColumns};
    use proptest::prelude::*;

    fn feature(dtype: DType, imputation: Imputation) -> Feature {
        Feature {
            name: "f".into(),
            dtype,
            kind: FeatureKind::Value {
                columns: ValueColumns::One(vec!["f".into()]),
            },
            description: String::new(),
            imputation: Some(imputation),
            expectations: Vec::new(),
        }
    }

    fn column(dtype: DType, values: &[Value]) -> ArrayRef {
        let mut column = ColumnBuilder::new(dtype);
        for value in values {
            column.push(value);
        }
        column.finish(0)
    }

    proptest! {
        #[test]
        fn gaps_are_filled_with_what_the_training_part_alone_says(
            rows in prop::collection::vec((prop::option::of(-50..50i32), 0..3usize), 1..40)
        ) {
            let parts: Vec<Part> =
                rows.iter().map(|(_, part)| [Part::Train, Part::Valid, Part::Test][*part]).collect();
            let values: Vec<Value> = rows
                .iter()
                .map(|(number, _)| number.map_or(Value::Null, |number| Value::Float(number.into())))
                .collect();
            let mut train: Vec<f64> = rows
                .iter()
                .filter(|(_, part)| *part == 0)
                .filter_map(|(number, _)| number.map(f64::from))
                .collect();
            train.sort_by(f64::total_cmp);
            let feature = feature(DType::Float, Imputation::Median);
            let fitted = fit(&feature, &column(DType::Float, &values), &parts);
            let Some((filled, fill)) = fitted else {
                prop_assert!(train.is_empty());
                return Ok(());
            };
            let half = |at: usize| train[at.min(train.len() - 1)];
            let median = half((train.len() - 1) / 2).midpoint(half(train.len() / 2));
            prop_assert_eq!(&fill.value, &Value::Float(median));
            prop_assert_eq!(filled.null_count(), 0);
            for (row, value) in values.iter().enumerate() {
                let wanted = if value.is_null() { &fill.value } else { value };
                prop_assert_eq!(&value_at(&filled, row), wanted);
            }
        }
    }

    #[test]
    fn the_most_frequent_value_does_not_depend_on_the_order_of_rows() {
        let text = |text: &str| Value::Text(text.into());
        let rows = [text("b"), text("a"), Value::Null, text("a"), text("b")];
        let feature = feature(DType::Categorical, Imputation::MostFrequent);
        let parts = [Part::Train; 5];
        for turn in 0..rows.len() {
            let mut rows = rows.clone();
            rows.rotate_left(turn);
            let fitted = fit(&feature, &column(DType::Categorical, &rows), &parts);
            assert_eq!(
                fitted.map(|(_, fill)| (fill.value, fill.filled)),
                Some((text("a"), 1))
            );
        }
    }
}
