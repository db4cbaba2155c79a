//! Random rows and random expressions over them, heavy with nulls and edges.

use granary_registry::{BinaryOp, DType, EventTime, Expression, ScalarFunction, UnaryOp, Value};
use proptest::prelude::*;
use proptest::sample::select;

use super::{COLUMNS, binary, call, column, text, unary};

fn value(dtype: DType) -> BoxedStrategy<Value> {
    let some = match dtype {
        DType::Int => prop_oneof![
            select(vec![0, 1, -1, 2, 7, i64::MAX, i64::MIN, (1 << 53) + 1]),
            -9..9_i64
        ]
        .prop_map(Value::Int)
        .boxed(),
        DType::Float => prop_oneof![
            select(vec![
                0.0,
                -0.0,
                1.0,
                -1.0,
                0.5,
                2.5,
                1e308,
                -1e308,
                1e-300,
                9.007_199_254_740_992e15
            ]),
            -9.0..9.0_f64
        ]
        .prop_map(Value::Float)
        .boxed(),
        DType::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        DType::Text | DType::Categorical => select(vec![
            "",
            "purchase",
            "Purchase",
            "view",
            "ÄÖ ß",
            "good, great!",
            "awful",
            "z",
        ])
        .prop_map(text)
        .boxed(),
        DType::Timestamp => select(vec![0, 1, -1, 1_700_000_000_000_000, i64::MAX])
            .prop_map(|at| Value::Timestamp(EventTime(at)))
            .boxed(),
        DType::Vector => prop::collection::vec(-2.0..2.0_f32, 0..3)
            .prop_map(|v| Value::Vector(v.into()))
            .boxed(),
    };
    prop_oneof![1 => Just(Value::Null), 2 => some].boxed()
}

pub(super) fn rows() -> impl Strategy<Value = Vec<Vec<Value>>> {
    let row = COLUMNS.map(|(_, dtype)| value(dtype)).to_vec();
    prop::collection::vec(row, 0..40)
}

/// Expressions of each type, of one more level than those they are made of.
#[derive(Clone)]
struct Level {
    number: BoxedStrategy<Expression>,
    truth: BoxedStrategy<Expression>,
    text: BoxedStrategy<Expression>,
    instant: BoxedStrategy<Expression>,
    vector: BoxedStrategy<Expression>,
}

fn leaves(dtype: DType, names: &'static [&'static str]) -> BoxedStrategy<Expression> {
    prop_oneof![
        3 => select(names).prop_map(column),
        1 => value(dtype).prop_map(Expression::Literal)
    ]
    .boxed()
}

fn level(depth: usize) -> Level {
    if depth == 0 {
        return Level {
            number: prop_oneof![
                leaves(DType::Int, &["i", "j"]),
                leaves(DType::Float, &["x", "y"])
            ]
            .boxed(),
            truth: leaves(DType::Bool, &["b"]),
            text: leaves(DType::Text, &["plain", "coded", "other"]),
            instant: leaves(DType::Timestamp, &["at"]),
            vector: leaves(DType::Vector, &["v"]),
        };
    }
    let low = level(depth - 1);
    Level {
        number: prop_oneof![
            low.number.clone(),
            numbers(&low),
            choices(&low, &low.number, true),
            choices(&low, &low.number, true),
        ]
        .boxed(),
        truth: prop_oneof![
            low.truth.clone(),
            truths(&low),
            choices(&low, &low.truth, true)
        ]
        .boxed(),
        text: prop_oneof![
            low.text.clone(),
            (
                select(vec![ScalarFunction::Lower, ScalarFunction::Upper]),
                low.text.clone()
            )
                .prop_map(|(function, text)| call(function, vec![text])),
            choices(&low, &low.text, true)
        ]
        .boxed(),
        instant: prop_oneof![low.instant.clone(), choices(&low, &low.instant, true)].boxed(),
        vector: prop_oneof![
            low.vector.clone(),
            low.text
                .clone()
                .prop_map(|text| call(ScalarFunction::Embed, vec![text])),
            choices(&low, &low.vector, false)
        ]
        .boxed(),
    }
}

fn numbers(low: &Level) -> BoxedStrategy<Expression> {
    use BinaryOp::{Add, Divide, Modulo, Multiply, Subtract};
    use ScalarFunction as F;
    let operators = select(vec![Add, Subtract, Multiply, Divide, Modulo]);
    let functions = select(vec![
        F::Abs,
        F::Round,
        F::Floor,
        F::Ceil,
        F::Ln,
        F::Exp,
        F::Sqrt,
    ]);
    prop_oneof![
        3 => (operators, low.number.clone(), low.number.clone())
            .prop_map(|(op, left, right)| binary(op, left, right)),
        2 => (functions, low.number.clone())
            .prop_map(|(function, number)| call(function, vec![number])),
        1 => low.number.clone().prop_map(|number| unary(UnaryOp::Negate, number)),
        1 => (select(vec![F::Length, F::Vader]), low.text.clone())
            .prop_map(|(function, text)| call(function, vec![text])),
    ]
    .boxed()
}

fn truths(low: &Level) -> BoxedStrategy<Expression> {
    use BinaryOp::{And, Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual, Or};
    let comparisons = || {
        select(vec![
            Equal,
            NotEqual,
            Less,
            LessOrEqual,
            Greater,
            GreaterOrEqual,
        ])
    };
    let compared = |of: &BoxedStrategy<Expression>| {
        (comparisons(), of.clone(), of.clone())
            .prop_map(|(op, left, right)| binary(op, left, right))
            .boxed()
    };
    let listed = |of: &BoxedStrategy<Expression>, values: BoxedStrategy<Value>| {
        (
            of.clone(),
            prop::collection::vec(values, 1..4),
            any::<bool>(),
        )
            .prop_map(|(operand, list, negated)| Expression::In {
                operand: Box::new(operand),
                list,
                negated,
            })
            .boxed()
    };
    let tested = |of: &BoxedStrategy<Expression>| {
        (
            select(vec![UnaryOp::IsNull, UnaryOp::IsNotNull]),
            of.clone(),
        )
            .prop_map(|(op, operand)| unary(op, operand))
            .boxed()
    };
    let number = prop_oneof![value(DType::Int), value(DType::Float)].boxed();
    prop_oneof![
        (select(vec![And, Or]), low.truth.clone(), low.truth.clone())
            .prop_map(|(op, left, right)| binary(op, left, right)),
        low.truth
            .clone()
            .prop_map(|truth| unary(UnaryOp::Not, truth)),
        compared(&low.number),
        compared(&low.truth),
        compared(&low.text),
        compared(&low.instant),
        listed(&low.number, number),
        listed(&low.truth, value(DType::Bool)),
        listed(&low.text, value(DType::Text)),
        listed(&low.instant, value(DType::Timestamp)),
        tested(&low.number),
        tested(&low.text),
        tested(&low.vector),
    ]
    .boxed()
}

fn choices(
    low: &Level,
    of: &BoxedStrategy<Expression>,
    ordered: bool,
) -> BoxedStrategy<Expression> {
    use ScalarFunction::{Coalesce, Greatest, Least, Nullif};
    let branches = prop::collection::vec((low.truth.clone(), of.clone()), 1..3);
    let case = (branches, prop::option::of(of.clone())).prop_map(|(branches, otherwise)| {
        Expression::Case {
            branches,
            otherwise: otherwise.map(Box::new),
        }
    });
    let several = select(if ordered {
        vec![Coalesce, Least, Greatest]
    } else {
        vec![Coalesce]
    });
    let several = (several, prop::collection::vec(of.clone(), 1..4))
        .prop_map(|(function, arguments)| call(function, arguments));
    if !ordered {
        return prop_oneof![case, several].boxed();
    }
    let null_if =
        (of.clone(), of.clone()).prop_map(|(left, right)| call(Nullif, vec![left, right]));
    prop_oneof![case, several, null_if].boxed()
}

pub(super) fn expressions() -> BoxedStrategy<Expression> {
    let top = level(3);
    prop_oneof![4 => top.number, 4 => top.truth, 2 => top.text, 1 => top.instant, 1 => top.vector]
        .boxed()
}
