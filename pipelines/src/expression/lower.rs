//! From the registry's tree to the lowered one. Called by `Program::compile`; refuses
//! what the registry's checker should have refused already, by name.

use std::sync::Arc;

use granary_registry::{BinaryOp, DType, EventTime, Expression, ScalarFunction, UnaryOp, Value};

use super::error::Error;
use super::node::{
    Comparison, FloatBinary, FloatUnary, IntBinary, IntUnary, Members, Node, Op, SharedEmbedder,
    type_name,
};
use crate::text::Embedder;

/// What names and `embed` stand for.
pub(super) struct Lowering<'a> {
    pub(super) columns: &'a [&'a str],
    pub(super) embedder: &'a Arc<dyn Embedder>,
}

impl Lowering<'_> {
    /// The lowered tree, constants folded.
    pub(super) fn lower(&self, expression: &Expression) -> Result<Node, Error> {
        Ok(self.unfolded(expression)?.folded())
    }

    fn unfolded(&self, expression: &Expression) -> Result<Node, Error> {
        match expression {
            Expression::Column { name, dtype } => self.column(name, *dtype),
            Expression::Literal(value) => Ok(literal(value)),
            Expression::Unary { op, operand } => unary(*op, self.lower(operand)?),
            Expression::Binary { op, left, right } => {
                binary(*op, self.lower(left)?, self.lower(right)?)
            }
            Expression::In {
                operand,
                list,
                negated,
            } => membership(self.lower(operand)?, list, *negated),
            Expression::Case {
                branches,
                otherwise,
            } => self.case(branches, otherwise.as_deref()),
            Expression::Call {
                function,
                arguments,
            } => self.call(*function, arguments),
        }
    }

    fn column(&self, name: &str, dtype: DType) -> Result<Node, Error> {
        let slot = self
            .columns
            .iter()
            .position(|column| *column == name)
            .ok_or_else(|| Error::UnknownColumn {
                column: name.to_owned(),
                known: self.columns.join(", "),
            })?;
        Ok(Node::new(
            Op::Column {
                slot,
                name: name.into(),
            },
            plain(dtype),
        ))
    }

    fn case(
        &self,
        branches: &[(Expression, Expression)],
        otherwise: Option<&Expression>,
    ) -> Result<Node, Error> {
        let mut conditions = Vec::with_capacity(branches.len());
        let mut results = Vec::with_capacity(branches.len() + 1);
        for (condition, result) in branches {
            conditions.push(expect(self.lower(condition)?, DType::Bool, "case when")?);
            results.push(self.lower(result)?);
        }
        results.push(match otherwise {
            Some(otherwise) => self.lower(otherwise)?,
            None => literal(&Value::Null),
        });
        let (mut results, dtype) = unified(results, "case")?;
        if dtype.is_none() {
            return Ok(literal(&Value::Null));
        }
        let otherwise = results
            .pop()
            .unwrap_or_else(|| literal(&Value::Null))
            .boxed();
        let branches = conditions.into_iter().zip(results).collect();
        Ok(Node::new(
            Op::Case {
                branches,
                otherwise,
            },
            dtype,
        ))
    }

    fn call(&self, function: ScalarFunction, arguments: &[Expression]) -> Result<Node, Error> {
        use ScalarFunction as F;
        let name = function_name(function);
        let mut operands = arguments
            .iter()
            .map(|argument| self.lower(argument))
            .collect::<Result<Vec<_>, _>>()?;
        let found = operands.len();
        match function {
            F::Coalesce | F::Least | F::Greatest if operands.is_empty() => Err(Error::Arguments {
                function: name,
                wanted: "one or more",
                found,
            }),
            F::Coalesce => Ok(match unified(operands, name)? {
                (_, None) => literal(&Value::Null),
                (operands, dtype) => Node::new(Op::Coalesce(operands), dtype),
            }),
            F::Least => extreme(Comparison::Less, operands, name),
            F::Greatest => extreme(Comparison::Greater, operands, name),
            F::Nullif => match (operands.pop(), operands.pop(), operands.is_empty()) {
                (Some(second), Some(first), true) => null_if(first, second),
                _ => Err(Error::Arguments {
                    function: name,
                    wanted: "two",
                    found,
                }),
            },
            _ => match (operands.pop(), operands.is_empty()) {
                (Some(operand), true) => self.call_one(function, operand),
                _ => Err(Error::Arguments {
                    function: name,
                    wanted: "one",
                    found,
                }),
            },
        }
    }

    fn call_one(&self, function: ScalarFunction, operand: Node) -> Result<Node, Error> {
        use ScalarFunction as F;
        let name = function_name(function);
        let text = |operand| expect(operand, DType::Text, name);
        Ok(match function {
            F::Length => Node::new(Op::Length(text(operand)?.boxed()), DType::Int),
            F::Lower | F::Upper => {
                let upper = function == F::Upper;
                let operand = text(operand)?.boxed();
                Node::new(Op::Recase { operand, upper }, DType::Text)
            }
            F::Vader => Node::new(Op::Vader(text(operand)?.boxed()), DType::Float),
            F::Embed => {
                let embedder = SharedEmbedder(Arc::clone(self.embedder));
                Node::new(
                    Op::Embed {
                        operand: text(operand)?.boxed(),
                        embedder,
                    },
                    DType::Vector,
                )
            }
            _ => return math(function, operand),
        })
    }
}

fn literal(value: &Value) -> Node {
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

fn unary(op: UnaryOp, operand: Node) -> Result<Node, Error> {
    Ok(match op {
        UnaryOp::Not => Node::new(
            Op::Not(expect(operand, DType::Bool, "not")?.boxed()),
            DType::Bool,
        ),
        UnaryOp::IsNull | UnaryOp::IsNotNull => {
            let negated = op == UnaryOp::IsNotNull;
            Node::new(
                Op::IsNull {
                    operand: operand.boxed(),
                    negated,
                },
                DType::Bool,
            )
        }
        UnaryOp::Negate => match operand.dtype {
            Some(DType::Int) => {
                let op = IntUnary::Negate;
                Node::new(
                    Op::IntUnary {
                        op,
                        operand: operand.boxed(),
                    },
                    DType::Int,
                )
            }
            Some(DType::Float) => {
                let op = FloatUnary::Negate;
                Node::new(
                    Op::FloatUnary {
                        op,
                        operand: operand.boxed(),
                    },
                    DType::Float,
                )
            }
            None => operand,
            found => return Err(undefined("-", &[found])),
        },
    })
}

fn binary(op: BinaryOp, left: Node, right: Node) -> Result<Node, Error> {
    use BinaryOp as B;
    match op {
        B::And | B::Or => {
            let name = if op == B::And { "and" } else { "or" };
            let left = expect(left, DType::Bool, name)?.boxed();
            let right = expect(right, DType::Bool, name)?.boxed();
            let op = if op == B::And {
                Op::And(left, right)
            } else {
                Op::Or(left, right)
            };
            Ok(Node::new(op, DType::Bool))
        }
        B::Equal => compare(Comparison::Equal, "=", left, right),
        B::NotEqual => compare(Comparison::NotEqual, "<>", left, right),
        B::Less => compare(Comparison::Less, "<", left, right),
        B::LessOrEqual => compare(Comparison::LessOrEqual, "<=", left, right),
        B::Greater => compare(Comparison::Greater, ">", left, right),
        B::GreaterOrEqual => compare(Comparison::GreaterOrEqual, ">=", left, right),
        B::Add => arithmetic("+", Some(IntBinary::Add), FloatBinary::Add, left, right),
        B::Subtract => arithmetic(
            "-",
            Some(IntBinary::Subtract),
            FloatBinary::Subtract,
            left,
            right,
        ),
        B::Multiply => arithmetic(
            "*",
            Some(IntBinary::Multiply),
            FloatBinary::Multiply,
            left,
            right,
        ),
        B::Divide => arithmetic("/", None, FloatBinary::Divide, left, right),
        B::Modulo => arithmetic(
            "%",
            Some(IntBinary::Modulo),
            FloatBinary::Modulo,
            left,
            right,
        ),
    }
}

fn arithmetic(
    name: &'static str,
    ints: Option<IntBinary>,
    floats: FloatBinary,
    left: Node,
    right: Node,
) -> Result<Node, Error> {
    let types = [left.dtype, right.dtype];
    if !types.iter().flatten().all(|dtype| dtype.is_numeric()) {
        return Err(undefined(name, &types));
    }
    if types == [None, None] && ints.is_some() {
        return Ok(left);
    }
    let of_ints = types.contains(&Some(DType::Int)) && !types.contains(&Some(DType::Float));
    Ok(match ints {
        Some(op) if of_ints => Node::new(
            Op::IntBinary {
                op,
                left: left.boxed(),
                right: right.boxed(),
            },
            DType::Int,
        ),
        _ => {
            let (left, right) = (to_float(left).boxed(), to_float(right).boxed());
            Node::new(
                Op::FloatBinary {
                    op: floats,
                    left,
                    right,
                },
                DType::Float,
            )
        }
    })
}

fn compare(op: Comparison, name: &'static str, left: Node, right: Node) -> Result<Node, Error> {
    let (left, right) = comparable(left, right, name)?;
    let (left, right) = (left.boxed(), right.boxed());
    Ok(Node::new(Op::Compare { op, left, right }, DType::Bool))
}

/// Both as one type that has an order.
fn comparable(left: Node, right: Node, name: &'static str) -> Result<(Node, Node), Error> {
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

/// A text literal beside a timestamp is one.
fn as_instant(node: Node, other: Option<DType>) -> Result<Node, Error> {
    match (&node.op, other) {
        (Op::Literal(Value::Text(text)), Some(DType::Timestamp)) => {
            Ok(literal(&Value::Timestamp(EventTime::parse(text)?)))
        }
        _ => Ok(node),
    }
}

/// `operand in (list)`.
pub(super) fn membership(operand: Node, list: &[Value], negated: bool) -> Result<Node, Error> {
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

fn extreme(op: Comparison, operands: Vec<Node>, name: &'static str) -> Result<Node, Error> {
    match unified(operands, name)? {
        (_, Some(DType::Vector)) => Err(undefined(name, &[Some(DType::Vector)])),
        (_, None) => Ok(literal(&Value::Null)),
        (operands, dtype) => Ok(Node::new(Op::Extreme { op, operands }, dtype)),
    }
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

fn math(function: ScalarFunction, operand: Node) -> Result<Node, Error> {
    use ScalarFunction as F;
    let found = operand.dtype;
    if !found.is_none_or(DType::is_numeric) {
        return Err(undefined(function_name(function), &[found]));
    }
    let op = match (function, found) {
        (F::Round | F::Floor | F::Ceil, Some(DType::Int))
        | (F::Abs | F::Round | F::Floor | F::Ceil, None) => return Ok(operand),
        (F::Abs, Some(DType::Int)) => {
            let op = IntUnary::Abs;
            return Ok(Node::new(
                Op::IntUnary {
                    op,
                    operand: operand.boxed(),
                },
                DType::Int,
            ));
        }
        (F::Abs, _) => FloatUnary::Abs,
        (F::Round, _) => FloatUnary::Round,
        (F::Floor, _) => FloatUnary::Floor,
        (F::Ceil, _) => FloatUnary::Ceil,
        (F::Ln, _) => FloatUnary::Ln,
        (F::Exp, _) => FloatUnary::Exp,
        (F::Sqrt, _) => FloatUnary::Sqrt,
        (other, _) => return Err(undefined(function_name(other), &[found])),
    };
    Ok(Node::new(
        Op::FloatUnary {
            op,
            operand: to_float(operand).boxed(),
        },
        DType::Float,
    ))
}

/// All as one type: null fits every type, ints beside floats become floats.
fn unified(nodes: Vec<Node>, name: &'static str) -> Result<(Vec<Node>, Option<DType>), Error> {
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

fn to_float(node: Node) -> Node {
    match node.dtype {
        Some(DType::Int) => Node::new(Op::IntToFloat(node.boxed()), DType::Float).folded(),
        _ => Node {
            dtype: Some(DType::Float),
            ..node
        },
    }
}

/// A node of this type, a null without a type included.
fn expect(node: Node, wanted: DType, name: &'static str) -> Result<Node, Error> {
    match node.dtype {
        Some(found) if found != wanted => Err(undefined(name, &[Some(found)])),
        _ => Ok(Node {
            dtype: Some(wanted),
            ..node
        }),
    }
}

/// The type as the walks see it.
pub(super) fn plain(dtype: DType) -> DType {
    if dtype.is_text() { DType::Text } else { dtype }
}

fn undefined(operation: &'static str, types: &[Option<DType>]) -> Error {
    let names: Vec<String> = types.iter().map(|dtype| type_name(*dtype)).collect();
    Error::Operands {
        operation,
        found: names.join(" and "),
    }
}

fn function_name(function: ScalarFunction) -> &'static str {
    match function {
        ScalarFunction::Abs => "abs",
        ScalarFunction::Round => "round",
        ScalarFunction::Floor => "floor",
        ScalarFunction::Ceil => "ceil",
        ScalarFunction::Ln => "ln",
        ScalarFunction::Exp => "exp",
        ScalarFunction::Sqrt => "sqrt",
        ScalarFunction::Coalesce => "coalesce",
        ScalarFunction::Nullif => "nullif",
        ScalarFunction::Least => "least",
        ScalarFunction::Greatest => "greatest",
        ScalarFunction::Length => "length",
        ScalarFunction::Lower => "lower",
        ScalarFunction::Upper => "upper",
        ScalarFunction::Vader => "vader",
        ScalarFunction::Embed => "embed",
    }
}
