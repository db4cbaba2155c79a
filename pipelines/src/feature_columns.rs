//! Finalized features as Arrow columns: partitions fill their rows in parallel, and the
//! rows come out in the order that the job asked for. Called by batch and point in time.

use arrow::array::{Array, ArrayRef, UInt32Array};
use arrow::compute;
use arrow::datatypes::Field;
use granary_registry::EventTime;
use rayon::prelude::*;

use crate::error::Error;
use crate::fold::{ColumnBuilder, GroupFold, GroupState};

/// Features of some rows, as one thread filled them.
pub(crate) struct FeatureColumns<'a> {
    fold: &'a GroupFold,
    slots: &'a [usize],
    columns: Vec<ColumnBuilder>,
    rows: Vec<u32>,
}

impl<'a> FeatureColumns<'a> {
    /// None yet, of these features.
    pub(crate) fn new(fold: &'a GroupFold, slots: &'a [usize]) -> Self {
        let columns = slots
            .iter()
            .map(|&slot| ColumnBuilder::new(fold.slots[slot].dtype));
        FeatureColumns {
            fold,
            slots,
            columns: columns.collect(),
            rows: Vec::new(),
        }
    }

    /// Finalizes a state at an instant into the row `row` of the result.
    pub(crate) fn push(&mut self, row: u32, state: &GroupState, as_of: EventTime) {
        self.rows.push(row);
        for (column, &slot) in self.columns.iter_mut().zip(self.slots) {
            column.push(&self.fold.value(slot, state, as_of));
        }
    }

    /// Joins the parts into columns of all rows, in order of their numbers.
    pub(crate) fn finish(parts: Vec<FeatureColumns<'_>>) -> Result<Vec<ArrayRef>, Error> {
        let Some(first) = parts.first() else {
            return Ok(Vec::new());
        };
        let count = first.columns.len();
        let rows: Vec<u32> = parts
            .iter()
            .flat_map(|part| part.rows.iter().copied())
            .collect();
        let mut order = vec![0u32; rows.len()];
        for (at, &row) in rows.iter().enumerate() {
            order[row as usize] = at as u32;
        }
        let order = UInt32Array::from(order);
        let mut columns: Vec<Vec<ColumnBuilder>> = (0..count).map(|_| Vec::new()).collect();
        for part in parts {
            for (column, more) in columns.iter_mut().zip(part.columns) {
                column.push(more);
            }
        }
        columns
            .into_par_iter()
            .map(|column| join(column, &order))
            .collect()
    }
}

fn join(mut parts: Vec<ColumnBuilder>, order: &UInt32Array) -> Result<ArrayRef, Error> {
    let dimension = parts
        .iter()
        .map(ColumnBuilder::dimension)
        .max()
        .unwrap_or(0);
    let arrays: Vec<ArrayRef> = parts
        .iter_mut()
        .map(|part| part.finish(dimension))
        .collect();
    let arrays: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
    let whole = compute::concat(&arrays)?;
    if order.values().is_sorted() {
        return Ok(whole);
    }
    Ok(compute::take(whole.as_ref(), order, None)?)
}

/// The fields of feature columns.
pub(crate) fn fields(fold: &GroupFold, slots: &[usize], columns: &[ArrayRef]) -> Vec<Field> {
    let field = |(&slot, column): (&usize, &ArrayRef)| {
        Field::new(&*fold.slots[slot].name, column.data_type().clone(), true)
    };
    slots.iter().zip(columns).map(field).collect()
}
