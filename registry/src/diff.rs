//! What a change of the registry means for what is stored: which states stay readable, what
//! is to be built, pushed or trained again. Called by `registry diff` and by whoever serves
//! under an older definition.

use std::fmt;

use crate::{
    Entity, Feature, FeatureGroup, FeatureKind, FeatureService, Fingerprint, Function, Label,
    Registry, Source, fingerprint,
};

/// One change with what follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What changed.
    pub subject: Subject,
    /// How.
    pub kind: ChangeKind,
    /// What follows for stored data.
    pub consequence: Consequence,
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the parts of a registry")]
pub enum Subject {
    Project,
    Clock,
    Entity(String),
    Source(String),
    Group(String),
    Feature { group: String, feature: String },
    Label(String),
    Service(String),
}

/// How something changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// Only the new registry has it.
    Added,
    /// Only the old registry has it.
    Removed,
    /// Both have it, and these of its keys differ.
    Changed(Vec<&'static str>),
}

/// What follows for stored data, from nothing to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Consequence {
    /// Nothing.
    Nothing,
    /// Builds from now on are checked by other rules.
    NextBuild,
    /// Answers differ from now on; what is stored stays as it is.
    Reads,
    /// Build and push are due; models are not affected.
    Build,
    /// Materialize and train are due.
    Train,
    /// What is stored is not read any more, and models that use it are refused.
    Dropped,
    /// States are unreadable until build and push, and models that use it are refused.
    Rebuild,
}

/// Everything that differs between two registries, in the order of their sections.
pub fn diff(old: &Registry, new: &Registry) -> Vec<Change> {
    let mut changes = Vec::new();
    if old.project != new.project {
        changes.push(changed(
            Subject::Project,
            vec!["project"],
            Consequence::Nothing,
        ));
    }
    if old.clock != new.clock {
        changes.push(changed(Subject::Clock, vec!["clock"], Consequence::Reads));
    }
    diff_entities(old, new, &mut changes);
    diff_sources(old, new, &mut changes);
    diff_groups(old, new, &mut changes);
    diff_labels(old, new, &mut changes);
    diff_services(old, new, &mut changes);
    changes
}

fn changed(subject: Subject, keys: Vec<&'static str>, consequence: Consequence) -> Change {
    Change {
        subject,
        kind: ChangeKind::Changed(keys),
        consequence,
    }
}

/// What one side alone has becomes a change; what both have is returned in pairs.
fn pair_up<'a, T>(
    old: &'a [T],
    new: &'a [T],
    name: impl Fn(&T) -> &str,
    subject: impl Fn(&T) -> Subject,
    (added, removed): (Consequence, Consequence),
    changes: &mut Vec<Change>,
) -> Vec<(&'a T, &'a T)> {
    for item in old
        .iter()
        .filter(|old| !new.iter().any(|new| name(new) == name(old)))
    {
        let kind = ChangeKind::Removed;
        changes.push(Change {
            subject: subject(item),
            kind,
            consequence: removed,
        });
    }
    let mut pairs = Vec::new();
    for item in new {
        match old.iter().find(|old| name(old) == name(item)) {
            Some(old) => pairs.push((old, item)),
            None => changes.push(Change {
                subject: subject(item),
                kind: ChangeKind::Added,
                consequence: added,
            }),
        }
    }
    pairs
}

/// The keys under which two things differ.
fn differing(keys: &[(&'static str, bool)]) -> Vec<&'static str> {
    keys.iter()
        .filter(|(_, differs)| *differs)
        .map(|(key, _)| *key)
        .collect()
}

fn push_changed(
    subject: &Subject,
    keys: &[(&'static str, bool)],
    consequence: Consequence,
    changes: &mut Vec<Change>,
) {
    let keys = differing(keys);
    if !keys.is_empty() {
        changes.push(changed(subject.clone(), keys, consequence));
    }
}

fn diff_entities(old: &Registry, new: &Registry, changes: &mut Vec<Change>) {
    let subject = |entity: &Entity| Subject::Entity(entity.name.clone());
    let fate = (Consequence::Nothing, Consequence::Dropped);
    let pairs = pair_up(
        &old.entities,
        &new.entities,
        |entity| &entity.name,
        subject,
        fate,
        changes,
    );
    for (old, new) in pairs {
        let subject = subject(new);
        push_changed(
            &subject,
            &[("prefix", old.prefix != new.prefix)],
            Consequence::Reads,
            changes,
        );
        let keys = [
            ("key", old.key != new.key),
            ("type", old.dtype != new.dtype),
        ];
        push_changed(&subject, &keys, Consequence::Rebuild, changes);
    }
}

/// What a source's columns mean for features is told with the features.
fn diff_sources(old: &Registry, new: &Registry, changes: &mut Vec<Change>) {
    let subject = |source: &Source| Subject::Source(source.name.clone());
    let fate = (Consequence::Nothing, Consequence::Nothing);
    let pairs = pair_up(
        &old.sources,
        &new.sources,
        |source| &source.name,
        subject,
        fate,
        changes,
    );
    for (old, new) in pairs {
        let subject = subject(new);
        push_changed(
            &subject,
            &[("path", old.paths != new.paths)],
            Consequence::Build,
            changes,
        );
        let keys = [
            ("entity", old.entity != new.entity),
            ("event_time", old.event_time != new.event_time),
            ("id", old.id != new.id),
            (
                "allowed_lateness",
                old.allowed_lateness != new.allowed_lateness,
            ),
            ("columns", old.columns != new.columns),
            ("derived", old.derived != new.derived),
        ];
        push_changed(&subject, &keys, Consequence::Nothing, changes);
        // States know nothing of it; training sets do.
        let created = [("created", old.created != new.created)];
        push_changed(&subject, &created, Consequence::Train, changes);
    }
}

fn diff_groups(old: &Registry, new: &Registry, changes: &mut Vec<Change>) {
    let subject = |group: &FeatureGroup| Subject::Group(group.name.clone());
    let fate = (Consequence::Build, Consequence::Dropped);
    let pairs = pair_up(
        &old.groups,
        &new.groups,
        |group| &group.name,
        subject,
        fate,
        changes,
    );
    for (old_group, new_group) in pairs {
        let subject = subject(new_group);
        let prose = [
            (
                "description",
                old_group.description != new_group.description,
            ),
            ("owner", old_group.owner != new_group.owner),
            ("tags", old_group.tags != new_group.tags),
            ("freshness", old_group.freshness != new_group.freshness),
        ];
        push_changed(&subject, &prose, Consequence::Nothing, changes);
        let age = [("max_age", old_group.max_age != new_group.max_age)];
        push_changed(&subject, &age, Consequence::Train, changes);
        let before = changes.len();
        diff_features(old, new, (old_group, new_group), changes);
        let told = changes[before..]
            .iter()
            .any(|change| change.consequence >= Consequence::Build);
        if old_group.fingerprint != new_group.fingerprint && !told {
            changes.push(changed(
                subject,
                vec!["the order of features"],
                Consequence::Build,
            ));
        }
    }
}

fn diff_features(
    old: &Registry,
    new: &Registry,
    (old_group, new_group): (&FeatureGroup, &FeatureGroup),
    changes: &mut Vec<Change>,
) {
    let subject = |feature: &Feature| Subject::Feature {
        group: new_group.name.clone(),
        feature: feature.name.to_string(),
    };
    let fate = (Consequence::Build, Consequence::Dropped);
    let pairs = pair_up(
        &old_group.features,
        &new_group.features,
        |feature| &feature.name,
        subject,
        fate,
        changes,
    );
    for (old_feature, new_feature) in pairs {
        let subject = subject(new_feature);
        let meaning = (
            old.meaning(old_group, old_feature),
            new.meaning(new_group, new_feature),
        );
        if meaning.0 != meaning.1 {
            let mut keys = differing_definitions(old_feature, new_feature);
            if keys.is_empty() {
                keys.push("what it is computed from");
            }
            changes.push(changed(subject.clone(), keys, Consequence::Rebuild));
        }
        let prose = [(
            "description",
            old_feature.description != new_feature.description,
        )];
        push_changed(&subject, &prose, Consequence::Nothing, changes);
        let rules = [(
            "expect",
            old_feature.expectations != new_feature.expectations,
        )];
        push_changed(&subject, &rules, Consequence::NextBuild, changes);
        let filling = [(
            "imputation",
            old_feature.imputation != new_feature.imputation,
        )];
        push_changed(&subject, &filling, Consequence::Train, changes);
    }
}

/// The keys of a feature's definition that differ.
fn differing_definitions(old: &Feature, new: &Feature) -> Vec<&'static str> {
    let mut keys = differing(&[("dtype", old.dtype != new.dtype)]);
    match (&old.kind, &new.kind) {
        (FeatureKind::Aggregate(old), FeatureKind::Aggregate(new)) => {
            keys.extend(differing(&[
                ("aggregation", old.function.name() != new.function.name()),
                ("input", old.input != new.input),
                ("where", old.filter != new.filter),
                ("window", old.window != new.window),
            ]));
            keys.extend(differing_arguments(&old.function, &new.function));
        }
        (FeatureKind::Value { columns: old }, FeatureKind::Value { columns: new }) => {
            keys.extend(differing(&[("column", old != new)]));
        }
        (FeatureKind::Derived(old), FeatureKind::Derived(new)) => {
            keys.extend(differing(&[("expression", old != new)]));
        }
        _ => keys.push("how it is computed"),
    }
    keys
}

/// The arguments that differ between two uses of one function.
fn differing_arguments(old: &Function, new: &Function) -> Vec<&'static str> {
    if old.name() != new.name() {
        return Vec::new();
    }
    let pairs = old.arguments().into_iter().zip(new.arguments());
    pairs
        .filter(|(old, new)| old != new)
        .map(|((key, _), _)| key)
        .collect()
}

impl Registry {
    /// A hash of all that decides one feature: the group as it would be with nothing but the
    /// feature and those that it is derived from.
    fn meaning(&self, group: &FeatureGroup, feature: &Feature) -> Option<Fingerprint> {
        let mut needed = vec![&*feature.name];
        let mut next = 0;
        while let Some(name) = needed.get(next) {
            next += 1;
            let Some(FeatureKind::Derived(expression)) = group.feature(name).map(|f| &f.kind)
            else {
                continue;
            };
            for used in expression.columns() {
                if !needed.contains(&used) {
                    needed.push(used);
                }
            }
        }
        let mut alone = group.clone();
        alone
            .features
            .retain(|feature| needed.contains(&&*feature.name));
        // The order decides the bytes of the states and not what they mean.
        alone
            .features
            .sort_by(|one, other| one.name.cmp(&other.name));
        let entity = self.entity(&group.entity)?;
        Some(fingerprint::of_group(
            &alone,
            entity,
            self.source(&group.source)?,
        ))
    }
}

fn diff_labels(old: &Registry, new: &Registry, changes: &mut Vec<Change>) {
    let subject = |label: &Label| Subject::Label(label.name.clone());
    let fate = (Consequence::Train, Consequence::Dropped);
    let pairs = pair_up(
        &old.labels,
        &new.labels,
        |label| &label.name,
        subject,
        fate,
        changes,
    );
    for (old_label, new_label) in pairs {
        let subject = subject(new_label);
        let prose = [(
            "description",
            old_label.description != new_label.description,
        )];
        push_changed(&subject, &prose, Consequence::Nothing, changes);
        let rows = |registry: &Registry, label: &Label| {
            let source = registry.source(&label.source)?.clone();
            Some((source.paths, source.event_time, source.id))
        };
        let keys = [
            ("entity", old_label.entity != new_label.entity),
            ("source", old_label.source != new_label.source),
            ("name", old_label.column != new_label.column),
            ("target", old_label.target != new_label.target),
            ("instant", old_label.instant != new_label.instant),
            ("split", old_label.split != new_label.split),
            (
                "the rows of its source",
                rows(old, old_label) != rows(new, new_label),
            ),
        ];
        push_changed(&subject, &keys, Consequence::Train, changes);
    }
}

fn diff_services(old: &Registry, new: &Registry, changes: &mut Vec<Change>) {
    let subject = |service: &FeatureService| Subject::Service(service.name.clone());
    let fate = (Consequence::Train, Consequence::Dropped);
    let pairs = pair_up(
        &old.services,
        &new.services,
        |service| &service.name,
        subject,
        fate,
        changes,
    );
    for (old, new) in pairs {
        let subject = subject(new);
        let prose = [("description", old.description != new.description)];
        push_changed(&subject, &prose, Consequence::Nothing, changes);
        let keys = [
            ("features", old.features != new.features),
            ("label", old.label != new.label),
        ];
        push_changed(&subject, &keys, Consequence::Train, changes);
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.subject, self.kind, self.consequence)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Project => f.write_str("project"),
            Subject::Clock => f.write_str("clock"),
            Subject::Entity(name) => write!(f, "entity {name}"),
            Subject::Source(name) => write!(f, "source {name}"),
            Subject::Group(name) => write!(f, "group {name}"),
            Subject::Feature { group, feature } => write!(f, "feature {group}:{feature}"),
            Subject::Label(name) => write!(f, "label {name}"),
            Subject::Service(name) => write!(f, "service {name}"),
        }
    }
}

impl fmt::Display for ChangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChangeKind::Added => f.write_str("added"),
            ChangeKind::Removed => f.write_str("removed"),
            ChangeKind::Changed(keys) => write!(f, "changed ({})", keys.join(", ")),
        }
    }
}

impl fmt::Display for Consequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Consequence::Nothing => "nothing stored is affected",
            Consequence::NextBuild => "checked from the next build on; nothing stored is affected",
            Consequence::Reads => "answers differ at once; nothing stored is affected",
            Consequence::Build => "build and push are due; models are not affected",
            Consequence::Train => "materialize and train are due",
            Consequence::Dropped => "no longer served; models that use it are refused",
            Consequence::Rebuild => {
                "stored states are unreadable under it: build and push are due; \
                 models that use it are refused until trained again"
            }
        })
    }
}
