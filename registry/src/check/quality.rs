//! Imputation and expectations of a feature, with literals of the feature's type.

use crate::place::Place;
use crate::yaml::Content;
use crate::{DType, EventTime, Expectation, Imputation, Problems, Rule, Severity, Value};

/// How training sets fill the feature, if at all.
pub(crate) fn imputation(
    place: &Place<'_>,
    dtype: DType,
    problems: &mut Problems,
) -> Option<Imputation> {
    let place = place.get("imputation")?;
    if dtype == DType::Vector {
        problems.push(place.problem("`imputation` on a vector", "no such key"));
        return None;
    }
    let needs_number = |imputation: Imputation, problems: &mut Problems| {
        if !dtype.is_numeric() {
            let expected = "`most_frequent` or `{constant: ...}`";
            problems.push(place.problem(format!("{} on {dtype}", place.found()), expected));
        }
        Some(imputation)
    };
    match place.text() {
        Some("mean") => needs_number(Imputation::Mean, problems),
        Some("median") => needs_number(Imputation::Median, problems),
        Some("most_frequent") => Some(Imputation::MostFrequent),
        _ => literal(&place.get("constant")?, dtype, problems).map(Imputation::Constant),
    }
}

/// What every build checks about the feature.
pub(crate) fn expectations(
    place: &Place<'_>,
    dtype: DType,
    problems: &mut Problems,
) -> Vec<Expectation> {
    let places = place.list("expect");
    let rules = places.iter().filter_map(|place| {
        let rule = rule(place, dtype, problems)?;
        let warns = place.text_at("severity") == Some("warn");
        let severity = if warns {
            Severity::Warn
        } else {
            Severity::Error
        };
        Some(Expectation { rule, severity })
    });
    rules.collect()
}

fn rule(place: &Place<'_>, dtype: DType, problems: &mut Problems) -> Option<Rule> {
    if let Some(place) = place.get("range") {
        return range(&place, dtype, problems);
    }
    if let Some(place) = place.get("in") {
        let items = place.items();
        if items.is_empty() {
            problems.push(place.problem("an empty list", "at least one value"));
        }
        let values = items
            .iter()
            .filter_map(|item| literal(item, dtype, problems));
        return Some(Rule::In(values.collect()));
    }
    if let Some(place) = place.get("null_share") {
        let share = place.number()?;
        if !(0.0..=1.0).contains(&share) {
            problems.push(place.wrong("a share from 0 to 1"));
        }
        return Some(Rule::NullShare(share));
    }
    for (key, rule) in [("not_null", Rule::NotNull), ("unique", Rule::Unique)] {
        if let Some(place) = place.get(key) {
            if place.bool() == Some(false) {
                problems.push(place.wrong("`true`, or no such rule"));
            }
            return Some(rule);
        }
    }
    None
}

fn range(place: &Place<'_>, dtype: DType, problems: &mut Problems) -> Option<Rule> {
    if !dtype.is_numeric() {
        problems.push(place.problem(format!("`range` on {dtype}"), "an int or a float feature"));
        return None;
    }
    let (min, max) = (place.number_at("min"), place.number_at("max"));
    match (min, max) {
        (None, None) => problems.push(place.problem("no bound", "`min`, `max` or both")),
        (Some(min), Some(max)) if min > max => {
            let found = format!("`min` {min} above `max` {max}");
            problems.push(place.problem(found, "`min` below `max`"));
        }
        _ => {}
    }
    Some(Rule::Range { min, max })
}

/// A value of the feature's type.
fn literal(place: &Place<'_>, dtype: DType, problems: &mut Problems) -> Option<Value> {
    let value = match (dtype, &place.node.content) {
        (DType::Int, Content::Int(number)) => Some(Value::Int(*number)),
        (DType::Float, _) => place.number().map(Value::Float),
        (DType::Bool, Content::Bool(value)) => Some(Value::Bool(*value)),
        (DType::Text | DType::Categorical, Content::Text(text)) => {
            Some(Value::Text(text.as_str().into()))
        }
        (DType::Timestamp, Content::Text(text)) => {
            EventTime::parse(text).ok().map(Value::Timestamp)
        }
        _ => None,
    };
    if value.is_none() {
        problems.push(place.wrong(format!("a value of type {dtype}")));
    }
    value
}
