//! Decoded batches as rows of a part: entities as numbers, and where the row came from.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch};
use arrow::compute;
use granary_storage::{EventLogManifest, EventLogWriter, INPUT, POSITION, PartSchema};
use std::sync::Mutex;

use crate::error::Error;
use crate::intake::KEY;
use crate::piece::{Interner, Numbering, lock};

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
    ) -> Result<Numbered, Error> {
        let mut interner = Interner::default();
        for key in writer.log().keys(manifest)?.iter() {
            interner.number(key);
        }
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
        let entities = self.numbering.of(batch.column(KEY), &self.interner)?;
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

    /// The keys from this number on.
    pub(super) fn keys_from(&mut self, known: usize) -> impl Iterator<Item = &str> {
        self.names = std::mem::take(&mut *lock(&self.interner)).into_names();
        self.names[known..].iter().map(|name| &**name)
    }
}
