//! The section `entities`.

use crate::place::Place;
use crate::{DType, Entity, Problems};

pub(super) fn entities(root: &Place<'_>, problems: &mut Problems) -> Vec<Entity> {
    let mut entities: Vec<Entity> = Vec::new();
    for (name, place) in root.section("entities") {
        let Some(entity) = entity(name, &place) else {
            continue;
        };
        let clash = |other: &Entity| {
            other.prefix.starts_with(&entity.prefix) || entity.prefix.starts_with(&other.prefix)
        };
        if let Some(other) = entities
            .iter()
            .find(|other| other.name != name && clash(other))
        {
            let found = format!(
                "prefix `{}` beside `{}` of `{}`",
                entity.prefix, other.prefix, other.name
            );
            problems.push(place.problem(found, "prefixes none of which begins with another"));
        }
        entities.push(entity);
    }
    entities
}

fn entity(name: &str, place: &Place<'_>) -> Option<Entity> {
    let dtype = if place.text_at("type") == Some("int") {
        DType::Int
    } else {
        DType::Text
    };
    Some(Entity {
        name: name.to_owned(),
        key: place.text_at("key")?.to_owned(),
        dtype,
        prefix: place
            .text_at("prefix")
            .map_or_else(|| format!("{name}:"), str::to_owned),
    })
}
