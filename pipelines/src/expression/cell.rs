//! One cell of a column as a value. Called where a single value leaves a column: for
//! messages, for samples, in tests. Loops over columns read slices instead.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int64Type, TimestampMicrosecondType};
use granary_registry::{EventTime, Value};

use crate::text::TextColumn;

/// The value of a row; null for arrays of types that no column has.
pub fn value_at(column: &ArrayRef, row: usize) -> Value {
    if let Ok(texts) = TextColumn::of(column) {
        return texts
            .get(row)
            .map_or(Value::Null, |text| Value::Text(text.into()));
    }
    if column.is_null(row) {
        return Value::Null;
    }
    match column.data_type() {
        DataType::Int64 => Value::Int(column.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => Value::float(column.as_primitive::<Float64Type>().value(row)),
        DataType::Boolean => Value::Bool(column.as_boolean().value(row)),
        DataType::Timestamp(..) => column
            .as_primitive_opt::<TimestampMicrosecondType>()
            .map_or(Value::Null, |instants| {
                Value::Timestamp(EventTime(instants.value(row)))
            }),
        DataType::List(_) => vector(&column.as_list::<i32>().value(row)),
        DataType::FixedSizeList(..) => vector(&column.as_fixed_size_list().value(row)),
        _ => Value::Null,
    }
}

fn vector(items: &ArrayRef) -> Value {
    let items = items.as_primitive_opt::<Float32Type>();
    items.map_or(Value::Null, |items| {
        Value::Vector(items.values().to_vec().into())
    })
}
