//! The law of the evaluator: over columns, over a single row of columns, over values and
//! in a naive interpreter, an expression means the same.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array, Int64Array};
use granary_registry::{BinaryOp, DType, Expression, ScalarFunction, UnaryOp, Value};
use proptest::prelude::*;

use arrays::{arrays, dictionary};
use generate::{expressions, rows};

use super::{Error, Program, value_at};
use crate::text::{Embedder, sentiment};

mod arrays;
mod generate;
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
