//! `in` with its list sorted once. Called by `tree`, and by expectations.

use std::sync::Arc;

use granary_registry::{DType, EventTime, Value};

use super::types::{as_instant, literal, undefined, unified};
use crate::expression::error::Error;
use crate::expression::node::{Members, Node, Op};

/// `operand in (list)`.
pub(in crate::expression) fn membership(
    operand: Node,
    list: &[Value],
    negated: bool,
) -> Result<Node, Error> {
    let list = list
        .iter()
        .map(|value| as_instant(literal(value), operand.dtype))
        .collect::<Result<Vec<_>, _>>()?;
    let nodes = [operand].into_iter().chain(list).collect();
    let (nodes, dtype) = unified(nodes, "in")?;
    let mut nodes = nodes.into_iter();
    let Some(operand) = nodes.next() else {
        return Ok(literal(&Value::Null));
    };
    let values: Vec<Value> = nodes.map(|node| node.value(&[])).collect();
    let with_null = values.iter().any(Value::is_null);
    let members = members(dtype, &values)?;
    let operand = operand.boxed();
    Ok(Node::new(
        Op::In {
            operand,
            members,
            with_null,
            negated,
        },
        DType::Bool,
    ))
}

fn members(dtype: Option<DType>, values: &[Value]) -> Result<Members, Error> {
    Ok(match dtype {
        Some(DType::Float) => {
            let mut list: Vec<f64> = values.iter().filter_map(Value::as_f64).collect();
            list.sort_by(f64::total_cmp);
            Members::Float(list)
        }
        Some(DType::Bool) => Members::Bool(values.iter().filter_map(as_bool).collect()),
        Some(DType::Text | DType::Categorical) => {
            let mut list: Vec<Arc<str>> = values.iter().filter_map(as_text).collect();
            list.sort();
            Members::Text(list)
        }
        Some(DType::Int | DType::Timestamp) | None => {
            let mut list: Vec<i64> = values.iter().filter_map(as_i64).collect();
            list.sort_unstable();
            Members::Int(list)
        }
        Some(DType::Vector) => return Err(undefined("in", &[dtype])),
    })
}

fn as_i64(value: &Value) -> Option<i64> {
    match value {
        Value::Int(x) | Value::Timestamp(EventTime(x)) => Some(*x),
        _ => None,
    }
}

fn as_bool(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(x) => Some(*x),
        _ => None,
    }
}

fn as_text(value: &Value) -> Option<Arc<str>> {
    match value {
        Value::Text(x) => Some(Arc::clone(x)),
        _ => None,
    }
}
