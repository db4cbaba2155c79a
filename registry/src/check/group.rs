//! The section `feature_groups`.

use super::feature;
use super::leakage::Leakage;
use super::names::{Names, resolve};
use crate::place::Place;
use crate::{Entity, Feature, FeatureGroup, FeatureKind, Problems, Source, Span, fingerprint};

/// Longest gap inside a session unless the group says otherwise.
pub(crate) const SESSION_GAP: Span = Span(30 * Span::MINUTE.0);

/// What the sections before this one have found.
pub(super) struct Context<'a> {
    pub(super) names: &'a Names<'a>,
    pub(super) entities: &'a [Entity],
    pub(super) sources: &'a [Source],
    pub(super) leakage: &'a Leakage,
}

pub(super) fn groups(
    root: &Place<'_>,
    context: &Context<'_>,
    problems: &mut Problems,
) -> Vec<FeatureGroup> {
    let section = root.section("feature_groups").into_iter();
    section
        .filter_map(|(name, place)| group(name, &place, context, problems))
        .collect()
}

fn group(
    name: &str,
    place: &Place<'_>,
    context: &Context<'_>,
    problems: &mut Problems,
) -> Option<FeatureGroup> {
    let entity = resolve(place, "entity", &context.names.entities, problems);
    let source = resolve(place, "source", &context.names.sources, problems)?;
    context.leakage.check_source(place, source, problems);
    let source = context.sources.iter().find(|known| known.name == source)?;
    let entity = context
        .entities
        .iter()
        .find(|known| Some(known.name.as_str()) == entity)?;
    if source.entity != entity.name {
        let found = format!("source `{}` of entity `{}`", source.name, source.entity);
        problems.push(place.problem(found, format!("a source of entity `{}`", entity.name)));
    }
    let features = feature::features(place, source, context.leakage, problems);
    check_max_age(place, &features, problems);
    let session_gap = place.get("session_gap");
    if let Some(gap) = session_gap
        .as_ref()
        .filter(|gap| gap.span() == Some(Span(0)))
    {
        problems.push(gap.wrong("a span above 0"));
    }
    let mut group = FeatureGroup {
        name: name.to_owned(),
        entity: entity.name.clone(),
        source: source.name.clone(),
        description: place.prose_at("description"),
        owner: place.prose_at("owner"),
        tags: place.texts_at("tags"),
        freshness: place.span_at("freshness"),
        max_age: place.span_at("max_age"),
        session_gap: session_gap
            .and_then(|gap| gap.span())
            .unwrap_or(SESSION_GAP),
        features,
        fingerprint: crate::Fingerprint(0),
    };
    group.fingerprint = fingerprint::of_group(&group, entity, source);
    Some(group)
}

fn check_max_age(place: &Place<'_>, features: &[Feature], problems: &mut Problems) {
    let aggregate = features
        .iter()
        .find(|f| matches!(f.kind, FeatureKind::Aggregate(_)));
    if let (Some(place), Some(feature)) = (place.get("max_age"), aggregate) {
        let found = format!(
            "`max_age` on a group with the aggregation `{}`",
            feature.name
        );
        problems.push(place.problem(found, "a group of values"));
    }
}
