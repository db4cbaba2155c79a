//! Arithmetic of single values, shared by the walk over columns and the walk over rows.

use std::cmp::Ordering;
use std::sync::Arc;

use granary_registry::{EventTime, Value};

use super::node::{Comparison, FloatUnary, Members};

/// Nothing for NaN and infinities.
#[inline]
pub(super) fn finite(x: f64) -> Option<f64> {
    x.is_finite().then_some(x)
}

/// The remainder with the sign of the dividend; nothing for a zero divisor.
#[inline]
pub(super) fn int_modulo(a: i64, b: i64) -> Option<i64> {
    (b != 0).then(|| a.wrapping_rem(b))
}

#[inline]
pub(super) fn float_add(a: f64, b: f64) -> Option<f64> {
    finite(a + b)
}

#[inline]
pub(super) fn float_subtract(a: f64, b: f64) -> Option<f64> {
    finite(a - b)
}

#[inline]
pub(super) fn float_multiply(a: f64, b: f64) -> Option<f64> {
    finite(a * b)
}

/// Zero divisors give infinities or NaN, hence nothing.
#[inline]
pub(super) fn float_divide(a: f64, b: f64) -> Option<f64> {
    finite(a / b)
}

#[inline]
pub(super) fn float_modulo(a: f64, b: f64) -> Option<f64> {
    finite(a % b)
}

/// A function of one float.
#[inline]
pub(super) fn float_unary(op: FloatUnary, x: f64) -> Option<f64> {
    finite(match op {
        FloatUnary::Negate => -x,
        FloatUnary::Abs => x.abs(),
        FloatUnary::Round => x.round(),
        FloatUnary::Floor => x.floor(),
        FloatUnary::Ceil => x.ceil(),
        FloatUnary::Ln => x.ln(),
        FloatUnary::Exp => x.exp(),
        FloatUnary::Sqrt => x.sqrt(),
    })
}

/// Number of characters.
pub(super) fn length(text: &str) -> i64 {
    text.chars().count() as i64
}

/// All letters small, or all capital.
pub(super) fn recase(text: &str, upper: bool) -> String {
    if upper {
        text.to_uppercase()
    } else {
        text.to_lowercase()
    }
}

/// The order of two values of one type; none when either is null or has no order.
pub(super) fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
        (Value::Timestamp(a), Value::Timestamp(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

impl Comparison {
    #[inline]
    pub(super) fn holds(self, order: Ordering) -> bool {
        match self {
            Comparison::Equal => order.is_eq(),
            Comparison::NotEqual => order.is_ne(),
            Comparison::Less => order.is_lt(),
            Comparison::LessOrEqual => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::GreaterOrEqual => order.is_ge(),
        }
    }

    /// The comparison that holds for `(b, a)` where this one holds for `(a, b)`.
    pub(super) fn mirrored(self) -> Comparison {
        match self {
            Comparison::Less => Comparison::Greater,
            Comparison::LessOrEqual => Comparison::GreaterOrEqual,
            Comparison::Greater => Comparison::Less,
            Comparison::GreaterOrEqual => Comparison::LessOrEqual,
            same => same,
        }
    }
}

impl Members {
    /// Whether a value of the members' type is among them.
    pub(super) fn contain(&self, value: &Value) -> bool {
        match (self, value) {
            (Members::Int(list), Value::Int(x) | Value::Timestamp(EventTime(x))) => {
                has_int(list, *x)
            }
            (Members::Float(list), Value::Float(x)) => has_float(list, *x),
            (Members::Bool(list), Value::Bool(x)) => list.contains(x),
            (Members::Text(list), Value::Text(x)) => has_text(list, x),
            _ => false,
        }
    }
}

#[inline]
pub(super) fn has_int(sorted: &[i64], x: i64) -> bool {
    sorted.binary_search(&x).is_ok()
}

/// Both zeros are one: they compare as equal here, as in `=`.
#[inline]
pub(super) fn has_float(sorted: &[f64], x: f64) -> bool {
    sorted
        .binary_search_by(|y| y.partial_cmp(&x).unwrap_or(Ordering::Less))
        .is_ok()
}

#[inline]
pub(super) fn has_text(sorted: &[Arc<str>], x: &str) -> bool {
    sorted.binary_search_by(|y| y.as_ref().cmp(x)).is_ok()
}
