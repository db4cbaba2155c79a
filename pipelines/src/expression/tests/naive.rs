//! The naive reading of an expression: values in, value out, nothing prepared. Shares no
//! code with the evaluator but the texts' scores.

use std::cmp::Ordering;

use granary_registry::{BinaryOp, DType, Expression, ScalarFunction, UnaryOp, Value};

use super::{COLUMNS, Embedder, Toy, sentiment, text};

/// The meaning of an expression for one row of `COLUMNS`.
pub(super) fn value(expression: &Expression, row: &[Value]) -> Value {
    let natural = match expression {
        Expression::Column { name, .. } => {
            let slot = COLUMNS.iter().position(|(known, _)| known == name).unwrap();
            row[slot].clone()
        }
        Expression::Literal(value) => value.clone(),
        Expression::Unary { op, operand } => {
            let operand = value(operand, row);
            match (op, operand) {
                (UnaryOp::IsNull, x) => Value::Bool(x == Value::Null),
                (UnaryOp::IsNotNull, x) => Value::Bool(x != Value::Null),
                (UnaryOp::Not, Value::Bool(x)) => Value::Bool(!x),
                (UnaryOp::Negate, Value::Int(x)) => int(-i128::from(x)),
                (UnaryOp::Negate, Value::Float(x)) => Value::Float(-x),
                _ => Value::Null,
            }
        }
        Expression::Binary { op, left, right } => {
            binary(*op, &value(left, row), &value(right, row))
        }
        Expression::In {
            operand,
            list,
            negated,
        } => contained(&value(operand, row), list, *negated),
        Expression::Case {
            branches,
            otherwise,
        } => {
            let hit = branches
                .iter()
                .find(|(test, _)| value(test, row) == Value::Bool(true));
            match (hit, otherwise) {
                (Some((_, result)), _) => value(result, row),
                (None, Some(result)) => value(result, row),
                (None, None) => Value::Null,
            }
        }
        Expression::Call {
            function,
            arguments,
        } => {
            let arguments: Vec<Value> = arguments.iter().map(|a| value(a, row)).collect();
            called(*function, &arguments, dtype(expression))
        }
    };
    as_type(natural, dtype(expression))
}

fn as_type(value: Value, dtype: Option<DType>) -> Value {
    match (value, dtype) {
        (Value::Int(x), Some(DType::Float)) => Value::Float(x as f64),
        (value, _) => value,
    }
}

/// The type as SQL would give it; only whether a number is a float matters.
fn dtype(expression: &Expression) -> Option<DType> {
    let common = |of: Vec<&Expression>| {
        let types: Vec<DType> = of.into_iter().filter_map(dtype).collect();
        let float = types.contains(&DType::Float).then_some(DType::Float);
        float.or_else(|| types.first().copied())
    };
    match expression {
        Expression::Column { dtype, .. } => Some(*dtype),
        Expression::Literal(Value::Null) => None,
        Expression::Literal(Value::Int(_)) => Some(DType::Int),
        Expression::Literal(Value::Float(_)) => Some(DType::Float),
        Expression::Unary {
            op: UnaryOp::Negate,
            operand,
        } => dtype(operand),
        Expression::Binary { op, left, right } => {
            use BinaryOp::{Add, Divide, Modulo, Multiply, Subtract};
            match op {
                Add | Subtract | Multiply | Modulo => common(vec![left, right]),
                Divide => Some(DType::Float),
                _ => Some(DType::Bool),
            }
        }
        Expression::Case {
            branches,
            otherwise,
        } => {
            let results = branches.iter().map(|(_, result)| result);
            common(results.chain(otherwise.as_deref()).collect())
        }
        Expression::Call {
            function,
            arguments,
        } => {
            use ScalarFunction::{Exp, Length, Ln, Nullif, Sqrt, Vader};
            match function {
                Ln | Exp | Sqrt | Vader => Some(DType::Float),
                Length => Some(DType::Int),
                Nullif => dtype(&arguments[0]),
                _ => common(arguments.iter().collect()),
            }
        }
        _ => Some(DType::Bool),
    }
}

fn int(x: i128) -> Value {
    i64::try_from(x).map_or(Value::Null, Value::Int)
}

fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Int(_) | Value::Float(_), Value::Int(_) | Value::Float(_)) => {
            left.as_f64()?.partial_cmp(&right.as_f64()?)
        }
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::Text(a), Value::Text(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
        (Value::Timestamp(a), Value::Timestamp(b)) => Some(a.0.cmp(&b.0)),
        _ => None,
    }
}

fn binary(op: BinaryOp, left: &Value, right: &Value) -> Value {
    let compared = |test: fn(Ordering) -> bool| match order(left, right) {
        Some(order) => Value::Bool(test(order)),
        None => Value::Null,
    };
    match op {
        BinaryOp::And | BinaryOp::Or => {
            let wins = Value::Bool(op == BinaryOp::Or);
            if *left == wins || *right == wins {
                wins
            } else if left.is_null() || right.is_null() {
                Value::Null
            } else {
                Value::Bool(op == BinaryOp::And)
            }
        }
        BinaryOp::Equal => compared(Ordering::is_eq),
        BinaryOp::NotEqual => compared(Ordering::is_ne),
        BinaryOp::Less => compared(Ordering::is_lt),
        BinaryOp::LessOrEqual => compared(Ordering::is_le),
        BinaryOp::Greater => compared(Ordering::is_gt),
        BinaryOp::GreaterOrEqual => compared(Ordering::is_ge),
        _ => arithmetic(op, left, right),
    }
}

fn arithmetic(op: BinaryOp, left: &Value, right: &Value) -> Value {
    if let (Value::Int(a), Value::Int(b)) = (left, right)
        && op != BinaryOp::Divide
    {
        let (a, b) = (i128::from(*a), i128::from(*b));
        return match op {
            BinaryOp::Add => int(a + b),
            BinaryOp::Subtract => int(a - b),
            BinaryOp::Multiply => int(a * b),
            _ if b == 0 => Value::Null,
            _ => int(a % b),
        };
    }
    let (Some(a), Some(b)) = (left.as_f64(), right.as_f64()) else {
        return Value::Null;
    };
    Value::float(match op {
        BinaryOp::Add => a + b,
        BinaryOp::Subtract => a - b,
        BinaryOp::Multiply => a * b,
        BinaryOp::Divide => a / b,
        _ => a % b,
    })
}

fn contained(operand: &Value, list: &[Value], negated: bool) -> Value {
    if operand.is_null() {
        return Value::Null;
    }
    // A float in the list makes the whole comparison one of floats.
    let floats = list.iter().any(|value| matches!(value, Value::Float(_)));
    let wanted = as_type(operand.clone(), floats.then_some(DType::Float));
    let found = list
        .iter()
        .any(|value| order(&wanted, value) == Some(Ordering::Equal));
    if !found && list.contains(&Value::Null) {
        Value::Null
    } else {
        Value::Bool(found != negated)
    }
}

fn called(function: ScalarFunction, arguments: &[Value], dtype: Option<DType>) -> Value {
    use ScalarFunction as F;
    let first = arguments[0].clone();
    let typed = arguments.iter().cloned().map(|value| as_type(value, dtype));
    let mut known = typed.filter(|value| !value.is_null());
    match function {
        F::Coalesce => known.next().unwrap_or(Value::Null),
        F::Least | F::Greatest => {
            let better = if function == F::Least {
                Ordering::Less
            } else {
                Ordering::Greater
            };
            let mut best = Value::Null;
            for value in known {
                if best.is_null() || order(&value, &best) == Some(better) {
                    best = value;
                }
            }
            best
        }
        F::Nullif => match order(&first, &arguments[1]) {
            Some(Ordering::Equal) => Value::Null,
            _ => first,
        },
        _ => match (function, first) {
            (F::Abs, Value::Int(x)) => int(i128::from(x).abs()),
            (F::Round | F::Floor | F::Ceil, Value::Int(x)) => Value::Int(x),
            (F::Length, Value::Text(x)) => Value::Int(x.chars().count() as i64),
            (F::Lower, Value::Text(x)) => text(&x.to_lowercase()),
            (F::Upper, Value::Text(x)) => text(&x.to_uppercase()),
            (F::Vader, Value::Text(x)) => Value::Float(sentiment::scores(&x).compound),
            (F::Embed, Value::Text(x)) => {
                let mut out = [0.0; 2];
                Toy.embed(&x, &mut out);
                Value::Vector(out.to_vec().into())
            }
            (_, first) => first.as_f64().map_or(Value::Null, |x| math(function, x)),
        },
    }
}

fn math(function: ScalarFunction, x: f64) -> Value {
    Value::float(match function {
        ScalarFunction::Abs => x.abs(),
        ScalarFunction::Round => {
            let up = (x.abs() + 0.5).floor();
            // Adding a half rounds again where floats are as coarse as halves.
            let up = if up - x.abs() > 0.5 { up - 1.0 } else { up };
            up.copysign(x)
        }
        ScalarFunction::Floor => x.floor(),
        ScalarFunction::Ceil => x.ceil(),
        ScalarFunction::Ln => x.ln(),
        ScalarFunction::Exp => x.exp(),
        _ => x.sqrt(),
    })
}
