//! Expressions as SQL that parses back to the same tree, with no more parentheses than
//! needed. Called by whatever shows an expression to people.

use std::fmt;

use crate::{BinaryOp, Expression, UnaryOp, Value, sql};

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expression::Column { name, .. } => write_name(f, name),
            Expression::Literal(value) => write_literal(f, value),
            Expression::Unary { op: UnaryOp::Not, operand } => {
                f.write_str("not ")?;
                write_operand(f, operand, Binding::Not)
            }
            Expression::Unary { op: UnaryOp::Negate, operand } => {
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
            Expression::In { operand, list, negated } => {
                write_operand(f, operand, Binding::Sum)?;
                f.write_str(if *negated { " not in (" } else { " in (" })?;
                write_list(f, list, write_literal)?;
                f.write_str(")")
            }
            Expression::Case { branches, otherwise } => {
                f.write_str("case")?;
                for (condition, result) in branches {
                    write!(f, " when {condition} then {result}")?;
                }
                if let Some(otherwise) = otherwise {
                    write!(f, " else {otherwise}")?;
                }
                f.write_str(" end")
            }
            Expression::Call { function, arguments } => {
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
        Expression::Unary { op: UnaryOp::Not, .. } => Binding::Not,
        Expression::Unary { op: UnaryOp::Negate, .. } => Binding::Signed,
        Expression::Unary { .. } | Expression::In { .. } => Binding::Comparison,
        Expression::Binary { op, .. } => match op {
            BinaryOp::Or => Binding::Or,
            BinaryOp::And => Binding::And,
            BinaryOp::Add | BinaryOp::Subtract => Binding::Sum,
            BinaryOp::Multiply | BinaryOp::Divide | BinaryOp::Modulo => Binding::Product,
            _ => Binding::Comparison,
        },
        // `-5` is a literal and `-(5)` a negation.
        Expression::Literal(Value::Int(_) | Value::Float(_)) => Binding::Signed,
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
    if binding(operand) < loosest { write!(f, "({operand})") } else { write!(f, "{operand}") }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DType, EventTime, ScalarFunction};
    use proptest::prelude::*;
    use sqlparser::keywords::ALL_KEYWORDS;

    /// Columns with awkward names, by type.
    fn column(dtype: DType) -> impl Strategy<Value = (Expression, DType)> {
        let keyword = prop::sample::select(ALL_KEYWORDS.to_vec()).prop_map(str::to_lowercase);
        let name = prop_oneof![keyword, "[a-z_][a-z0-9_]{0,6}", "\\PC{1,8}"];
        name.prop_map(move |name| (Expression::Column { name, dtype }, dtype))
    }

    fn literal(dtype: DType) -> BoxedStrategy<Value> {
        match dtype {
            DType::Int => any::<i64>().prop_map(Value::Int).boxed(),
            DType::Float => {
                let finite = any::<f64>().prop_filter("finite", |number| number.is_finite());
                finite.prop_map(Value::Float).boxed()
            }
            DType::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
            DType::Timestamp => any::<i64>().prop_map(|t| Value::Timestamp(EventTime(t))).boxed(),
            _ => "\\PC{0,8}".prop_map(|text| Value::Text(text.into())).boxed(),
        }
    }

    fn leaf(dtype: DType) -> BoxedStrategy<Expression> {
        let literal = literal(dtype).prop_map(Expression::Literal);
        prop_oneof![column(dtype).prop_map(|(column, _)| column), literal].boxed()
    }

    fn typed(dtype: DType, depth: u32) -> BoxedStrategy<Expression> {
        if depth == 0 {
            return leaf(dtype);
        }
        match dtype {
            DType::Bool => prop_oneof![leaf(dtype), condition(depth)].boxed(),
            DType::Int | DType::Float => prop_oneof![leaf(dtype), arithmetic(dtype, depth)].boxed(),
            DType::Text => prop_oneof![leaf(dtype), text(depth)].boxed(),
            _ => leaf(dtype),
        }
    }

    fn condition(depth: u32) -> BoxedStrategy<Expression> {
        use BinaryOp as B;
        let connect = (
            prop::sample::select(vec![B::And, B::Or]),
            typed(DType::Bool, depth - 1),
            typed(DType::Bool, depth - 1),
        );
        let compare = prop::sample::select(vec![
            B::Equal, B::NotEqual, B::Less, B::LessOrEqual, B::Greater, B::GreaterOrEqual,
        ]);
        let any_type =
            prop::sample::select(vec![DType::Int, DType::Bool, DType::Text, DType::Timestamp]);
        let pair = any_type.clone().prop_flat_map(move |dtype| {
            (compare.clone(), typed(dtype, depth - 1), typed(dtype, depth - 1))
        });
        let unary = (any_type.clone(), prop::sample::select(vec![UnaryOp::IsNull, UnaryOp::IsNotNull]))
            .prop_flat_map(move |(dtype, op)| (Just(op), typed(dtype, depth - 1)));
        let not = typed(DType::Bool, depth - 1).prop_map(|operand| (UnaryOp::Not, operand));
        let list = any_type.prop_flat_map(move |dtype| {
            let list = prop::collection::vec(literal(dtype), 1..4);
            (typed(dtype, depth - 1), list, any::<bool>())
        });
        prop_oneof![
            prop_oneof![connect, pair].prop_map(binary),
            prop_oneof![unary, not].prop_map(|(op, operand)| {
                Expression::Unary { op, operand: Box::new(operand) }
            }),
            list.prop_map(|(operand, list, negated)| {
                Expression::In { operand: Box::new(operand), list, negated }
            }),
        ]
        .boxed()
    }

    fn arithmetic(dtype: DType, depth: u32) -> BoxedStrategy<Expression> {
        use BinaryOp as B;
        let mut ops = vec![B::Add, B::Subtract, B::Multiply, B::Modulo];
        if dtype == DType::Float {
            ops.push(B::Divide);
        }
        let operands = (typed(dtype, depth - 1), typed(dtype, depth - 1));
        let calls = prop::sample::select(vec![
            ScalarFunction::Abs, ScalarFunction::Floor, ScalarFunction::Ceil, ScalarFunction::Round,
        ]);
        prop_oneof![
            (prop::sample::select(ops), operands.0.clone(), operands.1.clone()).prop_map(binary),
            operands.0.clone().prop_map(|operand| {
                Expression::Unary { op: UnaryOp::Negate, operand: Box::new(operand) }
            }),
            (calls, operands.0.clone()).prop_map(|(function, argument)| {
                Expression::Call { function, arguments: vec![argument] }
            }),
            case(typed(DType::Bool, depth - 1), operands.0),
        ]
        .boxed()
    }

    fn text(depth: u32) -> BoxedStrategy<Expression> {
        let operand = typed(DType::Text, depth - 1);
        let arguments = prop::collection::vec(operand.clone(), 1..4);
        prop_oneof![
            arguments.prop_map(|arguments| {
                Expression::Call { function: ScalarFunction::Coalesce, arguments }
            }),
            case(typed(DType::Bool, depth - 1), operand),
        ]
        .boxed()
    }

    fn case(
        condition: BoxedStrategy<Expression>,
        result: BoxedStrategy<Expression>,
    ) -> BoxedStrategy<Expression> {
        let branches = prop::collection::vec((condition, result.clone()), 1..3);
        (branches, prop::option::of(result.prop_map(Box::new)))
            .prop_map(|(branches, otherwise)| Expression::Case { branches, otherwise })
            .boxed()
    }

    fn binary((op, left, right): (BinaryOp, Expression, Expression)) -> Expression {
        Expression::Binary { op, left: Box::new(left), right: Box::new(right) }
    }

    /// Every column of the tree with its type; none if one name has two types.
    fn scope_of(tree: &Expression) -> Option<Vec<(&str, Option<DType>)>> {
        let mut columns: Vec<(&str, Option<DType>)> = Vec::new();
        let mut clash = false;
        tree.visit_columns(&mut |name, dtype| match columns.iter().find(|known| known.0 == name) {
            Some((_, known)) => clash |= *known != Some(dtype),
            None => columns.push((name, Some(dtype))),
        });
        (!clash).then_some(columns)
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_back_to_the_same_tree(
            tree in prop::sample::select(vec![DType::Bool, DType::Float, DType::Int, DType::Text])
                .prop_flat_map(|dtype| typed(dtype, 3)),
        ) {
            let printed = tree.to_string();
            prop_assume!(printed.len() <= 2_000);
            let Some(columns) = scope_of(&tree) else { return Ok(()) };
            let scope = sql::Scope { columns, what: "a column".to_owned(), text_models: false };
            match sql::read(&printed, &scope) {
                Ok(parsed) => {
                    prop_assert_eq!(tree.dtype(), parsed.dtype);
                    prop_assert_eq!(tree, parsed.expression, "{}", printed);
                }
                Err(faults) => {
                    let first = faults.first().map(|fault| (&fault.found, &fault.expected));
                    prop_assert!(false, "{printed}: {first:?}");
                }
            }
        }
    }
}
