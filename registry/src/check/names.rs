//! Names that one section of the file uses for things of another.

use crate::Problems;
use crate::place::Place;
use crate::problem::{listed, nearest};

/// The names that the file declares, whether or not what they name is right: a broken source
/// is one problem, not one per group that reads it.
pub(super) struct Names<'a> {
    pub(super) entities: Vec<&'a str>,
    pub(super) sources: Vec<&'a str>,
}

impl<'a> Names<'a> {
    pub(super) fn of(root: &Place<'a>) -> Names<'a> {
        let names = |section| {
            root.section(section)
                .into_iter()
                .map(|(name, _)| name)
                .collect()
        };
        Names {
            entities: names("entities"),
            sources: names("sources"),
        }
    }
}

/// Groups and labels are stored side by side, so they share their names.
pub(super) fn check_groups_and_labels(root: &Place<'_>, problems: &mut Problems) {
    let groups = root.section("feature_groups");
    for (name, label) in root.section("labels") {
        if groups.iter().any(|(group, _)| *group == name) {
            let found = format!("the label `{name}` beside a feature group of that name");
            problems.push(label.problem(found, "another name"));
        }
    }
}

/// The name under a key, if it is one of those declared; reported if not.
pub(super) fn resolve<'a>(
    place: &Place<'a>,
    key: &str,
    names: &[&str],
    problems: &mut Problems,
) -> Option<&'a str> {
    let place = place.get(key)?;
    let name = place.text()?;
    if names.contains(&name) {
        return Some(name);
    }
    let mut problem = place.wrong(listed(names.iter().copied()));
    problem.suggestion = nearest(name, names.iter().copied());
    problems.push(problem);
    None
}
