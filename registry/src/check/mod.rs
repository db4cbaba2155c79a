//! From the text of a registry file to checked types, with every problem at once. First
//! `shape` holds the file against the key tables, then one module per section looks at what
//! the values mean. A section skips what `shape` has reported, so nothing is reported twice.

mod aggregation; // folds and their windows
mod entity; // kinds of things
mod expression; // SQL at a place of the file
mod feature; // values, aggregations, derived features
mod group; // feature groups
mod label; // targets, instants, splits
mod leakage; // what a label's source keeps out of features
mod names; // references between sections
mod quality; // imputation, expectations, literals
mod service; // feature lists of models
mod source; // tables and event logs

pub(crate) use feature::check_unique;
pub(crate) use group::SESSION_GAP;
pub(crate) use label::SPLIT;
pub(crate) use leakage::Leakage;
pub(crate) use quality::{expectations, imputation};
pub(crate) use service::services;
pub(crate) use source::ALLOWED_LATENESS;

use crate::keys::{FILE, ORIGINAL_FILE, Shape};
use crate::original;
use crate::place::Place;
use crate::{Clock, Problems, Registry, shape, yaml};
use names::Names;

impl Registry {
    /// Reads a registry file, in the granary form or the original one.
    pub fn parse(text: &str) -> Result<Registry, Problems> {
        let node = yaml::read(text)?;
        let root = Place::root(&node);
        let mut problems = Problems::default();
        let is_original = original::is_original(&node);
        let table = if is_original { &ORIGINAL_FILE } else { &FILE };
        shape::check(&root, &Shape::Table(table), &mut problems);
        let registry = if is_original {
            original::read(&root, &mut problems)
        } else {
            read(&root, &mut problems)
        };
        problems.or(registry)
    }
}

/// What "now" means for a file.
pub(crate) fn clock(root: &Place<'_>) -> Clock {
    if root.text_at("clock") == Some("data") {
        Clock::Data
    } else {
        Clock::Wall
    }
}

fn read(root: &Place<'_>, problems: &mut Problems) -> Registry {
    let names = Names::of(root);
    names::check_groups_and_labels(root, problems);
    let entities = entity::entities(root, problems);
    let sources = source::sources(root, &names, &entities, problems);
    let labels = label::labels(root, &names, &sources, problems);
    let leakage = Leakage::of(&labels, &sources, &entities);
    let context = group::Context {
        names: &names,
        entities: &entities,
        sources: &sources,
        leakage: &leakage,
    };
    let groups = group::groups(root, &context, problems);
    feature::unique_names(root, &entities, problems);
    let services = services(root, &groups, &labels, problems);
    Registry {
        project: root.prose_at("project"),
        clock: clock(root),
        entities,
        sources,
        groups,
        labels,
        services,
    }
}
