//! A feature group as SQL that another engine runs: the same semantics without any of the
//! code under test. Printed by `granary sql`, and held against the folds in DuckDB.
//!
//! Names that begin with an underscore are the query's own: `_row` and `_at` of the spine,
//! `_key`, `_time`, `_id` and `_n` (place in the files) of an event.

mod aggregation; // one column of the query for each feature
mod expression; // expressions of the registry as SQL
mod tables; // files, events and spine

use granary_registry::{
    EventTime, Expression, FeatureGroup, FeatureKind, Registry, ScalarFunction, Source,
    ValueColumns,
};

use self::aggregation::Columns;
use crate::expression::Program;

/// Over which rows a group is asked.
#[derive(Clone, Debug)]
pub enum SqlSpine {
    /// Every entity of the source at one instant.
    At(EventTime),
    /// The rows of a Parquet or CSV file: the entity's key and the named instant.
    File {
        /// Its path.
        path: String,
        /// Its column of instants.
        instant: String,
    },
}

/// What there is of a source on disk.
#[derive(Clone, Copy, Debug)]
pub struct SqlFiles<'a> {
    /// Paths, in order.
    pub paths: &'a [String],
    /// Names of the columns.
    pub columns: &'a [String],
}

/// A query, and what it does not compute.
#[derive(Debug)]
pub struct GroupSql {
    /// One row for each row of the spine, in its order: key, `as_of`, the features.
    pub text: String,
    /// Features that SQL cannot give, with the reason.
    pub left_out: Vec<(String, &'static str)>,
}

/// The query for DuckDB.
pub fn duckdb(
    registry: &Registry,
    group: &FeatureGroup,
    files: SqlFiles<'_>,
    spine: &SqlSpine,
) -> GroupSql {
    let source = source_of(registry, group);
    let key = registry
        .entity(&group.entity)
        .map_or("key", |entity| &entity.key);
    let mut columns = Columns::new(group, source.event_time.is_some());
    let mut derived = Vec::new();
    let mut left_out: Vec<(String, &'static str)> = Vec::new();
    for feature in &group.features {
        let outcome = match &feature.kind {
            FeatureKind::Aggregate(aggregation) => cannot(source, aggregation)
                .map_or_else(|| columns.aggregate(feature, aggregation), Err),
            FeatureKind::Value {
                columns: ValueColumns::One(names),
            } => {
                let present = names.iter().find(|name| files.columns.contains(name));
                present
                    .ok_or("none of its columns is in the files")
                    .map(|name| columns.latest(feature, name))
            }
            FeatureKind::Value { .. } => Err("a vector of several columns"),
            FeatureKind::Derived(expression) => {
                let missing = |name: &String| left_out.iter().any(|(known, _)| known == name);
                if Program::columns_needed(expression).iter().any(missing) {
                    Err("computed from a feature that is left out")
                } else {
                    let text = expression::sql(expression);
                    derived.push(format!("{text} as {}", quoted(&feature.name)));
                    Ok(())
                }
            }
        };
        if let Err(reason) = outcome {
            left_out.push((feature.name.to_string(), reason));
        }
    }
    let mut parts = vec![format!("-- {} as of each row of the spine.\n", group.name)];
    let comment = |(name, reason): &(String, &str)| format!("-- left out: {name} ({reason})\n");
    parts.extend(left_out.iter().map(comment));
    parts.push(tables::events(source, key, files, is_in_sql));
    parts.push(tables::spine(key, spine));
    parts.push(columns.query(key, &derived));
    let text = parts.concat();
    GroupSql { text, left_out }
}

fn source_of<'a>(registry: &'a Registry, group: &FeatureGroup) -> &'a Source {
    registry
        .source(&group.source)
        .expect("checked: a group's source exists")
}

/// Why an aggregation has no SQL, if it has none.
fn cannot(source: &Source, aggregation: &granary_registry::Aggregation) -> Option<&'static str> {
    let expressions = aggregation.input.iter().chain(&aggregation.filter);
    let needs_model = expressions.into_iter().any(|expression| {
        let names = Program::columns_needed(expression);
        let derived = source.derived.iter();
        let mut derived = derived.filter(|column| names.contains(&column.name));
        !is_in_sql(expression) || derived.any(|column| !is_in_sql(&column.expression))
    });
    needs_model.then_some("needs `vader` or `embed`")
}

/// Whether an expression reads no text with a model.
fn is_in_sql(expression: &Expression) -> bool {
    !expression::calls(expression, &[ScalarFunction::Vader, ScalarFunction::Embed])
}

/// A name as SQL takes any.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as SQL takes any.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
