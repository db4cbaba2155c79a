//! Rows of entities as an Arrow batch and back: what goes to disk when memory is full.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeListArray, Float32Array, Float64Array, Int64Array,
    NullArray, PrimitiveArray, RecordBatch, UInt32Array, UInt64Array,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Field, Float32Type, Float64Type, Int64Type, Schema, UInt32Type,
    UInt64Type,
};
use arrow::error::ArrowError;

use crate::fold::{Columns, Input, Vectors};
use crate::piece::Piece;

/// What a column of the batch is.
const ENTITY: &str = "entity";
const TIME: &str = "time";
const MASK: &str = "mask";
const ID: &str = "id";
const POSITION: &str = "position";
const CREATED: &str = "created";
const NUMBERS: &str = "numbers";
const CODES: &str = "codes";
const HASHES: &str = "hashes";
const VALUES: &str = "values";
const VECTORS: &str = "vectors";

/// The rows as a batch.
pub(super) fn pack(piece: Piece) -> Result<RecordBatch, ArrowError> {
    let Piece {
        entities, columns, ..
    } = piece;
    let mut packed: Vec<(&str, ArrayRef)> = vec![
        (ENTITY, Arc::new(UInt32Array::from(entities))),
        (TIME, Arc::new(Int64Array::from(columns.times))),
    ];
    for mask in columns.masks {
        packed.push((MASK, Arc::new(UInt64Array::from(mask))));
    }
    for (name, column) in [(ID, columns.ids), (POSITION, columns.positions)] {
        if !column.is_empty() {
            packed.push((name, Arc::new(UInt64Array::from(column))));
        }
    }
    if !columns.created.is_empty() {
        packed.push((CREATED, Arc::new(Int64Array::from(columns.created))));
    }
    for input in columns.inputs {
        packed.push(match input {
            Input::Numbers(numbers) => (NUMBERS, Arc::new(Float64Array::from(numbers))),
            Input::Codes(codes) => (CODES, Arc::new(UInt32Array::from(codes))),
            Input::Hashes(hashes) => (HASHES, Arc::new(UInt64Array::from(hashes))),
            Input::Values(array) => (VALUES, array),
            Input::Vectors(vectors) => (VECTORS, pack_vectors(vectors)?),
            Input::Cells(_) => return Err(unknown("cells of live events")),
        });
    }
    let field = |(name, array): &(&str, ArrayRef)| {
        Field::new(*name, array.data_type().clone(), array.is_nullable())
    };
    let fields: Vec<Field> = packed.iter().map(field).collect();
    let arrays = packed.into_iter().map(|(_, array)| array).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
}

/// The rows of a batch.
pub(super) fn unpack(batch: &RecordBatch, rank: u32) -> Result<Piece, ArrowError> {
    let mut entities = Vec::new();
    let mut columns = Columns::default();
    for (field, array) in batch.schema().fields().iter().zip(batch.columns()) {
        match field.name().as_str() {
            ENTITY => entities = native::<UInt32Type>(array),
            TIME => columns.times = native::<Int64Type>(array),
            MASK => columns.masks.push(native::<UInt64Type>(array)),
            ID => columns.ids = native::<UInt64Type>(array),
            POSITION => columns.positions = native::<UInt64Type>(array),
            CREATED => columns.created = native::<Int64Type>(array),
            name => columns.inputs.push(match name {
                NUMBERS => Input::Numbers(native::<Float64Type>(array)),
                CODES => Input::Codes(native::<UInt32Type>(array)),
                HASHES => Input::Hashes(native::<UInt64Type>(array)),
                VALUES => Input::Values(array.clone()),
                VECTORS => Input::Vectors(unpack_vectors(array)),
                name => return Err(unknown(name)),
            }),
        }
    }
    Ok(Piece {
        entities,
        columns,
        rank,
    })
}

fn unknown(what: &str) -> ArrowError {
    ArrowError::SchemaError(format!("{what} do not go to disk"))
}

fn native<T: ArrowPrimitiveType>(array: &ArrayRef) -> Vec<T::Native> {
    let array: &PrimitiveArray<T> = array.as_primitive();
    array.values().to_vec()
}

/// Rows without any vector have no dimension.
fn pack_vectors(vectors: Vectors) -> Result<ArrayRef, ArrowError> {
    let Vectors {
        dimension,
        elements,
        valid,
    } = vectors;
    if dimension == 0 {
        return Ok(Arc::new(NullArray::new(valid.len())));
    }
    let field = Arc::new(Field::new_list_field(DataType::Float32, false));
    let elements = Arc::new(Float32Array::from(elements));
    let valid = Some(NullBuffer::from(valid));
    let packed = FixedSizeListArray::try_new(field, dimension as i32, elements, valid)?;
    Ok(Arc::new(packed))
}

fn unpack_vectors(array: &ArrayRef) -> Vectors {
    let Some(lists) = array.as_fixed_size_list_opt() else {
        return Vectors {
            valid: vec![false; array.len()],
            ..Vectors::default()
        };
    };
    Vectors {
        dimension: lists.value_length() as usize,
        elements: native::<Float32Type>(lists.values()),
        valid: (0..lists.len()).map(|row| lists.is_valid(row)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::StringArray;
    use granary_storage::{DataDir, Spill};

    use super::*;

    #[test]
    fn rows_come_back_from_disk_as_they_were() {
        let vectors = Vectors {
            dimension: 2,
            elements: vec![1.0, 2.0, 0.0, 0.0, 5.0, 6.0],
            valid: vec![true, false, true],
        };
        let none = Vectors {
            valid: vec![false; 3],
            ..Vectors::default()
        };
        let piece = Piece {
            entities: vec![3, 3, 9],
            columns: Columns {
                times: vec![i64::MIN, 5, 7],
                masks: vec![vec![1, 0, u64::MAX], vec![0, 0, 2]],
                inputs: vec![
                    Input::Vectors(none),
                    Input::Numbers(vec![0.5, f64::NAN, -1.0]),
                    Input::Codes(vec![1, 2, 3]),
                    Input::Hashes(vec![1, u64::MAX, 3]),
                    Input::Values(Arc::new(StringArray::from(vec![
                        Some("a"),
                        None,
                        Some("c"),
                    ]))),
                    Input::Vectors(vectors),
                ],
                ids: vec![7, 8, 9],
                positions: Vec::new(),
                created: vec![1, 2, 3],
            },
            rank: 4,
        };
        let wanted = format!("{piece:?}");
        let home = tempfile::tempdir().unwrap();
        let spill = Spill::create(&DataDir::open(home.path()).unwrap()).unwrap();
        let written = spill.append(&pack(piece).unwrap()).unwrap();
        let read = unpack(&spill.read(written, None).unwrap(), 4).unwrap();
        assert_eq!(format!("{read:?}"), wanted);
    }
}
