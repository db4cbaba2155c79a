//! Expressions as checked trees: what `where`, `input` and derived features compile
//! to. Evaluated by `pipelines::expression`, which is the only place with their arithmetic.

use crate::{DType, Value};

/// A typed expression. Columns are named; the evaluator resolves names to slots once per batch.
#[derive(Clone, Debug, PartialEq)]
pub enum Expression {
    /// A column of the source, or for derived features another feature of the group.
    Column { name: String, dtype: DType },
    /// A literal.
    Literal(Value),
    /// `not x`, `-x`, `x is null`, `x is not null`
    Unary { op: UnaryOp, operand: Box<Expression> },
    /// Arithmetic, comparison, `and`, `or`
    Binary { op: BinaryOp, left: Box<Expression>, right: Box<Expression> },
    /// `x in (a, b)`; literals only.
    In { operand: Box<Expression>, list: Vec<Value>, negated: bool },
    /// `case when a then b … else c end`
    Case { branches: Vec<(Expression, Expression)>, otherwise: Option<Box<Expression>> },
    /// `abs(x)`, `coalesce(x, y)` …
    Call { function: ScalarFunction, arguments: Vec<Expression> },
}

/// Operators with one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnaryOp {
    /// `not`
    Not,
    /// `-`
    Negate,
    /// `is null`
    IsNull,
    /// `is not null`
    IsNotNull,
}

/// Operators with two operands. `/` always divides as floats; a zero divisor gives null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the operators")]
pub enum BinaryOp {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    And,
    Or,
}

/// Functions of values. Null in, null out, except `coalesce`, `least` and `greatest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the SQL functions")]
pub enum ScalarFunction {
    Abs,
    Round,
    Floor,
    Ceil,
    Ln,
    Exp,
    Sqrt,
    Coalesce,
    Nullif,
    Least,
    Greatest,
    Length,
    Lower,
    Upper,
    /// Compound VADER sentiment of a text, in [-1, 1].
    Vader,
    /// Sentence embedding of a text, unit length.
    Embed,
}
