//! The section `labels`.

use super::expression::{condition, source_scope};
use super::names::{Names, resolve};
use super::source::column_at;
use crate::place::Place;
use crate::{DType, Draw, Instant, Label, LabelTarget, Problems, Source, Span, Split, shape};

/// The parts of a training set unless the label says otherwise.
pub(crate) const SPLIT: Split = Split {
    train: 0.7,
    valid: 0.15,
    by_time: false,
};

pub(super) fn labels(
    root: &Place<'_>,
    names: &Names<'_>,
    sources: &[Source],
    problems: &mut Problems,
) -> Vec<Label> {
    let section = root.section("labels").into_iter();
    section
        .filter_map(|(name, place)| label(name, &place, names, sources, problems))
        .collect()
}

fn label(
    name: &str,
    place: &Place<'_>,
    names: &Names<'_>,
    sources: &[Source],
    problems: &mut Problems,
) -> Option<Label> {
    let entity = resolve(place, "entity", &names.entities, problems);
    let split = split(place, problems);
    let source = resolve(place, "source", &names.sources, problems)?;
    let source = sources.iter().find(|known| known.name == source)?;
    let entity = entity?;
    if source.entity != entity {
        let found = format!("source `{}` of entity `{}`", source.name, source.entity);
        problems.push(place.problem(found, format!("a source of entity `{entity}`")));
    }
    let instant = instant(place, source, problems);
    let target = target(place, source, problems)?;
    let column = match (&target, place.text_at("name")) {
        (_, Some(column)) => column,
        (LabelTarget::Column(column), None) => column,
        (_, None) => name,
    };
    Some(Label {
        name: name.to_owned(),
        entity: entity.to_owned(),
        source: source.name.clone(),
        column: column.to_owned(),
        description: place.prose_at("description"),
        target,
        instant,
        split,
    })
}

fn target(place: &Place<'_>, source: &Source, problems: &mut Problems) -> Option<LabelTarget> {
    if let Some(at) = place.get("column") {
        let column = column_at(place, "column", &source.columns, problems)?;
        if !matches!(column.dtype, DType::Int | DType::Bool) {
            let found = format!("`{}` of type {}", column.name, column.dtype);
            problems.push(at.problem(found, "a column of type int (0 or 1) or bool"));
        }
        return Some(LabelTarget::Column(column.name.clone()));
    }
    if let Some(at) = place.get("draw") {
        return draw(&at, source, problems).map(LabelTarget::Draw);
    }
    let at = place.get("inactivity")?;
    let horizon = at.get("horizon")?;
    if horizon.span() == Some(Span(0)) {
        problems.push(horizon.wrong("a span above 0"));
    }
    if source.event_time.is_none() {
        let found = format!("source `{}` without `event_time`", source.name);
        problems.push(at.problem(found, "a source of events"));
    }
    let filter = condition(&at, "where", &source_scope(source, false), problems);
    Some(LabelTarget::Inactivity {
        filter,
        horizon: horizon.span()?,
    })
}

fn draw(place: &Place<'_>, source: &Source, problems: &mut Problems) -> Option<Draw> {
    let column = column_at(place, "from", &source.columns, problems)?;
    if !column.dtype.is_numeric() {
        let found = format!("`{}` of type {}", column.name, column.dtype);
        problems.push(place.problem(found, "a score column of type int or float"));
    }
    let mut probability = Vec::new();
    for (key, value) in place.section("p") {
        let (score, share) = (shape::score(key)?, value.number()?);
        if !(0.0..=1.0).contains(&share) {
            problems.push(value.wrong("a probability from 0 to 1"));
        }
        probability.push((score, share));
    }
    if probability.is_empty() {
        problems.push(place.problem("no probability", "at least one `score: probability`"));
    }
    probability.sort_by(|one, other| one.0.total_cmp(&other.0));
    Some(Draw {
        from: column.name.clone(),
        probability,
        seed: place.get("seed")?.whole()?,
    })
}

fn instant(place: &Place<'_>, source: &Source, problems: &mut Problems) -> Instant {
    let Some(place) = place.get("instant") else {
        return Instant::DataClock;
    };
    if let Some(instant) = place.instant() {
        return Instant::Fixed(instant);
    }
    match column_at(&place, "column", &source.columns, problems) {
        Some(column) => {
            if column.dtype != DType::Timestamp {
                let found = format!("`{}` of type {}", column.name, column.dtype);
                problems.push(place.problem(found, "a column of type timestamp"));
            }
            Instant::Column(column.name.clone())
        }
        None => Instant::DataClock,
    }
}

fn split(place: &Place<'_>, problems: &mut Problems) -> Split {
    let Some(place) = place.get("split") else {
        return SPLIT;
    };
    let (Some(train), Some(valid)) = (place.number_at("train"), place.number_at("valid")) else {
        return SPLIT;
    };
    let test = place.number_at("test").unwrap_or(1.0 - train - valid);
    let is_share = |share: f64| (-1e-9..=1.0 + 1e-9).contains(&share);
    if !(train > 0.0 && [train, valid, test].into_iter().all(is_share)) {
        let found = format!("the shares {train}, {valid} and {test}");
        problems.push(place.problem(found, "shares from 0 to 1, of which train is above 0"));
    } else if (train + valid + test - 1.0).abs() > 1e-9 {
        let found = format!("shares that add up to {}", train + valid + test);
        problems.push(place.problem(found, "shares that add up to 1"));
    }
    Split {
        train,
        valid,
        by_time: place.text_at("by") == Some("time"),
    }
}
