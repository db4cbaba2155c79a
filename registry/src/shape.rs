//! Holds a file against the key tables: unknown, repeated and missing keys, values of the
//! wrong kind. Called by `check` before it looks at what the values mean.

use crate::keys::{Key, MapKey, Shape, Table};
use crate::place::Place;
use crate::problem::{listed, nearest, quoted};
use crate::yaml::Content;
use crate::{Problem, Problems};

/// Longest name, in bytes: names become parts of file names.
const MAX_NAME: usize = 100;

/// Reports everything under a place that has not the shape it should have.
pub(crate) fn check(place: &Place<'_>, shape: &Shape, problems: &mut Problems) {
    match (shape, &place.node.content) {
        (Shape::Table(table), Content::Map(_)) => check_table(place, table, problems),
        (Shape::Map(key, value), Content::Map(_)) => check_map(place, *key, value, problems),
        (Shape::List(item) | Shape::OneOrMany(item), Content::List(_))
        | (Shape::OneOrMany(item), _) => {
            for place in place.items() {
                check(&place, item, problems);
            }
        }
        (Shape::Either(shapes), _) => check_either(place, shapes, problems),
        (Shape::Choice(words), Content::Text(text)) if !words.contains(&text.as_str()) => {
            let mut problem = place.wrong(description(shape));
            problem.suggestion = nearest(text, words.iter().copied());
            problems.push(problem);
        }
        _ if !fits(place, shape) => problems.push(place.wrong(description(shape))),
        _ => {}
    }
}

/// Whether a text can name a thing of the registry.
pub(crate) fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    !text.is_empty()
        && text.len() <= MAX_NAME
        && !text.starts_with('.')
        && text.bytes().all(allowed)
}

fn fits(place: &Place<'_>, shape: &Shape) -> bool {
    match shape {
        Shape::Text | Shape::Expression => place.text().is_some_and(|text| !text.is_empty()),
        Shape::Name => place.text().is_some_and(is_name),
        Shape::Bool => place.bool().is_some(),
        Shape::Whole => place.whole().is_some(),
        Shape::Number => place.number().is_some(),
        Shape::Literal => {
            place.text().is_some() || place.bool().is_some() || place.number().is_some()
        }
        Shape::Span => place.span().is_some(),
        Shape::Instant => place.instant().is_some(),
        Shape::Choice(_) => place.text().is_some(),
        Shape::List(_)
        | Shape::OneOrMany(_)
        | Shape::Map(..)
        | Shape::Table(_)
        | Shape::Either(_) => false,
    }
}

fn check_table(place: &Place<'_>, table: &Table, problems: &mut Problems) {
    check_repeats(place, problems);
    for (name, value) in place.entries() {
        match table.keys.iter().find(|key| key.name == name) {
            Some(key) => check(&value, &key.shape, problems),
            None => problems.push(unknown_key(&value, name, table)),
        }
    }
    let present = |name: &str| place.node.get(name).is_some();
    for Key { name, .. } in table
        .keys
        .iter()
        .filter(|key| key.required && !present(key.name))
    {
        problems.push(place.problem(format!("no `{name}`"), format!("the key `{name}`")));
    }
    let chosen: Vec<&str> = table
        .one_of
        .iter()
        .copied()
        .filter(|name| present(name))
        .collect();
    if !table.one_of.is_empty() && chosen.len() != 1 {
        let found = if chosen.is_empty() {
            "none".to_owned()
        } else {
            listed(chosen)
        };
        let expected = format!("exactly one of {}", listed(table.one_of.iter().copied()));
        problems.push(place.problem(found, expected));
    }
}

fn unknown_key(value: &Place<'_>, name: &str, table: &Table) -> Problem {
    let names = || table.keys.iter().map(|key| key.name);
    let mut problem = value.problem(format!("the unknown key {}", quoted(name)), listed(names()));
    problem.suggestion = nearest(name, names());
    problem
}

fn check_map(place: &Place<'_>, key: MapKey, shape: &Shape, problems: &mut Problems) {
    check_repeats(place, problems);
    for (name, value) in place.entries() {
        let expected = match key {
            MapKey::Name if !is_name(name) => description(&Shape::Name),
            MapKey::Column if name.is_empty() => "the name of a column".to_owned(),
            MapKey::Number if score(name).is_none() => "a number as the key".to_owned(),
            _ => {
                check(&value, shape, problems);
                continue;
            }
        };
        problems.push(value.problem(format!("the key {}", quoted(name)), expected));
    }
}

/// The number that a key of a table by score stands for.
pub(crate) fn score(key: &str) -> Option<f64> {
    key.parse().ok().filter(|score: &f64| score.is_finite())
}

fn check_repeats(place: &Place<'_>, problems: &mut Problems) {
    let mut seen = std::collections::HashMap::new();
    for (name, value) in place.entries() {
        if let Some(first) = seen.get(name) {
            let found = format!("{} a second time (first on line {first})", quoted(name));
            problems.push(value.problem(found, "every key once"));
        } else {
            seen.insert(name, value.line);
        }
    }
}

/// Reports nothing if one shape fits, and else the problems with the shape that was meant:
/// the one that is a map where a map stands, or a text where a text stands.
fn check_either(place: &Place<'_>, shapes: &[Shape], problems: &mut Problems) {
    let attempts: Vec<Problems> = shapes
        .iter()
        .map(|shape| {
            let mut attempt = Problems::default();
            check(place, shape, &mut attempt);
            attempt
        })
        .collect();
    if attempts.iter().any(|attempt| attempt.0.is_empty()) {
        return;
    }
    let is_map = matches!(place.node.content, Content::Map(_));
    let mut meant = shapes
        .iter()
        .zip(attempts)
        .filter(|(shape, _)| matches!(shape, Shape::Table(_)) == is_map);
    if let (Some((Shape::Table(_), attempt)), None) = (meant.next(), meant.next()) {
        problems.0.extend(attempt.0);
        return;
    }
    let all: Vec<String> = shapes.iter().map(description).collect();
    let mut problem = place.wrong(all.join(", or "));
    let words = shapes.iter().filter_map(|shape| match shape {
        Shape::Choice(words) => Some(words.iter().copied()),
        _ => None,
    });
    problem.suggestion = place.text().and_then(|text| nearest(text, words.flatten()));
    problems.push(problem);
}

/// What a shape is, for messages.
fn description(shape: &Shape) -> String {
    match shape {
        Shape::Text => "a text".to_owned(),
        Shape::Name => {
            format!(
                "a name of letters, digits, `_`, `.` and `-`, not beginning with a dot, of at most {MAX_NAME}"
            )
        }
        Shape::Bool => "`true` or `false`".to_owned(),
        Shape::Whole => "a whole number from 0".to_owned(),
        Shape::Number => "a number".to_owned(),
        Shape::Literal => "a number, a text, `true` or `false`".to_owned(),
        Shape::Span => "a span such as 30d, 12h, 5m, 10s or 250ms".to_owned(),
        Shape::Instant => "an instant such as \"2026-01-31T12:00:00Z\"".to_owned(),
        Shape::Expression => "an SQL expression".to_owned(),
        Shape::Choice(words) => listed(words.iter().copied()),
        Shape::List(item) => format!("a list, each item {}", description(item)),
        Shape::OneOrMany(item) => format!("{} or a list", description(item)),
        Shape::Map(MapKey::Name, _) => "a map by name".to_owned(),
        Shape::Map(MapKey::Column, _) => "a map by column".to_owned(),
        Shape::Map(MapKey::Number, _) => "a map by number".to_owned(),
        Shape::Table(table) => {
            format!(
                "a map with {}",
                listed(table.keys.iter().map(|key| key.name))
            )
        }
        Shape::Either(shapes) => shapes
            .iter()
            .map(description)
            .collect::<Vec<_>>()
            .join(", or "),
    }
}
