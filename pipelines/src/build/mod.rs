//! `build`: a group's raw rows become a new version in the offline store: finalized features,
//! encoded states and a manifest, published together or not at all.

mod columns; // finished columns on their way into a version
mod label; // a label's own table

use granary_registry::{DType, EventTime, FeatureGroup, Value};
use granary_storage::{BuilderLock, InputFile, Manifest, OfflineStore, Version};

use self::columns::Draft;
pub use self::label::build_label;
use crate::batch::{self, Base};
use crate::error::Error;
use crate::fold::STATE_FORMAT;
use crate::job::Job;
use crate::source::FileHash;

/// What a build asks for.
#[derive(Clone, Copy)]
pub struct BuildPlan<'a> {
    /// The instant at which features are finalized, unless an event or a written value is newer.
    /// Asked for once the group's own rows are read.
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
    /// Bytes of rows that waited on disk, because they did not fit into memory.
    pub spilled: Option<u64>,
}

/// Builds and publishes a group.
pub fn build(
    job: &Job<'_>,
    lock: &BuilderLock,
    group: &FeatureGroup,
    plan: BuildPlan<'_>,
) -> Result<Built, Error> {
    let (folds, inputs) = rayon::join(
        || batch::fold(job, group, plan.base),
        plan.inputs_fingerprint,
    );
    let (folds, inputs) = (folds?, inputs?);
    let (source, entity) = job.source_of(group);
    if source.event_time.is_some() {
        job.note_newest(source, folds.watermark);
    }
    let newest = folds.latest.map_or(i64::MIN, |time| time.saturating_add(1));
    let as_of = (plan.as_of)()?.max(EventTime(newest));
    // What went to disk was read from the beginning.
    let base = plan.base.filter(|_| folds.spilled().is_none());
    let base = base.map(|base| base.version().manifest());
    let rows_before = base.map_or(0, |base| base.events + base.copies);

    let mut writer = OfflineStore::new(job.data).begin(lock, &group.name)?;
    let draft = Draft {
        group,
        key: &entity.key,
        as_of,
    };
    let written = if folds.spilled().is_some() {
        draft.write_ranges(job, &folds, &mut writer)?
    } else {
        draft.write_whole(&folds, &mut writer)?
    };
    let copies = (rows_before + folds.rows_read).saturating_sub(written.events);
    let manifest = Manifest {
        fingerprint: group.fingerprint.to_string(),
        log_offset: job.log_until,
        as_of: as_of.0,
        watermark: folds.watermark,
        events: written.events,
        copies,
        state_format: STATE_FORMAT,
        base: base.map(|base| base.version.clone()),
        columns: written.statistics,
        expectations: written.outcomes,
        duration_ms: (plan.elapsed)() / 1000,
        embedder: uses_vectors(group).then(|| job.embedder.id().to_owned()),
        notes: notes(group, copies, &written.estimates),
        ..manifest(job, &group.name, &job.files_of(source)?, inputs)
    };
    Ok(Built {
        version: writer.publish(manifest)?,
        rows_read: folds.rows_read,
        spilled: folds.spilled(),
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
        erasures: job.erased.len() as u64,
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
