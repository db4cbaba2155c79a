//! Columns of a batch in the forms that folds read: numbers, codes, hashes, values, vectors. Called
//! by `intake` once per input and batch.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array};
use arrow::compute;
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int32Type, Int64Type};
use twox_hash::XxHash3_64;

use crate::error::Error;
use crate::fold::{Input, InputKind, NO_CATEGORY, NO_HASH, Vectors};

pub(super) fn input(array: &ArrayRef, kind: &InputKind) -> Result<Input, Error> {
    match kind {
        InputKind::Numbers => Ok(Input::Numbers(numbers(array)?)),
        InputKind::Codes(categories) => Ok(Input::Codes(codes(array, categories)?)),
        InputKind::Buckets(edges) => Ok(Input::Codes(buckets(&numbers(array)?, edges))),
        InputKind::Hashes => Ok(Input::Hashes(hashes(array)?)),
        InputKind::Values => Input::values(array).map_err(Error::Arrow),
        InputKind::Vectors => vectors(array),
    }
}

fn numbers(array: &ArrayRef) -> Result<Vec<f64>, Error> {
    let array = match array.data_type() {
        DataType::Float64 => array.clone(),
        DataType::Timestamp(..) => {
            compute::cast(&compute::cast(array, &DataType::Int64)?, &DataType::Float64)?
        }
        _ => compute::cast(array, &DataType::Float64)?,
    };
    let floats = array.as_primitive::<Float64Type>();
    Ok(match floats.nulls() {
        None => floats.values().to_vec(),
        Some(_) => floats
            .iter()
            .map(|number| number.unwrap_or(f64::NAN))
            .collect(),
    })
}

fn codes(array: &ArrayRef, categories: &[Arc<str>]) -> Result<Vec<u32>, Error> {
    let known: HashMap<&str, u32> = categories
        .iter()
        .enumerate()
        .map(|(code, name)| (&**name, code as u32))
        .collect();
    let code = |name: Option<&str>| {
        name.and_then(|name| known.get(name))
            .copied()
            .unwrap_or(NO_CATEGORY)
    };
    if let Some(dictionary) = array.as_dictionary_opt::<Int32Type>() {
        let values = compute::cast(dictionary.values(), &DataType::Utf8)?;
        let of_value: Vec<u32> = values.as_string::<i32>().iter().map(code).collect();
        return Ok(by_key(dictionary.keys(), &of_value, NO_CATEGORY));
    }
    let texts = compute::cast(array, &DataType::Utf8)?;
    Ok(texts.as_string::<i32>().iter().map(code).collect())
}

/// What the value of each row comes to; `null` where there is none.
fn by_key<T: Copy>(keys: &Int32Array, of_value: &[T], null: T) -> Vec<T> {
    let of_key = |key: i32| of_value.get(key as usize).copied().unwrap_or(null);
    let mut of_byte = [null; 256];
    match keys.nulls() {
        // Few values, as categories have: each row's is found without a branch.
        None if of_value.len() <= of_byte.len() => {
            of_byte[..of_value.len()].copy_from_slice(of_value);
            let of_key = |&key: &i32| of_byte[usize::from(key as u8)];
            keys.values().iter().map(of_key).collect()
        }
        None => keys.values().iter().map(|&key| of_key(key)).collect(),
        Some(_) => keys.iter().map(|key| key.map_or(null, of_key)).collect(),
    }
}

fn buckets(numbers: &[f64], edges: &[f64]) -> Vec<u32> {
    let bucket = |number: &f64| match number {
        number if number.is_nan() => NO_CATEGORY,
        number => edges.partition_point(|edge| edge <= number) as u32,
    };
    numbers.iter().map(bucket).collect()
}

fn vectors(array: &ArrayRef) -> Result<Input, Error> {
    let rows = array.len();
    let list = |row: usize| -> Option<ArrayRef> {
        match array.data_type() {
            _ if array.is_null(row) => None,
            DataType::FixedSizeList(..) => Some(array.as_fixed_size_list().value(row)),
            DataType::List(_) => Some(array.as_list::<i32>().value(row)),
            _ => None,
        }
    };
    let mut dimension = 0;
    let mut elements = Vec::new();
    let mut valid = vec![false; rows];
    for (row, valid) in valid.iter_mut().enumerate() {
        if let Some(vector) = list(row) {
            let vector = compute::cast(&vector, &DataType::Float32)?;
            let floats = vector.as_primitive::<Float32Type>().values();
            if dimension == 0 {
                dimension = floats.len();
                elements.resize(row * dimension, 0.0);
            }
            if floats.len() != dimension {
                return Err(Error::Dimension {
                    found: floats.len(),
                    wanted: dimension,
                });
            }
            *valid = true;
            elements.extend_from_slice(floats);
        } else {
            elements.resize((row + 1) * dimension, 0.0);
        }
    }
    Ok(Input::Vectors(Vectors {
        dimension,
        elements,
        valid,
    }))
}

/// One vector a row out of one column an element; a null element is 0, as the row has others.
pub(super) fn spread<'a>(
    columns: impl Iterator<Item = &'a ArrayRef>,
    rows: usize,
) -> Result<Input, Error> {
    let columns = columns.map(numbers).collect::<Result<Vec<_>, Error>>()?;
    let element = |row: usize, column: &Vec<f64>| {
        if column[row].is_nan() {
            0.0
        } else {
            column[row] as f32
        }
    };
    let elements = (0..rows).flat_map(|row| columns.iter().map(move |column| element(row, column)));
    let valid = (0..rows).map(|row| columns.iter().any(|column| !column[row].is_nan()));
    Ok(Input::Vectors(Vectors {
        dimension: columns.len(),
        elements: elements.collect(),
        valid: valid.collect(),
    }))
}

/// XXH3 of each value, which is fixed by its specification, so states may keep it: of a text's
/// bytes, of a number's eight.
pub(super) fn hashes(array: &ArrayRef) -> Result<Vec<u64>, Error> {
    let hash = |bytes: &[u8]| XxHash3_64::oneshot(bytes).max(1);
    let of_text = |text: Option<&str>| text.map_or(NO_HASH, |text| hash(text.as_bytes()));
    if let Some(dictionary) = array.as_dictionary_opt::<Int32Type>() {
        let of_value = hashes(dictionary.values())?;
        return Ok(by_key(dictionary.keys(), &of_value, NO_HASH));
    }
    Ok(match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().iter().map(of_text).collect(),
        DataType::Utf8View => array.as_string_view().iter().map(of_text).collect(),
        DataType::Float64 => {
            // Adding 0 makes one zero of the two.
            let of_float = |x: Option<f64>| x.map_or(NO_HASH, |x| hash(&(x + 0.0).to_le_bytes()));
            let floats = array.as_primitive::<Float64Type>().iter();
            floats.map(of_float).collect()
        }
        _ => {
            let whole = compute::cast(array, &DataType::Int64)?;
            let of_int = |x: Option<i64>| x.map_or(NO_HASH, |x| hash(&x.to_le_bytes()));
            whole
                .as_primitive::<Int64Type>()
                .iter()
                .map(of_int)
                .collect()
        }
    })
}
