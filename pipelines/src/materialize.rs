//! `materialize`: a training set at label instants. Features as of each instant, gaps filled
//! with what was fitted on the training part, and the part of the split beside the label.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, TimeUnit, TimestampMicrosecondType};
use granary_registry::{
    DType, EventTime, Feature, FeatureService, Label, Registry, Source, Span, Split, Value,
};
use granary_storage::InputFile;

use crate::build::input_file;
use crate::error::Error;
use crate::expression::value_at;
use crate::feature_columns;
use crate::fold::ColumnBuilder;
use crate::imputation::{self, Fill};
use crate::job::Job;
use crate::label::{self, Part};
use crate::point_in_time::{self, Spine};
use crate::source::{SourceFiles, Wanted};

/// Of a spine without a label.
const DEFAULT_SPLIT: Split = Split {
    train: 0.7,
    valid: 0.15,
    by_time: false,
};

/// Names that a spine's instant may have.
const INSTANT_COLUMNS: [&str; 3] = ["as_of", "event_timestamp", "timestamp"];

/// Which entities, when, and what came of them.
pub struct Rows {
    /// Entities and instants.
    pub spine: Spine,
    /// The label, if there is one.
    pub label: Option<(String, ArrayRef)>,
    /// The part of each row.
    pub parts: Vec<Part>,
    /// The files that the rows come from.
    pub inputs: Vec<InputFile>,
}

/// A training set, ready to be written.
pub struct TrainingSet {
    /// Key, `as_of`, the features, the label, `split`.
    pub batch: RecordBatch,
    /// What nulls were filled with, by feature.
    pub fills: Vec<Fill>,
    /// The files that went into it.
    pub inputs: Vec<InputFile>,
}

/// The rows that a label defines; those without an outcome are left out and counted.
pub fn rows_of_label(job: &Job<'_>, label: &Label, clock: EventTime) -> Result<(Rows, u64), Error> {
    let labels = label::read(job, label, clock)?;
    let known: Vec<usize> = (0..labels.outcomes.len())
        .filter(|&row| labels.outcomes[row].is_some())
        .collect();
    let left_out = (labels.outcomes.len() - known.len()) as u64;
    let spine = Spine {
        keys: known
            .iter()
            .map(|&row| labels.spine.keys[row].clone())
            .collect(),
        instants: known
            .iter()
            .map(|&row| labels.spine.instants[row])
            .collect(),
    };
    let mut outcomes = ColumnBuilder::new(DType::Int);
    for &row in &known {
        outcomes.push(&labels.outcome(row));
    }
    let parts = label::split(label.split, &spine);
    let rows = Rows {
        spine,
        label: Some((label.column.clone(), outcomes.finish(0))),
        parts,
        inputs: labels.files.iter().map(input_file).collect(),
    };
    Ok((rows, left_out))
}

/// The rows of one's own spine, a CSV, Parquet or JSON lines file: the entity's key, an
/// instant column (`as_of`, `event_timestamp` or `timestamp`), and the label's column if it
/// is there.
pub fn rows_of_spine(
    job: &Job<'_>,
    service: &FeatureService,
    label: Option<&Label>,
    path: &Path,
) -> Result<Rows, Error> {
    let entity = entity_of(job.registry, service)?;
    let (files, instant) = spine_files(&entity.name, path)?;
    let label = label.filter(|label| files.has(&label.column));
    let mut wanted = vec![
        Wanted::required(&entity.key, DType::Text).plain(),
        Wanted::required(instant, DType::Timestamp),
    ];
    wanted.extend(label.map(|label| Wanted::optional(&label.column, DType::Int)));
    let mut spine = Spine::default();
    let mut outcomes = ColumnBuilder::new(DType::Int);
    for batch in files.read(&wanted, job.bad_rows)? {
        let keys = batch.column(0).as_string::<i32>();
        let instants = batch
            .column(1)
            .as_primitive::<TimestampMicrosecondType>()
            .values();
        spine.keys.extend(keys.iter().flatten().map(Arc::from));
        spine
            .instants
            .extend(instants.iter().map(|&time| EventTime(time)));
        for row in 0..batch.num_rows() {
            outcomes.push(
                &batch
                    .columns()
                    .get(2)
                    .map_or(Value::Null, |held| value_at(held, row)),
            );
        }
    }
    let parts = label::split(label.map_or(DEFAULT_SPLIT, |label| label.split), &spine);
    let label = label.map(|label| (label.column.clone(), outcomes.finish(0)));
    let inputs = files
        .hash(&HashMap::new())?
        .iter()
        .map(input_file)
        .collect();
    Ok(Rows {
        spine,
        label,
        parts,
        inputs,
    })
}

/// A spine's file, and which of its columns holds the instants.
pub fn spine_files(entity: &str, path: &Path) -> Result<(SourceFiles, &'static str), Error> {
    let source = Source {
        name: "spine".to_owned(),
        paths: vec![path.display().to_string()],
        entity: entity.to_owned(),
        event_time: None,
        id: None,
        allowed_lateness: Span(0),
        columns: Vec::new(),
        derived: Vec::new(),
    };
    let files = SourceFiles::find(&source, Path::new(""))?;
    let instant = INSTANT_COLUMNS.into_iter().find(|name| files.has(name));
    let instant = instant.ok_or_else(|| Error::NoColumn {
        source_name: path.display().to_string(),
        wanted: INSTANT_COLUMNS.join("` or `"),
        present: files.columns().join(", "),
    })?;
    Ok((files, instant))
}

/// Computes the features of a service for every row.
pub fn materialize(
    job: &Job<'_>,
    service: &FeatureService,
    rows: Rows,
) -> Result<TrainingSet, Error> {
    let entity = entity_of(job.registry, service)?;
    let keys = StringArray::from_iter_values(rows.spine.keys.iter());
    let instants = TimestampMicrosecondArray::from_iter_values(
        rows.spine.instants.iter().map(|instant| instant.0),
    );
    let mut fields = vec![
        Field::new(&entity.key, DataType::Utf8, false),
        Field::new(
            "as_of",
            DataType::Timestamp(TimeUnit::Microsecond, None),
            false,
        ),
    ];
    let mut columns: Vec<ArrayRef> = vec![Arc::new(keys), Arc::new(instants)];
    let mut inputs = rows.inputs;
    let mut fills = Vec::new();
    let mut placed: Vec<(usize, Field, ArrayRef)> = Vec::new();
    for (group, wanted) in by_group(service) {
        let group = job.group(group)?;
        let gathered = job.gather(group)?;
        let slots: Vec<usize> = wanted
            .iter()
            .map(|(_, name)| {
                gathered
                    .fold
                    .slot(name)
                    .expect("checked: a service's features exist")
            })
            .collect();
        let mut features = point_in_time::sweep(
            &gathered.fold,
            &gathered.names,
            &gathered.history,
            &rows.spine,
            &slots,
        )?;
        for ((_, name), column) in wanted.iter().zip(&mut features) {
            let feature = feature_of(group.features.as_slice(), name);
            if let Some((filled, fill)) = imputation::fit(feature, column, &rows.parts) {
                *column = filled;
                fills.push(fill);
            }
        }
        let described = feature_columns::fields(&gathered.fold, &slots, &features);
        for (((place, _), field), column) in wanted.iter().zip(described).zip(features) {
            placed.push((*place, field, column));
        }
        inputs.extend(gathered.files.iter().map(input_file));
    }
    placed.sort_by_key(|(place, ..)| *place);
    for (_, field, column) in placed {
        fields.push(field);
        columns.push(column);
    }
    if let Some((name, outcomes)) = rows.label {
        fields.push(Field::new(name, outcomes.data_type().clone(), true));
        columns.push(outcomes);
    }
    fields.push(Field::new("split", DataType::Utf8, false));
    let parts = rows.parts.iter().map(|part| part.name());
    columns.push(Arc::new(StringArray::from_iter_values(parts)));
    inputs.sort_by(|a, b| a.path.cmp(&b.path));
    inputs.dedup_by(|a, b| a.path == b.path);
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?;
    Ok(TrainingSet {
        batch,
        fills,
        inputs,
    })
}

/// How many rows each part has and how many of them are positive.
pub fn balance(batch: &RecordBatch, label: &str) -> Vec<(Part, u64, u64)> {
    let parts = batch
        .column_by_name("split")
        .map(|parts| parts.as_string::<i32>().clone());
    let outcomes = batch
        .column_by_name(label)
        .and_then(|outcomes| outcomes.as_primitive_opt::<Int64Type>().cloned());
    [Part::Train, Part::Valid, Part::Test]
        .into_iter()
        .map(|part| {
            let of_part = |row: &usize| {
                parts
                    .as_ref()
                    .is_some_and(|parts| parts.value(*row) == part.name())
            };
            let rows: Vec<usize> = (0..batch.num_rows()).filter(of_part).collect();
            let positive = rows.iter().filter(|&&row| {
                outcomes
                    .as_ref()
                    .is_some_and(|all| all.is_valid(row) && all.value(row) == 1)
            });
            (part, rows.len() as u64, positive.count() as u64)
        })
        .collect()
}

fn entity_of<'a>(
    registry: &'a Registry,
    service: &FeatureService,
) -> Result<&'a granary_registry::Entity, Error> {
    let group = service
        .features
        .first()
        .and_then(|(group, _)| registry.group(group));
    group
        .and_then(|group| registry.entity(&group.entity))
        .ok_or_else(|| Error::NoSuch {
            what: "feature in service",
            name: service.name.clone(),
            known: Vec::new(),
        })
}

fn feature_of<'a>(features: &'a [Feature], name: &str) -> &'a Feature {
    let found = features.iter().find(|feature| &*feature.name == name);
    found.expect("checked: a service's features exist")
}

/// The service's features with their places, group by group in order of first mention.
fn by_group(service: &FeatureService) -> Vec<(&str, Vec<(usize, &str)>)> {
    let mut groups: Vec<(&str, Vec<(usize, &str)>)> = Vec::new();
    for (place, (group, feature)) in service.features.iter().enumerate() {
        match groups.iter_mut().find(|(name, _)| name == group) {
            Some((_, features)) => features.push((place, feature)),
            None => groups.push((group, vec![(place, feature)])),
        }
    }
    groups
}
