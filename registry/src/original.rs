//! The original form of the registry: groups with keys, a source and features, and no word
//! about entities, files or folds. Everything in it is a value that another program computed.
//! Called by `check`.

use std::sync::Arc;

use crate::check::{self, Leakage};
use crate::place::Place;
use crate::yaml::Node;
use crate::{
    Column, DType, Entity, Feature, FeatureGroup, FeatureKind, FeatureService, Fingerprint,
    Instant, Label, LabelTarget, Problems, Registry, Source, ValueColumns, fingerprint,
};

/// The group that is a label under its names, the first of which it gets.
const LABEL: [&str; 2] = ["churn_label", "churn_labels"];
/// The label's column.
const TARGET: &str = "churned";
/// Features that go by two names.
const ALIASES: [[&str; 2]; 2] = [
    ["sentiment_score", "avg_sentiment_score"],
    ["categorical_event_vector", "event_vector"],
];

/// Whether a file has this form: some group has `keys`, and there is no section of the other.
/// The JSON Schema decides by the same rule.
pub(crate) fn is_original(root: &Node) -> bool {
    let groups = root
        .get("feature_groups")
        .map(Node::entries)
        .unwrap_or_default();
    GRANARY_SECTIONS
        .iter()
        .all(|section| root.get(section).is_none())
        && groups.iter().any(|group| group.value.get("keys").is_some())
}

/// Sections that only the granary form has.
pub(crate) const GRANARY_SECTIONS: [&str; 3] = ["entities", "sources", "labels"];

/// The name that a group of the file has in the registry.
pub(crate) fn registry_name(group: &str) -> &str {
    if is_label(group) { LABEL[0] } else { group }
}

fn is_label(group: &str) -> bool {
    LABEL.contains(&group)
}

/// Reads a whole file.
pub(crate) fn read(root: &Place<'_>, problems: &mut Problems) -> Registry {
    let mut registry = Registry {
        project: root.text_at("project").unwrap_or("churn").to_owned(),
        clock: check::clock(root),
        entities: Vec::new(),
        sources: Vec::new(),
        groups: Vec::new(),
        labels: Vec::new(),
        services: Vec::new(),
    };
    let sections = root.section("feature_groups");
    // The label comes first: what it holds is refused in the groups.
    for (name, place) in sections.iter().filter(|(name, _)| is_label(name)) {
        if let Some(source) = add_source(name, place, &mut registry, problems) {
            add_label(place, source, &mut registry, problems);
        }
    }
    let groups: Vec<_> = sections
        .into_iter()
        .filter(|(name, _)| !is_label(name))
        .collect();
    for (name, place) in &groups {
        if let Some(source) = add_source(name, place, &mut registry, problems) {
            add_group(place, &source, &mut registry, problems);
        }
    }
    for entity in &registry.entities {
        let of_entity = groups.iter().map(|(_, place)| place.clone());
        let of_entity = of_entity.filter(|place| key(place) == Some(entity.key.as_str()));
        check::check_unique(of_entity, entity, problems);
    }
    registry.services = check::services(root, &registry.groups, &registry.labels, problems);
    if registry.services.is_empty() {
        registry.services.extend(default_service(&registry));
    }
    registry
}

fn key<'a>(place: &Place<'a>) -> Option<&'a str> {
    place.list("keys").first().and_then(Place::text)
}

/// Adds the source of a group, named after it, and the entity that follows from its key.
fn add_source(
    group: &str,
    place: &Place<'_>,
    registry: &mut Registry,
    problems: &mut Problems,
) -> Option<Source> {
    let keys = place.list("keys");
    if keys.len() != 1
        && let Some(place) = place.get("keys")
    {
        problems.push(place.problem(format!("{} keys", keys.len()), "one key"));
    }
    let key = key(place)?;
    let entity = key
        .strip_suffix("_id")
        .filter(|name| !name.is_empty())
        .unwrap_or(key);
    if let Some(known) = registry.entity(entity).filter(|known| known.key != key) {
        let found = format!("the key `{key}` beside `{}`", known.key);
        problems.push(place.problem(found, format!("one key for entity `{entity}`")));
    }
    if registry.entity(entity).is_none() {
        registry.entities.push(Entity {
            name: entity.to_owned(),
            key: key.to_owned(),
            dtype: DType::Text,
            prefix: format!("{entity}:"),
        });
    }
    let mut columns = vec![Column {
        name: key.to_owned(),
        dtype: DType::Text,
    }];
    for feature in place.list("features") {
        if let (Some(name), Some(dtype)) = (feature.text_at("name"), dtype(&feature)) {
            columns.push(Column {
                name: name.to_owned(),
                dtype,
            });
        }
    }
    let source = Source {
        name: registry_name(group).to_owned(),
        paths: paths(group, place),
        entity: entity.to_owned(),
        event_time: None,
        created: None,
        id: None,
        allowed_lateness: check::ALLOWED_LATENESS,
        columns,
        derived: Vec::new(),
    };
    registry.sources.push(source.clone());
    Some(source)
}

/// Where the group's file may lie: under its own name, under another one that it goes by, or
/// under that of the table it came from.
fn paths(group: &str, place: &Place<'_>) -> Vec<String> {
    let mut names = vec![group];
    if is_label(group) {
        names.extend(LABEL.into_iter().filter(|other| *other != group));
    }
    names.extend(place.text_at("source"));
    names
        .into_iter()
        .map(|name| format!("raw/{name}"))
        .collect()
}

fn dtype(feature: &Place<'_>) -> Option<DType> {
    DType::named(feature.text_at("dtype")?)
}

fn add_group(place: &Place<'_>, source: &Source, registry: &mut Registry, problems: &mut Problems) {
    let leakage = Leakage::of(&registry.labels, &registry.sources, &registry.entities);
    let mut features = Vec::new();
    for place in place.list("features") {
        if let Some(feature) = feature(&place, problems) {
            leakage.check_feature(&place, &feature, source, problems);
            features.push(feature);
        }
    }
    let Some(entity) = registry.entity(&source.entity) else {
        return;
    };
    let mut group = FeatureGroup {
        name: source.name.clone(),
        entity: source.entity.clone(),
        source: source.name.clone(),
        description: place.prose_at("description"),
        owner: place.prose_at("owner"),
        tags: place.texts_at("tags"),
        freshness: place.span_at("freshness"),
        max_age: None,
        session_gap: check::SESSION_GAP,
        features,
        fingerprint: Fingerprint(0),
    };
    group.fingerprint = fingerprint::of_group(&group, entity, source);
    registry.groups.push(group);
}

fn feature(place: &Place<'_>, problems: &mut Problems) -> Option<Feature> {
    let name = place.text_at("name")?;
    let dtype = dtype(place)?;
    let aliases = ALIASES.iter().find(|aliases| aliases.contains(&name));
    let others = aliases
        .into_iter()
        .flatten()
        .copied()
        .filter(|alias| *alias != name);
    let names: Vec<String> = std::iter::once(name)
        .chain(others)
        .map(str::to_owned)
        .collect();
    let columns = if dtype == DType::Vector {
        ValueColumns::Spread(names)
    } else {
        ValueColumns::One(names)
    };
    Some(Feature {
        name: Arc::from(name),
        dtype,
        kind: FeatureKind::Value { columns },
        description: place.prose_at("description"),
        imputation: check::imputation(place, dtype, problems),
        expectations: check::expectations(place, dtype, problems),
    })
}

fn add_label(place: &Place<'_>, source: Source, registry: &mut Registry, problems: &mut Problems) {
    let target = source.columns.iter().find(|column| column.name == TARGET);
    if !target.is_some_and(|column| matches!(column.dtype, DType::Int | DType::Bool)) {
        let place = place.get("features").unwrap_or_else(|| place.clone());
        let found = format!("no `{TARGET}` of type int or bool");
        problems.push(place.problem(found, format!("the feature `{TARGET}`, dtype int or bool")));
    }
    if registry.label(LABEL[0]).is_some() {
        let found = format!("{} beside {}", LABEL[1], LABEL[0]);
        problems.push(place.problem(found, "one label"));
        return;
    }
    registry.labels.push(Label {
        name: source.name.clone(),
        entity: source.entity,
        source: source.name,
        column: TARGET.to_owned(),
        description: place.prose_at("description"),
        target: LabelTarget::Column(TARGET.to_owned()),
        instant: Instant::DataClock,
        split: check::SPLIT,
    });
}

/// All features of the label's entity, to predict the label.
fn default_service(registry: &Registry) -> Option<FeatureService> {
    let label = registry.labels.first()?;
    let groups = registry
        .groups
        .iter()
        .filter(|group| group.entity == label.entity);
    let features = groups.flat_map(|group| {
        group
            .features
            .iter()
            .map(|feature| (group.name.clone(), Arc::clone(&feature.name)))
    });
    Some(FeatureService {
        name: "churn".to_owned(),
        description: "All features, to predict churn".to_owned(),
        features: features.collect(),
        label: Some(label.name.clone()),
    })
}
