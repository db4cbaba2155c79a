//! Decoded batches as rows of a part: entities as numbers, and where the row came from.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Int32Array, Int64Array, RecordBatch};
use arrow::compute;
use arrow::datatypes::TimestampMicrosecondType;
use granary_storage::{EventLogManifest, EventLogWriter, INPUT, POSITION, PartSchema, Tombstone};
use std::sync::Mutex;

use super::columns::TIME;
use crate::erased::{Erased, is_stand_in};
use crate::error::Error;
use crate::intake::KEY;
use crate::piece::{Interner, NOBODY, Numbering, lock};

/// Numbers entities in order of first appearance, going on from those that were met before.
pub(super) struct Numbered {
    interner: Mutex<Interner>,
    numbering: Numbering,
    names: Vec<Arc<str>>,
}

impl Numbered {
    pub(super) fn of(
        writer: &EventLogWriter,
        manifest: &EventLogManifest,
        erased: Option<Erased>,
    ) -> Result<Numbered, Error> {
        let mut interner = Interner::new(erased);
        let keys = writer.log().keys(manifest)?;
        let keys: Vec<Arc<str>> = keys.iter().map(Arc::from).collect();
        interner.know(&keys);
        Ok(Numbered {
            interner: Mutex::new(interner),
            numbering: Numbering::default(),
            names: Vec::new(),
        })
    }

    /// The rows of a batch whose first column is the key; `positions` are their places in the
    /// log, if they are from there.
    pub(super) fn rows(
        &mut self,
        batch: &RecordBatch,
        input: u32,
        positions: Option<Vec<i64>>,
        part: &PartSchema,
    ) -> Result<RecordBatch, Error> {
        let mut entities = self.numbering.of(batch.column(KEY), &self.interner)?;
        let kept = self.without_erased(batch, positions.as_deref(), &mut entities)?;
        let (batch, positions) = kept.unwrap_or_else(|| (batch.clone(), positions));
        let rows = entities.len();
        let entities = entities.into_iter().map(|entity| entity as i32);
        let mut columns: Vec<ArrayRef> = vec![Arc::new(Int32Array::from_iter_values(entities))];
        if part.schema.column_with_name(INPUT).is_some() {
            columns.push(Arc::new(Int32Array::from_value(input as i32, rows)));
        }
        if part.schema.column_with_name(POSITION).is_some() {
            let positions = positions.map_or_else(|| Int64Array::new_null(rows), Int64Array::from);
            columns.push(Arc::new(positions));
        }
        let fields = part.schema.fields()[columns.len()..].iter();
        for (field, column) in fields.zip(&batch.columns()[1..]) {
            columns.push(compute::cast(column, field.data_type())?);
        }
        Ok(RecordBatch::try_new(part.schema.clone(), columns)?)
    }

    /// Leaves out rows that were erased, if there are any.
    #[allow(clippy::type_complexity, reason = "a batch and the places of its rows")]
    fn without_erased(
        &self,
        batch: &RecordBatch,
        positions: Option<&[i64]>,
        entities: &mut Vec<u32>,
    ) -> Result<Option<(RecordBatch, Option<Vec<i64>>)>, Error> {
        if !entities.iter().any(|&entity| is_stand_in(entity)) {
            return Ok(None);
        }
        let times = batch
            .column(TIME)
            .as_primitive::<TimestampMicrosecondType>();
        let mut interner = lock(&self.interner);
        for (row, entity) in entities.iter_mut().enumerate() {
            if is_stand_in(*entity) {
                let position = positions.map_or(0, |positions| positions[row] as u64);
                let counts = |tombstone: &Tombstone| tombstone.admits(position, times.value(row));
                *entity = interner.admit(*entity, counts).unwrap_or(NOBODY);
            }
        }
        let mask: BooleanArray = entities.iter().map(|&held| Some(held != NOBODY)).collect();
        let positions = positions.map(|positions| {
            let kept = positions.iter().zip(entities.iter());
            let kept = kept.filter(|(_, entity)| **entity != NOBODY);
            kept.map(|(position, _)| *position).collect()
        });
        entities.retain(|&entity| entity != NOBODY);
        Ok(Some((
            compute::filter_record_batch(batch, &mask)?,
            positions,
        )))
    }

    /// The keys from this number on.
    pub(super) fn keys_from(&mut self, known: usize) -> impl Iterator<Item = &str> {
        self.names = std::mem::take(&mut *lock(&self.interner)).into_names();
        self.names[known..].iter().map(|name| &**name)
    }
}
