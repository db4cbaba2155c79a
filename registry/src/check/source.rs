//! The section `sources`.

use super::expression;
use super::names::{Names, resolve};
use crate::place::Place;
use crate::problem::{listed, nearest};
use crate::{Column, DType, DerivedColumn, Entity, Problems, Source, Span};

/// How late a live event may come unless the source says otherwise.
pub(crate) const ALLOWED_LATENESS: Span = Span(2 * Span::DAY.0);

pub(super) fn sources(
    root: &Place<'_>,
    names: &Names<'_>,
    entities: &[Entity],
    problems: &mut Problems,
) -> Vec<Source> {
    let section = root.section("sources").into_iter();
    section
        .filter_map(|(name, place)| source(name, &place, names, entities, problems))
        .collect()
}

fn source(
    name: &str,
    place: &Place<'_>,
    names: &Names<'_>,
    entities: &[Entity],
    problems: &mut Problems,
) -> Option<Source> {
    let entity = resolve(place, "entity", &names.entities, problems);
    let columns: Vec<Column> = place
        .section("columns")
        .into_iter()
        .filter_map(|(name, dtype)| {
            let dtype = DType::named(dtype.text()?)?;
            Some(Column {
                name: name.to_owned(),
                dtype,
            })
        })
        .collect();
    // With a broken column every expression over the source would be reported as well.
    if columns.len() < place.section("columns").len() {
        return None;
    }
    if let Some(entity) = entities
        .iter()
        .find(|known| Some(known.name.as_str()) == entity)
    {
        check_key(place, entity, &columns, problems);
    }
    check_instant(place, "event_time", &columns, problems);
    check_created(place, &columns, problems);
    column_at(place, "id", &columns, problems);
    let mut source = Source {
        name: name.to_owned(),
        paths: place.texts_at("path"),
        entity: entity?.to_owned(),
        event_time: place.text_at("event_time").map(str::to_owned),
        created: place.text_at("created").map(str::to_owned),
        id: place.text_at("id").map(str::to_owned),
        allowed_lateness: place
            .span_at("allowed_lateness")
            .unwrap_or(ALLOWED_LATENESS),
        columns,
        derived: Vec::new(),
    };
    derive(place, &mut source, problems)?;
    Some(source)
}

fn check_key(place: &Place<'_>, entity: &Entity, columns: &[Column], problems: &mut Problems) {
    let fits = |dtype: DType| dtype == entity.dtype || (dtype.is_text() && entity.dtype.is_text());
    let place = place.get("columns").unwrap_or_else(|| place.clone());
    let wanted = format!(
        "`{}: {}`, the key of entity `{}`",
        entity.key, entity.dtype, entity.name
    );
    match columns.iter().find(|column| column.name == entity.key) {
        Some(column) if fits(column.dtype) => {}
        Some(column) => {
            problems.push(place.problem(format!("`{}: {}`", column.name, column.dtype), wanted));
        }
        None => problems.push(place.problem(format!("no `{}`", entity.key), wanted)),
    }
}

fn check_instant(place: &Place<'_>, key: &str, columns: &[Column], problems: &mut Problems) {
    let Some(column) = column_at(place, key, columns, problems) else {
        return;
    };
    if let (Some(place), true) = (place.get(key), column.dtype != DType::Timestamp) {
        let found = format!("`{}` of type {}", column.name, column.dtype);
        problems.push(place.problem(found, "a column of type timestamp"));
    }
}

/// When a row became known says something beside when it happened, and nothing without it.
fn check_created(place: &Place<'_>, columns: &[Column], problems: &mut Problems) {
    let Some(created) = place.get("created") else {
        return;
    };
    match place.text_at("event_time") {
        None => {
            problems.push(created.problem("`created` without `event_time`", "both, or neither"));
        }
        Some(event_time) if created.text() == Some(event_time) => {
            problems.push(created.wrong("another column than `event_time`"));
        }
        Some(_) => check_instant(place, "created", columns, problems),
    }
}

/// The column that stands under a key; reported if there is none of that name.
pub(super) fn column_at<'a>(
    place: &Place<'_>,
    key: &str,
    columns: &'a [Column],
    problems: &mut Problems,
) -> Option<&'a Column> {
    let place = place.get(key)?;
    let name = place.text()?;
    let found = columns.iter().find(|column| column.name == name);
    if found.is_none() {
        let names = || columns.iter().map(|column| column.name.as_str());
        let mut problem = place.wrong(format!("one of the source's columns: {}", listed(names())));
        problem.suggestion = nearest(name, names());
        problems.push(problem);
    }
    found
}

/// Adds the derived columns, each of which may use those before it; none if one is broken.
fn derive(place: &Place<'_>, source: &mut Source, problems: &mut Problems) -> Option<()> {
    let mut whole = Some(());
    for (name, place) in place.section("derived") {
        if source.columns.iter().any(|column| column.name == name) {
            let found = format!("`{name}`, which is a column of the file");
            problems.push(place.problem(found, "a name that is free"));
        }
        let parsed = expression::parse(&place, &expression::source_scope(source, true), problems);
        match parsed.map(|parsed| (parsed.expression, parsed.dtype)) {
            Some((expression, Some(dtype))) => {
                source.derived.push(DerivedColumn {
                    name: name.to_owned(),
                    dtype,
                    expression,
                });
            }
            Some((_, None)) => {
                problems.push(place.wrong("an expression that is not always null"));
                whole = None;
            }
            None => whole = None,
        }
    }
    whole
}
