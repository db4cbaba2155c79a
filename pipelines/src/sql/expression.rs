//! Expressions of the registry as SQL that means the same in DuckDB: division is of floats, a
//! zero divisor gives null, and so does every result that is not finite.

use granary_registry::{BinaryOp, DType, Expression, ScalarFunction, UnaryOp, Value};

use super::{literal, quoted};

/// The expression; names stay names.
pub(super) fn sql(expression: &Expression) -> String {
    match expression {
        Expression::Column { name, .. } => quoted(name),
        Expression::Literal(value) => value_sql(value),
        Expression::Unary { op, operand } => match op {
            UnaryOp::Not => format!("(not {})", sql(operand)),
            UnaryOp::Negate => format!("(-{})", sql(operand)),
            UnaryOp::IsNull => format!("({} is null)", sql(operand)),
            UnaryOp::IsNotNull => format!("({} is not null)", sql(operand)),
        },
        Expression::Binary { op, left, right } => binary(*op, left, right),
        Expression::In {
            operand,
            list,
            negated,
        } => {
            let list: Vec<String> = list.iter().map(value_sql).collect();
            let not = if *negated { "not " } else { "" };
            format!("({} {not}in ({}))", sql(operand), list.join(", "))
        }
        Expression::Case {
            branches,
            otherwise,
        } => {
            let branch = |(condition, result): &(Expression, Expression)| {
                format!("when {} then {}", sql(condition), sql(result))
            };
            let mut parts: Vec<String> = branches.iter().map(branch).collect();
            parts.extend(
                otherwise
                    .iter()
                    .map(|result| format!("else {}", sql(result))),
            );
            format!("(case {} end)", parts.join(" "))
        }
        Expression::Call {
            function,
            arguments,
        } => call(*function, arguments),
    }
}

fn binary(op: BinaryOp, left: &Expression, right: &Expression) -> String {
    let is_float = [left, right]
        .iter()
        .any(|side| side.dtype() == Some(DType::Float));
    let (left, right) = (sql(left), sql(right));
    match op {
        BinaryOp::Divide => finite(&format!("({left})::double / nullif({right}, 0)")),
        BinaryOp::Modulo => format!("({left} % nullif({right}, 0))"),
        BinaryOp::Add | BinaryOp::Subtract | BinaryOp::Multiply if is_float => {
            finite(&format!("({left}) {} ({right})", op.symbol()))
        }
        _ => format!("({left} {} {right})", op.symbol()),
    }
}

fn call(function: ScalarFunction, arguments: &[Expression]) -> String {
    let arguments: Vec<String> = arguments.iter().map(sql).collect();
    let listed = arguments.join(", ");
    let first = arguments.first().map_or("null", String::as_str);
    match function {
        // The engine would refuse what has no logarithm or root.
        ScalarFunction::Ln => format!("(case when {first} > 0 then ln({first}) end)"),
        ScalarFunction::Sqrt => format!("(case when {first} >= 0 then sqrt({first}) end)"),
        ScalarFunction::Exp => {
            format!("(case when {first} < 709.782712893384 then exp({first}) end)")
        }
        ScalarFunction::Length => format!("length({listed})"),
        other => format!("{}({listed})", other.name()),
    }
}

/// Null instead of what is no number.
pub(super) fn finite(float: &str) -> String {
    format!("(case when isfinite({float}) then {float} end)")
}

/// A literal.
pub(super) fn value_sql(value: &Value) -> String {
    match value {
        Value::Null | Value::Vector(_) => "null".to_owned(),
        Value::Int(x) => x.to_string(),
        Value::Float(x) => format!("{x:e}::double"),
        Value::Bool(x) => x.to_string(),
        Value::Text(x) => literal(x),
        Value::Timestamp(x) => format!("make_timestamp({})", x.0),
    }
}

/// Whether one of these functions is called anywhere in it.
pub(super) fn calls(expression: &Expression, functions: &[ScalarFunction]) -> bool {
    let mut found = false;
    visit(expression, &mut |node| {
        if let Expression::Call { function, .. } = node {
            found |= functions.contains(function);
        }
    });
    found
}

fn visit(expression: &Expression, each: &mut dyn FnMut(&Expression)) {
    each(expression);
    match expression {
        Expression::Column { .. } | Expression::Literal(_) => {}
        Expression::Unary { operand, .. } | Expression::In { operand, .. } => visit(operand, each),
        Expression::Binary { left, right, .. } => {
            visit(left, each);
            visit(right, each);
        }
        Expression::Case {
            branches,
            otherwise,
        } => {
            for (condition, result) in branches {
                visit(condition, each);
                visit(result, each);
            }
            if let Some(otherwise) = otherwise {
                visit(otherwise, each);
            }
        }
        Expression::Call { arguments, .. } => {
            for argument in arguments {
                visit(argument, each);
            }
        }
    }
}
