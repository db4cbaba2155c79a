//! `build`: a group's raw rows become a new version in the offline store: finalized features,
//! encoded states and a manifest, published together or not at all.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use granary_registry::{DType, EventTime, FeatureGroup, Label, Severity, Value};
use granary_storage::{
    BuilderLock, ColumnStatistics, ExpectationOutcome, InputFile, Manifest, OfflineStore, StateRow,
    Version,
};
use rayon::prelude::*;

use crate::batch::{self, Base, Folded};
use crate::error::Error;
use crate::feature_columns;
use crate::fold::{ColumnBuilder, STATE_FORMAT};
use crate::job::Job;
use crate::label;
use crate::quality;
use crate::source::FileHash;

/// What a build asks for.
#[derive(Clone, Copy)]
pub struct BuildPlan<'a> {
    /// The instant at which features are finalized, unless an event is newer. Asked for once
    /// the group's own rows are read.
    pub as_of: &'a (dyn Fn() -> Result<EventTime, Error> + Sync),
    /// The version to go on from, if rows that it has read are not to be read again.
    pub base: Option<&'a Base>,
    /// What the inputs hash to; kept in the manifest so that an unchanged build is skipped.
    /// Asked for while rows are folded: files take as long to hash as to decode.
    pub inputs_fingerprint: &'a (dyn Fn() -> Result<String, Error> + Sync),
    /// Microseconds since the job began, asked for at the end: nothing here reads a clock.
    pub elapsed: &'a (dyn Fn() -> u64 + Sync),
}

/// A published build.
pub struct Built {
    /// The version.
    pub version: Version,
    /// Rows read, before copies were dropped; not those that the base had read.
    pub rows_read: u64,
}

/// Builds and publishes a group.
pub fn build(
    job: &Job<'_>,
    lock: &BuilderLock,
    group: &FeatureGroup,
    plan: BuildPlan<'_>,
) -> Result<Built, Error> {
    let (states, inputs) = rayon::join(
        || batch::fold(job, group, plan.base),
        plan.inputs_fingerprint,
    );
    let (states, inputs) = (states?, inputs?);
    let (source, entity) = job.source_of(group);
    let watermark = states.watermark();
    if source.event_time.is_some() {
        job.note_newest(source, watermark);
    }
    let newest = EventTime(watermark.map_or(i64::MIN, |time| time.saturating_add(1)));
    let as_of = (plan.as_of)()?.max(newest);
    let folded = states.finalize(as_of)?;
    let base = plan.base.map(|base| base.version().manifest());
    let rows_before = base.map_or(0, |base| base.events + base.copies);
    let copies = (rows_before + states.rows_read).saturating_sub(states.rows());

    let outcomes = check(group, &folded.columns)?;
    let slots: Vec<usize> = (0..folded.columns.len()).collect();
    let key = Field::new(&entity.key, DataType::Utf8, false);
    let mut fields = vec![key];
    fields.extend(feature_columns::fields(
        &states.fold,
        &slots,
        &folded.columns,
    ));
    let statistics = group
        .features
        .par_iter()
        .zip(&folded.columns)
        .map(|(feature, column)| statistics(&feature.name, feature.dtype, column))
        .collect::<Result<Vec<_>, Error>>()?;
    let manifest = Manifest {
        fingerprint: group.fingerprint.to_string(),
        log_offset: job.log_until,
        as_of: as_of.0,
        watermark,
        rows: folded.keys.len() as u64,
        events: states.rows(),
        copies,
        state_format: STATE_FORMAT,
        base: base.map(|base| base.version.clone()),
        columns: statistics,
        expectations: outcomes,
        duration_ms: 0,
        embedder: uses_vectors(group).then(|| job.embedder.id().to_owned()),
        notes: notes(group, copies, &folded.estimates),
        ..manifest(job, &group.name, &job.files_of(source)?, inputs)
    };
    let version = publish(
        job,
        lock,
        Arc::new(Schema::new(fields)),
        &folded,
        manifest,
        plan,
    )?;
    Ok(Built {
        version,
        rows_read: states.rows_read,
    })
}

/// Builds and publishes a label's own table: keys, instants, outcomes and parts of the split.
pub fn build_label(
    job: &Job<'_>,
    lock: &BuilderLock,
    label: &Label,
    plan: BuildPlan<'_>,
) -> Result<Built, Error> {
    let as_of = (plan.as_of)()?;
    let labels = label::read(job, label, as_of)?;
    let parts = label::split(label.split, &labels.spine);
    let rows = labels.spine.rows();
    let mut order: Vec<usize> = (0..rows).collect();
    let keys: Vec<&Arc<str>> = labels.spine.keys().collect();
    order.sort_by_key(|&row| (keys[row], labels.spine.instants[row]));
    let mut outcomes = ColumnBuilder::new(DType::Int);
    for &row in &order {
        outcomes.push(&labels.outcome(row));
    }
    let keys = order.iter().map(|&row| keys[row].clone()).collect();
    let instants = order.iter().map(|&row| labels.spine.instants[row].0);
    let parts = order.iter().map(|&row| parts[row].name());
    let folded = Folded {
        keys,
        columns: vec![
            Arc::new(TimestampMicrosecondArray::from_iter_values(instants)),
            outcomes.finish(0),
            Arc::new(StringArray::from_iter_values(parts)),
        ],
        states: Vec::new(),
        estimates: Vec::new(),
    };
    let entity = job
        .registry
        .entity(&label.entity)
        .expect("checked: a label's entity exists");
    let fields = vec![
        Field::new(&entity.key, DataType::Utf8, false),
        Field::new(
            "as_of",
            DataType::Timestamp(TimeUnit::Microsecond, None),
            false,
        ),
        Field::new(&label.column, DataType::Int64, true),
        Field::new("split", DataType::Utf8, false),
    ];
    let manifest = Manifest {
        fingerprint: job.registry.fingerprint().to_string(),
        log_offset: job.log_until,
        as_of: as_of.0,
        rows: rows as u64,
        columns: vec![
            statistics("as_of", DType::Timestamp, &folded.columns[0])?,
            statistics(&label.column, DType::Int, &folded.columns[1])?,
            statistics("split", DType::Categorical, &folded.columns[2])?,
        ],
        ..manifest(
            job,
            &label.name,
            &labels.files,
            (plan.inputs_fingerprint)()?,
        )
    };
    let version = publish(
        job,
        lock,
        Arc::new(Schema::new(fields)),
        &folded,
        manifest,
        plan,
    )?;
    Ok(Built {
        version,
        rows_read: rows as u64,
    })
}

/// What whoever uses the version should know.
fn notes(group: &FeatureGroup, copies: u64, estimates: &[u64]) -> Vec<String> {
    let copies = (copies > 0).then(|| format!("{copies} copies of events dropped"));
    let estimated = group.features.iter().zip(estimates);
    let estimated = estimated.filter(|(_, entities)| **entities > 0);
    let estimated = estimated.map(|(feature, entities)| {
        let name = &feature.name;
        format!("`{name}` is an estimate for {entities} entities: they are beyond its `bound`")
    });
    copies.into_iter().chain(estimated).collect()
}

fn manifest(job: &Job<'_>, name: &str, files: &[FileHash], inputs: String) -> Manifest {
    Manifest {
        group: name.to_owned(),
        registry_fingerprint: job.registry.fingerprint().to_string(),
        inputs: files.iter().map(input_file).collect(),
        inputs_fingerprint: inputs,
        ..Manifest::default()
    }
}

/// A file as a manifest names it.
pub fn input_file(file: &FileHash) -> InputFile {
    InputFile {
        path: file.path.display().to_string(),
        bytes: file.state.bytes,
        modified: file.state.modified,
        blake3: file.blake3.to_hex().to_string(),
    }
}

/// Runs the expectations of every feature; a broken one of severity `error` stops the build.
fn check(group: &FeatureGroup, columns: &[ArrayRef]) -> Result<Vec<ExpectationOutcome>, Error> {
    let outcomes: Vec<Vec<quality::Outcome>> = group
        .features
        .par_iter()
        .zip(columns)
        .map(|(feature, column)| quality::check(feature, column).map_err(Error::Expression))
        .collect::<Result<_, _>>()?;
    let outcomes = outcomes.concat();
    let broken: Vec<String> = outcomes
        .iter()
        .filter(|outcome| !outcome.passed && outcome.severity == Severity::Error)
        .map(|outcome| format!("{} {}: {}", outcome.feature, outcome.rule, outcome.detail))
        .collect();
    if !broken.is_empty() {
        return Err(Error::Expectations {
            group: group.name.clone(),
            broken,
        });
    }
    Ok(outcomes.into_iter().map(expectation).collect())
}

fn expectation(outcome: quality::Outcome) -> ExpectationOutcome {
    ExpectationOutcome {
        feature: outcome.feature.to_string(),
        rule: outcome.rule,
        severity: match outcome.severity {
            Severity::Error => "error".to_owned(),
            Severity::Warn => "warn".to_owned(),
        },
        passed: outcome.passed,
        detail: outcome.detail.to_string(),
    }
}

fn statistics(name: &str, dtype: DType, column: &ArrayRef) -> Result<ColumnStatistics, Error> {
    let held = quality::statistics(name, dtype, column).map_err(Error::Expression)?;
    Ok(ColumnStatistics {
        name: held.name,
        dtype: dtype.to_string(),
        nulls: held.nulls as u64,
        min: json(&held.min),
        max: json(&held.max),
        mean: held.mean,
        distinct: held.distinct.map(|distinct| distinct as u64),
    })
}

/// A value as a manifest holds it.
pub fn json(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Int(x) => (*x).into(),
        Value::Float(x) => (*x).into(),
        Value::Bool(x) => (*x).into(),
        Value::Text(x) => (&**x).into(),
        Value::Timestamp(x) => x.to_string().into(),
        Value::Vector(x) => x.to_vec().into(),
    }
}

fn uses_vectors(group: &FeatureGroup) -> bool {
    group
        .features
        .iter()
        .any(|feature| feature.dtype == DType::Vector)
}

fn publish(
    job: &Job<'_>,
    lock: &BuilderLock,
    schema: Arc<Schema>,
    folded: &Folded<'_>,
    mut manifest: Manifest,
    plan: BuildPlan<'_>,
) -> Result<Version, Error> {
    let keys: ArrayRef = Arc::new(StringArray::from_iter_values(folded.keys.iter()));
    let mut columns = vec![keys];
    columns.extend(folded.columns.iter().cloned());
    let store = OfflineStore::new(job.data);
    let mut writer = store.begin(lock, &manifest.group)?;
    let states = folded
        .keys
        .iter()
        .zip(&folded.states)
        .map(|(key, state)| StateRow {
            key: key.as_bytes(),
            row: &state.row,
            vectors: (!state.vectors.is_empty()).then_some(&state.vectors[..]),
            events: state.events,
        });
    writer.write(&RecordBatch::try_new(schema, columns)?, states)?;
    manifest.duration_ms = (plan.elapsed)() / 1000;
    Ok(writer.publish(manifest)?)
}
