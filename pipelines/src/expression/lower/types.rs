//! Giving nodes their types and bringing them to a common one. Called by the other files
//! of `lower`.

use granary_registry::{DType, EventTime, Value};

use crate::expression::error::Error;
use crate::expression::node::{Node, Op, type_name};

pub(super) fn literal(value: &Value) -> Node {
    let (value, dtype) = match value {
        Value::Null => (Value::Null, None),
        Value::Int(_) => (value.clone(), Some(DType::Int)),
        Value::Float(x) => (Value::float(*x), Some(DType::Float)),
        Value::Bool(_) => (value.clone(), Some(DType::Bool)),
        Value::Text(_) => (value.clone(), Some(DType::Text)),
        Value::Timestamp(_) => (value.clone(), Some(DType::Timestamp)),
        Value::Vector(_) => (value.clone(), Some(DType::Vector)),
    };
    Node::new(Op::Literal(value), dtype)
}

/// All as one type: null fits every type, ints beside floats become floats.
pub(super) fn unified(
    nodes: Vec<Node>,
    name: &'static str,
) -> Result<(Vec<Node>, Option<DType>), Error> {
    let types: Vec<Option<DType>> = nodes.iter().map(|node| node.dtype).collect();
    let mut common = None;
    for dtype in types.iter().flatten() {
        common = match common {
            None => Some(*dtype),
            Some(same) if same == *dtype => Some(same),
            Some(other) if other.is_numeric() && dtype.is_numeric() => Some(DType::Float),
            Some(_) => return Err(undefined(name, &types)),
        };
    }
    let as_common = |node: Node| match common {
        Some(DType::Float) => to_float(node),
        dtype => Node { dtype, ..node },
    };
    Ok((nodes.into_iter().map(as_common).collect(), common))
}

pub(super) fn to_float(node: Node) -> Node {
    match node.dtype {
        Some(DType::Int) => Node::new(Op::IntToFloat(node.boxed()), DType::Float).folded(),
        _ => Node {
            dtype: Some(DType::Float),
            ..node
        },
    }
}

/// A node of this type, a null without a type included.
pub(super) fn expect(node: Node, wanted: DType, name: &'static str) -> Result<Node, Error> {
    match node.dtype {
        Some(found) if found != wanted => Err(undefined(name, &[Some(found)])),
        _ => Ok(Node {
            dtype: Some(wanted),
            ..node
        }),
    }
}

/// A text literal beside a timestamp is one.
pub(super) fn as_instant(node: Node, other: Option<DType>) -> Result<Node, Error> {
    match (&node.op, other) {
        (Op::Literal(Value::Text(text)), Some(DType::Timestamp)) => {
            Ok(literal(&Value::Timestamp(EventTime::parse(text)?)))
        }
        _ => Ok(node),
    }
}

/// The type as the walks see it.
pub(in crate::expression) fn plain(dtype: DType) -> DType {
    if dtype.is_text() { DType::Text } else { dtype }
}

pub(super) fn undefined(operation: &'static str, types: &[Option<DType>]) -> Error {
    let names: Vec<String> = types.iter().map(|dtype| type_name(*dtype)).collect();
    Error::Operands {
        operation,
        found: names.join(" and "),
    }
}
