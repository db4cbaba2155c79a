//! Folds with their arguments: which need an input, which type they give, and their windows.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::expression::{condition, parse, source_scope};
use super::feature::{check_dtype, plain};
use crate::place::Place;
use crate::{
    Aggregation, DType, Expression, Feature, FeatureKind, Function, Problems, Source, Span, Window,
};

/// Reads an aggregated feature, once per window.
pub(super) fn features(
    place: &Place<'_>,
    source: &Source,
    problems: &mut Problems,
) -> Vec<Feature> {
    if let Some(place) = place.get("column") {
        problems.push(place.problem("`column` on an aggregation", "`input`"));
    }
    if source.event_time.is_none() {
        let found = format!(
            "an aggregation over source `{}` without `event_time`",
            source.name
        );
        problems.push(place.problem(found, "a value, or a source of events"));
    }
    let function = function(place, problems);
    let filter = condition(place, "where", &source_scope(source, false), problems);
    let windows = windows(place, problems);
    let Some(function) = function else {
        return Vec::new();
    };
    let input = input(place, &function, source, problems);
    let aggregation = Aggregation {
        function,
        input,
        filter,
        window: None,
    };
    let Some(base) = plain(place, FeatureKind::Aggregate(aggregation.clone()), problems) else {
        return Vec::new();
    };
    let with_window = |(suffix, window): (String, Window)| Feature {
        name: Arc::from(format!("{}{suffix}", base.name)),
        kind: FeatureKind::Aggregate(Aggregation {
            window: Some(window),
            ..aggregation.clone()
        }),
        ..base.clone()
    };
    match windows {
        Some(windows) => windows.into_iter().map(with_window).collect(),
        None => vec![base],
    }
}

fn function(place: &Place<'_>, problems: &mut Problems) -> Option<Function> {
    let name = place.text_at("aggregation")?;
    for (key, takers) in Function::ARGUMENTS {
        if let Some(place) = place.get(key).filter(|_| !takers.contains(&name)) {
            let takers = takers.join("` or `aggregation: ");
            let expected = format!("`aggregation: {takers}` beside it");
            problems.push(place.problem(format!("`{key}` on `{name}`"), expected));
        }
    }
    Some(match name {
        "count" => Function::Count,
        "sum" => Function::Sum,
        "mean" => Function::Mean,
        "min" => Function::Min,
        "max" => Function::Max,
        "variance" => Function::Variance,
        "stddev" => Function::Stddev,
        "first" => Function::First,
        "last" => Function::Last,
        "first_k" => Function::FirstK {
            k: whole(place, "k", None, 1..=100, problems)?,
        },
        "last_k" => Function::LastK {
            k: whole(place, "k", None, 1..=100, problems)?,
        },
        "count_distinct" => {
            let default = Some(Function::DEFAULT_BOUND);
            Function::CountDistinct {
                bound: whole(place, "bound", default, 1..=65_536, problems)?,
            }
        }
        "approx_count_distinct" => Function::ApproxCountDistinct,
        "approx_percentile" => Function::ApproxPercentile {
            percentile: percentile(place, problems)?,
        },
        "count_by" => Function::CountBy {
            categories: categories(place, problems),
        },
        "histogram" => Function::Histogram {
            edges: edges(place, problems),
        },
        "sessions" => Function::Sessions,
        "session_length" => Function::SessionLength,
        "days_since_last" => Function::DaysSinceLast,
        "decayed_sum" => Function::DecayedSum {
            half_life: span(place, "half_life", None, problems)?,
        },
        "rate" => Function::Rate {
            per: span(place, "per", Some(Span::DAY), problems)?,
        },
        "trend" => Function::Trend {
            per: span(place, "per", Some(Span::DAY), problems)?,
        },
        _ => return None,
    })
}

/// A whole number within bounds, or its default.
fn whole(
    place: &Place<'_>,
    key: &str,
    default: Option<usize>,
    bounds: RangeInclusive<usize>,
    problems: &mut Problems,
) -> Option<usize> {
    let Some(at) = place.get(key) else {
        return default.or_else(|| missing(place, key, problems));
    };
    let number = at.whole()? as usize;
    if !bounds.contains(&number) {
        let expected = format!("a whole number from {} to {}", bounds.start(), bounds.end());
        problems.push(at.wrong(expected));
    }
    Some(number)
}

/// A span above 0, or its default.
fn span(
    place: &Place<'_>,
    key: &str,
    default: Option<Span>,
    problems: &mut Problems,
) -> Option<Span> {
    let Some(at) = place.get(key) else {
        return default.or_else(|| missing(place, key, problems));
    };
    let span = at.span()?;
    if span == Span(0) {
        problems.push(at.wrong("a span above 0"));
    }
    Some(span)
}

fn percentile(place: &Place<'_>, problems: &mut Problems) -> Option<f64> {
    let Some(at) = place.get("percentile") else {
        return missing(place, "percentile", problems);
    };
    let share = at.number()?;
    if !(0.0..=1.0).contains(&share) {
        problems.push(at.wrong("a share from 0 to 1, such as 0.95"));
    }
    Some(share)
}

fn edges(place: &Place<'_>, problems: &mut Problems) -> Vec<f64> {
    let list = place.list("edges");
    let edges: Vec<f64> = list.iter().filter_map(Place::number).collect();
    if list.is_empty() {
        let found = "`histogram` without edges";
        problems.push(place.problem(found, "`edges: [...]`, where the elements begin"));
    } else if !edges.is_sorted_by(|a, b| a < b) {
        problems.push(list[0].problem("edges out of order", "each edge above the one before"));
    }
    edges
}

fn missing<T>(place: &Place<'_>, key: &str, problems: &mut Problems) -> Option<T> {
    let name = place.text_at("aggregation").unwrap_or_default();
    problems.push(place.problem(format!("`{name}` without `{key}`"), format!("`{key}: ...`")));
    None
}

fn categories(place: &Place<'_>, problems: &mut Problems) -> Vec<Arc<str>> {
    let mut categories: Vec<Arc<str>> = Vec::new();
    for item in place.list("categories") {
        let Some(category) = item.text() else {
            continue;
        };
        if categories.iter().any(|known| &**known == category) {
            let found = format!("`{category}` a second time");
            problems.push(item.problem(found, "every category once"));
        }
        categories.push(Arc::from(category));
    }
    if place.list("categories").is_empty() {
        let found = "`count_by` without categories";
        problems.push(place.problem(found, "`categories: [...]`, the elements of the vector"));
    }
    categories
}

/// The input, after checking that the function takes one of its type and that the feature's
/// `dtype` is what comes out.
fn input(
    place: &Place<'_>,
    function: &Function,
    source: &Source,
    problems: &mut Problems,
) -> Option<Expression> {
    let name = function.name();
    let without_input = match function {
        Function::Count | Function::Sessions | Function::DaysSinceLast => Some(DType::Int),
        Function::SessionLength | Function::Rate { .. } => Some(DType::Float),
        _ => None,
    };
    if let Some(dtype) = without_input {
        if let Some(place) = place.get("input") {
            let expected = "no `input`; `where: \"x is not null\"` leaves rows out";
            problems.push(place.problem(format!("`input` on `{name}`"), expected));
        }
        check_dtype(place, dtype, &format!("`{name}`"), problems);
        return None;
    }
    let Some(at) = place.get("input") else {
        if matches!(function, Function::DecayedSum { .. }) {
            check_dtype(place, DType::Float, &format!("`{name}`"), problems);
        } else {
            let found = format!("`{name}` without `input`");
            problems.push(place.problem(found, "`input: <column>`"));
        }
        return None;
    };
    let parsed = parse(&at, &source_scope(source, false), problems)?;
    let Some(dtype) = parsed.dtype else {
        problems.push(at.wrong("an expression that is not always null"));
        return None;
    };
    match result(function, dtype) {
        Ok(given) => check_dtype(place, given, &format!("`{name}` of {dtype}"), problems),
        Err(expected) => {
            problems.push(at.problem(format!("{} of type {dtype}", at.found()), expected));
        }
    }
    Some(parsed.expression)
}

/// The type that a function gives for inputs of a type, or which inputs it takes.
fn result(function: &Function, input: DType) -> Result<DType, &'static str> {
    use DType::{Bool, Categorical, Float, Int, Text, Timestamp, Vector};
    match (function, input) {
        (Function::CountBy { .. }, Text | Categorical)
        | (Function::Histogram { .. }, Int | Float)
        | (Function::Sum | Function::Mean | Function::Min | Function::Max, Vector)
        | (Function::FirstK { .. } | Function::LastK { .. }, Int | Float | Bool) => Ok(Vector),
        (Function::FirstK { .. } | Function::LastK { .. }, Text | Categorical) => Ok(Text),
        (Function::Sum, Int | Bool) => Ok(Int),
        (Function::CountDistinct { .. } | Function::ApproxCountDistinct, _) if input != Vector => {
            Ok(Int)
        }
        (Function::Sum, Float)
        | (Function::Mean | Function::DecayedSum { .. }, Int | Float | Bool)
        | (
            Function::Variance
            | Function::Stddev
            | Function::ApproxPercentile { .. }
            | Function::Trend { .. },
            Int | Float,
        ) => Ok(Float),
        (Function::Min | Function::Max, Int | Float | Timestamp)
        | (Function::First | Function::Last, _) => Ok(input),
        (Function::CountBy { .. }, _) => Err("a text or categorical input"),
        (Function::Sum | Function::Mean, _) => Err("a number, a bool or a vector as input"),
        (Function::DecayedSum { .. }, _) => Err("a number or a bool as input"),
        (Function::Min | Function::Max, _) => Err("a number, a timestamp or a vector as input"),
        (Function::FirstK { .. } | Function::LastK { .. }, _) => {
            Err("a number, a bool or a text as input")
        }
        (Function::CountDistinct { .. } | Function::ApproxCountDistinct, _) => {
            Err("anything but a vector as input")
        }
        _ => Err("a number as input"),
    }
}

/// The windows with what they add to the feature's name; none is the lifetime.
fn windows(place: &Place<'_>, problems: &mut Problems) -> Option<Vec<(String, Window)>> {
    let (one, many) = (place.get("window"), place.get("windows"));
    if let (Some(one), Some(_)) = (&one, &many) {
        problems.push(one.problem("`window` beside `windows`", "one of the two"));
    }
    if let (Some(hop), None, None) = (place.get("hop"), &one, &many) {
        problems.push(hop.problem("`hop` without a window", "`window` or `windows` beside it"));
    }
    let hop = place.get("hop");
    if let Some(many) = many {
        let items = many.items();
        if items.is_empty() {
            problems.push(many.problem("an empty list", "at least one window"));
        }
        let named = |item: &Place<'_>| {
            let window = window(item, hop.as_ref(), problems)?;
            Some((format!("_{}", item.text()?), window))
        };
        return Some(items.iter().filter_map(named).collect());
    }
    let window = window(&one?, hop.as_ref(), problems)?;
    Some(vec![(String::new(), window)])
}

fn window(place: &Place<'_>, hop: Option<&Place<'_>>, problems: &mut Problems) -> Option<Window> {
    let length = place.span()?;
    if length == Span(0) {
        problems.push(place.wrong("a span above 0"));
    }
    let Some(hop) = hop else {
        return Some(Window {
            length,
            hop: default_hop(length),
        });
    };
    // A hop of nothing is exact, which is what one microsecond is.
    let step = hop.span()?.max(Span(1));
    if step > length && length > Span(0) {
        let found = format!("a hop of {step} in a window of {length}");
        problems.push(hop.problem(found, "a hop no longer than the window"));
    }
    Some(Window { length, hop: step })
}

/// Coarse enough to keep the state small, fine enough not to matter.
fn default_hop(length: Span) -> Span {
    let hop = match length {
        long if long.0 > 12 * Span::DAY.0 => Span::DAY,
        middle if middle.0 > 12 * Span::HOUR.0 => Span::HOUR,
        _ => Span(5 * Span::MINUTE.0),
    };
    hop.min(length)
}
