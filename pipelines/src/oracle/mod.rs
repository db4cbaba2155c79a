//! The oracle: a feature again, from plain rows, by the most obvious code there is. It looks
//! at every row for every instant and shares nothing with the folds. Called by `verify` over
//! the files and the log, and by the laws of the folds over made-up events.

mod compare; // whether two values are equal
mod group; // the features of a group, over rows read for the oracle alone
mod numbers; // aggregations that give a number
mod order; // values side by side
mod vectors; // aggregations that give a vector, or inputs as they stand

use granary_registry::{Aggregation, DType, EventTime, Function, Span, Value};

pub(crate) use compare::{Verdict, compare};
pub(crate) use group::{EntityRows, GroupOracle, OracleRows};
pub(crate) use order::order;

/// How near a float must be, relative to its size.
pub(crate) const RELATIVE: f64 = 1e-9;

/// A row of one entity as one aggregation reads it; rows that its `where` leaves out are
/// not there.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) time: i64,
    /// When it became known; the beginning of time where all that is known now counts.
    pub(crate) created: i64,
    /// The dedupe key.
    pub(crate) id: Value,
    /// Null for an aggregation without one.
    pub(crate) input: Value,
}

/// What a feature must be.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) value: Value,
    /// How large the terms were that the value is a small rest of.
    pub(crate) terms: f64,
    /// How near a number must be to it; estimates have their own measure.
    pub(crate) relative: f64,
}

/// An aggregation with what its feature and group add to it.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) aggregation: Aggregation,
    pub(crate) dtype: DType,
    pub(crate) session_gap: Span,
}

impl Wanted {
    pub(crate) fn exactly(value: Value) -> Wanted {
        Wanted::near(value, 0.0)
    }

    fn near(value: Value, terms: f64) -> Wanted {
        let relative = RELATIVE;
        Wanted {
            value,
            terms,
            relative,
        }
    }
}

impl Question {
    /// The answer as of an instant, from all rows there are; copies are gone already.
    pub(crate) fn answer(&self, rows: &[Row], as_of: i64) -> Wanted {
        let window = self.aggregation.window;
        let start = window.map_or(i64::MIN, |window| {
            let hop = window.hop.0;
            as_of
                .saturating_sub(window.length.0)
                .div_euclid(hop)
                .saturating_mul(hop)
        });
        let mut inside: Vec<&Row> = rows
            .iter()
            .filter(|row| row.time >= start && row.time < as_of && row.created < as_of)
            .collect();
        inside.sort_by(|a, b| {
            let ids = || order(&a.id, &b.id);
            let inputs = || order(&a.input, &b.input);
            a.time.cmp(&b.time).then_with(ids).then_with(inputs)
        });
        let mut wanted = match &self.aggregation.function {
            Function::First | Function::FirstK { .. } => self.edges(&inside),
            Function::Last | Function::LastK { .. } => {
                inside.reverse();
                self.edges(&inside)
            }
            _ if self.dtype == DType::Vector => self.vector(&inside),
            _ => self.number(&inside, as_of),
        };
        wanted.value = typed(wanted.value, self.dtype);
        wanted
    }
}

/// A value as it stands: the row of the newest instant counts, of these the one logged last,
/// and of those the last in the files.
pub(crate) fn latest(rows: &[(i64, u64, Value)], max_age: Option<Span>, as_of: EventTime) -> Value {
    let known = rows
        .iter()
        .filter(|(time, ..)| *time < as_of.0 || *time == i64::MIN);
    let Some((time, _, value)) = known.max_by_key(|(time, position, _)| (*time, *position)) else {
        return Value::Null;
    };
    let age = as_of.0.saturating_sub(*time);
    match max_age {
        Some(limit) if *time != i64::MIN && age > limit.0 => Value::Null,
        _ => value.clone(),
    }
}

/// A number in the type that the registry gives the feature.
pub(crate) fn typed(value: Value, dtype: DType) -> Value {
    match (dtype, &value) {
        (DType::Int, Value::Float(x)) => Value::Int(x.round() as i64),
        (DType::Float, Value::Int(x)) => Value::Float(*x as f64),
        (DType::Timestamp, Value::Float(x)) => Value::Timestamp(EventTime(*x as i64)),
        _ => value,
    }
}
