//! Rows as the arrays that sources make of them.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int32Array, Int64Array, ListArray,
    StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::Float32Type;
use granary_registry::{DType, Value};

use super::COLUMNS;

fn cells<T>(
    rows: &[Vec<Value>],
    slot: usize,
    read: impl Fn(&Value) -> Option<T>,
) -> Vec<Option<T>> {
    rows.iter().map(|row| read(&row[slot])).collect()
}

fn as_text(value: &Value) -> Option<Arc<str>> {
    if let Value::Text(text) = value {
        Some(Arc::clone(text))
    } else {
        None
    }
}

/// Rows as the arrays that sources make of them.
pub(super) fn arrays(rows: &[Vec<Value>]) -> Vec<ArrayRef> {
    let int = |value: &Value| {
        if let Value::Int(x) = value {
            Some(*x)
        } else {
            None
        }
    };
    let float = |value: &Value| {
        if let Value::Float(x) = value {
            Some(*x)
        } else {
            None
        }
    };
    let truth = |value: &Value| {
        if let Value::Bool(x) = value {
            Some(*x)
        } else {
            None
        }
    };
    let at = |value: &Value| {
        if let Value::Timestamp(x) = value {
            Some(x.0)
        } else {
            None
        }
    };
    COLUMNS
        .iter()
        .enumerate()
        .map(|(slot, (name, dtype))| -> ArrayRef {
            match dtype {
                DType::Int => Arc::new(Int64Array::from(cells(rows, slot, int))),
                DType::Float => Arc::new(Float64Array::from(cells(rows, slot, float))),
                DType::Bool => Arc::new(BooleanArray::from(cells(rows, slot, truth))),
                DType::Text => Arc::new(StringArray::from_iter(cells(rows, slot, as_text))),
                DType::Categorical => dictionary(&cells(rows, slot, as_text), name),
                DType::Timestamp => {
                    Arc::new(TimestampMicrosecondArray::from(cells(rows, slot, at)))
                }
                DType::Vector => vectors(rows, slot),
            }
        })
        .collect()
}

/// Nulls by code in `coded`, nulls by value in `other`.
pub(super) fn dictionary(texts: &[Option<Arc<str>>], name: &str) -> ArrayRef {
    let mut values: Vec<Option<&str>> = vec![None, Some("unused")];
    let codes: Vec<Option<i32>> = texts
        .iter()
        .map(|text| match text {
            None if name == "coded" => None,
            text => {
                let text = text.as_deref();
                let code = values
                    .iter()
                    .position(|value| *value == text)
                    .unwrap_or(values.len());
                if code == values.len() {
                    values.push(text);
                }
                Some(code as i32)
            }
        })
        .collect();
    Arc::new(DictionaryArray::new(
        Int32Array::from(codes),
        Arc::new(StringArray::from(values)),
    ))
}

fn vectors(rows: &[Vec<Value>], slot: usize) -> ArrayRef {
    let lists = rows.iter().map(|row| match &row[slot] {
        Value::Vector(vector) => Some(vector.iter().copied().map(Some).collect::<Vec<_>>()),
        _ => None,
    });
    Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(lists))
}
