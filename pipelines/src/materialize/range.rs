//! Range mode: every entity at every step of a range, entity by entity. Rows are handed on in
//! batches, so that memory holds the histories and a few batches, however many steps there are.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::compute;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use granary_registry::{DType, Entity, EventTime, FeatureService, Span, Split};
use rayon::prelude::*;

use super::features::{Part, by_group, entity_of};
use super::spine::{DEFAULT_SPLIT, entities_of_file};
use super::{key_fields, split_column, split_field};
use crate::error::Error;
use crate::fold::ColumnBuilder;
use crate::job::{Gathered, Job};
use crate::label;
use crate::piece::Interner;
use crate::point_in_time;
use crate::reading::{Reading, Rows};

/// Rows of a batch, at most about: an entity's steps stay together.
const BATCH_ROWS: usize = 1 << 16;
/// Instants of a range, at most.
const MOST_STEPS: u64 = 1_000_000;

/// The instants of a range: from the first to the last, which is one of them if a step falls
/// on it.
#[derive(Clone, Debug)]
pub struct Steps(Vec<EventTime>);

/// Every entity at every step, ready to be computed.
pub struct RangeSet<'a> {
    gathered: Vec<(Part<'a>, Gathered)>,
    names: Vec<Arc<str>>,
    steps: Steps,
    split: Split,
    schema: SchemaRef,
}

impl Steps {
    /// Refuses, with the reason, what is no range.
    pub fn new(from: EventTime, to: EventTime, every: Span) -> Result<Steps, String> {
        if every.0 <= 0 {
            return Err(format!("steps of {every} do not get anywhere"));
        }
        if to < from {
            return Err(format!(
                "the range ends at {to}, before it begins at {from}"
            ));
        }
        let steps = to.0.abs_diff(from.0) / every.0.unsigned_abs();
        if steps >= MOST_STEPS {
            return Err(format!(
                "{} steps of {every} from {from} to {to}, of at most {MOST_STEPS}; take longer ones",
                steps + 1
            ));
        }
        let at = |step: u64| EventTime(from.0 + step as i64 * every.0);
        Ok(Steps((0..=steps).map(at).collect()))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

impl<'a> RangeSet<'a> {
    /// Reads the histories of the entities that a file names, or of all that any group of the
    /// service has rows of, in order of their keys.
    pub fn open(
        job: &Job<'a>,
        service: &FeatureService,
        steps: Steps,
        entities: Option<&Path>,
    ) -> Result<RangeSet<'a>, Error> {
        let parts = by_group(job, service)?;
        let names = match entities {
            Some(path) => {
                let names = entities_of_file(job, service, path)?;
                without_erased(job, entity_of(job.registry, service)?, names, &parts)?
            }
            None => all_entities(job, &parts)?,
        };
        let mut gathered = Vec::with_capacity(parts.len());
        for part in parts {
            let group = job.gather_of(part.group, &names)?;
            gathered.push((part, group));
        }
        let label = service.label.as_deref();
        let label = label.and_then(|label| job.registry.label(label));
        let entity = entity_of(job.registry, service)?;
        Ok(RangeSet {
            schema: Arc::new(schema(&entity.key, &gathered)),
            gathered,
            names,
            steps,
            split: label.map_or(DEFAULT_SPLIT, |label| label.split),
        })
    }

    /// The columns: key, `as_of`, the features, `split`.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// How many entities there are.
    pub fn entities(&self) -> usize {
        self.names.len()
    }

    /// Computes the rows and hands them on in order.
    pub fn each_batch<E: From<Error> + Send>(
        &self,
        mut sink: impl FnMut(&RecordBatch) -> Result<(), E>,
    ) -> Result<(), E> {
        let block = (BATCH_ROWS / self.steps.count()).max(1);
        let blocks: Vec<Range<usize>> = (0..self.names.len())
            .step_by(block)
            .map(|start| start..(start + block).min(self.names.len()))
            .collect();
        for some in blocks.chunks(2 * rayon::current_num_threads()) {
            let batches = some.par_iter().map(|entities| self.batch(entities.clone()));
            let batches: Vec<Result<RecordBatch, Error>> = batches.collect();
            for batch in batches {
                sink(&batch?)?;
            }
        }
        Ok(())
    }

    fn batch(&self, entities: Range<usize>) -> Result<RecordBatch, Error> {
        let steps = &self.steps.0;
        let names = &self.names[entities.clone()];
        let keys = names
            .iter()
            .flat_map(|name| steps.iter().map(move |_| name));
        let instants = names.iter().flat_map(|_| steps.iter().map(|step| step.0));
        let numbers = entities.start as u32..entities.end as u32;
        let mut features: Vec<(usize, ArrayRef)> = Vec::new();
        for (part, group) in &self.gathered {
            let slots = part.slots(&group.fold);
            let columns = point_in_time::sweep_all(
                &group.fold,
                &group.history,
                numbers.clone(),
                steps,
                &slots,
            )?;
            for ((place, feature), column) in part.features.iter().zip(columns) {
                let column = compute::cast(&column, &arrow_type(feature.dtype))?;
                features.push((*place, column));
            }
        }
        features.sort_by_key(|(place, _)| *place);
        let parts = label::split_all(self.split, names, steps);
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(keys)),
            Arc::new(TimestampMicrosecondArray::from_iter_values(instants)),
        ];
        columns.extend(features.into_iter().map(|(_, column)| column));
        columns.push(split_column(parts));
        Ok(RecordBatch::try_new(self.schema.clone(), columns)?)
    }
}

/// Keys of everybody of whom any group has a row, ascending.
fn all_entities(job: &Job<'_>, parts: &[Part<'_>]) -> Result<Vec<Arc<str>>, Error> {
    let mut interner: Option<Interner> = None;
    for part in parts {
        let reading = Reading::open_for(job, part.group, &[], &[])?;
        if let Some(interner) = interner.take() {
            *reading.interner() = interner;
        }
        reading.each_chunk(Rows::New, |_| (), |(), _| Ok(()), Ok)?;
        interner = Some(reading.into_parts().1);
    }
    let mut names = interner.unwrap_or_default().into_names();
    names.sort_unstable();
    Ok(names)
}

/// Of those that were erased only whoever came back.
fn without_erased(
    job: &Job<'_>,
    entity: &Entity,
    mut names: Vec<Arc<str>>,
    parts: &[Part<'_>],
) -> Result<Vec<Arc<str>>, Error> {
    let is_erased = |name: &Arc<str>| job.erased.find(&entity.name, name).is_some();
    if names.iter().any(is_erased) {
        let there = all_entities(job, parts)?;
        names.retain(|name| !is_erased(name) || there.binary_search(name).is_ok());
    }
    Ok(names)
}

fn schema(key: &str, gathered: &[(Part<'_>, Gathered)]) -> Schema {
    let mut features: Vec<(usize, Field)> = Vec::new();
    for (part, _) in gathered {
        let field = |&(place, feature): &(usize, &granary_registry::Feature)| {
            let held = arrow_type(feature.dtype);
            (place, Field::new(&*feature.name, held, true))
        };
        features.extend(part.features.iter().map(field));
    }
    features.sort_by_key(|(place, _)| *place);
    let mut fields = key_fields(key);
    fields.extend(features.into_iter().map(|(_, field)| field));
    fields.push(split_field());
    Schema::new(fields)
}

/// The type of a feature's column in every batch: a batch without vectors does not know their
/// length.
fn arrow_type(dtype: DType) -> DataType {
    match ColumnBuilder::new(dtype).finish(1).data_type() {
        DataType::FixedSizeList(element, _) => DataType::List(element.clone()),
        other => other.clone(),
    }
}
