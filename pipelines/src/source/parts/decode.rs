//! Rows of a chunk as batches of the wanted columns, part after part.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, DictionaryArray, Int32Array, RecordBatch, StringArray,
    UInt32Array, new_null_array,
};
use arrow::compute;
use arrow::datatypes::{DataType, Int32Type, Int64Type};
use arrow::error::ArrowError;
use granary_storage::{
    ENTITY, EntityKeys, EventPart, INPUT, IngestedFrom, POSITION, PartPlan, PartReader,
};

use super::picks::{Pick, Picks};
use super::{Entities, Opened, Parts, stale};
use crate::source::wanted::schema;
use crate::source::{Error, Wanted, cast};

/// How one part is read for a chunk.
struct PartReading<'a> {
    reader: &'a PartReader,
    part: &'a EventPart,
    key: &'a str,
    plan: PartPlan,
}

/// What is asked of the parts.
struct Asked<'a> {
    first: u32,
    end: u32,
    columns: &'a [Wanted],
    /// Keys of these entities.
    keys: ArrayRef,
}

impl Parts {
    /// Decodes the wanted columns of a chunk. Where raw files stand beside them, or rows of one
    /// part between those of another, batches come in the order of their inputs, with the rank
    /// of each.
    pub(in crate::source) fn decode<E: From<Error>>(
        &self,
        entities: Entities,
        batch_rows: usize,
        columns: &[Wanted],
        sink: &mut dyn FnMut(RecordBatch, u32) -> Result<(), E>,
    ) -> Result<(), E> {
        let opened = self.opened()?;
        let picks = self.picks(entities.is_unread);
        let asked = Asked::of(entities, columns, &opened.keys);
        let is_apart = picks.are_interleaved || self.is_mixed;
        let mut apart: Vec<(RecordBatch, Vec<u32>)> = Vec::new();
        for pick in &picks.parts {
            let reading = self.plan(&opened, *pick, columns)?;
            for group in reading.groups(&asked) {
                let batches = reading.reader.read(&reading.plan, group, batch_rows);
                for batch in batches.map_err(Error::from)? {
                    let failed = |error| reading.failed(error);
                    let batch = batch
                        .and_then(|batch| asked.of_entities(&batch))
                        .map_err(failed)?;
                    let rows = reading.columns(&batch, &asked).map_err(failed)?;
                    if is_apart || pick.is_filtered {
                        let (rows, ranks) = self
                            .ranked(picks, &reading, &batch, &rows)
                            .map_err(failed)?;
                        if is_apart {
                            apart.push((rows, ranks));
                        } else if rows.num_rows() > 0 {
                            sink(rows, 0)?;
                        }
                    } else if rows.num_rows() > 0 {
                        sink(rows, 0)?;
                    }
                }
            }
        }
        by_rank(&apart, sink, &|error| Error::Arrow {
            path: PathBuf::from(&self.source),
            error,
        })
    }

    /// Those of some rows that are wanted, with their ranks.
    fn ranked(
        &self,
        picks: &Picks,
        reading: &PartReading<'_>,
        batch: &RecordBatch,
        rows: &RecordBatch,
    ) -> Result<(RecordBatch, Vec<u32>), ArrowError> {
        let inputs = reading.inputs(batch);
        let positions = batch.column_by_name(POSITION);
        let positions = positions.map(AsArray::as_primitive::<Int64Type>);
        let (after, until) = picks.positions;
        let is_wanted = |row: usize, input: i32| {
            let at = positions
                .filter(|held| held.is_valid(row))
                .map(|held| held.value(row) as u64);
            picks.inputs[input as usize] && at.is_none_or(|at| at > after && at <= until)
        };
        let mask = inputs
            .iter()
            .enumerate()
            .map(|(row, &input)| Some(is_wanted(row, input)));
        let mask: BooleanArray = mask.collect();
        let wanted = mask
            .values()
            .set_indices()
            .map(|row| self.ranks[inputs[row] as usize]);
        let ranks = wanted.collect();
        Ok((compute::filter_record_batch(rows, &mask)?, ranks))
    }

    fn plan<'o>(
        &'o self,
        opened: &'o Opened,
        pick: Pick,
        columns: &[Wanted],
    ) -> Result<PartReading<'o>, Error> {
        let (reader, part) = (&opened.readers[pick.part], &self.manifest.parts[pick.part]);
        let interleaved = self.all.are_interleaved || self.unread.are_interleaved || self.is_mixed;
        let mut read = vec![(ENTITY.to_owned(), DataType::Int32)];
        let has = |name: &str| reader.schema().column_with_name(name).is_some();
        if (pick.is_filtered || interleaved) && has(INPUT) {
            read.push((INPUT.to_owned(), DataType::Int32));
        }
        let is_asked = columns.iter().any(|column| column.name == POSITION);
        if (pick.is_filtered || is_asked) && has(POSITION) {
            read.push((POSITION.to_owned(), DataType::Int64));
        }
        for column in columns {
            if column.name == self.manifest.entity_key || column.name == POSITION {
                continue;
            }
            let Some((_, field)) = reader.schema().column_with_name(&column.name) else {
                if self.is_of_log(part) {
                    continue;
                }
                return Err(stale(
                    &self.source,
                    &format!("it was ingested without column `{}`", column.name),
                ));
            };
            let as_read = cast::readable_as(field.data_type(), column);
            let as_read = as_read.ok_or_else(|| {
                let (name, wanted) = (&column.name, column.dtype);
                stale(
                    &self.source,
                    &format!(
                        "column `{name}` was ingested as {}, registry says {wanted}",
                        field.data_type()
                    ),
                )
            })?;
            read.push((column.name.clone(), as_read));
        }
        Ok(PartReading {
            plan: reader.plan(&read)?,
            reader,
            part,
            key: &self.manifest.entity_key,
        })
    }

    fn is_of_log(&self, part: &EventPart) -> bool {
        let mut inputs = part
            .inputs
            .iter()
            .map(|&input| &self.manifest.inputs[input as usize].from);
        inputs.all(|from| matches!(from, IngestedFrom::Log { .. }))
    }
}

impl PartReading<'_> {
    /// The row groups that have any of the entities.
    fn groups(&self, asked: &Asked<'_>) -> impl Iterator<Item = usize> {
        let entities = asked.first..asked.end;
        let groups = self.reader.groups().iter().enumerate();
        let groups = groups
            .filter(move |(_, group)| group.last >= entities.start && group.first < entities.end);
        groups.map(|(group, _)| group)
    }

    /// The wanted columns of some rows.
    fn columns(&self, batch: &RecordBatch, asked: &Asked<'_>) -> Result<RecordBatch, ArrowError> {
        let mut arrays = Vec::with_capacity(asked.columns.len());
        for column in asked.columns {
            arrays.push(match batch.column_by_name(&column.name) {
                Some(array) => cast::to_wanted(array, column)?,
                None if column.name == self.key => asked.keys_of(batch, column)?,
                // Checked: only events of the log may lack what they do not say.
                None => new_null_array(&column.arrow_type(), batch.num_rows()),
            });
        }
        let types: Vec<DataType> = arrays
            .iter()
            .map(|array| array.data_type().clone())
            .collect();
        RecordBatch::try_new(schema(asked.columns, types), arrays)
    }

    fn failed(&self, error: ArrowError) -> Error {
        Error::Arrow {
            path: self.reader.path().to_owned(),
            error,
        }
    }

    /// Which input each row is from.
    fn inputs(&self, batch: &RecordBatch) -> Vec<i32> {
        match batch.column_by_name(INPUT) {
            Some(inputs) => inputs.as_primitive::<Int32Type>().values().to_vec(),
            None => {
                vec![self.part.inputs.first().map_or(0, |&input| input as i32); batch.num_rows()]
            }
        }
    }
}

impl<'a> Asked<'a> {
    fn of(entities: Entities, columns: &'a [Wanted], keys: &EntityKeys) -> Asked<'a> {
        let end = entities.end.min(keys.len() as u32);
        let first = entities.first.min(end);
        let names = (first..end).map(|entity| keys.get(entity as usize));
        Asked {
            first,
            end,
            columns,
            keys: Arc::new(StringArray::from_iter_values(names)),
        }
    }

    /// The rows of the entities; rows stand in order of entity.
    fn of_entities(&self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let entities = entities_of(batch)?.values();
        let start = entities.partition_point(|&entity| (entity as u32) < self.first);
        let stop = entities.partition_point(|&entity| (entity as u32) < self.end);
        Ok(batch.slice(start, stop - start))
    }

    /// Keys for numbers: a dictionary that all batches of a chunk share.
    fn keys_of(&self, batch: &RecordBatch, column: &Wanted) -> Result<ArrayRef, ArrowError> {
        let first = self.first as i32;
        let numbers: Int32Array = entities_of(batch)?.unary(|entity| entity - first);
        let keys = DictionaryArray::<Int32Type>::try_new(numbers, self.keys.clone())?;
        if column.arrow_type() == *keys.data_type() {
            return Ok(Arc::new(keys));
        }
        compute::cast(
            &compute::cast(&keys, &DataType::Utf8)?,
            &column.arrow_type(),
        )
    }
}

fn entities_of(batch: &RecordBatch) -> Result<&Int32Array, ArrowError> {
    let column = batch.column_by_name(ENTITY);
    let column = column.and_then(|held| held.as_primitive_opt::<Int32Type>());
    column.ok_or_else(|| ArrowError::SchemaError(format!("no column `{ENTITY}`")))
}

/// Hands on rows of several parts in the order of their inputs.
fn by_rank<E: From<Error>>(
    apart: &[(RecordBatch, Vec<u32>)],
    sink: &mut dyn FnMut(RecordBatch, u32) -> Result<(), E>,
    failed: &dyn Fn(ArrowError) -> Error,
) -> Result<(), E> {
    let Some((first, _)) = apart.first() else {
        return Ok(());
    };
    let mut ranks: Vec<u32> = apart.iter().flat_map(|(_, ranks)| ranks).copied().collect();
    let mut order: Vec<u32> = (0..ranks.len() as u32).collect();
    order.sort_by_key(|&row| ranks[row as usize]);
    ranks.sort_unstable();
    let whole = compute::concat_batches(&first.schema(), apart.iter().map(|(batch, _)| batch));
    let rows =
        whole.and_then(|whole| compute::take_record_batch(&whole, &UInt32Array::from(order)));
    let rows = rows.map_err(failed)?;
    let mut start = 0;
    for same in ranks.chunk_by(|a, b| a == b) {
        sink(rows.slice(start, same.len()), same[0])?;
        start += same.len();
    }
    Ok(())
}
