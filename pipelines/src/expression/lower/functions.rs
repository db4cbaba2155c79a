//! Functions with the types that their arguments settle. Called by `tree`.

use std::sync::Arc;

use granary_registry::{DType, ScalarFunction, Value};

use super::operators::comparable;
use super::types::{expect, literal, to_float, undefined, unified};
use crate::expression::error::Error;
use crate::expression::node::{Comparison, FloatUnary, IntUnary, Node, Op, SharedEmbedder};
use crate::text::Embedder;

/// A function of lowered arguments.
pub(super) fn call(
    function: ScalarFunction,
    arguments: Vec<Node>,
    embedder: &Arc<dyn Embedder>,
) -> Result<Node, Error> {
    use ScalarFunction as F;
    let name = function.name();
    match function {
        F::Coalesce | F::Least | F::Greatest => of_several(function, arguments),
        F::Nullif => {
            let [first, second] = exactly(arguments, name, "two")?;
            null_if(first, second)
        }
        F::Length | F::Lower | F::Upper | F::Vader | F::Embed => {
            let [text] = exactly(arguments, name, "one")?;
            Ok(of_text(
                function,
                expect(text, DType::Text, name)?.boxed(),
                embedder,
            ))
        }
        F::Abs | F::Round | F::Floor | F::Ceil | F::Ln | F::Exp | F::Sqrt => {
            let [number] = exactly(arguments, name, "one")?;
            math(function, number)
        }
    }
}

fn exactly<const N: usize>(
    arguments: Vec<Node>,
    function: &'static str,
    wanted: &'static str,
) -> Result<[Node; N], Error> {
    let found = arguments.len();
    arguments.try_into().map_err(|_| Error::Arguments {
        function,
        wanted,
        found,
    })
}

fn of_several(function: ScalarFunction, arguments: Vec<Node>) -> Result<Node, Error> {
    let (name, found) = (function.name(), arguments.len());
    if found == 0 {
        return Err(Error::Arguments {
            function: name,
            wanted: "one or more",
            found,
        });
    }
    let (operands, Some(dtype)) = unified(arguments, name)? else {
        return Ok(literal(&Value::Null));
    };
    let op = match function {
        ScalarFunction::Coalesce => Op::Coalesce(operands),
        _ if dtype == DType::Vector => return Err(undefined(name, &[Some(dtype)])),
        ScalarFunction::Least => Op::Extreme {
            op: Comparison::Less,
            operands,
        },
        _ => Op::Extreme {
            op: Comparison::Greater,
            operands,
        },
    };
    Ok(Node::new(op, dtype))
}

fn null_if(first: Node, second: Node) -> Result<Node, Error> {
    if first.dtype.is_none() {
        return Ok(first);
    }
    let operand = first.clone().boxed();
    let dtype = first.dtype;
    let (left, right) = comparable(first, second, "nullif")?;
    Ok(Node::new(
        Op::NullIf {
            operand,
            left: left.boxed(),
            right: right.boxed(),
        },
        dtype,
    ))
}

fn of_text(function: ScalarFunction, text: Box<Node>, embedder: &Arc<dyn Embedder>) -> Node {
    match function {
        ScalarFunction::Length => Node::new(Op::Length(text), DType::Int),
        ScalarFunction::Vader => Node::new(Op::Vader(text), DType::Float),
        ScalarFunction::Embed => {
            let embedder = SharedEmbedder(Arc::clone(embedder));
            Node::new(
                Op::Embed {
                    operand: text,
                    embedder,
                },
                DType::Vector,
            )
        }
        _ => {
            let upper = function == ScalarFunction::Upper;
            Node::new(
                Op::Recase {
                    operand: text,
                    upper,
                },
                DType::Text,
            )
        }
    }
}

/// Rounding leaves an int as it is; all but `abs` and rounding yield floats.
fn math(function: ScalarFunction, operand: Node) -> Result<Node, Error> {
    use ScalarFunction as F;
    let dtype = operand.dtype;
    if !dtype.is_none_or(DType::is_numeric) {
        return Err(undefined(function.name(), &[dtype]));
    }
    let op = match (function, dtype) {
        (F::Abs | F::Round | F::Floor | F::Ceil, None)
        | (F::Round | F::Floor | F::Ceil, Some(DType::Int)) => return Ok(operand),
        (F::Abs, Some(DType::Int)) => {
            let op = Op::IntUnary {
                op: IntUnary::Abs,
                operand: operand.boxed(),
            };
            return Ok(Node::new(op, DType::Int));
        }
        (F::Abs, _) => FloatUnary::Abs,
        (F::Round, _) => FloatUnary::Round,
        (F::Floor, _) => FloatUnary::Floor,
        (F::Ceil, _) => FloatUnary::Ceil,
        (F::Ln, _) => FloatUnary::Ln,
        (F::Exp, _) => FloatUnary::Exp,
        (F::Sqrt, _) => FloatUnary::Sqrt,
        _ => return Err(undefined(function.name(), &[dtype])),
    };
    let operand = to_float(operand).boxed();
    Ok(Node::new(Op::FloatUnary { op, operand }, DType::Float))
}
