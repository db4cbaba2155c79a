//! Which columns of a source its features need, through derived columns down to those of the
//! file. Called by the leakage check, by fingerprints, and by whoever reads files.

use crate::{Aggregation, Expression, Feature, FeatureGroup, FeatureKind, Source, ValueColumns};

impl Feature {
    /// The columns of the source that decide this feature, derived ones and what they are
    /// computed from included; a derived feature reads other features and no column.
    pub fn columns_read<'a>(&'a self, source: &'a Source) -> Vec<&'a str> {
        let mut names = Vec::new();
        match &self.kind {
            FeatureKind::Value {
                columns: ValueColumns::One(columns) | ValueColumns::Spread(columns),
            } => {
                for column in columns {
                    add(column, source, &mut names);
                }
            }
            FeatureKind::Aggregate(Aggregation { input, filter, .. }) => {
                for expression in [input, filter].into_iter().flatten() {
                    add_all(expression, source, &mut names);
                }
            }
            FeatureKind::Derived(_) => {}
        }
        names
    }
}

impl FeatureGroup {
    /// The columns of the source that decide the group's features, each once, without the
    /// entity's key, the event time and the id unless a feature reads them.
    pub fn columns_read<'a>(&'a self, source: &'a Source) -> Vec<&'a str> {
        let mut names: Vec<&str> = Vec::new();
        for name in self
            .features
            .iter()
            .flat_map(|feature| feature.columns_read(source))
        {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

fn add_all<'a>(expression: &'a Expression, source: &'a Source, names: &mut Vec<&'a str>) {
    for column in expression.columns() {
        add(column, source, names);
    }
}

fn add<'a>(name: &'a str, source: &'a Source, names: &mut Vec<&'a str>) {
    if names.contains(&name) {
        return;
    }
    names.push(name);
    if let Some(derived) = source.derived.iter().find(|column| column.name == name) {
        add_all(&derived.expression, source, names);
    }
}
