//! Operators with the types that their operands settle. Called by `tree`.

use granary_registry::{BinaryOp, DType, UnaryOp};

use super::types::{as_instant, expect, to_float, undefined, unified};
use crate::expression::error::Error;
use crate::expression::node::{Comparison, FloatBinary, FloatUnary, IntBinary, IntUnary, Node, Op};

pub(super) fn unary(op: UnaryOp, operand: Node) -> Result<Node, Error> {
    match op {
        UnaryOp::Not => {
            let operand = expect(operand, DType::Bool, op.symbol())?.boxed();
            Ok(Node::new(Op::Not(operand), DType::Bool))
        }
        UnaryOp::IsNull | UnaryOp::IsNotNull => {
            let (operand, negated) = (operand.boxed(), op == UnaryOp::IsNotNull);
            Ok(Node::new(Op::IsNull { operand, negated }, DType::Bool))
        }
        UnaryOp::Negate => negate(operand),
    }
}

pub(super) fn binary(op: BinaryOp, left: Node, right: Node) -> Result<Node, Error> {
    use BinaryOp as B;
    let both = (left, right);
    match op {
        B::And | B::Or => logic(op, both),
        B::Equal => compare(op, Comparison::Equal, both),
        B::NotEqual => compare(op, Comparison::NotEqual, both),
        B::Less => compare(op, Comparison::Less, both),
        B::LessOrEqual => compare(op, Comparison::LessOrEqual, both),
        B::Greater => compare(op, Comparison::Greater, both),
        B::GreaterOrEqual => compare(op, Comparison::GreaterOrEqual, both),
        B::Add => arithmetic(op, Some(IntBinary::Add), FloatBinary::Add, both),
        B::Subtract => arithmetic(op, Some(IntBinary::Subtract), FloatBinary::Subtract, both),
        B::Multiply => arithmetic(op, Some(IntBinary::Multiply), FloatBinary::Multiply, both),
        B::Divide => arithmetic(op, None, FloatBinary::Divide, both),
        B::Modulo => arithmetic(op, Some(IntBinary::Modulo), FloatBinary::Modulo, both),
    }
}

/// Both as one type that has an order.
pub(super) fn comparable(
    left: Node,
    right: Node,
    name: &'static str,
) -> Result<(Node, Node), Error> {
    let types = [left.dtype, right.dtype];
    let left = as_instant(left, types[1])?;
    let right = as_instant(right, types[0])?;
    match unified(vec![left, right], name) {
        Ok((_, Some(DType::Vector))) => Err(undefined(name, &types)),
        Ok((mut both, _)) => match (both.pop(), both.pop()) {
            (Some(right), Some(left)) => Ok((left, right)),
            _ => Err(undefined(name, &types)),
        },
        Err(error) => Err(error),
    }
}

fn logic(op: BinaryOp, (left, right): (Node, Node)) -> Result<Node, Error> {
    let left = expect(left, DType::Bool, op.symbol())?.boxed();
    let right = expect(right, DType::Bool, op.symbol())?.boxed();
    let op = match op {
        BinaryOp::Or => Op::Or(left, right),
        _ => Op::And(left, right),
    };
    Ok(Node::new(op, DType::Bool))
}

fn compare(op: BinaryOp, by: Comparison, (left, right): (Node, Node)) -> Result<Node, Error> {
    let (left, right) = comparable(left, right, op.symbol())?;
    let (op, left, right) = (by, left.boxed(), right.boxed());
    Ok(Node::new(Op::Compare { op, left, right }, DType::Bool))
}

/// By ints if there are some and no floats, else by floats.
fn arithmetic(
    op: BinaryOp,
    ints: Option<IntBinary>,
    floats: FloatBinary,
    (left, right): (Node, Node),
) -> Result<Node, Error> {
    let types = [left.dtype, right.dtype];
    if !types.iter().flatten().all(|dtype| dtype.is_numeric()) {
        return Err(undefined(op.symbol(), &types));
    }
    if types == [None, None] && ints.is_some() {
        return Ok(left);
    }
    if let Some(op) = ints
        && !types.contains(&Some(DType::Float))
    {
        let (left, right) = (left.boxed(), right.boxed());
        return Ok(Node::new(Op::IntBinary { op, left, right }, DType::Int));
    }
    let (op, left, right) = (floats, to_float(left).boxed(), to_float(right).boxed());
    Ok(Node::new(Op::FloatBinary { op, left, right }, DType::Float))
}

fn negate(operand: Node) -> Result<Node, Error> {
    let dtype = operand.dtype;
    let op = match dtype {
        None => return Ok(operand),
        Some(DType::Int) => Op::IntUnary {
            op: IntUnary::Negate,
            operand: operand.boxed(),
        },
        Some(DType::Float) => Op::FloatUnary {
            op: FloatUnary::Negate,
            operand: operand.boxed(),
        },
        _ => return Err(undefined(UnaryOp::Negate.symbol(), &[dtype])),
    };
    Ok(Node::new(op, dtype))
}
