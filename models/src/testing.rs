//! Made-up datasets with a known truth. Called by the tests of this crate.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, DictionaryArray, FixedSizeListArray, Float64Array, Int64Array,
    StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{Field, Float32Type, Int32Type, Schema};
use arrow::record_batch::RecordBatch;
use granary_registry::{DType, EventTime, Span, Value};

use crate::random::Random;
use crate::{Dataset, FeatureColumn, sigmoid};

/// Rows of every feature type, with nulls, and the probability that each was drawn with.
pub(crate) struct Made {
    pub(crate) batches: Vec<RecordBatch>,
    pub(crate) values: Vec<Vec<Value>>,
    pub(crate) truth: Vec<f64>,
    pub(crate) labels: Vec<bool>,
    pub(crate) parts: Vec<&'static str>,
}

/// How a dataset is made.
#[derive(Clone, Copy)]
pub(crate) struct Recipe {
    pub(crate) rows: usize,
    pub(crate) seed: u64,
    /// 0: labels that nothing can predict.
    pub(crate) strength: f64,
    /// Log-odds of label 1 when nothing is known.
    pub(crate) base: f64,
}

impl Default for Recipe {
    fn default() -> Recipe {
        Recipe {
            rows: 3000,
            seed: 7,
            strength: 1.0,
            base: -1.0,
        }
    }
}

const CITIES: [(&str, f64); 6] = [
    ("Oslo", 1.2),
    ("Rome", -0.9),
    ("Lima", 0.0),
    ("Cairo", 0.6),
    ("Quito", -0.6),
    ("Perth", -0.1),
];
const TOPIC: [f64; 40] = {
    let mut weights = [0.0; 40];
    weights[3] = 0.8;
    weights[17] = -0.8;
    weights[29] = 0.5;
    weights
};

/// The features of a made dataset.
pub(crate) fn features() -> Vec<FeatureColumn> {
    let feature = |(name, dtype)| FeatureColumn {
        name: Arc::from(name),
        dtype,
    };
    [
        ("age", DType::Int),
        ("spend", DType::Float),
        ("premium", DType::Bool),
        ("city", DType::Categorical),
        ("joined", DType::Timestamp),
        ("counts", DType::Vector),
        ("topic", DType::Vector),
        ("noise", DType::Float),
        ("user", DType::Text),
    ]
    .map(feature)
    .to_vec()
}

/// The dataset over some batches.
pub(crate) fn dataset(batches: &[RecordBatch]) -> Dataset<'_> {
    Dataset {
        batches,
        features: features(),
        label: "churned",
        split: "split",
    }
}

/// Makes a dataset in three batches.
pub(crate) fn make(recipe: Recipe) -> Made {
    let mut random = Random::new(recipe.seed, 99);
    let mut made = Made {
        batches: Vec::new(),
        values: Vec::new(),
        truth: Vec::new(),
        labels: Vec::new(),
        parts: Vec::new(),
    };
    for row in 0..recipe.rows {
        let (values, effect) = one_row(row, &mut random);
        let p = sigmoid(recipe.base + recipe.strength * effect);
        made.labels.push(random.unit() < p);
        made.truth.push(p);
        made.values.push(values);
        made.parts
            .push(["train", "train", "train", "valid", "test"][row % 5]);
    }
    let third = recipe.rows.div_ceil(3).max(1);
    made.batches = (0..recipe.rows)
        .step_by(third)
        .map(|from| batch(&made, from..(from + third).min(recipe.rows)))
        .collect();
    made
}

fn one_row(row: usize, random: &mut Random) -> (Vec<Value>, f64) {
    let age = 18 + random.below(60) as i64;
    let spend = (random.normal() * 0.8 + 3.0).exp();
    let premium = random.unit() < 0.3;
    let (city, city_effect) = CITIES[random.below(CITIES.len())];
    let joined = 15_000.0 + random.unit() * 4_000.0;
    let counts: Vec<f32> = (0..4).map(|_| random.below(12) as f32).collect();
    let topic: Vec<f32> = (0..TOPIC.len()).map(|_| random.normal() as f32).collect();
    let spend_gap = random.unit() < 0.1;
    let city_gap = random.unit() < 0.05;

    let mut effect = if spend_gap {
        0.8
    } else {
        -0.7 * (spend.ln() - 3.0)
    };
    effect += if premium == (age > 45) { 0.8 } else { -0.8 };
    effect += if city_gap { 0.3 } else { city_effect };
    effect += if counts[2] > 8.0 { 1.0 } else { -0.3 };
    effect += TOPIC
        .iter()
        .zip(&topic)
        .map(|(w, &x)| w * f64::from(x))
        .sum::<f64>();
    let values = vec![
        Value::Int(age),
        if spend_gap {
            Value::Null
        } else {
            Value::Float(spend)
        },
        if random.unit() < 0.02 {
            Value::Null
        } else {
            Value::Bool(premium)
        },
        if city_gap {
            Value::Null
        } else {
            Value::Text(Arc::from(city))
        },
        Value::Timestamp(EventTime((joined * Span::DAY.0 as f64) as i64)),
        Value::Vector(Arc::from(counts)),
        if random.unit() < 0.03 {
            Value::Null
        } else {
            Value::Vector(Arc::from(topic))
        },
        Value::Float(random.normal()),
        Value::Text(Arc::from(format!("user {row}"))),
    ];
    (values, effect)
}

fn batch(made: &Made, rows: std::ops::Range<usize>) -> RecordBatch {
    let column = |at: usize| made.values[rows.clone()].iter().map(move |row| &row[at]);
    let vectors = |at: usize, length: i32| {
        let lists = column(at).map(|value| match value {
            Value::Vector(x) => Some(x.iter().copied().map(Some).collect::<Vec<_>>()),
            _ => None,
        });
        FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(lists, length)
    };
    let text = |value: &Value| match value {
        Value::Text(text) => Some(text.to_string()),
        _ => None,
    };
    let cities: Vec<Option<String>> = column(3).map(text).collect();
    let arrays: Vec<(&str, ArrayRef)> = vec![
        (
            "split",
            Arc::new(StringArray::from(made.parts[rows.clone()].to_vec())),
        ),
        (
            "age",
            Arc::new(
                column(0)
                    .map(|x| x.as_f64().map(|x| x as i64))
                    .collect::<Int64Array>(),
            ),
        ),
        (
            "spend",
            Arc::new(column(1).map(Value::as_f64).collect::<Float64Array>()),
        ),
        (
            "premium",
            Arc::new(
                column(2)
                    .map(|x| x.as_f64().map(|x| x == 1.0))
                    .collect::<BooleanArray>(),
            ),
        ),
        (
            "city",
            Arc::new(
                cities
                    .iter()
                    .map(Option::as_deref)
                    .collect::<DictionaryArray<Int32Type>>(),
            ),
        ),
        (
            "joined",
            Arc::new(
                column(4)
                    .map(|x| {
                        if let Value::Timestamp(at) = x {
                            Some(at.0)
                        } else {
                            None
                        }
                    })
                    .collect::<TimestampMicrosecondArray>(),
            ),
        ),
        ("counts", Arc::new(vectors(5, 4))),
        ("topic", Arc::new(vectors(6, TOPIC.len() as i32))),
        (
            "noise",
            Arc::new(column(7).map(Value::as_f64).collect::<Float64Array>()),
        ),
        (
            "user",
            Arc::new(column(8).map(text).collect::<StringArray>()),
        ),
        (
            "churned",
            Arc::new(
                made.labels[rows.clone()]
                    .iter()
                    .map(|&x| Some(i64::from(x)))
                    .collect::<Int64Array>(),
            ),
        ),
    ];
    let field =
        |(name, array): &(&str, ArrayRef)| Field::new(*name, array.data_type().clone(), true);
    let schema = Schema::new(arrays.iter().map(field).collect::<Vec<_>>());
    let arrays = arrays.into_iter().map(|(_, array)| array).collect();
    RecordBatch::try_new(Arc::new(schema), arrays).unwrap()
}
