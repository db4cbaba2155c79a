//! The section `feature_services`.

use std::sync::Arc;

use crate::original::registry_name;
use crate::place::Place;
use crate::problem::{listed, nearest};
use crate::{FeatureGroup, FeatureService, Label, Problems};

/// Reads the services of a file. Groups and labels with problems are missing from the lists
/// but stand in the file, so references to them are not dangling.
pub(crate) fn services(
    root: &Place<'_>,
    groups: &[FeatureGroup],
    labels: &[Label],
    problems: &mut Problems,
) -> Vec<FeatureService> {
    let section = root.section("feature_services").into_iter();
    section
        .map(|(name, place)| service(name, &place, root, groups, labels, problems))
        .collect()
}

fn service(
    name: &str,
    place: &Place<'_>,
    root: &Place<'_>,
    groups: &[FeatureGroup],
    labels: &[Label],
    problems: &mut Problems,
) -> FeatureService {
    let mut features: Vec<(String, Arc<str>)> = Vec::new();
    let mut entity = None;
    for item in place.list("features") {
        let Some(group) = group_of(&item, root, groups, labels, problems) else {
            continue;
        };
        if *entity.get_or_insert(group.entity.as_str()) != group.entity {
            let found = format!("{} of entity `{}`", item.found(), group.entity);
            problems.push(item.problem(found, "features of one entity"));
        }
        let named = features_of(&item, root, group, problems);
        let named = named
            .into_iter()
            .map(|feature| (group.name.clone(), feature));
        let (repeated, fresh): (Vec<_>, Vec<_>) = named.partition(|one| features.contains(one));
        if let Some((group, feature)) = repeated.first() {
            let found = format!("`{group}:{feature}` a second time");
            problems.push(item.problem(found, "every feature once"));
        }
        features.extend(fresh);
    }
    let label = label(place, root, labels, entity, problems);
    FeatureService {
        name: name.to_owned(),
        description: place.prose_at("description"),
        features,
        label,
    }
}

/// The group that an item names, if it has no problem of its own.
fn group_of<'g>(
    item: &Place<'_>,
    root: &Place<'_>,
    groups: &'g [FeatureGroup],
    labels: &[Label],
    problems: &mut Problems,
) -> Option<&'g FeatureGroup> {
    let text = item.text()?;
    let name = text.split_once(':').map_or(text, |(group, _)| group);
    if labels.iter().any(|label| label.name == registry_name(name)) {
        problems.push(item.problem(format!("the label `{name}`"), "features, not the answer"));
        return None;
    }
    let declared = root.section("feature_groups");
    if !declared.iter().any(|(known, _)| *known == name) {
        let names = || declared.iter().map(|(known, _)| *known);
        let mut problem = item.wrong(format!("{}, or `group:feature`", listed(names())));
        problem.suggestion = nearest(name, names());
        problems.push(problem);
    }
    groups.iter().find(|group| group.name == name)
}

fn features_of(
    item: &Place<'_>,
    root: &Place<'_>,
    group: &FeatureGroup,
    problems: &mut Problems,
) -> Vec<Arc<str>> {
    let all = || {
        group
            .features
            .iter()
            .map(|feature| Arc::clone(&feature.name))
    };
    let Some((_, name)) = item.text().and_then(|text| text.split_once(':')) else {
        return all().collect();
    };
    let declared = super::feature::declared(root, &group.name);
    if !declared.iter().any(|known| known == name) {
        let names = || declared.iter().map(String::as_str);
        let expected = format!("a feature of `{}`: {}", group.name, listed(names()));
        let mut problem = item.wrong(expected);
        problem.suggestion = nearest(name, names()).map(|near| format!("{}:{near}", group.name));
        problems.push(problem);
    }
    all().filter(|known| &**known == name).collect()
}

fn label(
    place: &Place<'_>,
    root: &Place<'_>,
    labels: &[Label],
    entity: Option<&str>,
    problems: &mut Problems,
) -> Option<String> {
    let at = place.get("label")?;
    let name = at.text()?;
    let declared: Vec<&str> = root
        .section("labels")
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    let label = labels.iter().find(|label| label.name == name);
    if label.is_none() && !declared.contains(&name) {
        // In the original form labels are not declared as such.
        let known = labels.iter().map(|label| label.name.as_str());
        let known: Vec<&str> = if declared.is_empty() {
            known.collect()
        } else {
            declared
        };
        let names = || known.iter().copied();
        let mut problem = at.wrong(listed(names()));
        problem.suggestion = nearest(name, names());
        problems.push(problem);
    }
    if let (Some(label), Some(entity)) = (label, entity)
        && label.entity != entity
    {
        let found = format!("`{name}` of entity `{}`", label.entity);
        problems.push(at.problem(found, format!("a label of entity `{entity}`")));
    }
    Some(name.to_owned())
}
