//! Arithmetic over columns. Called by `batch`; the maths of one pair is in `scalar`.

use arrow::array::{
    ArrayRef, ArrowPrimitiveType, AsArray, Float64Array, Int64Array, PrimitiveArray,
};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::{Float64Type, Int64Type};

use super::node::{FloatBinary, FloatUnary, IntBinary, IntUnary};
use super::operand::{Lane, Operand, nulls_of_both};
use super::scalar;

pub(super) fn int_binary(
    op: IntBinary,
    left: &Operand,
    right: &Operand,
    rows: usize,
) -> Int64Array {
    let nulls = nulls_of_both(left, right, rows);
    let nulls = nulls.as_ref();
    let (a, b) = (left.ints(), right.ints());
    match op {
        IntBinary::Add => zip(a, b, rows, nulls, i64::checked_add),
        IntBinary::Subtract => zip(a, b, rows, nulls, i64::checked_sub),
        IntBinary::Multiply => zip(a, b, rows, nulls, i64::checked_mul),
        IntBinary::Modulo => zip(a, b, rows, nulls, scalar::int_modulo),
    }
}

pub(super) fn float_binary(
    op: FloatBinary,
    left: &Operand,
    right: &Operand,
    rows: usize,
) -> Float64Array {
    let nulls = nulls_of_both(left, right, rows);
    let nulls = nulls.as_ref();
    let (a, b) = (left.floats(), right.floats());
    match op {
        FloatBinary::Add => zip(a, b, rows, nulls, scalar::float_add),
        FloatBinary::Subtract => zip(a, b, rows, nulls, scalar::float_subtract),
        FloatBinary::Multiply => zip(a, b, rows, nulls, scalar::float_multiply),
        FloatBinary::Divide => zip(a, b, rows, nulls, scalar::float_divide),
        FloatBinary::Modulo => zip(a, b, rows, nulls, scalar::float_modulo),
    }
}

pub(super) fn int_unary(op: IntUnary, operand: &ArrayRef) -> Int64Array {
    let ints = operand.as_primitive::<Int64Type>();
    match op {
        IntUnary::Negate => ints.unary_opt(i64::checked_neg),
        IntUnary::Abs => ints.unary_opt(i64::checked_abs),
    }
}

pub(super) fn float_unary(op: FloatUnary, operand: &ArrayRef) -> Float64Array {
    operand
        .as_primitive::<Float64Type>()
        .unary_opt(|x| scalar::float_unary(op, x))
}

pub(super) fn int_to_float(operand: &ArrayRef) -> Float64Array {
    operand.as_primitive::<Int64Type>().unary(|x| x as f64)
}

fn zip<A, T>(
    left: Lane<'_, A>,
    right: Lane<'_, A>,
    rows: usize,
    nulls: Option<&NullBuffer>,
    function: impl Fn(A, A) -> Option<T::Native>,
) -> PrimitiveArray<T>
where
    A: Copy,
    T: ArrowPrimitiveType,
{
    match (left, right) {
        (Lane::Many(a), Lane::Many(b)) => collect(rows, nulls, |row| function(a[row], b[row])),
        (Lane::Many(a), Lane::One(b)) => collect(rows, nulls, |row| function(a[row], b)),
        (Lane::One(a), Lane::Many(b)) => collect(rows, nulls, |row| function(a, b[row])),
        (Lane::One(a), Lane::One(b)) => collect(rows, nulls, |_| function(a, b)),
    }
}

/// Null where the inputs are and where there is no result.
fn collect<T: ArrowPrimitiveType>(
    rows: usize,
    nulls: Option<&NullBuffer>,
    result: impl Fn(usize) -> Option<T::Native>,
) -> PrimitiveArray<T> {
    let mut values = Vec::with_capacity(rows);
    let valid = BooleanBuffer::collect_bool(rows, |row| {
        let result = result(row);
        values.push(result.unwrap_or_default());
        result.is_some()
    });
    let nulls = NullBuffer::union(nulls, Some(&NullBuffer::new(valid)));
    PrimitiveArray::new(values.into(), nulls.filter(|nulls| nulls.null_count() > 0))
}
