//! What a finished column holds, for the manifest. Called by `build` once per column.

use std::hash::Hash;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{Float64Type, Int64Type, TimestampMicrosecondType};
use granary_registry::{DType, EventTime, Value};
use hashbrown::HashSet;

use super::vectors::Vectors;
use crate::expression::{Error, load};
use crate::text::TextColumn;

/// Distinct values beyond which they are no longer counted.
const DISTINCT_BOUND: usize = 100_000;

/// What a column holds; nulls are left out of everything but their own count.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    /// Name of the feature.
    pub name: String,
    /// Its type.
    pub dtype: DType,
    /// Number of rows.
    pub rows: usize,
    /// Number of nulls, NaN included.
    pub nulls: usize,
    /// The least value: `Float` for numbers and bools, `Text`, `Timestamp`; null for
    /// vectors and where there is none.
    pub min: Value,
    /// The greatest value, likewise.
    pub max: Value,
    /// Of numbers and bools.
    pub mean: Option<f64>,
    /// Of ints and texts, exact; none beyond 100,000.
    pub distinct: Option<usize>,
    /// Of vectors: the length of the longest.
    pub dimension: Option<usize>,
    /// Of vectors: the mean of their Euclidean norms.
    pub mean_norm: Option<f64>,
}

/// One pass over a column; fails only if it is not of the type.
pub fn statistics(name: &str, dtype: DType, column: &ArrayRef) -> Result<Statistics, Error> {
    let column = load(column, dtype, name)?;
    let nulls = column.logical_nulls();
    let mut result = Statistics {
        name: name.to_owned(),
        dtype,
        rows: column.len(),
        nulls: nulls.as_ref().map_or(0, NullBuffer::null_count),
        min: Value::Null,
        max: Value::Null,
        mean: None,
        distinct: None,
        dimension: None,
        mean_norm: None,
    };
    let rows = Rows {
        count: column.len(),
        nulls: nulls.as_ref(),
    };
    match dtype {
        DType::Int => result.of_ints(&rows, column.as_primitive::<Int64Type>().values()),
        DType::Float => {
            let floats = column.as_primitive::<Float64Type>().values();
            result.of_numbers(&rows, |row| floats[row]);
        }
        DType::Bool => {
            let bools = column.as_boolean().values();
            result.of_numbers(&rows, |row| f64::from(u8::from(bools.value(row))));
        }
        DType::Text | DType::Categorical => result.of_texts(&rows, &TextColumn::of(&column)?),
        DType::Timestamp => {
            let instants = column.as_primitive::<TimestampMicrosecondType>().values();
            result.of_instants(&rows, instants);
        }
        DType::Vector => {
            if let Some(vectors) = Vectors::of(&column) {
                result.of_vectors(&rows, &vectors);
            }
        }
    }
    Ok(result)
}

/// The rows of a column that are not null.
struct Rows<'a> {
    count: usize,
    nulls: Option<&'a NullBuffer>,
}

impl Rows<'_> {
    fn for_each(&self, visit: impl FnMut(usize)) {
        match self.nulls {
            None => (0..self.count).for_each(visit),
            Some(nulls) => nulls.valid_indices().for_each(visit),
        }
    }
}

impl Statistics {
    fn known(&self) -> usize {
        self.rows - self.nulls
    }

    fn of_numbers(&mut self, rows: &Rows<'_>, mut number: impl FnMut(usize) -> f64) {
        let (mut min, mut max, mut sum) = (f64::INFINITY, f64::NEG_INFINITY, 0.0);
        rows.for_each(|row| {
            let x = number(row);
            min = min.min(x);
            max = max.max(x);
            sum += x;
        });
        self.min = Value::float(min);
        self.max = Value::float(max);
        self.mean = Some(sum / self.known() as f64).filter(|mean| mean.is_finite());
    }

    fn of_ints(&mut self, rows: &Rows<'_>, ints: &[i64]) {
        let mut distinct = Distinct::new();
        self.of_numbers(rows, |row| {
            distinct.add(ints[row]);
            ints[row] as f64
        });
        self.distinct = distinct.count();
    }

    fn of_texts(&mut self, rows: &Rows<'_>, texts: &TextColumn<'_>) {
        let mut bounds: Option<(&str, &str)> = None;
        let mut distinct = Distinct::new();
        let mut visit = |text| {
            distinct.add(text);
            bounds = Some(bounds.map_or((text, text), |(min, max)| (min.min(text), max.max(text))));
        };
        match texts.distinct() {
            Some((codes, values)) => {
                let mut used = vec![false; values.len()];
                rows.for_each(|row| used[codes[row] as usize] = true);
                let used = used.iter().enumerate().filter(|(_, used)| **used);
                used.for_each(|(code, _)| visit(values.value(code)));
            }
            None => rows.for_each(|row| visit(texts.text(row))),
        }
        self.distinct = distinct.count();
        if let Some((min, max)) = bounds {
            self.min = Value::Text(min.into());
            self.max = Value::Text(max.into());
        }
    }

    fn of_instants(&mut self, rows: &Rows<'_>, instants: &[i64]) {
        let (mut min, mut max) = (i64::MAX, i64::MIN);
        rows.for_each(|row| {
            min = min.min(instants[row]);
            max = max.max(instants[row]);
        });
        if self.known() > 0 {
            self.min = Value::Timestamp(EventTime(min));
            self.max = Value::Timestamp(EventTime(max));
        }
    }

    fn of_vectors(&mut self, rows: &Rows<'_>, vectors: &Vectors<'_>) {
        let (mut dimension, mut sum) = (0, 0.0);
        rows.for_each(|row| {
            let vector = vectors.row(row);
            dimension = dimension.max(vector.len());
            sum += vector
                .iter()
                .map(|x| f64::from(*x) * f64::from(*x))
                .sum::<f64>()
                .sqrt();
        });
        if self.known() > 0 {
            self.dimension = Some(dimension);
            self.mean_norm = Some(sum / self.known() as f64).filter(|norm| norm.is_finite());
        }
    }
}

/// Counts distinct values until there are too many.
struct Distinct<T> {
    seen: HashSet<T>,
}

impl<T: Eq + Hash> Distinct<T> {
    fn new() -> Self {
        Distinct {
            seen: HashSet::new(),
        }
    }

    fn add(&mut self, value: T) {
        if self.seen.len() <= DISTINCT_BOUND {
            self.seen.insert(value);
        }
    }

    fn count(&self) -> Option<usize> {
        let count = self.seen.len();
        (count <= DISTINCT_BOUND).then_some(count)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use arrow::array::{
        BooleanArray, DictionaryArray, FixedSizeListArray, Float64Array, Int32Array, Int64Array,
        ListArray, StringArray, TimestampMicrosecondArray, make_array,
    };
    use arrow::compute::cast;
    use arrow::datatypes::{DataType, Field, Float32Type};
    use proptest::prelude::*;

    use super::*;

    fn of(dtype: DType, column: &dyn Array) -> Statistics {
        statistics("f", dtype, &make_array(column.to_data())).unwrap()
    }

    proptest! {
        #[test]
        fn numbers_are_as_counted_by_hand(
            cells in prop::collection::vec(prop::option::of(-50..50_i64), 0..200),
        ) {
            let known: Vec<i64> = cells.iter().flatten().copied().collect();
            let float = |x: Option<&i64>| x.map_or(Value::Null, |x| Value::Float(*x as f64));
            let mean = known.iter().sum::<i64>() as f64 / known.len() as f64;

            let ints = of(DType::Int, &Int64Array::from(cells.clone()));
            prop_assert_eq!((ints.rows, ints.nulls), (cells.len(), cells.len() - known.len()));
            prop_assert_eq!(&ints.min, &float(known.iter().min()));
            prop_assert_eq!(&ints.max, &float(known.iter().max()));
            prop_assert_eq!(ints.mean, (!known.is_empty()).then_some(mean));
            prop_assert_eq!(ints.distinct, Some(known.iter().collect::<BTreeSet<_>>().len()));

            let floats: Vec<f64> =
                cells.iter().map(|cell| cell.map_or(f64::NAN, |x| x as f64)).collect();
            let floats = of(DType::Float, &Float64Array::from(floats));
            prop_assert_eq!(floats.distinct, None);
            prop_assert_eq!(
                (floats.nulls, floats.min, floats.max, floats.mean),
                (ints.nulls, ints.min, ints.max, ints.mean)
            );
        }

        #[test]
        fn a_dictionary_counts_as_its_texts(
            cells in prop::collection::vec(prop::option::of("[a-cA-C]{0,2}"), 0..60),
            from in 0..60_usize,
        ) {
            // The slice keeps a dictionary with texts that no row has any more.
            let plain: StringArray = cells.iter().map(Option::as_deref).collect();
            let codes = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
            let coded = cast(&plain, &codes).unwrap();
            let from = from.min(cells.len());
            let coded = of(DType::Categorical, &coded.slice(from, cells.len() - from));
            let plain = of(DType::Categorical, &plain.slice(from, cells.len() - from));
            prop_assert_eq!(&coded, &plain);

            let known: BTreeSet<&str> = cells[from..].iter().flatten().map(String::as_str).collect();
            let text = |x: Option<&&str>| x.map_or(Value::Null, |x| Value::Text((*x).into()));
            prop_assert_eq!(plain.distinct, Some(known.len()));
            prop_assert_eq!((plain.min, plain.max), (text(known.first()), text(known.last())));
        }
    }

    #[test]
    fn bools_have_a_share_and_instants_have_ends() {
        let bools = of(
            DType::Bool,
            &BooleanArray::from(vec![Some(true), None, Some(false)]),
        );
        assert_eq!((bools.nulls, bools.mean), (1, Some(0.5)));
        let instants = of(
            DType::Timestamp,
            &TimestampMicrosecondArray::from(vec![5, 2, 9]),
        );
        assert_eq!(instants.min, Value::Timestamp(EventTime(2)));
        assert_eq!(instants.max, Value::Timestamp(EventTime(9)));
    }

    #[test]
    fn vectors_of_fixed_and_free_length_have_norms() {
        let rows = [
            Some(vec![Some(3.0), Some(4.0)]),
            None,
            Some(vec![Some(0.0), Some(1.0)]),
        ];
        let free = ListArray::from_iter_primitive::<Float32Type, _, _>(rows.clone());
        let fixed = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(rows, 2);
        for column in [Arc::new(free) as ArrayRef, Arc::new(fixed)] {
            let whole = of(DType::Vector, &column);
            assert_eq!(
                (whole.nulls, whole.dimension, whole.mean_norm),
                (1, Some(2), Some(3.0))
            );
            let last = of(DType::Vector, &column.slice(2, 1));
            assert_eq!((last.nulls, last.mean_norm), (0, Some(1.0)));
        }
    }

    #[test]
    fn too_many_distinct_values_are_not_counted() {
        let ints = |count| of(DType::Int, &Int64Array::from_iter_values(0..count));
        assert_eq!(ints(100_000).distinct, Some(100_000));
        assert_eq!(ints(100_001).distinct, None);
    }

    #[test]
    fn unused_and_null_dictionary_values_do_not_count() {
        let values = Arc::new(StringArray::from(vec![
            Some("unused"),
            Some("x"),
            None,
            Some("x"),
        ]));
        let codes = Int32Array::from(vec![Some(1), Some(2), None, Some(3), Some(1)]);
        let column = of(DType::Text, &DictionaryArray::new(codes, values));
        assert_eq!((column.nulls, column.distinct), (2, Some(1)));
        assert_eq!(column.min, Value::Text("x".into()));
    }

    #[test]
    fn empty_columns_have_nothing_and_wrong_ones_are_refused() {
        let item = DataType::List(Field::new_list_field(DataType::Float32, true).into());
        for (dtype, stored) in [(DType::Int, DataType::Int64), (DType::Vector, item)] {
            let none = of(dtype, &arrow::array::new_empty_array(&stored));
            assert_eq!(
                (none.rows, none.min, none.mean, none.dimension),
                (0, Value::Null, None, None)
            );
        }
        let column: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        assert!(statistics("f", DType::Text, &column).is_err());
    }
}
