//! The types of expressions: one rule per operator and function. Called by `sql`, which
//! refuses what has no type, and by `Expression::dtype`.
//!
//! A type is an `Option`: none stands for a bare `null`, and for columns that have a problem
//! of their own; it goes with everything.

use crate::{BinaryOp, DType, ScalarFunction, UnaryOp};

/// The type of a result, or what the operands should have been.
pub(crate) type Typed = Result<Option<DType>, &'static str>;

pub(crate) fn unary(op: UnaryOp, operand: Option<DType>) -> Typed {
    match op {
        UnaryOp::Not => wanted(is_bool(operand), DType::Bool, "a condition behind `not`"),
        UnaryOp::Negate if is_numeric(operand) => Ok(operand),
        UnaryOp::Negate => Err("a number behind `-`"),
        UnaryOp::IsNull | UnaryOp::IsNotNull => Ok(Some(DType::Bool)),
    }
}

pub(crate) fn binary(op: BinaryOp, left: Option<DType>, right: Option<DType>) -> Typed {
    match op {
        BinaryOp::And | BinaryOp::Or => wanted(
            is_bool(left) && is_bool(right),
            DType::Bool,
            "conditions on both sides of `and` and `or`",
        ),
        BinaryOp::Add | BinaryOp::Subtract | BinaryOp::Multiply | BinaryOp::Modulo => {
            if !is_numeric(left) || !is_numeric(right) {
                return Err("numbers on both sides of arithmetic");
            }
            Ok(wider(left, right))
        }
        BinaryOp::Divide => wanted(
            is_numeric(left) && is_numeric(right),
            DType::Float,
            "numbers on both sides of arithmetic",
        ),
        _ => wanted(
            comparable(left, right),
            DType::Bool,
            "two numbers, two texts, two timestamps or two conditions to compare",
        ),
    }
}

pub(crate) fn call(function: ScalarFunction, arguments: &[Option<DType>]) -> Typed {
    use ScalarFunction as F;
    let first = arguments.first().copied().flatten();
    let number = || is_numeric(first);
    let text = || first.is_none_or(DType::is_text);
    match function {
        F::Abs | F::Round | F::Floor | F::Ceil if number() => Ok(first),
        F::Ln | F::Exp | F::Sqrt => wanted(number(), DType::Float, "a number"),
        F::Coalesce | F::Least | F::Greatest => common(arguments.iter().copied()),
        F::Nullif => common(arguments.iter().copied()).and(Ok(first)),
        F::Length => wanted(text(), DType::Int, "a text"),
        F::Lower | F::Upper => wanted(text(), DType::Text, "a text"),
        F::Vader => wanted(text(), DType::Float, "a text"),
        F::Embed => wanted(text(), DType::Vector, "a text"),
        F::Abs | F::Round | F::Floor | F::Ceil => Err("a number"),
    }
}

/// The one type that all of these fit in.
pub(crate) fn common(types: impl IntoIterator<Item = Option<DType>>) -> Typed {
    let mut all = None;
    for dtype in types {
        if !comparable(all, dtype) || dtype == Some(DType::Vector) {
            return Err("values of one type");
        }
        all = wider(all, dtype);
    }
    Ok(all)
}

/// Whether two values can be compared: vectors never.
pub(crate) fn comparable(left: Option<DType>, right: Option<DType>) -> bool {
    let (Some(left), Some(right)) = (left, right) else {
        return left.or(right) != Some(DType::Vector);
    };
    left != DType::Vector
        && (left == right
            || (left.is_numeric() && right.is_numeric())
            || (left.is_text() && right.is_text()))
}

/// How many arguments a function takes, at least and at most.
pub(crate) fn arity(function: ScalarFunction) -> (usize, usize) {
    match function {
        ScalarFunction::Coalesce | ScalarFunction::Least | ScalarFunction::Greatest => (1, 64),
        ScalarFunction::Nullif => (2, 2),
        _ => (1, 1),
    }
}

fn wanted(holds: bool, result: DType, expected: &'static str) -> Typed {
    if holds {
        Ok(Some(result))
    } else {
        Err(expected)
    }
}

fn is_bool(dtype: Option<DType>) -> bool {
    dtype.is_none_or(|dtype| dtype == DType::Bool)
}

fn is_numeric(dtype: Option<DType>) -> bool {
    dtype.is_none_or(DType::is_numeric)
}

/// Of two types that go together the one that holds both.
fn wider(left: Option<DType>, right: Option<DType>) -> Option<DType> {
    match (left, right) {
        (None, _)
        | (Some(DType::Int), Some(DType::Float))
        | (Some(DType::Categorical), Some(DType::Text)) => right,
        (Some(_), _) => left,
    }
}
