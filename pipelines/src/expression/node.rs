//! The lowered expression: types settled, casts explicit, columns as slots. Built by
//! `lower`, walked by `batch` and by `row`.

use std::fmt;
use std::sync::Arc;

use granary_registry::{DType, Value};

use crate::text::Embedder;

/// An operation and the type of its results. Only a literal null may have no type.
/// `Categorical` is `Text` here.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) op: Op,
    pub(super) dtype: Option<DType>,
}

/// What a node does. Operands are of the types that the names say.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Column {
        slot: usize,
        name: Arc<str>,
    },
    Literal(Value),
    IntToFloat(Box<Node>),
    Not(Box<Node>),
    IsNull {
        operand: Box<Node>,
        negated: bool,
    },
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    Compare {
        op: Comparison,
        left: Box<Node>,
        right: Box<Node>,
    },
    In {
        operand: Box<Node>,
        members: Members,
        with_null: bool,
        negated: bool,
    },
    IntBinary {
        op: IntBinary,
        left: Box<Node>,
        right: Box<Node>,
    },
    FloatBinary {
        op: FloatBinary,
        left: Box<Node>,
        right: Box<Node>,
    },
    IntUnary {
        op: IntUnary,
        operand: Box<Node>,
    },
    FloatUnary {
        op: FloatUnary,
        operand: Box<Node>,
    },
    Case {
        branches: Vec<(Node, Node)>,
        otherwise: Box<Node>,
    },
    Coalesce(Vec<Node>),
    /// The operand unless it equals the second.
    NullIf {
        operand: Box<Node>,
        left: Box<Node>,
        right: Box<Node>,
    },
    /// The least operand under `Less`, the greatest under `Greater`.
    Extreme {
        op: Comparison,
        operands: Vec<Node>,
    },
    Length(Box<Node>),
    Recase {
        operand: Box<Node>,
        upper: bool,
    },
    Vader(Box<Node>),
    Embed {
        operand: Box<Node>,
        embedder: SharedEmbedder,
    },
}

/// Comparisons of two values of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Arithmetic of two ints.
#[derive(Clone, Copy, Debug)]
pub(super) enum IntBinary {
    Add,
    Subtract,
    Multiply,
    Modulo,
}

/// Arithmetic of two floats.
#[derive(Clone, Copy, Debug)]
pub(super) enum FloatBinary {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

/// Functions of one int; the rounding ones leave an int as it is and need no node.
#[derive(Clone, Copy, Debug)]
pub(super) enum IntUnary {
    Negate,
    Abs,
}

/// Functions of one float.
#[derive(Clone, Copy, Debug)]
pub(super) enum FloatUnary {
    Negate,
    Abs,
    Round,
    Floor,
    Ceil,
    Ln,
    Exp,
    Sqrt,
}

/// The list of an `in`, sorted, without nulls.
#[derive(Clone, Debug)]
pub(super) enum Members {
    /// Ints, or timestamps as microseconds.
    Int(Vec<i64>),
    Float(Vec<f64>),
    Bool(Vec<bool>),
    Text(Vec<Arc<str>>),
}

/// An embedder that prints as its id.
#[derive(Clone)]
pub(super) struct SharedEmbedder(pub(super) Arc<dyn Embedder>);

impl fmt::Debug for SharedEmbedder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.id())
    }
}

impl Node {
    pub(super) fn new(op: Op, dtype: impl Into<Option<DType>>) -> Node {
        Node {
            op,
            dtype: dtype.into(),
        }
    }

    pub(super) fn boxed(self) -> Box<Node> {
        Box::new(self)
    }

    /// Computed now if it depends on no column.
    pub(super) fn folded(self) -> Node {
        let constant = !matches!(self.op, Op::Column { .. } | Op::Literal(_))
            && self
                .operands()
                .iter()
                .all(|operand| matches!(operand.op, Op::Literal(_)));
        if constant {
            Node {
                op: Op::Literal(self.value(&[])),
                dtype: self.dtype,
            }
        } else {
            self
        }
    }

    fn operands(&self) -> Vec<&Node> {
        match &self.op {
            Op::Column { .. } | Op::Literal(_) => Vec::new(),
            Op::IntToFloat(operand)
            | Op::Not(operand)
            | Op::IsNull { operand, .. }
            | Op::In { operand, .. }
            | Op::IntUnary { operand, .. }
            | Op::FloatUnary { operand, .. }
            | Op::Length(operand)
            | Op::Recase { operand, .. }
            | Op::Vader(operand)
            | Op::Embed { operand, .. } => vec![operand],
            Op::And(left, right)
            | Op::Or(left, right)
            | Op::Compare { left, right, .. }
            | Op::IntBinary { left, right, .. }
            | Op::FloatBinary { left, right, .. } => vec![left, right],
            Op::NullIf {
                operand,
                left,
                right,
            } => vec![operand, left, right],
            Op::Coalesce(operands) | Op::Extreme { operands, .. } => operands.iter().collect(),
            Op::Case {
                branches,
                otherwise,
            } => branches
                .iter()
                .flat_map(|(condition, result)| [condition, result])
                .chain([otherwise.as_ref()])
                .collect(),
        }
    }
}

/// The name of a type that may be unknown.
pub(super) fn type_name(dtype: Option<DType>) -> String {
    dtype.map_or_else(|| "null".to_owned(), |dtype| dtype.to_string())
}
