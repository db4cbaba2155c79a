//! The features of a service, group by group: what is gathered together.

use granary_registry::{Entity, Feature, FeatureGroup, FeatureService, Registry};

use crate::error::Error;
use crate::fold::GroupFold;
use crate::job::Job;

/// Features of one group, with their places among all of the service.
pub(super) struct Part<'a> {
    pub group: &'a FeatureGroup,
    pub features: Vec<(usize, &'a Feature)>,
}

impl Part<'_> {
    /// Their positions in the group's folds.
    pub(super) fn slots(&self, fold: &GroupFold) -> Vec<usize> {
        let slot = |(_, feature): &(usize, &Feature)| fold.slot(&feature.name);
        let slots = self.features.iter().map(slot);
        slots
            .map(|slot| slot.expect("compiled: every feature of a group has a slot"))
            .collect()
    }
}

/// In order of first mention.
pub(super) fn by_group<'a>(
    job: &Job<'a>,
    service: &FeatureService,
) -> Result<Vec<Part<'a>>, Error> {
    let mut parts: Vec<Part<'a>> = Vec::new();
    for (place, (group, name)) in service.features.iter().enumerate() {
        let group = job.group(group)?;
        let feature = group
            .feature(name)
            .expect("checked: a service's features exist");
        match parts.iter_mut().find(|part| part.group.name == group.name) {
            Some(part) => part.features.push((place, feature)),
            None => parts.push(Part {
                group,
                features: vec![(place, feature)],
            }),
        }
    }
    Ok(parts)
}

/// Whom the service describes.
pub(super) fn entity_of<'a>(
    registry: &'a Registry,
    service: &FeatureService,
) -> Result<&'a Entity, Error> {
    let group = service.features.first();
    let group = group.and_then(|(group, _)| registry.group(group));
    let entity = group.and_then(|group| registry.entity(&group.entity));
    entity.ok_or_else(|| Error::NoSuch {
        what: "feature in service",
        name: service.name.clone(),
        known: Vec::new(),
    })
}
