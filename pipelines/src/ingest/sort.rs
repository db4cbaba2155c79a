//! Rows in any order -> sorted parts: in memory as far as they fit, then in runs on disk that
//! are merged at the end.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute;
use arrow::datatypes::{Int32Type, TimestampMicrosecondType};
use granary_storage::{
    EventLogManifest, EventLogWriter, EventPart, PartKind, PartSchema, PartWriter,
};
use rayon::prelude::*;

use super::IngestOptions;
use super::days::{Borders, Days};
use super::merge::Merge;
use crate::error::Error;

/// Rows that are put in order at a time.
const SLICE: usize = 64 << 10;

/// Takes rows in the order of their inputs.
pub(super) struct Sorter<'a> {
    writer: &'a EventLogWriter,
    schema: PartSchema,
    /// The input of all rows, if there is one alone.
    input: Option<u32>,
    options: IngestOptions,
    batches: Vec<RecordBatch>,
    bytes: usize,
    days: Days,
    runs: Vec<EventPart>,
}

/// The parts that rows go to by their days.
struct Parts {
    borders: Borders,
    time: usize,
    writers: Vec<PartWriter>,
}

impl<'a> Sorter<'a> {
    pub(super) fn new(
        writer: &'a EventLogWriter,
        schema: PartSchema,
        input: Option<u32>,
        options: IngestOptions,
    ) -> Self {
        Sorter {
            writer,
            schema,
            input,
            options,
            batches: Vec::new(),
            bytes: 0,
            days: Days::default(),
            runs: Vec::new(),
        }
    }

    /// What the rows must be like.
    pub(super) fn schema(&self) -> &PartSchema {
        &self.schema
    }

    /// Takes rows, which stand behind those before.
    pub(super) fn push(&mut self, rows: RecordBatch) -> Result<(), Error> {
        let times = rows
            .column(self.schema.time)
            .as_primitive::<TimestampMicrosecondType>();
        self.days.count(times.values());
        self.bytes += rows.get_array_memory_size();
        self.batches.push(rows);
        if self.bytes >= self.options.memory {
            self.spill()?;
        }
        Ok(())
    }

    /// Writes everything into parts, and names them in the manifest.
    pub(super) fn finish(mut self, manifest: &mut EventLogManifest) -> Result<(), Error> {
        let borders = self.days.borders(self.options.part_rows);
        let mut parts = Parts::begin(self.writer, &self.schema, self.input, borders, manifest)?;
        if self.runs.is_empty() {
            in_order(
                &self.schema,
                std::mem::take(&mut self.batches),
                &mut |rows| parts.write(rows),
            )?;
        } else {
            self.spill()?;
            let inputs = manifest.inputs.len();
            let runs = Merge::open(self.writer, &self.runs, &self.schema, vec![0; inputs + 1])?;
            runs.each(&mut |rows| parts.write(rows))?;
        }
        manifest.parts.extend(parts.finish()?);
        self.runs
            .iter()
            .try_for_each(|run| self.writer.remove_run(run))?;
        Ok(())
    }

    fn spill(&mut self) -> Result<(), Error> {
        self.bytes = 0;
        let number = self.runs.len() as u64 + 1;
        let mut run = self
            .writer
            .part(number, PartKind::Run, self.schema.clone())?;
        let batches = std::mem::take(&mut self.batches);
        in_order(&self.schema, batches, &mut |rows| Ok(run.write(rows)?))?;
        if let Some(input) = self.input {
            run.set_input(input);
        }
        self.runs.extend(run.finish()?);
        Ok(())
    }
}

impl Parts {
    fn begin(
        writer: &EventLogWriter,
        schema: &PartSchema,
        input: Option<u32>,
        borders: Borders,
        manifest: &mut EventLogManifest,
    ) -> Result<Parts, Error> {
        let mut writers = Vec::with_capacity(borders.parts());
        for _ in 0..borders.parts() {
            let mut part = writer.part(manifest.next_part, PartKind::Part, schema.clone())?;
            manifest.next_part += 1;
            if let Some(input) = input {
                part.set_input(input);
            }
            writers.push(part);
        }
        Ok(Parts {
            borders,
            time: schema.time,
            writers,
        })
    }

    /// Appends sorted rows, each to its part.
    fn write(&mut self, rows: &RecordBatch) -> Result<(), Error> {
        if let [only] = &mut self.writers[..] {
            return Ok(only.write(rows)?);
        }
        let times = rows
            .column(self.time)
            .as_primitive::<TimestampMicrosecondType>();
        let mut of_parts: Vec<Vec<u32>> = vec![Vec::new(); self.writers.len()];
        for (row, &time) in times.values().iter().enumerate() {
            of_parts[self.borders.part_of(time)].push(row as u32);
        }
        for (writer, of_part) in self.writers.iter_mut().zip(of_parts) {
            if !of_part.is_empty() {
                writer.write(&compute::take_record_batch(
                    rows,
                    &UInt32Array::from(of_part),
                )?)?;
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<Vec<EventPart>, Error> {
        let parts = self.writers.into_iter().map(PartWriter::finish);
        let parts: Vec<Option<EventPart>> = parts.collect::<Result<_, _>>()?;
        Ok(parts.into_iter().flatten().collect())
    }
}

/// Hands on the rows by entity, then by time, then as they came.
fn in_order(
    schema: &PartSchema,
    batches: Vec<RecordBatch>,
    take: &mut dyn FnMut(&RecordBatch) -> Result<(), Error>,
) -> Result<(), Error> {
    let columns = columns(schema, batches)?;
    let entities = columns[0].as_primitive::<Int32Type>().values();
    let times = columns[schema.time]
        .as_primitive::<TimestampMicrosecondType>()
        .values();
    let key = |row: usize| (entities[row], times[row]);
    let rows = entities.len();
    if (1..rows).all(|row| key(row - 1) <= key(row)) {
        return take(&RecordBatch::try_new(schema.schema.clone(), columns)?);
    }
    let mut order: Vec<(i32, i64, u32)> = (0..rows)
        .map(|row| (entities[row], times[row], row as u32))
        .collect();
    order.par_sort_unstable();
    for some in order.chunks(SLICE) {
        let some = UInt32Array::from_iter_values(some.iter().map(|(.., row)| *row));
        let arrays = columns
            .par_iter()
            .map(|column| compute::take(column, &some, None));
        let arrays: Vec<ArrayRef> = arrays.collect::<Result<_, _>>()?;
        take(&RecordBatch::try_new(schema.schema.clone(), arrays)?)?;
    }
    Ok(())
}

/// Every column in one piece; what it was made of is given up column by column.
fn columns(schema: &PartSchema, batches: Vec<RecordBatch>) -> Result<Vec<ArrayRef>, Error> {
    let fields = schema.schema.fields();
    if batches.is_empty() {
        let empty = fields
            .iter()
            .map(|field| arrow::array::new_empty_array(field.data_type()));
        return Ok(empty.collect());
    }
    let mut left: Vec<std::vec::IntoIter<ArrayRef>> = batches
        .into_iter()
        .map(|batch| batch.columns().to_vec().into_iter())
        .collect();
    (0..fields.len())
        .map(|_| {
            let arrays: Vec<ArrayRef> = left.iter_mut().filter_map(Iterator::next).collect();
            let arrays: Vec<&dyn Array> =
                arrays.iter().map(|array| &**array as &dyn Array).collect();
            Ok(compute::concat(&arrays)?)
        })
        .collect()
}
