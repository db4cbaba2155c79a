//! The features of a group: values, aggregations with one or several windows, and derived
//! features, which may use one another in file order.

use std::sync::Arc;

use super::leakage::Leakage;
use super::{aggregation, expression, quality};
use crate::place::Place;
use crate::problem::{listed, nearest};
use crate::sql::Scope;
use crate::{DType, Entity, Expression, Feature, FeatureKind, Problems, Source, ValueColumns};

/// Keys that only aggregations have.
const OF_AGGREGATIONS: [&str; 6] = ["input", "where", "window", "windows", "hop", "categories"];

/// Reads the features of a group; those with problems are missing.
pub(super) fn features(
    place: &Place<'_>,
    source: &Source,
    leakage: &Leakage,
    problems: &mut Problems,
) -> Vec<Feature> {
    let places = place.list("features");
    if places.is_empty()
        && let Some(place) = place.get("features")
    {
        problems.push(place.problem("an empty list", "at least one feature"));
    }
    let declared: Vec<Declared> = places.iter().flat_map(Declared::all).collect();
    let mut features = Vec::new();
    for place in &places {
        let made = if place.get("expression").is_some() {
            derived(place, &declared, problems).into_iter().collect()
        } else if place.get("aggregation").is_some() {
            aggregation::features(place, source, problems)
        } else {
            value(place, source, problems).into_iter().collect()
        };
        for feature in &made {
            leakage.check_feature(place, feature, source, problems);
        }
        features.extend(made);
    }
    check_order(&places, &features, problems);
    features
}

/// A feature without its kind, which the caller adds.
pub(super) fn plain(
    place: &Place<'_>,
    kind: FeatureKind,
    problems: &mut Problems,
) -> Option<Feature> {
    let dtype = dtype(place)?;
    Some(Feature {
        name: Arc::from(place.text_at("name")?),
        dtype,
        kind,
        description: place.prose_at("description"),
        imputation: quality::imputation(place, dtype, problems),
        expectations: quality::expectations(place, dtype, problems),
    })
}

pub(super) fn dtype(place: &Place<'_>) -> Option<DType> {
    DType::named(place.text_at("dtype")?)
}

/// Whether values of one type can be called values of another: text and categories are the
/// same values.
pub(super) fn same_values(one: DType, other: DType) -> bool {
    one == other || (one.is_text() && other.is_text())
}

/// Reports a `dtype` that is not what the feature gives.
pub(super) fn check_dtype(place: &Place<'_>, given: DType, what: &str, problems: &mut Problems) {
    let Some(dtype) = dtype(place).filter(|dtype| !same_values(*dtype, given)) else {
        return;
    };
    let place = place.get("dtype").unwrap_or_else(|| place.clone());
    problems.push(place.problem(format!("`{dtype}` for {what}"), format!("`{given}`")));
}

fn value(place: &Place<'_>, source: &Source, problems: &mut Problems) -> Option<Feature> {
    for key in OF_AGGREGATIONS {
        if let Some(place) = place.get(key) {
            let found = format!("`{key}` on a value");
            problems.push(place.problem(found, "an `aggregation` beside it, or no such key"));
        }
    }
    let at = place.get("column").or_else(|| place.get("name"))?;
    let name = at.text()?;
    let columns = source
        .columns
        .iter()
        .map(|column| (column.name.as_str(), column.dtype));
    let derived = source
        .derived
        .iter()
        .map(|column| (column.name.as_str(), column.dtype));
    let columns: Vec<(&str, DType)> = columns.chain(derived).collect();
    if let Some((_, dtype)) = columns.iter().find(|(known, _)| *known == name) {
        check_dtype(place, *dtype, &format!("column `{name}`"), problems);
    } else {
        let names = || columns.iter().map(|(known, _)| *known);
        let expected = format!("a column of source `{}`: {}", source.name, listed(names()));
        let mut problem = at.problem(format!("no column `{name}`"), expected);
        problem.suggestion = nearest(name, names());
        problems.push(problem);
    }
    let columns = ValueColumns::One(vec![name.to_owned()]);
    plain(place, FeatureKind::Value { columns }, problems)
}

/// A feature as other features see it, whether or not it is right.
struct Declared {
    name: String,
    dtype: Option<DType>,
}

impl Declared {
    fn all(place: &Place<'_>) -> Vec<Declared> {
        let dtype = dtype(place);
        expanded_names(place)
            .into_iter()
            .map(|name| Declared { name, dtype })
            .collect()
    }
}

/// A feature's names: its own, or one per window.
fn expanded_names(place: &Place<'_>) -> Vec<String> {
    let Some(name) = place.text_at("name") else {
        return Vec::new();
    };
    match place.get("windows") {
        Some(windows) => {
            let spans = windows.items();
            spans
                .iter()
                .filter_map(Place::text)
                .map(|span| format!("{name}_{span}"))
                .collect()
        }
        None => vec![name.to_owned()],
    }
}

/// The names of a group's features as the file declares them.
pub(super) fn declared(root: &Place<'_>, group: &str) -> Vec<String> {
    let groups = root
        .section("feature_groups")
        .into_iter()
        .filter(|(name, _)| *name == group);
    groups
        .flat_map(|(_, place)| place.list("features"))
        .flat_map(|f| expanded_names(&f))
        .collect()
}

fn derived(place: &Place<'_>, declared: &[Declared], problems: &mut Problems) -> Option<Feature> {
    for key in OF_AGGREGATIONS.into_iter().chain(["aggregation", "column"]) {
        if let Some(place) = place.get(key) {
            let found = format!("`{key}` beside `expression`");
            problems.push(place.problem(found, "an `expression` over other features alone"));
        }
    }
    let scope = Scope {
        columns: declared
            .iter()
            .map(|feature| (feature.name.as_str(), feature.dtype))
            .collect(),
        what: "another feature of the group".to_owned(),
        text_models: false,
    };
    let at = place.get("expression")?;
    let parsed = expression::parse(&at, &scope, problems)?;
    if let Some(dtype) = parsed.dtype {
        check_dtype(place, dtype, &format!("`{}`", parsed.expression), problems);
    }
    plain(place, FeatureKind::Derived(parsed.expression), problems)
}

/// Reports derived features that use themselves, directly or through others, and those that
/// stand before a derived feature that they use.
fn check_order(places: &[Place<'_>], features: &[Feature], problems: &mut Problems) {
    let derived: Vec<(&str, &Expression)> = features
        .iter()
        .filter_map(|feature| match &feature.kind {
            FeatureKind::Derived(expression) => Some((&*feature.name, expression)),
            _ => None,
        })
        .collect();
    for (index, (name, expression)) in derived.iter().enumerate() {
        let later = |used: &&str| derived[index..].iter().any(|(known, _)| known == used);
        let Some(used) = expression.columns().into_iter().find(later) else {
            continue;
        };
        let place = places
            .iter()
            .find(|place| place.text_at("name") == Some(*name));
        let Some(place) = place.and_then(|place| place.get("expression")) else {
            continue;
        };
        problems.push(match path(&derived, used, name) {
            Some(cycle) => place.problem(
                format!("the circle {name} -> {}", cycle.join(" -> ")),
                "features that do not need themselves",
            ),
            None => place.problem(
                format!("`{used}`, which stands further down"),
                format!("`{name}` below `{used}`"),
            ),
        });
    }
}

/// How one derived feature leads to another, both ends included.
fn path<'a>(
    derived: &[(&'a str, &'a Expression)],
    from: &'a str,
    to: &str,
) -> Option<Vec<&'a str>> {
    let mut trails = vec![vec![from]];
    let mut seen = vec![from];
    while let Some(trail) = trails.pop() {
        let last = *trail.last()?;
        if last == to {
            return Some(trail);
        }
        let uses = derived.iter().filter(|(name, _)| *name == last);
        for next in uses.flat_map(|(_, expression)| expression.columns()) {
            if !seen.contains(&next) {
                seen.push(next);
                trails.push([trail.as_slice(), &[next]].concat());
            }
        }
    }
    None
}

/// Reports names that two features of one entity share: they are fields of one row.
pub(super) fn unique_names(root: &Place<'_>, entities: &[Entity], problems: &mut Problems) {
    for entity in entities {
        let groups = root
            .section("feature_groups")
            .into_iter()
            .map(|(_, place)| place);
        let groups = groups.filter(|group| group.text_at("entity") == Some(entity.name.as_str()));
        check_unique(groups, entity, problems);
    }
}

/// Reports names that two features of these groups share, or share with the key.
pub(crate) fn check_unique<'a>(
    groups: impl Iterator<Item = Place<'a>>,
    entity: &Entity,
    problems: &mut Problems,
) {
    let mut seen = std::collections::HashMap::new();
    for place in groups.flat_map(|group| group.list("features")) {
        for name in expanded_names(&place) {
            if name == entity.key {
                let found = format!("`{name}`, the key of entity `{}`", entity.name);
                problems.push(place.problem(found, "another name"));
            }
            if let Some(first) = seen.insert(name.clone(), place.line) {
                let found = format!("feature `{name}` a second time (first on line {first})");
                problems.push(place.problem(found, "every feature name of an entity once"));
            }
        }
    }
}
