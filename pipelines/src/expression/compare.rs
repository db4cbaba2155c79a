//! Comparisons and `in` over columns. Called by `batch`. A text by dictionary is compared
//! once per distinct text: `event_type = 'purchase'` over millions of rows reads codes.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::Float64Type;
use arrow::error::ArrowError;
use granary_registry::{DType, Value};

use super::node::{Comparison, Members};
use super::operand::{Lane, Operand, nulls_of_both};
use super::scalar::{has_float, has_int, has_text};
use crate::text::TextColumn;

/// Compares two operands of one type; null where either is.
pub(super) fn compare(
    op: Comparison,
    dtype: Option<DType>,
    left: &Operand,
    right: &Operand,
    rows: usize,
) -> Result<BooleanArray, ArrowError> {
    let holds = match dtype {
        Some(DType::Float) => numbers(op, left.floats(), right.floats(), rows),
        Some(DType::Bool) => bools(op, left, right, rows),
        Some(DType::Text | DType::Categorical) => texts(op, left, right, rows)?,
        Some(DType::Int | DType::Timestamp) => numbers(op, left.ints(), right.ints(), rows),
        // Vectors have no order; `lower` refuses them.
        Some(DType::Vector) | None => return Ok(BooleanArray::new_null(rows)),
    };
    Ok(BooleanArray::new(holds, nulls_of_both(left, right, rows)))
}

/// `operand in (members)`; with a null among the members, what is not found is unknown.
pub(super) fn contained(
    operand: &ArrayRef,
    members: &Members,
    with_null: bool,
    negated: bool,
) -> Result<BooleanArray, ArrowError> {
    let rows = operand.len();
    let nulls = operand.logical_nulls();
    let found = match members {
        Members::Int(list) => {
            let cells = Operand::Many(ArrayRef::clone(operand));
            match cells.ints() {
                Lane::Many(ints) => {
                    BooleanBuffer::collect_bool(rows, |row| has_int(list, ints[row]))
                }
                Lane::One(x) => constant(has_int(list, x), rows),
            }
        }
        Members::Float(list) => {
            let floats = operand.as_primitive::<Float64Type>().values();
            BooleanBuffer::collect_bool(rows, |row| has_float(list, floats[row]))
        }
        Members::Bool(list) => {
            let bools = operand.as_boolean().values();
            BooleanBuffer::collect_bool(rows, |row| list.contains(&bools.value(row)))
        }
        Members::Text(list) => TextColumn::of(operand)?.test(|text| has_text(list, text)),
    };
    let unknown = with_null.then(|| NullBuffer::new(found.clone()));
    let nulls = NullBuffer::union(nulls.as_ref(), unknown.as_ref());
    Ok(BooleanArray::new(
        if negated { !&found } else { found },
        nulls,
    ))
}

fn numbers<T: Copy + PartialOrd>(
    op: Comparison,
    left: Lane<'_, T>,
    right: Lane<'_, T>,
    rows: usize,
) -> BooleanBuffer {
    match op {
        Comparison::Equal => zip(left, right, rows, |a, b| a == b),
        Comparison::NotEqual => zip(left, right, rows, |a, b| a != b),
        Comparison::Less => zip(left, right, rows, |a, b| a < b),
        Comparison::LessOrEqual => zip(left, right, rows, |a, b| a <= b),
        Comparison::Greater => zip(left, right, rows, |a, b| a > b),
        Comparison::GreaterOrEqual => zip(left, right, rows, |a, b| a >= b),
    }
}

fn zip<T: Copy>(
    left: Lane<'_, T>,
    right: Lane<'_, T>,
    rows: usize,
    holds: impl Fn(T, T) -> bool,
) -> BooleanBuffer {
    match (left, right) {
        (Lane::Many(a), Lane::Many(b)) => {
            BooleanBuffer::collect_bool(rows, |row| holds(a[row], b[row]))
        }
        (Lane::Many(a), Lane::One(b)) => BooleanBuffer::collect_bool(rows, |row| holds(a[row], b)),
        (Lane::One(a), Lane::Many(b)) => BooleanBuffer::collect_bool(rows, |row| holds(a, b[row])),
        (Lane::One(a), Lane::One(b)) => constant(holds(a, b), rows),
    }
}

/// Bit by bit, false before true.
fn bools(op: Comparison, left: &Operand, right: &Operand, rows: usize) -> BooleanBuffer {
    let (a, b) = (bits(left, rows), bits(right, rows));
    match op {
        Comparison::Equal => !&(&a ^ &b),
        Comparison::NotEqual => &a ^ &b,
        Comparison::Less => &!&a & &b,
        Comparison::LessOrEqual => &!&a | &b,
        Comparison::Greater => &a & &!&b,
        Comparison::GreaterOrEqual => &a | &!&b,
    }
}

fn bits(operand: &Operand, rows: usize) -> BooleanBuffer {
    match operand {
        Operand::Many(array) => array.as_boolean().values().clone(),
        Operand::One(value) => constant(*value == Value::Bool(true), rows),
    }
}

fn texts(
    op: Comparison,
    left: &Operand,
    right: &Operand,
    rows: usize,
) -> Result<BooleanBuffer, ArrowError> {
    Ok(match (left, right) {
        (Operand::Many(a), Operand::Many(b)) => {
            let (a, b) = (TextColumn::of(a)?, TextColumn::of(b)?);
            BooleanBuffer::collect_bool(rows, |row| op.holds(a.text(row).cmp(b.text(row))))
        }
        (Operand::Many(texts), Operand::One(Value::Text(literal))) => {
            TextColumn::of(texts)?.test(|text| op.holds(text.cmp(literal)))
        }
        (Operand::One(Value::Text(literal)), Operand::Many(texts)) => {
            let op = op.mirrored();
            TextColumn::of(texts)?.test(|text| op.holds(text.cmp(literal)))
        }
        (Operand::One(Value::Text(a)), Operand::One(Value::Text(b))) => {
            constant(op.holds(a.cmp(b)), rows)
        }
        // A null literal: the caller makes every row null.
        _ => BooleanBuffer::new_unset(rows),
    })
}

fn constant(holds: bool, rows: usize) -> BooleanBuffer {
    if holds {
        BooleanBuffer::new_set(rows)
    } else {
        BooleanBuffer::new_unset(rows)
    }
}
