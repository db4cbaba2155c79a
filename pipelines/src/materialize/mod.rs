//! `materialize`: features as they were at instants in the past. Either a training set: at the
//! instants of a label or of a file, gaps filled with what was fitted on the training part, the
//! part of the split beside the label. Or a range: every entity at every step.

mod features; // a service's features, group by group
mod range; // every entity at every step of a range, batch by batch
mod spine; // the rows of a training set

use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, TimeUnit};
use granary_registry::{FeatureService, Label};
use granary_storage::InputFile;

pub use self::range::{RangeSet, Steps};
pub use self::spine::{Rows, rows_of_label, rows_of_spine, spine_files};
use crate::build::input_file;
use crate::error::Error;
use crate::feature_columns;
use crate::imputation::{self, Fill};
use crate::job::Job;
use crate::label::Part;
use crate::point_in_time;

/// A training set, ready to be written.
pub struct TrainingSet {
    /// Key, `as_of`, the features, the label, `split`.
    pub batch: RecordBatch,
    /// What nulls were filled with, by feature.
    pub fills: Vec<Fill>,
}

/// Computes the features of a service for every row.
pub fn materialize(
    job: &Job<'_>,
    service: &FeatureService,
    mut rows: Rows,
) -> Result<TrainingSet, Error> {
    rows.spine.sort_keys();
    let mut fills = Vec::new();
    let mut placed: Vec<(usize, Field, ArrayRef)> = Vec::new();
    for part in features::by_group(job, service)? {
        let gathered = job.gather_of(part.group, &rows.spine.names)?;
        let (fold, slots) = (&gathered.fold, part.slots(&gathered.fold));
        let mut columns = point_in_time::sweep(fold, gathered.history, &rows.spine, &slots)?;
        for ((_, feature), column) in part.features.iter().zip(&mut columns) {
            if let Some((filled, fill)) = imputation::fit(feature, column, &rows.parts) {
                *column = filled;
                fills.push(fill);
            }
        }
        let fields = feature_columns::fields(fold, &slots, &columns);
        let places = part.features.iter().map(|(place, _)| *place);
        placed.extend(
            places
                .zip(fields)
                .zip(columns)
                .map(|((place, field), column)| (place, field, column)),
        );
    }
    placed.sort_by_key(|(place, ..)| *place);
    let entity = features::entity_of(job.registry, service)?;
    let mut fields = key_fields(&entity.key);
    let instants = rows.spine.instants.iter().map(|instant| instant.0);
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(rows.spine.keys())),
        Arc::new(TimestampMicrosecondArray::from_iter_values(instants)),
    ];
    for (_, field, column) in placed {
        fields.push(field);
        columns.push(column);
    }
    if let Some((name, outcomes)) = rows.label {
        fields.push(Field::new(name, outcomes.data_type().clone(), true));
        columns.push(outcomes);
    }
    fields.push(split_field());
    columns.push(split_column(rows.parts.iter().copied()));
    Ok(TrainingSet {
        batch: RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?,
        fills,
    })
}

/// The files that a set of this service is made of: those of its groups, of the label, and one
/// that says which rows are asked for.
pub fn inputs(
    job: &Job<'_>,
    service: &FeatureService,
    label: Option<&Label>,
    file: Option<&Path>,
) -> Result<Vec<InputFile>, Error> {
    let mut files = Vec::new();
    for part in features::by_group(job, service)? {
        files.extend(job.files_of(job.source_of(part.group).0)?);
    }
    if let Some(source) = label.and_then(|label| job.registry.source(&label.source)) {
        files.extend(job.files_of(source)?);
    }
    if let Some(path) = file {
        let found = || spine::files_at("", path);
        files.extend(job.known.hashes(&path.display().to_string(), found)?);
    }
    let mut inputs: Vec<InputFile> = files.iter().map(input_file).collect();
    inputs.sort_by(|a, b| a.path.cmp(&b.path));
    inputs.dedup_by(|a, b| a.path == b.path);
    Ok(inputs)
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

/// The entity's key and the instant.
fn key_fields(key: &str) -> Vec<Field> {
    let instant = DataType::Timestamp(TimeUnit::Microsecond, None);
    vec![
        Field::new(key, DataType::Utf8, false),
        Field::new("as_of", instant, false),
    ]
}

fn split_field() -> Field {
    Field::new("split", DataType::Utf8, false)
}

fn split_column(parts: impl Iterator<Item = Part>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(parts.map(Part::name)))
}
