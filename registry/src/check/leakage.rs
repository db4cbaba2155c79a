//! Keeps the answer out of the question: what stands in a label's source is never a feature.

use crate::place::Place;
use crate::{Entity, Feature, Instant, Label, LabelTarget, Problems, Source};

/// What the labels of a registry forbid.
pub(crate) struct Leakage {
    /// (source, label)
    sources: Vec<(String, String)>,
    /// (column, label): neither the name of a feature nor read by one.
    columns: Vec<(String, String)>,
    /// (column of the training set, label): not the name of a feature.
    targets: Vec<(String, String)>,
}

impl Leakage {
    pub(crate) fn of(labels: &[Label], sources: &[Source], entities: &[Entity]) -> Leakage {
        let mut leakage = Leakage {
            sources: Vec::new(),
            columns: Vec::new(),
            targets: Vec::new(),
        };
        for label in labels {
            leakage
                .targets
                .push((label.column.clone(), label.name.clone()));
            // An inactivity label looks behind the instant and features look before it, so
            // both may read the same events.
            if matches!(label.target, LabelTarget::Inactivity { .. }) {
                continue;
            }
            let Some(source) = sources.iter().find(|source| source.name == label.source) else {
                continue;
            };
            leakage
                .sources
                .push((source.name.clone(), label.name.clone()));
            let key = entities.iter().find(|entity| entity.name == source.entity);
            let is_answer = |column: &str| {
                key.is_none_or(|entity| entity.key != column)
                    && source.event_time.as_deref() != Some(column)
                    && source.created.as_deref() != Some(column)
                    && label.instant != Instant::Column(column.to_owned())
            };
            let columns = source.columns.iter().map(|column| &column.name);
            let derived = source.derived.iter().map(|column| &column.name);
            for column in columns.chain(derived).filter(|column| is_answer(column)) {
                leakage.columns.push((column.clone(), label.name.clone()));
            }
        }
        leakage
    }

    /// Refuses a group that reads a label's source.
    pub(crate) fn check_source(&self, place: &Place<'_>, source: &str, problems: &mut Problems) {
        if let Some((_, label)) = self.sources.iter().find(|(known, _)| known == source) {
            let place = place.get("source").unwrap_or_else(|| place.clone());
            let found = format!("`{source}`, the source of label `{label}`");
            problems.push(place.problem(found, "a source that does not hold the answer (leakage)"));
        }
    }

    /// Refuses a feature that has the name of a label's column or reads one.
    pub(crate) fn check_feature(
        &self,
        place: &Place<'_>,
        feature: &Feature,
        source: &Source,
        problems: &mut Problems,
    ) {
        let name = &*feature.name;
        let expected = "a feature that does not hold the answer (leakage)";
        let named = self
            .columns
            .iter()
            .chain(&self.targets)
            .find(|(column, _)| column == name);
        if let Some((column, label)) = named {
            let found = format!("`{column}`, a column of label `{label}`");
            problems.push(place.problem(found, expected));
        }
        for read in feature.columns_read(source) {
            if let Some((column, label)) = self.columns.iter().find(|(column, _)| column == read)
                && column != name
            {
                let found = format!("`{name}` reading `{column}`, a column of label `{label}`");
                problems.push(place.problem(found, expected));
            }
        }
    }
}
