//! One column out of several, row by row: `case`, `coalesce`, `least` and `greatest`.
//! Called by `batch`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, new_null_array};
use arrow::compute::{cast, interleave};
use arrow::datatypes::DataType;
use granary_registry::DType;

use super::error::Error;
use super::load::stored_as;
use super::operand::Operand;

/// For each row, which operand it takes.
pub(super) struct Choice {
    picks: Vec<usize>,
}

impl Choice {
    /// The same operand for all rows.
    pub(super) fn all(operand: usize, rows: usize) -> Choice {
        Choice {
            picks: vec![operand; rows],
        }
    }

    /// Takes this operand in the rows for which `test` holds.
    pub(super) fn set_where(&mut self, operand: usize, test: impl Fn(usize) -> bool) {
        for (row, pick) in self.picks.iter_mut().enumerate() {
            if test(row) {
                *pick = operand;
            }
        }
    }

    /// The chosen rows. Operands are of type `dtype`; a single value serves every row.
    pub(super) fn take(
        &self,
        operands: &[Operand],
        dtype: Option<DType>,
    ) -> Result<ArrayRef, Error> {
        let arrays = operands.iter().map(Operand::narrow).collect();
        let arrays = of_one_type(arrays, dtype)?;
        let single: Vec<bool> = operands
            .iter()
            .map(|operand| matches!(operand, Operand::One(_)))
            .collect();
        let indices: Vec<(usize, usize)> = self
            .picks
            .iter()
            .enumerate()
            .map(|(row, pick)| (*pick, if single[*pick] { 0 } else { row }))
            .collect();
        let arrays: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
        Ok(interleave(&arrays, &indices)?)
    }
}

/// Texts may be plain or by dictionary, vectors of fixed or free length: where operands
/// differ, all become what `stored_as` says. Nulls alone follow the others.
fn of_one_type(arrays: Vec<ArrayRef>, dtype: Option<DType>) -> Result<Vec<ArrayRef>, Error> {
    let mut types = arrays
        .iter()
        .filter(|array| !is_null(array))
        .map(Array::data_type);
    let common = match types.next() {
        Some(first) if types.all(|other| other == first) => first.clone(),
        _ => stored_as(dtype),
    };
    let as_common = |array: ArrayRef| {
        if *array.data_type() == common {
            Ok(array)
        } else if is_null(&array) {
            Ok(new_null_array(&common, array.len()))
        } else {
            Ok(cast(&array, &common)?)
        }
    };
    arrays.into_iter().map(as_common).collect()
}

fn is_null(array: &Arc<dyn Array>) -> bool {
    *array.data_type() == DataType::Null
}
