//! The walk over the values of one row. Called by `Program::evaluate_row` and, over
//! literals, by constant folding.

use granary_registry::{DType, Value};

use super::node::{Comparison, FloatBinary, IntBinary, IntUnary, Node, Op};
use super::scalar;
use crate::text::{embedding, sentiment};

impl Node {
    /// The result for one row.
    pub(super) fn value(&self, row: &[Value]) -> Value {
        match &self.op {
            Op::Column { slot, .. } => row
                .get(*slot)
                .map_or(Value::Null, |value| loaded(value, self.dtype)),
            Op::Literal(value) => value.clone(),
            Op::IntToFloat(operand) => float(operand.float(row)),
            Op::Not(operand) => truth(operand.truth(row).map(|x| !x)),
            Op::IsNull { operand, negated } => {
                Value::Bool(operand.value(row).is_null() != *negated)
            }
            Op::And(left, right) => truth(all(left.truth(row), right.truth(row))),
            Op::Or(left, right) => truth(any(left.truth(row), right.truth(row))),
            Op::Compare { op, left, right } => {
                truth(compare(*op, &left.value(row), &right.value(row)))
            }
            Op::In {
                operand,
                members,
                with_null,
                negated,
            } => {
                let value = operand.value(row);
                let found = members.contain(&value);
                let known = !value.is_null() && (found || !with_null);
                truth(known.then_some(found != *negated))
            }
            Op::IntBinary { op, left, right } => int_binary(*op, left.int(row), right.int(row)),
            Op::FloatBinary { op, left, right } => {
                float_binary(*op, left.float(row), right.float(row))
            }
            Op::IntUnary { op, operand } => int(operand.int(row).and_then(|x| match op {
                IntUnary::Negate => x.checked_neg(),
                IntUnary::Abs => x.checked_abs(),
            })),
            Op::FloatUnary { op, operand } => {
                float(operand.float(row).and_then(|x| scalar::float_unary(*op, x)))
            }
            Op::Case {
                branches,
                otherwise,
            } => branches
                .iter()
                .find(|(condition, _)| condition.truth(row) == Some(true))
                .map_or(otherwise.as_ref(), |(_, result)| result)
                .value(row),
            Op::Coalesce(operands) => operands
                .iter()
                .map(|operand| operand.value(row))
                .find(|value| !value.is_null())
                .unwrap_or(Value::Null),
            Op::NullIf {
                operand,
                left,
                right,
            } => match compare(Comparison::Equal, &left.value(row), &right.value(row)) {
                Some(true) => Value::Null,
                _ => operand.value(row),
            },
            Op::Extreme { op, operands } => operands
                .iter()
                .map(|operand| operand.value(row))
                .filter(|value| !value.is_null())
                .reduce(|best, next| {
                    if compare(*op, &next, &best) == Some(true) {
                        next
                    } else {
                        best
                    }
                })
                .unwrap_or(Value::Null),
            Op::Length(operand) => operand.of_text(row, |text| Value::Int(scalar::length(text))),
            Op::Recase { operand, upper } => {
                operand.of_text(row, |text| Value::Text(scalar::recase(text, *upper).into()))
            }
            Op::Vader(operand) => {
                operand.of_text(row, |text| Value::Float(sentiment::scores(text).compound))
            }
            Op::Embed { operand, embedder } => operand.of_text(row, |text| {
                Value::Vector(embedding::of_text(embedder.0.as_ref(), text).into())
            }),
        }
    }

    fn of_text(&self, row: &[Value], function: impl FnOnce(&str) -> Value) -> Value {
        match self.value(row) {
            Value::Text(text) => function(&text),
            _ => Value::Null,
        }
    }

    fn int(&self, row: &[Value]) -> Option<i64> {
        match self.value(row) {
            Value::Int(x) => Some(x),
            _ => None,
        }
    }

    fn float(&self, row: &[Value]) -> Option<f64> {
        match self.value(row) {
            Value::Float(x) => Some(x),
            Value::Int(x) => Some(x as f64),
            _ => None,
        }
    }

    fn truth(&self, row: &[Value]) -> Option<bool> {
        match self.value(row) {
            Value::Bool(x) => Some(x),
            _ => None,
        }
    }
}

/// A value as its column's type: an int in a float column is a float.
fn loaded(value: &Value, dtype: Option<DType>) -> Value {
    match (dtype, value) {
        (Some(DType::Float), Value::Int(x)) => Value::Float(*x as f64),
        (Some(DType::Float), Value::Float(x)) => Value::float(*x),
        (Some(DType::Int), Value::Int(_))
        | (Some(DType::Bool), Value::Bool(_))
        | (Some(DType::Text), Value::Text(_))
        | (Some(DType::Timestamp), Value::Timestamp(_))
        | (Some(DType::Vector), Value::Vector(_)) => value.clone(),
        _ => Value::Null,
    }
}

fn compare(op: Comparison, left: &Value, right: &Value) -> Option<bool> {
    scalar::order(left, right).map(|order| op.holds(order))
}

fn int_binary(op: IntBinary, left: Option<i64>, right: Option<i64>) -> Value {
    let (Some(a), Some(b)) = (left, right) else {
        return Value::Null;
    };
    int(match op {
        IntBinary::Add => a.checked_add(b),
        IntBinary::Subtract => a.checked_sub(b),
        IntBinary::Multiply => a.checked_mul(b),
        IntBinary::Modulo => scalar::int_modulo(a, b),
    })
}

fn float_binary(op: FloatBinary, left: Option<f64>, right: Option<f64>) -> Value {
    let (Some(a), Some(b)) = (left, right) else {
        return Value::Null;
    };
    float(match op {
        FloatBinary::Add => scalar::float_add(a, b),
        FloatBinary::Subtract => scalar::float_subtract(a, b),
        FloatBinary::Multiply => scalar::float_multiply(a, b),
        FloatBinary::Divide => scalar::float_divide(a, b),
        FloatBinary::Modulo => scalar::float_modulo(a, b),
    })
}

/// False wins over unknown.
fn all(left: Option<bool>, right: Option<bool>) -> Option<bool> {
    match (left, right) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

/// True wins over unknown.
fn any(left: Option<bool>, right: Option<bool>) -> Option<bool> {
    all(left.map(|x| !x), right.map(|x| !x)).map(|x| !x)
}

fn int(x: Option<i64>) -> Value {
    x.map_or(Value::Null, Value::Int)
}

fn float(x: Option<f64>) -> Value {
    x.map_or(Value::Null, Value::Float)
}

fn truth(x: Option<bool>) -> Value {
    x.map_or(Value::Null, Value::Bool)
}
