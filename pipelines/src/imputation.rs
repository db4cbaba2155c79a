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
