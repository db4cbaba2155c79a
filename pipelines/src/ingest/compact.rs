//! Many small parts -> few: parts of about one size are merged into a larger one when there are
//! too many of them, so that their number grows with the logarithm of the rows, and a row is
//! written anew as often.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use granary_storage::{
    ENTITY, EventLogManifest, EventLogWriter, EventPart, INPUT, POSITION, PartKind, PartSchema,
};

use super::IngestOptions;
use super::merge::Merge;
use crate::error::Error;
use crate::source::ranks_of_inputs;

/// By how much sizes differ.
const STEP: u64 = 4;
/// Parts below are of one size.
const SMALL: u64 = 64 << 10;

/// Merges until no size has too many parts, and tells how many were merged. The files of the
/// old parts stay until the next writer begins.
pub(super) fn compact(
    writer: &EventLogWriter,
    manifest: &mut EventLogManifest,
    options: &IngestOptions,
) -> Result<usize, Error> {
    let mut merged = 0;
    while let Some(crowded) = crowded(&manifest.parts, options) {
        let is_crowded = |part: &EventPart| crowded.contains(&part.file);
        let (old, kept) = manifest.parts.drain(..).partition(is_crowded);
        manifest.parts = kept;
        merged += crowded.len();
        merge(writer, manifest, old)?;
    }
    Ok(merged)
}

/// The parts of the smallest size that has too many with the same columns.
fn crowded(parts: &[EventPart], options: &IngestOptions) -> Option<Vec<String>> {
    let size = |part: &EventPart| part.rows.max(SMALL).ilog(STEP);
    let mut parts: Vec<&EventPart> = parts
        .iter()
        .filter(|part| part.rows <= options.most_rows)
        .collect();
    let columns = |part: &EventPart| format!("{:?}", part.columns);
    parts.sort_by_key(|part| (size(part), columns(part)));
    let mut groups = parts.chunk_by(|a, b| size(a) == size(b) && a.columns == b.columns);
    let crowded = groups.find(|group| group.len() > options.side_by_side)?;
    Some(crowded.iter().map(|part| part.file.clone()).collect())
}

fn merge(
    writer: &EventLogWriter,
    manifest: &mut EventLogManifest,
    mut old: Vec<EventPart>,
) -> Result<(), Error> {
    let ranks = ranks_of_inputs(manifest);
    let rank = |part: &EventPart| part.inputs.iter().map(|&input| ranks[input as usize]).min();
    old.sort_by_key(|part| (rank(part), part.days));
    let schema = schema_of(writer, &old)?;
    let mut part = writer.part(manifest.next_part, PartKind::Part, schema.clone())?;
    manifest.next_part += 1;
    let first = old[0].inputs.first().copied();
    if schema.schema.column_with_name(INPUT).is_none()
        && let Some(input) = first
    {
        part.set_input(input);
    }
    Merge::open(writer, &old, &schema, ranks)?.each(&mut |rows| Ok(part.write(rows)?))?;
    manifest.parts.extend(part.finish()?);
    Ok(())
}

/// Room for all that the parts have.
fn schema_of(writer: &EventLogWriter, parts: &[EventPart]) -> Result<PartSchema, Error> {
    let mut fields = vec![Arc::new(Field::new(ENTITY, DataType::Int32, false))];
    let inputs = &parts[0].inputs;
    if inputs.len() > 1 || parts.iter().any(|part| part.inputs != *inputs) {
        fields.push(Arc::new(Field::new(INPUT, DataType::Int32, false)));
    }
    if parts.iter().any(|part| part.positions.is_some()) {
        fields.push(Arc::new(Field::new(POSITION, DataType::Int64, true)));
    }
    let time = fields.len();
    let first = writer.log().part(&parts[0])?;
    let own = [ENTITY, INPUT, POSITION];
    let columns = first.schema().fields().iter();
    fields.extend(
        columns
            .filter(|field| !own.contains(&field.name().as_str()))
            .cloned(),
    );
    Ok(PartSchema {
        schema: Arc::new(Schema::new(fields)),
        time,
        columns: parts[0].columns.clone(),
    })
}
