//! A label's own table: keys, instants, outcomes and parts of the split.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use granary_registry::{DType, Label};
use granary_storage::{BuilderLock, Manifest, OfflineStore};

use super::columns::statistics;
use super::{BuildPlan, Built, manifest};
use crate::error::Error;
use crate::fold::ColumnBuilder;
use crate::job::Job;
use crate::label;

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
    let keys = order.iter().map(|&row| keys[row]);
    let instants = order.iter().map(|&row| labels.spine.instants[row].0);
    let parts = order.iter().map(|&row| parts[row].name());
    let columns: [ArrayRef; 4] = [
        Arc::new(StringArray::from_iter_values(keys)),
        Arc::new(TimestampMicrosecondArray::from_iter_values(instants)),
        outcomes.finish(0),
        Arc::new(StringArray::from_iter_values(parts)),
    ];
    let entity = job
        .registry
        .entity(&label.entity)
        .expect("checked: a label's entity exists");
    let schema = Schema::new(vec![
        Field::new(&entity.key, DataType::Utf8, false),
        Field::new(
            "as_of",
            DataType::Timestamp(TimeUnit::Microsecond, None),
            false,
        ),
        Field::new(&label.column, DataType::Int64, true),
        Field::new("split", DataType::Utf8, false),
    ]);
    let manifest = Manifest {
        fingerprint: job.registry.fingerprint().to_string(),
        log_offset: job.log_until,
        as_of: as_of.0,
        duration_ms: (plan.elapsed)() / 1000,
        columns: vec![
            statistics("as_of", DType::Timestamp, &columns[1])?,
            statistics(&label.column, DType::Int, &columns[2])?,
            statistics("split", DType::Categorical, &columns[3])?,
        ],
        ..manifest(
            job,
            &label.name,
            &labels.files,
            (plan.inputs_fingerprint)()?,
        )
    };
    let mut writer = OfflineStore::new(job.data).begin(lock, &label.name)?;
    writer.write_features(&RecordBatch::try_new(Arc::new(schema), columns.into())?)?;
    Ok(Built {
        version: writer.publish(manifest)?,
        rows_read: rows as u64,
        spilled: None,
    })
}
