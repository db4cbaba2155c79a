//! Expressions as checked trees: what `where`, `input` and derived features compile
//! to. Evaluated by `pipelines::expression`, which is the only place with their arithmetic.

use crate::{DType, Value, typing};

/// A typed expression. Columns are named; the evaluator resolves names to slots once per batch.
#[derive(Clone, Debug, PartialEq)]
pub enum Expression {
    /// A column of the source, or for derived features another feature of the group.
    Column {
        /// As the file or the registry writes it.
        name: String,
        /// The type of its values.
        dtype: DType,
    },
    /// A literal.
    Literal(Value),
    /// `not x`, `-x`, `x is null`, `x is not null`
    Unary {
        /// What is done.
        op: UnaryOp,
        /// To what.
        operand: Box<Expression>,
    },
    /// Arithmetic, comparison, `and`, `or`
    Binary {
        /// What is done.
        op: BinaryOp,
        /// Before the operator.
        left: Box<Expression>,
        /// Behind the operator.
        right: Box<Expression>,
    },
    /// `x in (a, b)`; literals only.
    In {
        /// What is looked for.
        operand: Box<Expression>,
        /// Where.
        list: Vec<Value>,
        /// Whether it is `not in`.
        negated: bool,
    },
    /// `case when a then b … else c end`
    Case {
        /// Conditions with their results; the first that is true counts.
        branches: Vec<(Expression, Expression)>,
        /// The result when none is; null if absent.
        otherwise: Option<Box<Expression>>,
    },
    /// `abs(x)`, `coalesce(x, y)` …
    Call {
        /// Which function.
        function: ScalarFunction,
        /// In order.
        arguments: Vec<Expression>,
    },
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

impl Expression {
    /// The type of its values; none for a bare `null`.
    pub fn dtype(&self) -> Option<DType> {
        match self {
            Expression::Column { dtype, .. } => Some(*dtype),
            Expression::Literal(value) => value.dtype(),
            Expression::Unary { op, operand } => typing::unary(*op, operand.dtype()).ok()?,
            Expression::Binary { op, left, right } => {
                typing::binary(*op, left.dtype(), right.dtype()).ok()?
            }
            Expression::In { .. } => Some(DType::Bool),
            Expression::Case {
                branches,
                otherwise,
            } => {
                let results = branches.iter().map(|(_, result)| result);
                typing::common(results.chain(otherwise.as_deref()).map(Expression::dtype)).ok()?
            }
            Expression::Call {
                function,
                arguments,
            } => {
                let types: Vec<_> = arguments.iter().map(Expression::dtype).collect();
                typing::call(*function, &types).ok()?
            }
        }
    }

    /// The names of all columns in it, from left to right, repeats included.
    pub fn columns(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.visit_columns(&mut |name, _| names.push(name));
        names
    }

    pub(crate) fn visit_columns<'a>(&'a self, visit: &mut impl FnMut(&'a str, DType)) {
        match self {
            Expression::Column { name, dtype } => visit(name, *dtype),
            Expression::Literal(_) => {}
            Expression::Unary { operand, .. } | Expression::In { operand, .. } => {
                operand.visit_columns(visit);
            }
            Expression::Binary { left, right, .. } => {
                left.visit_columns(visit);
                right.visit_columns(visit);
            }
            Expression::Case {
                branches,
                otherwise,
            } => {
                for (condition, result) in branches {
                    condition.visit_columns(visit);
                    result.visit_columns(visit);
                }
                if let Some(otherwise) = otherwise {
                    otherwise.visit_columns(visit);
                }
            }
            Expression::Call { arguments, .. } => {
                for argument in arguments {
                    argument.visit_columns(visit);
                }
            }
        }
    }
}

impl UnaryOp {
    /// The operator in SQL.
    pub fn symbol(self) -> &'static str {
        match self {
            UnaryOp::Not => "not",
            UnaryOp::Negate => "-",
            UnaryOp::IsNull => "is null",
            UnaryOp::IsNotNull => "is not null",
        }
    }
}

impl BinaryOp {
    /// The operator in SQL.
    pub fn symbol(self) -> &'static str {
        match self {
            BinaryOp::Add => "+",
            BinaryOp::Subtract => "-",
            BinaryOp::Multiply => "*",
            BinaryOp::Divide => "/",
            BinaryOp::Modulo => "%",
            BinaryOp::Equal => "=",
            BinaryOp::NotEqual => "<>",
            BinaryOp::Less => "<",
            BinaryOp::LessOrEqual => "<=",
            BinaryOp::Greater => ">",
            BinaryOp::GreaterOrEqual => ">=",
            BinaryOp::And => "and",
            BinaryOp::Or => "or",
        }
    }
}

impl ScalarFunction {
    /// Every function with its name.
    pub const NAMES: [(&'static str, ScalarFunction); 16] = [
        ("abs", ScalarFunction::Abs),
        ("round", ScalarFunction::Round),
        ("floor", ScalarFunction::Floor),
        ("ceil", ScalarFunction::Ceil),
        ("ln", ScalarFunction::Ln),
        ("exp", ScalarFunction::Exp),
        ("sqrt", ScalarFunction::Sqrt),
        ("coalesce", ScalarFunction::Coalesce),
        ("nullif", ScalarFunction::Nullif),
        ("least", ScalarFunction::Least),
        ("greatest", ScalarFunction::Greatest),
        ("length", ScalarFunction::Length),
        ("lower", ScalarFunction::Lower),
        ("upper", ScalarFunction::Upper),
        ("vader", ScalarFunction::Vader),
        ("embed", ScalarFunction::Embed),
    ];

    /// The function's name.
    pub fn name(self) -> &'static str {
        let found = Self::NAMES.iter().find(|(_, function)| *function == self);
        found.map_or("unknown", |(name, _)| name)
    }
}
