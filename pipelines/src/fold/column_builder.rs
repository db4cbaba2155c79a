//! Values into Arrow columns. Called by whatever finalizes features, and for live events.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, FixedSizeListArray, FixedSizeListBuilder, Float32Array,
    Float32Builder, Float64Builder, Int64Builder, StringDictionaryBuilder,
    TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, Int32Type};
use granary_registry::{DType, Value};

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
            DType::Text | DType::Categorical => ColumnBuilder::Text(StringDictionaryBuilder::new()),
            DType::Timestamp => ColumnBuilder::Timestamp(TimestampMicrosecondBuilder::new()),
            DType::Vector => ColumnBuilder::Vector {
                elements: Vec::new(),
                valid: Vec::new(),
                dimension: 0,
            },
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
            (
                ColumnBuilder::Vector {
                    elements,
                    valid,
                    dimension,
                },
                Value::Vector(x),
            ) if *dimension == 0 || *dimension == x.len() => {
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
            ColumnBuilder::Vector {
                elements,
                valid,
                dimension: own,
            } => Arc::new(vectors(elements, valid, dimension.max(*own).max(1))),
        }
    }
}

fn vectors(elements: &mut Vec<f32>, valid: &[bool], dimension: usize) -> FixedSizeListArray {
    if !valid.contains(&false) && elements.len() == valid.len() * dimension {
        let elements = Arc::new(Float32Array::from(std::mem::take(elements)));
        let field = Arc::new(Field::new_list_field(DataType::Float32, true));
        return FixedSizeListArray::new(field, dimension as i32, elements, None);
    }
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
