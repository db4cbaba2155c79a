//! Values out of Arrow columns and into them. Called by the folds that keep values as
//! they are, by the builders of feature columns and by readers of stored features.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanBuilder, FixedSizeListArray, FixedSizeListBuilder, Float32Builder, Float64Builder,
    Int64Builder, StringDictionaryBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{
    DataType, Field, Float32Type, Float64Type, Int32Type, Int64Type, TimeUnit,
    TimestampMicrosecondType,
};
use granary_registry::{DType, EventTime, Value};

/// The value in a row of a column; null for a type that no source reader makes.
pub fn value_at(array: &dyn Array, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Int64 => Value::Int(array.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => Value::float(array.as_primitive::<Float64Type>().value(row)),
        DataType::Boolean => Value::Bool(array.as_boolean().value(row)),
        DataType::Utf8 => Value::Text(Arc::from(array.as_string::<i32>().value(row))),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let micros = array.as_primitive::<TimestampMicrosecondType>().value(row);
            Value::Timestamp(EventTime(micros))
        }
        DataType::Dictionary(_, _) => {
            let dictionary = array.as_dictionary::<Int32Type>();
            dictionary.key(row).map_or(Value::Null, |key| value_at(dictionary.values(), key))
        }
        DataType::FixedSizeList(_, _) => vector(&array.as_fixed_size_list().value(row)),
        DataType::List(_) => vector(&array.as_list::<i32>().value(row)),
        _ => Value::Null,
    }
}

fn vector(elements: &ArrayRef) -> Value {
    match elements.as_primitive_opt::<Float32Type>() {
        Some(floats) => Value::Vector(floats.values().to_vec().into()),
        None => Value::Null,
    }
}

/// The Arrow type of a stored feature. `dimension` is that of a vector.
pub fn arrow_type(dtype: DType, dimension: usize) -> DataType {
    match dtype {
        DType::Int => DataType::Int64,
        DType::Float => DataType::Float64,
        DType::Bool => DataType::Boolean,
        DType::Text | DType::Categorical => {
            DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
        }
        DType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        DType::Vector => {
            let item = Field::new("item", DataType::Float32, true);
            DataType::FixedSizeList(Arc::new(item), dimension as i32)
        }
    }
}

/// Collects values of one feature into a column.
pub enum ColumnBuilder {
    /// `int`
    Int(Int64Builder),
    /// `float`
    Float(Float64Builder),
    /// `bool`
    Bool(BooleanBuilder),
    /// `text` and `categorical`
    Text(StringDictionaryBuilder<Int32Type>),
    /// `timestamp`
    Timestamp(TimestampMicrosecondBuilder),
    /// `vector`: elements of those there are, and which rows have one.
    Vector {
        /// One vector after another.
        elements: Vec<f32>,
        /// Whether the row has one.
        valid: Vec<bool>,
        /// Elements in each; 0 until the first.
        dimension: usize,
    },
}

impl ColumnBuilder {
    /// For a feature of this type.
    pub fn new(dtype: DType) -> ColumnBuilder {
        match dtype {
            DType::Int => ColumnBuilder::Int(Int64Builder::new()),
            DType::Float => ColumnBuilder::Float(Float64Builder::new()),
            DType::Bool => ColumnBuilder::Bool(BooleanBuilder::new()),
            DType::Text | DType::Categorical => {
                ColumnBuilder::Text(StringDictionaryBuilder::new())
            }
            DType::Timestamp => ColumnBuilder::Timestamp(TimestampMicrosecondBuilder::new()),
            DType::Vector => {
                ColumnBuilder::Vector { elements: Vec::new(), valid: Vec::new(), dimension: 0 }
            }
        }
    }

    /// Adds one value; one of another type is null.
    pub fn push(&mut self, value: &Value) {
        match (self, value) {
            (ColumnBuilder::Int(column), Value::Int(x)) => column.append_value(*x),
            (ColumnBuilder::Int(column), _) => column.append_null(),
            (ColumnBuilder::Float(column), value) => column.append_option(value.as_f64()),
            (ColumnBuilder::Bool(column), Value::Bool(x)) => column.append_value(*x),
            (ColumnBuilder::Bool(column), _) => column.append_null(),
            (ColumnBuilder::Text(column), Value::Text(x)) => column.append_value(x),
            (ColumnBuilder::Text(column), _) => column.append_null(),
            (ColumnBuilder::Timestamp(column), Value::Timestamp(x)) => column.append_value(x.0),
            (ColumnBuilder::Timestamp(column), _) => column.append_null(),
            (ColumnBuilder::Vector { elements, valid, dimension }, Value::Vector(x))
                if *dimension == 0 || *dimension == x.len() =>
            {
                *dimension = x.len();
                elements.extend_from_slice(x);
                valid.push(true);
            }
            (ColumnBuilder::Vector { valid, .. }, _) => valid.push(false),
        }
    }

    /// Elements of the vectors so far; 0 for other types and while there are none.
    pub fn dimension(&self) -> usize {
        match self {
            ColumnBuilder::Vector { dimension, .. } => *dimension,
            _ => 0,
        }
    }

    /// The column; `dimension` is that of its vectors, in case it has none itself.
    pub fn finish(&mut self, dimension: usize) -> ArrayRef {
        match self {
            ColumnBuilder::Int(column) => Arc::new(column.finish()),
            ColumnBuilder::Float(column) => Arc::new(column.finish()),
            ColumnBuilder::Bool(column) => Arc::new(column.finish()),
            ColumnBuilder::Text(column) => Arc::new(column.finish()),
            ColumnBuilder::Timestamp(column) => Arc::new(column.finish()),
            ColumnBuilder::Vector { elements, valid, .. } => {
                Arc::new(vectors(elements, valid, dimension.max(1)))
            }
        }
    }
}

fn vectors(elements: &[f32], valid: &[bool], dimension: usize) -> FixedSizeListArray {
    let mut column = FixedSizeListBuilder::new(Float32Builder::new(), dimension as i32);
    let mut rows = elements.chunks_exact(dimension);
    for &valid in valid {
        match if valid { rows.next() } else { None } {
            Some(row) => column.values().append_slice(row),
            None => column.values().append_nulls(dimension),
        }
        column.append(valid);
    }
    column.finish()
}
