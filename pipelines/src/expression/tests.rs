//! The law of the evaluator: over columns, over a single row of columns, over values and
//! in a naive interpreter, an expression means the same.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int32Array, Int64Array,
    ListArray, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::Float32Type;
use granary_registry::{BinaryOp, DType, EventTime, Expression, ScalarFunction, UnaryOp, Value};
use proptest::prelude::*;
use proptest::sample::select;

use super::{Error, Program, value_at};
use crate::text::{Embedder, sentiment};

#[path = "tests/naive.rs"]
mod naive;

const COLUMNS: [(&str, DType); 10] = [
    ("i", DType::Int),
    ("j", DType::Int),
    ("x", DType::Float),
    ("y", DType::Float),
    ("b", DType::Bool),
    ("plain", DType::Text),
    ("coded", DType::Categorical),
    ("other", DType::Categorical),
    ("at", DType::Timestamp),
    ("v", DType::Vector),
];

/// Two numbers that tell texts apart.
struct Toy;

impl Embedder for Toy {
    fn id(&self) -> &'static str {
        "toy/1/2/f32"
    }

    fn dimension(&self) -> usize {
        2
    }

    fn embed(&self, text: &str, out: &mut [f32]) {
        out.copy_from_slice(&[text.len() as f32, text.bytes().map(f32::from).sum()]);
    }
}

fn compile(expression: &Expression) -> Result<Program, Error> {
    let embedder: Arc<dyn Embedder> = Arc::new(Toy);
    Program::compile(expression, &COLUMNS.map(|(name, _)| name), &embedder)
}

fn column(name: &str) -> Expression {
    let (_, dtype) = COLUMNS
        .into_iter()
        .find(|(known, _)| *known == name)
        .unwrap();
    Expression::Column {
        name: name.to_owned(),
        dtype,
    }
}

fn binary(op: BinaryOp, left: Expression, right: Expression) -> Expression {
    Expression::Binary {
        op,
        left: Box::new(left),
        right: Box::new(right),
    }
}

fn unary(op: UnaryOp, operand: Expression) -> Expression {
    Expression::Unary {
        op,
        operand: Box::new(operand),
    }
}

fn call(function: ScalarFunction, arguments: Vec<Expression>) -> Expression {
    Expression::Call {
        function,
        arguments,
    }
}

fn text(value: &str) -> Value {
    Value::Text(value.into())
}

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

fn rows() -> impl Strategy<Value = Vec<Vec<Value>>> {
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

fn expressions() -> BoxedStrategy<Expression> {
    let top = level(3);
    prop_oneof![4 => top.number, 4 => top.truth, 2 => top.text, 1 => top.instant, 1 => top.vector]
        .boxed()
}

fn cells<T>(
    rows: &[Vec<Value>],
    slot: usize,
    read: impl Fn(&Value) -> Option<T>,
) -> Vec<Option<T>> {
    rows.iter().map(|row| read(&row[slot])).collect()
}

fn as_text(value: &Value) -> Option<Arc<str>> {
    if let Value::Text(text) = value {
        Some(Arc::clone(text))
    } else {
        None
    }
}

/// Rows as the arrays that sources make of them.
fn arrays(rows: &[Vec<Value>]) -> Vec<ArrayRef> {
    let int = |value: &Value| {
        if let Value::Int(x) = value {
            Some(*x)
        } else {
            None
        }
    };
    let float = |value: &Value| {
        if let Value::Float(x) = value {
            Some(*x)
        } else {
            None
        }
    };
    let truth = |value: &Value| {
        if let Value::Bool(x) = value {
            Some(*x)
        } else {
            None
        }
    };
    let at = |value: &Value| {
        if let Value::Timestamp(x) = value {
            Some(x.0)
        } else {
            None
        }
    };
    COLUMNS
        .iter()
        .enumerate()
        .map(|(slot, (name, dtype))| -> ArrayRef {
            match dtype {
                DType::Int => Arc::new(Int64Array::from(cells(rows, slot, int))),
                DType::Float => Arc::new(Float64Array::from(cells(rows, slot, float))),
                DType::Bool => Arc::new(BooleanArray::from(cells(rows, slot, truth))),
                DType::Text => Arc::new(StringArray::from_iter(cells(rows, slot, as_text))),
                DType::Categorical => dictionary(&cells(rows, slot, as_text), name),
                DType::Timestamp => {
                    Arc::new(TimestampMicrosecondArray::from(cells(rows, slot, at)))
                }
                DType::Vector => vectors(rows, slot),
            }
        })
        .collect()
}

/// Nulls by code in `coded`, nulls by value in `other`.
fn dictionary(texts: &[Option<Arc<str>>], name: &str) -> ArrayRef {
    let mut values: Vec<Option<&str>> = vec![None, Some("unused")];
    let codes: Vec<Option<i32>> = texts
        .iter()
        .map(|text| match text {
            None if name == "coded" => None,
            text => {
                let text = text.as_deref();
                let code = values
                    .iter()
                    .position(|value| *value == text)
                    .unwrap_or(values.len());
                if code == values.len() {
                    values.push(text);
                }
                Some(code as i32)
            }
        })
        .collect();
    Arc::new(DictionaryArray::new(
        Int32Array::from(codes),
        Arc::new(StringArray::from(values)),
    ))
}

fn vectors(rows: &[Vec<Value>], slot: usize) -> ArrayRef {
    let lists = rows.iter().map(|row| match &row[slot] {
        Value::Vector(vector) => Some(vector.iter().copied().map(Some).collect::<Vec<_>>()),
        _ => None,
    });
    Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(lists))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, ..ProptestConfig::default() })]

    #[test]
    fn batch_and_row_agree_with_the_naive_reading(expression in expressions(), rows in rows()) {
        let program = compile(&expression).unwrap();
        let wanted: Vec<Value> = rows.iter().map(|row| naive::value(&expression, row)).collect();

        let by_value: Vec<Value> = rows.iter().map(|row| program.evaluate_row(row)).collect();
        prop_assert_eq!(&by_value, &wanted);

        let columns = arrays(&rows);
        let whole = program.evaluate(&columns, rows.len()).unwrap();
        prop_assert_eq!(whole.len(), rows.len());
        let by_batch: Vec<Value> = (0..rows.len()).map(|row| value_at(&whole, row)).collect();
        prop_assert_eq!(&by_batch, &wanted);

        for (row, wanted) in wanted.iter().enumerate().take(5) {
            let one: Vec<ArrayRef> = columns.iter().map(|column| column.slice(row, 1)).collect();
            let result = program.evaluate(&one, 1).unwrap();
            prop_assert_eq!(&value_at(&result, 0), wanted);
        }

        if program.dtype() == Some(DType::Bool) {
            let mask = program.evaluate_mask(&columns, rows.len()).unwrap();
            let passed: Vec<bool> = wanted.iter().map(|x| *x == Value::Bool(true)).collect();
            prop_assert_eq!(mask.iter().collect::<Vec<_>>(), passed);
        }
    }
}

#[test]
fn ints_stay_ints_and_overflow_is_null() {
    let sum = binary(
        BinaryOp::Add,
        column("i"),
        Expression::Literal(Value::Int(1)),
    );
    let program = compile(&sum).unwrap();
    assert_eq!(program.dtype(), Some(DType::Int));
    assert_eq!(program.evaluate_row(&[Value::Int(2)]), Value::Int(3));
    assert_eq!(program.evaluate_row(&[Value::Int(i64::MAX)]), Value::Null);
    let ratio = binary(BinaryOp::Divide, column("i"), column("j"));
    let program = compile(&ratio).unwrap();
    assert_eq!(
        program.evaluate_row(&[Value::Int(1), Value::Int(2)]),
        Value::Float(0.5)
    );
    assert_eq!(
        program.evaluate_row(&[Value::Int(1), Value::Int(0)]),
        Value::Null
    );
}

#[test]
fn a_filter_by_dictionary_lets_neither_nulls_nor_others_through() {
    let purchase = Expression::Literal(text("purchase"));
    let program = compile(&binary(BinaryOp::Equal, column("coded"), purchase)).unwrap();
    let texts = ["purchase", "view", "", "purchase"].map(|t| (!t.is_empty()).then(|| t.into()));
    let mut columns = vec![Arc::new(Int64Array::new_null(4)) as ArrayRef; 6];
    columns.push(dictionary(&texts, "coded"));
    let mask = program.evaluate_mask(&columns, 4).unwrap();
    assert_eq!(mask.iter().collect::<Vec<_>>(), [true, false, false, true]);
}

#[test]
fn nan_in_a_column_is_null() {
    let program = compile(&unary(UnaryOp::IsNull, column("x"))).unwrap();
    let mut columns = vec![Arc::new(Int64Array::new_null(3)) as ArrayRef; 2];
    columns.push(Arc::new(Float64Array::from(vec![
        1.0,
        f64::NAN,
        f64::INFINITY,
    ])));
    let mask = program.evaluate_mask(&columns, 3).unwrap();
    assert_eq!(mask.iter().collect::<Vec<_>>(), [false, true, true]);
}

#[test]
fn columns_needed_come_once_in_order_of_use() {
    let expression = binary(
        BinaryOp::And,
        binary(BinaryOp::Less, column("y"), column("i")),
        Expression::In {
            operand: Box::new(column("y")),
            list: vec![Value::Int(1)],
            negated: true,
        },
    );
    assert_eq!(Program::columns_needed(&expression), ["y", "i"]);
}

#[test]
fn what_cannot_be_meant_is_refused_by_name() {
    let unknown = Expression::Column {
        name: "nowhere".to_owned(),
        dtype: DType::Int,
    };
    let message = compile(&unknown).unwrap_err().to_string();
    assert!(
        message.contains("`nowhere`") && message.contains("coded"),
        "{message}"
    );

    let message = compile(&binary(BinaryOp::Add, column("plain"), column("i")))
        .unwrap_err()
        .to_string();
    assert_eq!(message, "compile `+`: it is not defined for text and int");

    let program = compile(&column("i")).unwrap();
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![1.0]));
    let message = program
        .evaluate(&[Arc::clone(&floats)], 1)
        .unwrap_err()
        .to_string();
    assert_eq!(
        message,
        "read column `i`: it is Float64, the registry says int"
    );
    assert!(
        program
            .evaluate(&[Arc::new(Int64Array::new_null(2))], 1)
            .is_err()
    );
    assert!(program.evaluate(&[], 1).is_err());
    assert!(
        program
            .evaluate_mask(&[Arc::new(Int64Array::new_null(1))], 1)
            .is_err()
    );
}
