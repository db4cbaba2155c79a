//! From the arrays that callers hold to the arrays that the walk reads. Called by
//! `batch` for each use of a column and by `quality`; the one place that looks at foreign types.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, new_null_array};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, TimeUnit};
use granary_registry::DType;

use super::error::Error;

/// The array as its column's type: ints in a float column as floats, NaN as null.
pub(crate) fn load(array: &ArrayRef, dtype: DType, name: &str) -> Result<ArrayRef, Error> {
    match (dtype, array.data_type()) {
        (DType::Float, DataType::Float64) => Ok(without_nan(array)),
        (DType::Float, DataType::Int64) => {
            let ints = array.as_primitive::<Int64Type>();
            Ok(Arc::new(ints.unary::<_, Float64Type>(|x| x as f64)))
        }
        (dtype, found) if is_stored_as(dtype, found) => Ok(Arc::clone(array)),
        (_, DataType::Null) => Ok(new_null_array(&stored_as(Some(dtype)), array.len())),
        (wanted, found) => {
            let (column, found) = (name.to_owned(), found.clone());
            Err(Error::ColumnType {
                column,
                wanted,
                found,
            })
        }
    }
}

/// The Arrow type of a column of this type that is made here.
pub(super) fn stored_as(dtype: Option<DType>) -> DataType {
    match dtype {
        None => DataType::Null,
        Some(DType::Int) => DataType::Int64,
        Some(DType::Float) => DataType::Float64,
        Some(DType::Bool) => DataType::Boolean,
        Some(DType::Text | DType::Categorical) => DataType::Utf8,
        Some(DType::Timestamp) => DataType::Timestamp(TimeUnit::Microsecond, None),
        Some(DType::Vector) => {
            DataType::List(Arc::new(Field::new_list_field(DataType::Float32, true)))
        }
    }
}

fn is_stored_as(dtype: DType, found: &DataType) -> bool {
    match (dtype, found) {
        (DType::Int, DataType::Int64)
        | (DType::Bool, DataType::Boolean)
        | (DType::Text | DType::Categorical, DataType::Utf8)
        | (DType::Timestamp, DataType::Timestamp(TimeUnit::Microsecond, None)) => true,
        (DType::Text | DType::Categorical, DataType::Dictionary(key, value)) => {
            **key == DataType::Int32 && **value == DataType::Utf8
        }
        (DType::Vector, DataType::List(item) | DataType::FixedSizeList(item, _)) => {
            *item.data_type() == DataType::Float32
        }
        _ => false,
    }
}

fn without_nan(array: &ArrayRef) -> ArrayRef {
    let floats = array.as_primitive::<Float64Type>();
    let values = floats.values();
    if values.iter().all(|x| x.is_finite()) {
        return Arc::clone(array);
    }
    let finite = BooleanBuffer::collect_bool(values.len(), |row| values[row].is_finite());
    let nulls = NullBuffer::union(floats.nulls(), Some(&NullBuffer::new(finite)));
    Arc::new(Float64Array::new(values.clone(), nulls))
}
