//! The rules of the registry, checked over a finished column. Called by `build`: a broken
//! `error` stops publication, every outcome is printed and kept in the manifest.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType};
use granary_registry::{Expectation, Feature, Rule, Severity, Value};
use hashbrown::HashSet;

use super::vectors::Vectors;
use crate::expression::{Error, Program, load, value_at};
use crate::fold::ColumnBuilder;
use crate::text::TextColumn;

/// Whether one rule holds for one column.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Name of the feature.
    pub feature: Arc<str>,
    /// The rule as the registry writes it: `range: {min: 0, max: 5}`.
    pub rule: String,
    /// What follows if it does not hold.
    pub severity: Severity,
    /// Whether it holds.
    pub passed: bool,
    /// What was found.
    pub detail: Detail,
}

/// What was found; reads as `2 of 10 rows, the first is row 3: 5.5`.
#[derive(Clone, Debug, PartialEq)]
pub struct Detail {
    /// Rows of the column.
    pub rows: usize,
    /// Rows against the rule.
    pub offending: usize,
    /// The first of them with its value.
    pub first: Option<(usize, Value)>,
}

/// Checks every expectation of a feature over its column, NaN counting as null. Fails only
/// if the column is not of the feature's type.
pub fn check(feature: &Feature, column: &ArrayRef) -> Result<Vec<Outcome>, Error> {
    if feature.expectations.is_empty() {
        return Ok(Vec::new());
    }
    let column = load(column, feature.dtype, &feature.name)?;
    feature
        .expectations
        .iter()
        .map(|expectation| outcome(feature, expectation, &column))
        .collect()
}

/// The rule, as the registry writes it, that forbids a feature to have a value; of the rules
/// about whole columns none does.
pub fn broken_by(feature: &Feature, value: &Value) -> Result<Option<String>, Error> {
    let of_one = |expectation: &&Expectation| {
        expectation.severity == Severity::Error
            && !matches!(expectation.rule, Rule::Unique | Rule::NullShare(_))
    };
    let rules: Vec<&Expectation> = feature.expectations.iter().filter(of_one).collect();
    if rules.is_empty() {
        return Ok(None);
    }
    let mut column = ColumnBuilder::new(feature.dtype);
    column.push(value);
    let column = load(&column.finish(0), feature.dtype, &feature.name)?;
    for rule in rules {
        let outcome = outcome(feature, rule, &column)?;
        if !outcome.passed {
            return Ok(Some(outcome.rule));
        }
    }
    Ok(None)
}

fn outcome(
    feature: &Feature,
    expectation: &Expectation,
    column: &ArrayRef,
) -> Result<Outcome, Error> {
    let rows = column.len();
    let offending = match &expectation.rule {
        Rule::NotNull | Rule::NullShare(_) => nulls(column),
        Rule::Range { min, max } => outside(column, *min, *max),
        Rule::In(list) => others(feature, list, column)?,
        Rule::Unique => repeated(column),
    };
    let count = offending.count_set_bits();
    let passed = match expectation.rule {
        Rule::NullShare(most) => count as f64 <= most * rows as f64,
        _ => count == 0,
    };
    let first = offending
        .set_indices()
        .next()
        .map(|row| (row, value_at(column, row)));
    Ok(Outcome {
        feature: Arc::clone(&feature.name),
        rule: written(&expectation.rule),
        severity: expectation.severity,
        passed,
        detail: Detail {
            rows,
            offending: count,
            first,
        },
    })
}

fn nulls(column: &ArrayRef) -> BooleanBuffer {
    match column.logical_nulls() {
        Some(nulls) => !nulls.inner(),
        None => BooleanBuffer::new_unset(column.len()),
    }
}

/// The rows of these that are not null.
fn known(rows: BooleanBuffer, nulls: Option<&NullBuffer>) -> BooleanBuffer {
    match nulls {
        Some(nulls) => &rows & nulls.inner(),
        None => rows,
    }
}

/// Only numbers have a range: the registry refuses the rule for other types.
fn outside(column: &ArrayRef, min: Option<f64>, max: Option<f64>) -> BooleanBuffer {
    let (min, max) = (
        min.unwrap_or(f64::NEG_INFINITY),
        max.unwrap_or(f64::INFINITY),
    );
    let rows = column.len();
    let rows = if let Some(floats) = column.as_primitive_opt::<Float64Type>() {
        let floats = floats.values();
        BooleanBuffer::collect_bool(rows, |row| floats[row] < min || floats[row] > max)
    } else if let Some(ints) = column.as_primitive_opt::<Int64Type>() {
        let ints = ints.values();
        BooleanBuffer::collect_bool(rows, |row| {
            (ints[row] as f64) < min || ints[row] as f64 > max
        })
    } else {
        BooleanBuffer::new_unset(rows)
    };
    known(rows, column.nulls())
}

fn others(feature: &Feature, list: &[Value], column: &ArrayRef) -> Result<BooleanBuffer, Error> {
    let among = Program::membership(&feature.name, feature.dtype, list)?;
    let found = among.evaluate_mask(&[Arc::clone(column)], column.len())?;
    Ok(known(!&found, column.logical_nulls().as_ref()))
}

/// The rows whose value stands in an earlier row.
fn repeated(column: &ArrayRef) -> BooleanBuffer {
    match column.data_type() {
        DataType::Int64 => {
            let ints = column.as_primitive::<Int64Type>().values();
            seen_before(column, |row| ints[row])
        }
        DataType::Timestamp(..) => {
            let instants = column.as_primitive::<TimestampMicrosecondType>().values();
            seen_before(column, |row| instants[row])
        }
        DataType::Float64 => {
            let floats = column.as_primitive::<Float64Type>().values();
            // Adding zero makes one zero of the two.
            seen_before(column, |row| (floats[row] + 0.0).to_bits())
        }
        DataType::Boolean => {
            let bools = column.as_boolean().values();
            seen_before(column, |row| bools.value(row))
        }
        _ => match (TextColumn::of(column), Vectors::of(column)) {
            (Ok(texts), _) => seen_before(column, |row| texts.text(row)),
            (Err(_), Some(vectors)) => seen_before(column, |row| {
                vectors
                    .row(row)
                    .iter()
                    .map(|x| (x + 0.0).to_bits())
                    .collect::<Vec<_>>()
            }),
            (Err(_), None) => BooleanBuffer::new_unset(column.len()),
        },
    }
}

fn seen_before<K: Eq + Hash>(column: &ArrayRef, key: impl Fn(usize) -> K) -> BooleanBuffer {
    let nulls = column.logical_nulls();
    let mut seen = HashSet::with_capacity(column.len());
    BooleanBuffer::collect_bool(column.len(), |row| {
        let known = nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
        known && !seen.insert(key(row))
    })
}

fn written(rule: &Rule) -> String {
    match rule {
        Rule::NotNull => "not_null".to_owned(),
        Rule::Unique => "unique".to_owned(),
        Rule::NullShare(most) => format!("null_share: {most}"),
        Rule::In(list) => {
            let values: Vec<String> = list.iter().map(shown).collect();
            format!("in: [{}]", values.join(", "))
        }
        Rule::Range { min, max } => {
            let bounds = [("min", min), ("max", max)];
            let bounds = bounds
                .iter()
                .filter_map(|(name, bound)| bound.map(|bound| format!("{name}: {bound}")));
            format!("range: {{{}}}", bounds.collect::<Vec<_>>().join(", "))
        }
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Int(x) => x.to_string(),
        Value::Float(x) => x.to_string(),
        Value::Bool(x) => x.to_string(),
        Value::Text(x) => x.to_string(),
        Value::Timestamp(x) => x.to_string(),
        Value::Vector(x) => format!("a vector of {}", x.len()),
    }
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} rows", self.offending, self.rows)?;
        match &self.first {
            Some((row, value)) => write!(f, ", the first is row {row}: {}", shown(value)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{FixedSizeListArray, Float64Array, Int64Array, StringArray, make_array};
    use arrow::compute::cast;
    use arrow::datatypes::Float32Type;
    use granary_registry::{DType, FeatureKind, ValueColumns};
    use proptest::prelude::*;

    use super::*;

    fn feature(dtype: DType, rules: Vec<Rule>) -> Feature {
        let expectation = |rule| Expectation {
            rule,
            severity: Severity::Error,
        };
        Feature {
            name: "f".into(),
            dtype,
            kind: FeatureKind::Value {
                columns: ValueColumns::One(vec!["f".to_owned()]),
            },
            description: String::new(),
            imputation: None,
            expectations: rules.into_iter().map(expectation).collect(),
        }
    }

    /// Offending rows and verdict of each rule.
    fn found(dtype: DType, rules: Vec<Rule>, column: &dyn Array) -> Vec<(usize, bool)> {
        let column = make_array(column.to_data());
        let outcomes = check(&feature(dtype, rules), &column).unwrap();
        outcomes
            .iter()
            .map(|outcome| (outcome.detail.offending, outcome.passed))
            .collect()
    }

    fn repeats<T: Ord>(known: &[T]) -> usize {
        known.len()
            - known
                .iter()
                .collect::<std::collections::BTreeSet<_>>()
                .len()
    }

    proptest! {
        #[test]
        fn numbers_offend_as_counted_by_hand(
            cells in prop::collection::vec(prop::option::of(-9..9_i64), 0..60),
        ) {
            let rules = || vec![
                Rule::NotNull,
                Rule::Range { min: Some(-2.0), max: Some(5.0) },
                Rule::Range { min: None, max: Some(0.5) },
                Rule::In(vec![Value::Int(1), Value::Int(-1), Value::Int(7)]),
                Rule::Unique,
                Rule::NullShare(0.25),
            ];
            let known: Vec<i64> = cells.iter().flatten().copied().collect();
            let nulls = cells.len() - known.len();
            let count = |test: fn(&i64) -> bool| known.iter().filter(|x| test(x)).count();
            let counts = [
                nulls,
                count(|x| !(-2..=5).contains(x)),
                count(|x| *x > 0),
                count(|x| ![1, -1, 7].contains(x)),
                repeats(&known),
                nulls,
            ];
            let verdict = |(rule, count)| match rule {
                5 => (count, 4 * nulls <= cells.len()),
                _ => (count, count == 0),
            };
            let wanted: Vec<_> = counts.into_iter().enumerate().map(verdict).collect();

            let ints = Int64Array::from(cells.clone());
            prop_assert_eq!(found(DType::Int, rules(), &ints), wanted.clone());
            // The same ints in a float feature, and as floats with NaN for null.
            prop_assert_eq!(found(DType::Float, rules(), &ints), wanted.clone());
            let floats: Vec<f64> = cells.iter().map(|cell| cell.map_or(f64::NAN, |x| x as f64)).collect();
            prop_assert_eq!(found(DType::Float, rules(), &Float64Array::from(floats)), wanted);
        }

        #[test]
        fn texts_offend_alike_plain_and_by_dictionary(
            cells in prop::collection::vec(prop::option::of("[ab]{0,2}"), 0..40),
        ) {
            let rules = || vec![
                Rule::NotNull,
                Rule::In(vec![Value::Text("a".into()), Value::Text("ab".into())]),
                Rule::Unique,
            ];
            let known: Vec<&str> = cells.iter().flatten().map(String::as_str).collect();
            let others = known.iter().filter(|text| !["a", "ab"].contains(*text)).count();
            let counts = [cells.len() - known.len(), others, repeats(&known)];
            let wanted: Vec<_> = counts.into_iter().map(|count| (count, count == 0)).collect();

            let plain: StringArray = cells.iter().map(Option::as_deref).collect();
            let codes = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
            let coded = cast(&plain, &codes).unwrap();
            prop_assert_eq!(found(DType::Categorical, rules(), &coded), wanted.clone());
            prop_assert_eq!(found(DType::Categorical, rules(), &plain), wanted);
        }
    }

    #[test]
    fn an_outcome_names_rule_and_first_offender() {
        let rules = vec![
            Rule::Range {
                min: Some(0.0),
                max: Some(5.0),
            },
            Rule::NullShare(0.5),
        ];
        let column: ArrayRef = Arc::new(Float64Array::from(vec![
            Some(4.0),
            None,
            Some(5.5),
            Some(-1.0),
        ]));
        let outcomes = check(&feature(DType::Float, rules), &column).unwrap();
        assert_eq!(outcomes[0].rule, "range: {min: 0, max: 5}");
        assert_eq!(
            outcomes[0].detail.to_string(),
            "2 of 4 rows, the first is row 2: 5.5"
        );
        assert!(!outcomes[0].passed);
        assert_eq!(outcomes[1].rule, "null_share: 0.5");
        assert_eq!(
            outcomes[1].detail.to_string(),
            "1 of 4 rows, the first is row 1: null"
        );
        assert!(outcomes[1].passed);
    }

    #[test]
    fn vectors_can_be_unique() {
        let rows = [vec![1.0, 2.0], vec![1.0, 3.0], vec![1.0, 2.0]];
        let rows = rows.map(|row| Some(row.into_iter().map(Some).collect::<Vec<_>>()));
        let column = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(rows, 2);
        let wanted = vec![(1, false), (0, true)];
        assert_eq!(
            found(DType::Vector, vec![Rule::Unique, Rule::NotNull], &column),
            wanted
        );
    }

    #[test]
    fn an_empty_column_passes_and_a_wrong_one_is_an_error() {
        let rules = || vec![Rule::NotNull, Rule::NullShare(0.0), Rule::Unique];
        let empty: ArrayRef = Arc::new(Int64Array::from(Vec::<i64>::new()));
        assert_eq!(found(DType::Int, rules(), &empty), [(0, true); 3]);
        assert!(check(&feature(DType::Text, rules()), &empty).is_err());
    }
}
