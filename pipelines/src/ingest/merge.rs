//! Sorted runs or parts -> their rows in one order, a window at a time: what is smaller than
//! every row still to come. Called at the end of an ingest, and to make one part of several.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, RecordBatch, new_null_array};
use arrow::compute;
use arrow::datatypes::{DataType, Int32Type, SchemaRef, TimestampMicrosecondType};
use granary_storage::{EventLogWriter, EventPart, INPUT, PartPlan, PartReader, PartSchema};
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use rayon::prelude::*;

use crate::error::Error;

/// Rows of each run that are held at a time, twice.
const BATCH_ROWS: usize = 4 << 10;

/// By entity, then by time.
type Key = (i32, i64);

/// Several sorted files, read side by side.
pub(super) struct Merge {
    cursors: Vec<Cursor>,
    schema: PartSchema,
    /// For each input where its rows stand among those of one instant; then as the files do.
    ranks: Vec<u32>,
}

/// A sorted file, read from begin to end.
struct Cursor {
    reader: PartReader,
    plan: PartPlan,
    schema: SchemaRef,
    time: usize,
    input: i32,
    group: usize,
    batches: Option<ParquetRecordBatchReader>,
    now: Option<RecordBatch>,
    next: Option<RecordBatch>,
}

/// Where a row comes from and belongs.
type Place = (Key, u32, u32, u32);

impl Merge {
    /// Opens files of rows like these. A file without a column for the input has one alone.
    pub(super) fn open(
        writer: &EventLogWriter,
        files: &[EventPart],
        schema: &PartSchema,
        ranks: Vec<u32>,
    ) -> Result<Merge, Error> {
        let open = |file: &EventPart| Cursor::open(writer.log().part(file)?, file, schema);
        Ok(Merge {
            cursors: files.iter().map(open).collect::<Result<_, _>>()?,
            schema: schema.clone(),
            ranks,
        })
    }

    /// Hands on all rows.
    pub(super) fn each(
        mut self,
        take: &mut dyn FnMut(&RecordBatch) -> Result<(), Error>,
    ) -> Result<(), Error> {
        loop {
            self.cursors.retain(|cursor| cursor.now.is_some());
            if self.cursors.is_empty() {
                return Ok(());
            }
            let open = self.cursors.iter().filter(|cursor| cursor.next.is_some());
            let bound = open.filter_map(Cursor::last).min();
            let ends: Vec<usize> = self
                .cursors
                .iter()
                .map(|cursor| cursor.below(bound))
                .collect();
            if ends.iter().all(|&end| end == 0) {
                // More rows of one instant than a batch has.
                for cursor in &mut self.cursors {
                    if cursor.last() == bound {
                        cursor.extend()?;
                    }
                }
                continue;
            }
            if let Some(window) = self.window(&ends)? {
                take(&window)?;
            }
            for (cursor, end) in self.cursors.iter_mut().zip(ends) {
                cursor.pass(end)?;
            }
        }
    }

    /// So many rows of each file, in their order.
    fn window(&self, ends: &[usize]) -> Result<Option<RecordBatch>, Error> {
        let batches: Vec<RecordBatch> = self
            .cursors
            .iter()
            .zip(ends)
            .filter(|(_, end)| **end > 0)
            .filter_map(|(cursor, &end)| Some(cursor.now.as_ref()?.slice(0, end)))
            .collect();
        if batches.len() < 2 {
            return Ok(batches.into_iter().next());
        }
        let mut places: Vec<Place> = Vec::with_capacity(ends.iter().sum());
        for (file, batch) in batches.iter().enumerate() {
            let keys = Keys::of(batch, self.schema.time);
            let inputs = batch.column_by_name(INPUT);
            let inputs = inputs.map(AsArray::as_primitive::<Int32Type>);
            for row in 0..batch.num_rows() {
                let rank = inputs.map_or(0, |inputs| self.ranks[inputs.value(row) as usize]);
                places.push((keys.at(row), rank, file as u32, row as u32));
            }
        }
        places.sort_unstable();
        let order: Vec<(usize, usize)> = places
            .iter()
            .map(|&(_, _, file, row)| (file as usize, row as usize))
            .collect();
        let columns: Vec<ArrayRef> = (0..self.schema.schema.fields().len())
            .into_par_iter()
            .map(|column| {
                let arrays: Vec<&dyn Array> = batches
                    .iter()
                    .map(|batch| &**batch.column(column))
                    .collect();
                compute::interleave(&arrays, &order)
            })
            .collect::<Result<_, _>>()?;
        Ok(Some(RecordBatch::try_new(
            self.schema.schema.clone(),
            columns,
        )?))
    }
}

impl Cursor {
    fn open(reader: PartReader, file: &EventPart, schema: &PartSchema) -> Result<Cursor, Error> {
        let fields = schema.schema.fields().iter();
        let there = fields.filter(|field| reader.schema().column_with_name(field.name()).is_some());
        let columns: Vec<(String, DataType)> = there
            .map(|field| (field.name().clone(), field.data_type().clone()))
            .collect();
        let mut cursor = Cursor {
            plan: reader.plan(&columns)?,
            reader,
            schema: schema.schema.clone(),
            time: schema.time,
            input: file.inputs.first().map_or(0, |&input| input as i32),
            group: 0,
            batches: None,
            now: None,
            next: None,
        };
        cursor.now = cursor.read()?;
        cursor.next = cursor.read()?;
        Ok(cursor)
    }

    fn read(&mut self) -> Result<Option<RecordBatch>, Error> {
        loop {
            if let Some(batch) = self.batches.as_mut().and_then(Iterator::next) {
                return Ok(Some(self.whole(&batch?)?));
            }
            if self.group == self.reader.groups().len() {
                return Ok(None);
            }
            self.batches = Some(self.reader.read(&self.plan, self.group, BATCH_ROWS)?);
            self.group += 1;
        }
    }

    /// With the columns that the file could do without.
    fn whole(&self, batch: &RecordBatch) -> Result<RecordBatch, Error> {
        let rows = batch.num_rows();
        let column = |name: &str, dtype: &DataType| match batch.column_by_name(name) {
            Some(column) => column.clone(),
            None if name == INPUT => Arc::new(Int32Array::from_value(self.input, rows)),
            None => new_null_array(dtype, rows),
        };
        let fields = self.schema.fields().iter();
        let columns = fields.map(|field| column(field.name(), field.data_type()));
        Ok(RecordBatch::try_new(
            self.schema.clone(),
            columns.collect(),
        )?)
    }

    fn last(&self) -> Option<Key> {
        let now = self.now.as_ref()?;
        Some(Keys::of(now, self.time).at(now.num_rows() - 1))
    }

    /// How many of the rows held are smaller; all without a bound.
    fn below(&self, bound: Option<Key>) -> usize {
        let Some(now) = &self.now else { return 0 };
        let Some(bound) = bound else {
            return now.num_rows();
        };
        let keys = Keys::of(now, self.time);
        let (mut low, mut high) = (0, now.num_rows());
        while low < high {
            let middle = low.midpoint(high);
            if keys.at(middle) < bound {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    fn extend(&mut self) -> Result<(), Error> {
        if let (Some(now), Some(next)) = (&self.now, &self.next) {
            self.now = Some(compute::concat_batches(&self.schema, [now, next])?);
            self.next = self.read()?;
        }
        Ok(())
    }

    fn pass(&mut self, rows: usize) -> Result<(), Error> {
        let left = self
            .now
            .take()
            .map(|now| now.slice(rows, now.num_rows() - rows));
        self.now = left.filter(|left| left.num_rows() > 0);
        if self.now.is_none() {
            self.now = self.next.take();
            self.next = self.read()?;
        }
        Ok(())
    }
}

/// The keys of some rows.
struct Keys<'a> {
    entities: &'a [i32],
    times: &'a [i64],
}

impl<'a> Keys<'a> {
    fn of(rows: &'a RecordBatch, time: usize) -> Keys<'a> {
        Keys {
            entities: rows.column(0).as_primitive::<Int32Type>().values(),
            times: rows
                .column(time)
                .as_primitive::<TimestampMicrosecondType>()
                .values(),
        }
    }

    fn at(&self, row: usize) -> Key {
        (self.entities[row], self.times[row])
    }
}
