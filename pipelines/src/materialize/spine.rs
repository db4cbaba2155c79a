//! The rows of a training set: a label's, or those of a file.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::TimestampMicrosecondType;
use granary_registry::{DType, EventTime, FeatureService, Label, Source, Span, Split};
use granary_storage::Tombstone;

use super::features::entity_of;
use crate::erased::is_stand_in;
use crate::error::Error;
use crate::expression::value_at;
use crate::fold::ColumnBuilder;
use crate::job::Job;
use crate::label::{self, Part};
use crate::piece::{Interner, Numbering, lock};
use crate::point_in_time::Spine;
use crate::source::{SourceFiles, Wanted};

/// Of a spine without a label.
pub(super) const DEFAULT_SPLIT: Split = Split {
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
}

/// The rows that a label defines; those without an outcome are left out and counted.
pub fn rows_of_label(job: &Job<'_>, label: &Label, clock: EventTime) -> Result<(Rows, u64), Error> {
    let labels = label::read(job, label, clock)?;
    let known: Vec<usize> = (0..labels.outcomes.len())
        .filter(|&row| labels.outcomes[row].is_some())
        .collect();
    let left_out = (labels.outcomes.len() - known.len()) as u64;
    let spine = labels.spine.take(&known);
    let mut outcomes = ColumnBuilder::new(DType::Int);
    for &row in &known {
        outcomes.push(&labels.outcome(row));
    }
    let parts = label::split(label.split, &spine);
    let rows = Rows {
        spine,
        label: Some((label.column.clone(), outcomes.finish(0))),
        parts,
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
        Wanted::required(&entity.key, DType::Text),
        Wanted::required(instant, DType::Timestamp),
    ];
    wanted.extend(label.map(|label| Wanted::optional(&label.column, DType::Int)));
    let mut spine = Spine::default();
    let mut outcomes = ColumnBuilder::new(DType::Int);
    let mut numbering = Numbering::default();
    let interner = Mutex::new(job.interner(entity));
    for batch in files.read(&wanted, job.bad_rows)? {
        let entities = numbering.of(batch.column(0), &interner)?;
        let instants = batch.column(1).as_primitive::<TimestampMicrosecondType>();
        for (row, mut entity) in entities.into_iter().enumerate() {
            let time = instants.value(row);
            if is_stand_in(entity) {
                let counts = |tombstone: &Tombstone| tombstone.admits(0, time);
                let Some(number) = lock(&interner).admit(entity, counts) else {
                    continue;
                };
                entity = number;
            }
            spine.entities.push(entity);
            spine.instants.push(EventTime(time));
            if let Some(held) = batch.columns().get(2) {
                outcomes.push(&value_at(held, row));
            }
        }
    }
    spine.names = names(interner);
    let parts = label::split(label.map_or(DEFAULT_SPLIT, |label| label.split), &spine);
    let label = label.map(|label| (label.column.clone(), outcomes.finish(0)));
    Ok(Rows {
        spine,
        label,
        parts,
    })
}

/// The entities that a file names in its key column, each once, in order of first mention.
pub(super) fn entities_of_file(
    job: &Job<'_>,
    service: &FeatureService,
    path: &Path,
) -> Result<Vec<Arc<str>>, Error> {
    let entity = entity_of(job.registry, service)?;
    let files = files_at(&entity.name, path)?;
    let interner = Mutex::new(Interner::default());
    for batch in files.read(&[Wanted::required(&entity.key, DType::Text)], job.bad_rows)? {
        Numbering::default().of(batch.column(0), &interner)?;
    }
    Ok(names(interner))
}

/// A spine's file, and which of its columns holds the instants.
pub fn spine_files(entity: &str, path: &Path) -> Result<(SourceFiles, &'static str), Error> {
    let files = files_at(entity, path)?;
    let instant = INSTANT_COLUMNS.into_iter().find(|name| files.has(name));
    let instant = instant.ok_or_else(|| Error::NoColumn {
        source_name: path.display().to_string(),
        wanted: INSTANT_COLUMNS.join("` or `"),
        present: files.columns().join(", "),
    })?;
    Ok((files, instant))
}

/// A file that is no source of the registry.
pub(super) fn files_at(entity: &str, path: &Path) -> Result<SourceFiles, Error> {
    let source = Source {
        name: "spine".to_owned(),
        paths: vec![path.display().to_string()],
        entity: entity.to_owned(),
        event_time: None,
        created: None,
        id: None,
        allowed_lateness: Span(0),
        columns: Vec::new(),
        derived: Vec::new(),
    };
    Ok(SourceFiles::find(&source, Path::new(""))?)
}

fn names(interner: Mutex<Interner>) -> Vec<Arc<str>> {
    let interner = interner.into_inner();
    interner
        .unwrap_or_else(PoisonError::into_inner)
        .into_names()
}
