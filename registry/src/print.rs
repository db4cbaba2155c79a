//! Expressions as SQL that parses back to the same tree, with no more parentheses than
//! needed. Called by whatever shows an expression to people.

#[cfg(test)]
mod tests;

use std::fmt;

use crate::{BinaryOp, Expression, UnaryOp, Value, sql};

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expression::Column { name, .. } => write_name(f, name),
            Expression::Literal(value) => write_literal(f, value),
            Expression::Unary {
                op: UnaryOp::Not,
                operand,
            } => {
                f.write_str("not ")?;
                write_operand(f, operand, Binding::Not)
            }
            Expression::Unary {
                op: UnaryOp::Negate,
                operand,
            } => {
                f.write_str("-")?;
                write_operand(f, operand, Binding::Whole)
            }
            Expression::Unary { op, operand } => {
                write_operand(f, operand, Binding::Sum)?;
                write!(f, " {}", op.symbol())
            }
            Expression::Binary { op, left, right } => {
                let (first, second) = operand_bindings(*op);
                write_operand(f, left, first)?;
                write!(f, " {} ", op.symbol())?;
                write_operand(f, right, second)
            }
            Expression::In {
                operand,
                list,
                negated,
            } => {
                write_operand(f, operand, Binding::Sum)?;
                f.write_str(if *negated { " not in (" } else { " in (" })?;
                write_list(f, list, write_literal)?;
                f.write_str(")")
            }
            Expression::Case {
                branches,
                otherwise,
            } => {
                f.write_str("case")?;
                for (condition, result) in branches {
                    write!(f, " when {condition} then {result}")?;
                }
                if let Some(otherwise) = otherwise {
                    write!(f, " else {otherwise}")?;
                }
                f.write_str(" end")
            }
            Expression::Call {
                function,
                arguments,
            } => {
                write!(f, "{}(", function.name())?;
                write_list(f, arguments, |f, argument| argument.fmt(f))?;
                f.write_str(")")
            }
        }
    }
}

/// How tightly an expression holds together, loosest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Binding {
    Or,
    And,
    Not,
    Comparison,
    Sum,
    Product,
    /// A negative literal: nothing, but `--5` would begin a comment.
    Signed,
    Whole,
}

fn binding(expression: &Expression) -> Binding {
    match expression {
        Expression::Unary {
            op: UnaryOp::Not, ..
        } => Binding::Not,
        // `-5` is a literal and `-(5)` a negation.
        Expression::Unary {
            op: UnaryOp::Negate,
            ..
        }
        | Expression::Literal(Value::Int(_) | Value::Float(_)) => Binding::Signed,
        Expression::Unary { .. } | Expression::In { .. } => Binding::Comparison,
        Expression::Binary { op, .. } => match op {
            BinaryOp::Or => Binding::Or,
            BinaryOp::And => Binding::And,
            BinaryOp::Add | BinaryOp::Subtract => Binding::Sum,
            BinaryOp::Multiply | BinaryOp::Divide | BinaryOp::Modulo => Binding::Product,
            _ => Binding::Comparison,
        },
        _ => Binding::Whole,
    }
}

/// The loosest that the left and the right operand may be without parentheses. Operators of
/// one strength group to the left; comparisons do not group at all.
fn operand_bindings(op: BinaryOp) -> (Binding, Binding) {
    match op {
        BinaryOp::Or => (Binding::Or, Binding::And),
        BinaryOp::And => (Binding::And, Binding::Not),
        BinaryOp::Add | BinaryOp::Subtract => (Binding::Sum, Binding::Product),
        BinaryOp::Multiply | BinaryOp::Divide | BinaryOp::Modulo => {
            (Binding::Product, Binding::Signed)
        }
        _ => (Binding::Sum, Binding::Sum),
    }
}

fn write_operand(
    f: &mut fmt::Formatter<'_>,
    operand: &Expression,
    loosest: Binding,
) -> fmt::Result {
    if binding(operand) < loosest {
        write!(f, "({operand})")
    } else {
        write!(f, "{operand}")
    }
}

fn write_name(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    if sql::is_bare_name(name) {
        f.write_str(name)
    } else {
        write!(f, "\"{}\"", name.replace('"', "\"\""))
    }
}

fn write_literal(f: &mut fmt::Formatter<'_>, value: &Value) -> fmt::Result {
    match value {
        Value::Null => f.write_str("null"),
        Value::Int(number) => write!(f, "{number}"),
        // Debug keeps the `.0` that makes it a float.
        Value::Float(number) => write!(f, "{number:?}"),
        Value::Bool(value) => write!(f, "{value}"),
        Value::Text(text) => write!(f, "'{}'", text.replace('\'', "''")),
        Value::Timestamp(instant) => write!(f, "timestamp '{instant}'"),
        // No SQL text makes one; this is for messages.
        Value::Vector(elements) => write!(f, "{elements:?}"),
    }
}

fn write_list<T>(
    f: &mut fmt::Formatter<'_>,
    items: &[T],
    write: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        write(f, item)?;
    }
    Ok(())
}
