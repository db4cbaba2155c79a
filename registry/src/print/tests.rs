//! Any typed tree, printed and parsed, is itself again.

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
        DType::Timestamp => any::<i64>()
            .prop_map(|t| Value::Timestamp(EventTime(t)))
            .boxed(),
        _ => "\\PC{0,8}"
            .prop_map(|text| Value::Text(text.into()))
            .boxed(),
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
        B::Equal,
        B::NotEqual,
        B::Less,
        B::LessOrEqual,
        B::Greater,
        B::GreaterOrEqual,
    ]);
    let any_type =
        prop::sample::select(vec![DType::Int, DType::Bool, DType::Text, DType::Timestamp]);
    let pair = any_type.clone().prop_flat_map(move |dtype| {
        (
            compare.clone(),
            typed(dtype, depth - 1),
            typed(dtype, depth - 1),
        )
    });
    let unary = (
        any_type.clone(),
        prop::sample::select(vec![UnaryOp::IsNull, UnaryOp::IsNotNull]),
    )
        .prop_flat_map(move |(dtype, op)| (Just(op), typed(dtype, depth - 1)));
    let not = typed(DType::Bool, depth - 1).prop_map(|operand| (UnaryOp::Not, operand));
    let list = any_type.prop_flat_map(move |dtype| {
        let list = prop::collection::vec(literal(dtype), 1..4);
        (typed(dtype, depth - 1), list, any::<bool>())
    });
    prop_oneof![
        prop_oneof![connect, pair].prop_map(binary),
        prop_oneof![unary, not].prop_map(|(op, operand)| {
            Expression::Unary {
                op,
                operand: Box::new(operand),
            }
        }),
        list.prop_map(|(operand, list, negated)| {
            Expression::In {
                operand: Box::new(operand),
                list,
                negated,
            }
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
        ScalarFunction::Abs,
        ScalarFunction::Floor,
        ScalarFunction::Ceil,
        ScalarFunction::Round,
    ]);
    prop_oneof![
        (
            prop::sample::select(ops),
            operands.0.clone(),
            operands.1.clone()
        )
            .prop_map(binary),
        operands.0.clone().prop_map(|operand| {
            Expression::Unary {
                op: UnaryOp::Negate,
                operand: Box::new(operand),
            }
        }),
        (calls, operands.0.clone()).prop_map(|(function, argument)| {
            Expression::Call {
                function,
                arguments: vec![argument],
            }
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
            Expression::Call {
                function: ScalarFunction::Coalesce,
                arguments,
            }
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
        .prop_map(|(branches, otherwise)| Expression::Case {
            branches,
            otherwise,
        })
        .boxed()
}

fn binary((op, left, right): (BinaryOp, Expression, Expression)) -> Expression {
    Expression::Binary {
        op,
        left: Box::new(left),
        right: Box::new(right),
    }
}

/// Every column of the tree with its type; none if one name has two types.
fn scope_of(tree: &Expression) -> Option<Vec<(&str, Option<DType>)>> {
    let mut columns: Vec<(&str, Option<DType>)> = Vec::new();
    let mut clash = false;
    tree.visit_columns(
        &mut |name, dtype| match columns.iter().find(|known| known.0 == name) {
            Some((_, known)) => clash |= *known != Some(dtype),
            None => columns.push((name, Some(dtype))),
        },
    );
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
