//! Rewrites the parts of a source without rows of entities that were erased, and the file of keys
//! without their names.

use std::collections::HashSet;
use std::fs;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, Int32Array, Int64Array, RecordBatch};
use arrow::compute;
use arrow::datatypes::{DataType, Int32Type, Int64Type, Schema};

use super::{
    ENTITY, EntityKeys, EventLogManifest, EventLogWriter, EventPart, INPUT, KeysFile, POSITION,
    PartKind, PartReader, PartSchema,
};
use crate::{Error, Result};

/// Rows that are read at a time.
const BATCH_ROWS: usize = 8 << 10;

/// Which rows of an entity are left out: all of files, and of the log those up to a place.
pub struct OutUntil {
    /// One past the offset of the last that is.
    pub position: u64,
}

impl EventLogWriter {
    /// Leaves out rows of the entities that `is_out` names, publishes what is left, and removes
    /// the old files at once. Returns how many rows there were.
    pub fn leave_out(
        &self,
        manifest: &mut EventLogManifest,
        is_out: &dyn Fn(&str) -> Option<OutUntil>,
    ) -> Result<u64> {
        let keys = self.log.keys(manifest)?;
        let numbers = keys.iter().enumerate();
        let out: Vec<(u32, OutUntil)> = numbers
            .filter_map(|(number, key)| Some((number as u32, is_out(key)?)))
            .collect();
        if out.is_empty() {
            return Ok(0);
        }
        let before: HashSet<String> = manifest.files().map(str::to_owned).collect();
        let (mut left_out, mut stay) = (0, HashSet::new());
        for part in std::mem::take(&mut manifest.parts) {
            let reader = self.log.part(&part)?;
            let is_in = |(number, _): &(u32, OutUntil)| {
                let mut groups = reader.groups().iter();
                groups.any(|group| (group.first..=group.last).contains(number))
            };
            if !out.iter().any(is_in) {
                manifest.parts.push(part);
                continue;
            }
            let number = manifest.next_part;
            manifest.next_part += 1;
            let (rows, rewritten) = self.rewrite(&reader, &part, number, &out, &mut stay)?;
            left_out += rows;
            manifest.parts.extend(rewritten);
        }
        let gone: HashSet<u32> = out.iter().map(|(number, _)| *number).collect();
        self.forget_keys(manifest, &keys, &(&gone - &stay))?;
        self.publish(manifest)?;
        let after: HashSet<&str> = manifest.files().collect();
        for file in before.iter().filter(|file| !after.contains(file.as_str())) {
            let path = self.log.root.join(file);
            fs::remove_file(&path).map_err(Error::io("remove", &path))?;
        }
        Ok(left_out)
    }

    /// A part without these entities' rows, and how many they were. Notes who has rows that stay.
    fn rewrite(
        &self,
        reader: &PartReader,
        part: &EventPart,
        number: u64,
        out: &[(u32, OutUntil)],
        stay: &mut HashSet<u32>,
    ) -> Result<(u64, Option<EventPart>)> {
        let schema = schema_of(reader, part);
        let columns = schema.schema.fields().iter();
        let columns: Vec<(String, DataType)> = columns
            .map(|field| (field.name().clone(), field.data_type().clone()))
            .collect();
        let plan = reader.plan(&columns)?;
        let mut writer = self.part(number, PartKind::Part, schema.clone())?;
        if schema.schema.column_with_name(INPUT).is_none()
            && let Some(&input) = part.inputs.first()
        {
            writer.set_input(input);
        }
        let failed =
            |error: arrow::error::ArrowError| Error::parquet("read", reader.path())(error.into());
        let mut left_out = 0;
        for group in 0..reader.groups().len() {
            for batch in reader.read(&plan, group, BATCH_ROWS)? {
                let batch = batch.map_err(failed)?;
                let kept = kept(&batch, out, stay);
                left_out += kept.false_count() as u64;
                let rows = compute::filter_record_batch(&batch, &kept).map_err(failed)?;
                if rows.num_rows() > 0 {
                    writer.write(&rows)?;
                }
            }
        }
        Ok((left_out, writer.finish()?))
    }

    /// A new file of keys, with names in the place of these that no entity has.
    fn forget_keys(
        &self,
        manifest: &mut EventLogManifest,
        keys: &EntityKeys,
        gone: &HashSet<u32>,
    ) -> Result<()> {
        let names: Vec<String> = keys
            .iter()
            .enumerate()
            .map(|(number, key)| match gone.contains(&(number as u32)) {
                true => format!("\u{0}erased {number}"),
                false => key.to_owned(),
            })
            .collect();
        manifest.keys = KeysFile {
            file: format!("keys-{:06}", manifest.number + 1),
            blake3: blake3::hash(&[]).to_hex().to_string(),
            ..KeysFile::default()
        };
        self.append_keys(manifest, names.iter().map(String::as_str))
    }
}

fn schema_of(reader: &PartReader, part: &EventPart) -> PartSchema {
    let fields: Vec<_> = reader.schema().fields().iter().cloned().collect();
    let own = [ENTITY, INPUT, POSITION];
    let time = fields
        .iter()
        .position(|field| !own.contains(&field.name().as_str()));
    PartSchema {
        schema: Arc::new(Schema::new(fields)),
        time: time.unwrap_or(0),
        columns: part.columns.clone(),
    }
}

/// Which rows stay.
fn kept(batch: &RecordBatch, out: &[(u32, OutUntil)], stay: &mut HashSet<u32>) -> BooleanArray {
    let entities: &Int32Array = batch.column(0).as_primitive::<Int32Type>();
    let positions: Option<&Int64Array> = batch
        .column_by_name(POSITION)
        .map(AsArray::as_primitive::<Int64Type>);
    let mut stays = |row: usize| {
        let entity = entities.value(row) as u32;
        let Ok(found) = out.binary_search_by_key(&entity, |(number, _)| *number) else {
            return true;
        };
        let position = positions
            .filter(|held| held.is_valid(row))
            .map_or(0, |held| held.value(row) as u64);
        let stays = position > out[found].1.position;
        if stays {
            stay.insert(entity);
        }
        stays
    };
    (0..batch.num_rows()).map(|row| Some(stays(row))).collect()
}
