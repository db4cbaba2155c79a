//! What a node yields over a batch, and how loops read it. Called by the walk over
//! columns and its kernels.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, DictionaryArray, Float64Array, Int32Array, Int64Array,
    ListArray, NullArray, StringArray, TimestampMicrosecondArray, new_null_array,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int64Type, TimestampMicrosecondType};
use granary_registry::{DType, EventTime, Value};

use super::load::stored_as;

/// A column, or one value for every row.
pub(super) enum Operand {
    Many(ArrayRef),
    One(Value),
}

/// The numbers of an operand.
#[derive(Clone, Copy)]
pub(super) enum Lane<'a, T> {
    Many(&'a [T]),
    One(T),
}

impl Operand {
    /// As an array of that many rows.
    pub(super) fn into_array(self, dtype: Option<DType>, rows: usize) -> ArrayRef {
        match self {
            Operand::Many(array) => array,
            Operand::One(Value::Null) => new_null_array(&stored_as(dtype), rows),
            Operand::One(value) => repeated(&value, rows),
        }
    }

    /// As an array for `interleave`: a single value has one row, and a null no type.
    pub(super) fn narrow(&self) -> ArrayRef {
        match self {
            Operand::Many(array) => Arc::clone(array),
            Operand::One(Value::Null) => Arc::new(NullArray::new(1)),
            Operand::One(value) => repeated(value, 1),
        }
    }

    /// Which rows are null.
    pub(super) fn nulls(&self, rows: usize) -> Option<NullBuffer> {
        match self {
            Operand::Many(array) => array.logical_nulls(),
            Operand::One(Value::Null) => Some(NullBuffer::new_null(rows)),
            Operand::One(_) => None,
        }
    }

    /// Ints, or timestamps as microseconds.
    pub(super) fn ints(&self) -> Lane<'_, i64> {
        match self {
            Operand::Many(array) if *array.data_type() == DataType::Int64 => {
                Lane::Many(array.as_primitive::<Int64Type>().values())
            }
            Operand::Many(array) => {
                Lane::Many(array.as_primitive::<TimestampMicrosecondType>().values())
            }
            Operand::One(Value::Int(x) | Value::Timestamp(EventTime(x))) => Lane::One(*x),
            Operand::One(_) => Lane::One(0),
        }
    }

    pub(super) fn floats(&self) -> Lane<'_, f64> {
        match self {
            Operand::Many(array) => Lane::Many(array.as_primitive::<Float64Type>().values()),
            Operand::One(value) => Lane::One(value.as_f64().unwrap_or_default()),
        }
    }
}

/// Null where either is.
pub(super) fn nulls_of_both(left: &Operand, right: &Operand, rows: usize) -> Option<NullBuffer> {
    NullBuffer::union(left.nulls(rows).as_ref(), right.nulls(rows).as_ref())
}

fn repeated(value: &Value, rows: usize) -> ArrayRef {
    match value {
        Value::Null => Arc::new(NullArray::new(rows)),
        Value::Int(x) => Arc::new(Int64Array::from_value(*x, rows)),
        Value::Float(x) => Arc::new(Float64Array::from_value(*x, rows)),
        Value::Bool(x) => Arc::new(BooleanArray::from(vec![*x; rows])),
        Value::Timestamp(x) => Arc::new(TimestampMicrosecondArray::from_value(x.0, rows)),
        Value::Text(x) => {
            let values = Arc::new(StringArray::from_iter_values([x]));
            Arc::new(DictionaryArray::new(
                Int32Array::from_value(0, rows),
                values,
            ))
        }
        Value::Vector(x) => {
            let vector = || Some(x.iter().copied().map(Some));
            let vectors = std::iter::repeat_with(vector).take(rows);
            Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(vectors))
        }
    }
}
