//! The oracle: a feature again, from raw events, without any of the code under test.

use granary_registry::{Aggregation, DType, Feature, FeatureKind, Function, Value};
use simple_hll::HyperLogLog;
use twox_hash::XxHash3_64;

use super::{DAY, GAP, KINDS, MINUTE, Raw};

/// What a feature must be, and how large the terms were that it is a small rest of.
pub(super) struct Wanted {
    pub(super) value: Value,
    pub(super) terms: f64,
}

/// The feature as of an instant.
pub(super) fn naive(feature: &Feature, raws: &[Raw], as_of: i64) -> Wanted {
    let FeatureKind::Aggregate(aggregation) = &feature.kind else {
        return exactly(Value::Null);
    };
    let start = aggregation.window.map_or(i64::MIN, |window| {
        (as_of - window.length.0).div_euclid(window.hop.0) * window.hop.0
    });
    let mut inside: Vec<&Raw> = raws
        .iter()
        .filter(|raw| raw.time >= start && raw.time < as_of)
        .filter(|raw| aggregation.filter.is_none() || raw.kind == 0)
        .collect();
    inside.sort_by_key(|raw| (raw.time, raw.id.to_string()));
    match &aggregation.function {
        Function::Trend { per } => trend(&inside, per.0 as f64),
        Function::First | Function::FirstK { .. } => exactly(edges(feature, aggregation, &inside)),
        Function::Last | Function::LastK { .. } => {
            inside.reverse();
            exactly(edges(feature, aggregation, &inside))
        }
        _ if feature.dtype == DType::Vector => exactly(vector(&aggregation.function, &inside)),
        _ => exactly(scalar(aggregation, &inside, as_of)),
    }
}

fn exactly(value: Value) -> Wanted {
    Wanted { value, terms: 0.0 }
}

fn scalar(aggregation: &Aggregation, inside: &[&Raw], as_of: i64) -> Value {
    let amounts: Vec<f64> = inside.iter().filter_map(|raw| raw.number()).collect();
    let (count, sum) = (amounts.len() as f64, amounts.iter().sum::<f64>());
    let mean = sum / count;
    let sessions = inside.chunk_by(|a, b| b.time - a.time <= GAP);
    let lengths: Vec<i64> = sessions
        .map(|session| session[session.len() - 1].time - session[0].time)
        .collect();
    let int = |number: Option<f64>| number.map_or(Value::Null, |number| Value::Int(number as i64));
    let variance = amounts.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (count - 1.0);
    match &aggregation.function {
        Function::Count if aggregation.input.is_some() => Value::Int(amounts.len() as i64),
        Function::Count => Value::Int(inside.len() as i64),
        Function::Sum => Value::Int(sum as i64),
        Function::Mean => Value::float(mean),
        Function::Min => int(amounts.iter().copied().reduce(f64::min)),
        Function::Max => int(amounts.iter().copied().reduce(f64::max)),
        Function::Variance | Function::Stddev if count < 2.0 => Value::Null,
        Function::Variance => Value::float(variance),
        Function::Stddev => Value::float(variance.sqrt()),
        Function::CountDistinct { bound } => distinct(&amounts, *bound),
        Function::ApproxCountDistinct => {
            let mut kinds: Vec<usize> = inside.iter().map(|raw| raw.kind).collect();
            kinds.sort_unstable();
            kinds.dedup();
            Value::Int(kinds.len() as i64)
        }
        Function::ApproxPercentile { percentile } => {
            let mut amounts = amounts;
            amounts.sort_by(f64::total_cmp);
            let rank = percentile * (count - 1.0).max(0.0);
            let amount = amounts.get(rank as usize);
            amount.map_or(Value::Null, |amount| Value::Float(*amount))
        }
        Function::Sessions => Value::Int(lengths.len() as i64),
        Function::SessionLength if lengths.is_empty() => Value::Null,
        Function::SessionLength => {
            let total = lengths.iter().sum::<i64>() as f64 / MINUTE as f64;
            Value::float(total / lengths.len() as f64)
        }
        Function::DaysSinceLast => {
            let newest = inside.last();
            newest.map_or(Value::Null, |raw| Value::Int((as_of - raw.time) / DAY))
        }
        Function::DecayedSum { half_life } => {
            let halved = |raw: &Raw| 0.5f64.powf((as_of - raw.time) as f64 / half_life.0 as f64);
            let weight = |raw: &&Raw| match &aggregation.input {
                Some(_) => raw.number().map(|amount| amount * halved(raw)),
                None => Some(halved(raw)),
            };
            Value::Float(inside.iter().filter_map(weight).sum())
        }
        Function::Rate { per } => {
            let since_first = inside.first().map(|raw| as_of - raw.time);
            let span = aggregation.window.map(|window| window.length.0);
            span.or(since_first).map_or(Value::Null, |span| {
                Value::Float(inside.len() as f64 / (span as f64 / per.0 as f64))
            })
        }
        other => panic!("{other:?} gives no scalar"),
    }
}

/// Beyond the bound what the library estimates for the set.
fn distinct(amounts: &[f64], bound: usize) -> Value {
    let mut amounts: Vec<i64> = amounts.iter().map(|amount| *amount as i64).collect();
    amounts.sort_unstable();
    amounts.dedup();
    if amounts.len() <= bound {
        return Value::Int(amounts.len() as i64);
    }
    let mut sketch = HyperLogLog::<12>::new();
    for amount in amounts {
        sketch.add_hash(XxHash3_64::oneshot(&amount.to_le_bytes()));
    }
    Value::Int(sketch.count() as i64)
}

/// In whole numbers, which do not round.
fn trend(inside: &[&Raw], per: f64) -> Wanted {
    let points = inside
        .iter()
        .filter_map(|raw| Some((raw.time, raw.amount?)));
    let points: Vec<(i128, i128)> = points.map(|(t, x)| (t.into(), x.into())).collect();
    let n = points.len() as i128;
    let sum = |of: &dyn Fn(&(i128, i128)) -> i128| points.iter().map(of).sum::<i128>();
    let (t, x) = (sum(&|point| point.0), sum(&|point| point.1));
    let (tt, tx) = (
        sum(&|point| point.0 * point.0),
        sum(&|point| point.0 * point.1),
    );
    let (below, above) = (n * tt - t * t, n * tx - t * x);
    if below == 0 {
        return exactly(Value::Null);
    }
    let terms = sum(&|point| ((n * point.0 - t) * (n * point.1 - x)).abs()) as f64 / n as f64;
    Wanted {
        value: Value::Float(above as f64 / below as f64 * per),
        terms: terms / below as f64 * per,
    }
}

/// The nearest to the edge come first.
fn edges(feature: &Feature, aggregation: &Aggregation, inside: &[&Raw]) -> Value {
    let (Function::FirstK { k } | Function::LastK { k }) = aggregation.function else {
        let amount = |raw: &&Raw| raw.amount.map(|x| Value::Int(x.into()));
        let found = match feature.dtype {
            DType::Vector => inside.iter().find_map(|raw| raw.vector()),
            _ => inside.iter().find_map(amount),
        };
        return found.unwrap_or(Value::Null);
    };
    if feature.dtype == DType::Text {
        let kinds = inside
            .iter()
            .take(k)
            .map(|raw| format!("{:?}", KINDS[raw.kind]));
        let kinds: Vec<String> = kinds.collect();
        return match kinds.len() {
            0 => Value::Null,
            _ => Value::Text(format!("[{}]", kinds.join(",")).into()),
        };
    }
    let mut amounts: Vec<f32> = inside
        .iter()
        .filter_map(|raw| Some(raw.amount? as f32))
        .collect();
    if amounts.is_empty() {
        return Value::Null;
    }
    amounts.resize(k.max(amounts.len()), f32::NAN);
    Value::Vector(amounts[..k].into())
}

fn vector(function: &Function, inside: &[&Raw]) -> Value {
    let count = |of: &dyn Fn(&Raw) -> bool| inside.iter().filter(|raw| of(raw)).count() as f32;
    match function {
        Function::CountBy { .. } => {
            let of = |kind| count(&|raw| raw.kind == kind);
            return Value::Vector((0..KINDS.len()).map(of).collect());
        }
        Function::Histogram { edges } => {
            let bounds = [&[f64::MIN], &edges[..], &[f64::MAX]].concat();
            let within = |raw: &Raw, pair: &[f64]| {
                raw.number()
                    .is_some_and(|amount| amount >= pair[0] && amount < pair[1])
            };
            let buckets = bounds
                .windows(2)
                .map(|pair| count(&|raw| within(raw, pair)));
            return Value::Vector(buckets.collect());
        }
        _ => {}
    }
    let vectors: Vec<Vec<f32>> = inside.iter().filter_map(|raw| raw.elements()).collect();
    let joined = |element: usize| {
        let elements = vectors.iter().map(|vector| vector[element]);
        match function {
            Function::Min => elements.fold(f32::INFINITY, f32::min),
            Function::Max => elements.fold(f32::NEG_INFINITY, f32::max),
            Function::Sum => elements.sum(),
            _ => elements.sum::<f32>() / vectors.len() as f32,
        }
    };
    match vectors.is_empty() {
        true => Value::Null,
        false => Value::Vector((0..2).map(joined).collect()),
    }
}
