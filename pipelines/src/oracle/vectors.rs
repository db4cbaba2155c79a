//! The aggregations that give a vector, and those that give inputs as they stand.

use granary_registry::{DType, Function, Value};

use super::numbers::as_number;
use super::{Question, Row, Wanted};

impl Question {
    /// The inputs of the rows that come first.
    pub(super) fn edges(&self, ordered: &[&Row]) -> Wanted {
        let inputs = ordered.iter().map(|row| &row.input);
        let mut inputs: Vec<&Value> = inputs.filter(|input| !input.is_null()).collect();
        let k = match &self.aggregation.function {
            Function::FirstK { k } | Function::LastK { k } => *k,
            _ => return Wanted::exactly(inputs.first().map_or(Value::Null, |x| (*x).clone())),
        };
        inputs.truncate(k);
        if inputs.is_empty() {
            return Wanted::exactly(Value::Null);
        }
        if self.dtype == DType::Vector {
            let number = |place| inputs.get(place).copied().and_then(as_number);
            let element = |place| number(place).map_or(f32::NAN, |x| x as f32);
            return Wanted::exactly(Value::Vector((0..k).map(element).collect()));
        }
        let texts = inputs.iter().filter_map(|input| match input {
            Value::Text(text) => Some(serde_json::Value::from(&**text)),
            _ => None,
        });
        let texts = serde_json::Value::Array(texts.collect()).to_string();
        Wanted::exactly(Value::Text(texts.into()))
    }

    pub(super) fn vector(&self, inside: &[&Row]) -> Wanted {
        match &self.aggregation.function {
            Function::CountBy { categories } => {
                let is = |category: &str, input: &Value| matches!(input, Value::Text(text) if **text == *category);
                let counts = categories
                    .iter()
                    .map(|category| count(inside, |input| is(category, input)));
                Wanted::exactly(Value::Vector(counts.collect()))
            }
            Function::Histogram { edges } => {
                let bucket = |x: f64| edges.iter().filter(|edge| **edge <= x).count();
                let counts = (0..=edges.len()).map(|wanted| {
                    count(inside, |input| as_number(input).map(bucket) == Some(wanted))
                });
                Wanted::exactly(Value::Vector(counts.collect()))
            }
            function => element_wise(function, inside),
        }
    }
}

fn count(inside: &[&Row], of: impl Fn(&Value) -> bool) -> f32 {
    inside.iter().filter(|row| of(&row.input)).count() as f32
}

fn element_wise(function: &Function, inside: &[&Row]) -> Wanted {
    let vectors = inside.iter().filter_map(|row| match &row.input {
        Value::Vector(elements) => Some(&elements[..]),
        _ => None,
    });
    let vectors: Vec<&[f32]> = vectors.collect();
    let Some(first) = vectors.first() else {
        return Wanted::exactly(Value::Null);
    };
    let of_place = |place: usize| {
        let elements = elements_at(&vectors, place);
        match function {
            Function::Min => elements.fold(f64::NAN, f64::min),
            Function::Max => elements.fold(f64::NAN, f64::max),
            Function::Sum => elements.sum::<f64>(),
            _ => elements.sum::<f64>() / vectors.len() as f64,
        }
    };
    let places = 0..first.len();
    let sizes = places
        .clone()
        .map(|place| elements_at(&vectors, place).map(f64::abs).sum::<f64>());
    let terms = sizes.fold(0.0, f64::max);
    let elements = places.map(|place| of_place(place) as f32);
    Wanted::near(Value::Vector(elements.collect()), terms)
}

fn elements_at(vectors: &[&[f32]], place: usize) -> impl Iterator<Item = f64> {
    vectors
        .iter()
        .filter_map(move |vector| vector.get(place).copied().map(f64::from))
}
