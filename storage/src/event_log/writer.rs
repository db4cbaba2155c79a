//! Writes a part: row groups that end where an entity ends, encoded column by column in
//! parallel, with a checksum of each.

use std::collections::BTreeSet;
use std::path::PathBuf;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Field, Int32Type, Int64Type, SchemaRef, TimestampMicrosecondType,
};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, ArrowWriterOptions,
    compute_leaves,
};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;
use rayon::prelude::*;

use super::sums::{SUMS, Summed};
use super::{EventColumn, EventPart, INPUT, POSITION};
use crate::publish::AtomicFile;
use crate::{Error, Result};

/// Rows of a row group, more or less: few enough to find one entity's, enough to pack well.
const GROUP_ROWS: usize = 64 << 10;
/// The same of a run, of which hundreds are read side by side.
const RUN_ROWS: usize = 16 << 10;
/// Values of a text column that are given codes, in bytes; beyond it is plain text.
const DICTIONARY_BYTES: usize = 128 << 10;
/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartKind {
    /// What stays.
    Part,
    /// What is merged and removed soon: packed for speed.
    Run,
}

/// What the rows of a part are like.
#[derive(Clone, Debug)]
pub struct PartSchema {
    /// [`ENTITY`](super::ENTITY) first; [`INPUT`] and [`POSITION`] if there; the source's columns.
    pub schema: SchemaRef,
    /// The column of instants.
    pub time: usize,
    /// The source's columns.
    pub columns: Vec<EventColumn>,
}

/// A part under construction; nothing stays of it unless it is finished.
pub struct PartWriter {
    path: PathBuf,
    file: SerializedFileWriter<Summed>,
    factory: ArrowRowGroupWriterFactory,
    schema: PartSchema,
    sums: String,
    group: Vec<RecordBatch>,
    group_rows: usize,
    most: usize,
    last: i32,
    inputs: BTreeSet<u32>,
    part: EventPart,
}

impl PartWriter {
    pub(super) fn new(
        file: AtomicFile,
        name: String,
        kind: PartKind,
        schema: PartSchema,
    ) -> Result<PartWriter> {
        let path = file.path().to_owned();
        let failed = || Error::parquet("create", &path);
        let properties = properties(kind, &schema).map_err(failed())?;
        let options = ArrowWriterOptions::new()
            .with_properties(properties)
            .with_skip_arrow_metadata(true);
        let (file, factory) =
            ArrowWriter::try_new_with_options(Summed::new(file), schema.schema.clone(), options)
                .and_then(ArrowWriter::into_serialized_writer)
                .map_err(failed())?;
        Ok(PartWriter {
            path,
            file,
            factory,
            sums: String::new(),
            group: Vec::new(),
            group_rows: 0,
            most: match kind {
                PartKind::Part => GROUP_ROWS,
                PartKind::Run => RUN_ROWS,
            },
            last: -1,
            inputs: BTreeSet::new(),
            part: EventPart {
                file: name,
                instants: (i64::MAX, i64::MIN),
                columns: schema.columns.clone(),
                ..EventPart::default()
            },
            schema,
        })
    }

    /// Appends rows, which must stand in their order behind those before.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.note(batch);
        let entities = batch.column(0).as_primitive::<Int32Type>().values();
        let mut start = 0;
        for row in 0..batch.num_rows() {
            let rows = self.group_rows + row - start;
            let ends = rows >= self.most && entities[row] != self.last;
            // One entity's rows are cut only if they are a group of their own.
            if ends || rows >= 2 * self.most {
                self.push(batch.slice(start, row - start));
                self.write_group()?;
                start = row;
            }
            self.last = entities[row];
        }
        self.push(batch.slice(start, batch.num_rows() - start));
        Ok(())
    }

    /// Writes what is left, and makes the part appear under its name; none if it has no rows.
    pub fn finish(mut self) -> Result<Option<EventPart>> {
        if self.part.rows == 0 {
            return Ok(None);
        }
        self.write_group()?;
        let sums = KeyValue::new(SUMS.to_owned(), self.sums);
        self.file.append_key_value_metadata(sums);
        let failed = || Error::parquet("finish", &self.path);
        let file = self.file.into_inner().map_err(failed())?;
        let mut part = self.part;
        part.footer = file.of_rest();
        (part.bytes, part.blake3) = file.digest();
        part.days = (
            part.instants.0.div_euclid(DAY),
            part.instants.1.div_euclid(DAY),
        );
        part.inputs = self.inputs.into_iter().collect();
        file.file.commit()?;
        Ok(Some(part))
    }

    /// Rows all of one input have no column that says so.
    pub fn set_input(&mut self, input: u32) {
        self.inputs.insert(input);
    }

    fn push(&mut self, rows: RecordBatch) {
        if rows.num_rows() > 0 {
            self.group_rows += rows.num_rows();
            self.group.push(rows);
        }
    }

    fn note(&mut self, batch: &RecordBatch) {
        self.part.rows += batch.num_rows() as u64;
        let times = batch
            .column(self.schema.time)
            .as_primitive::<TimestampMicrosecondType>();
        for &time in times.values() {
            let (first, last) = self.part.instants;
            self.part.instants = (first.min(time), last.max(time));
        }
        if let Some(inputs) = batch.column_by_name(INPUT) {
            let inputs = inputs.as_primitive::<Int32Type>().values();
            for same in inputs.chunk_by(|a, b| a == b) {
                self.inputs.insert(same[0] as u32);
            }
        }
        if let Some(positions) = batch.column_by_name(POSITION) {
            for at in positions.as_primitive::<Int64Type>().iter().flatten() {
                let at = at as u64;
                let (first, last) = self.part.positions.unwrap_or((at, at));
                self.part.positions = Some((first.min(at), last.max(at)));
            }
        }
    }

    fn write_group(&mut self) -> Result<()> {
        let batches = std::mem::take(&mut self.group);
        let groups = self.file.flushed_row_groups().len();
        self.group_rows = 0;
        if batches.is_empty() {
            return Ok(());
        }
        self.encode(groups, &batches)
            .map_err(Error::parquet("write", &self.path))
    }

    fn encode(
        &mut self,
        group: usize,
        batches: &[RecordBatch],
    ) -> std::result::Result<(), ParquetError> {
        let fields = self.schema.schema.fields();
        let mut writers = self.factory.create_column_writers(group)?.into_iter();
        // A list is one leaf like everything else here.
        let columns: Vec<(usize, ArrowColumnWriter)> =
            (0..fields.len()).zip(&mut writers).collect();
        let chunks: Vec<ArrowColumnChunk> = columns
            .into_par_iter()
            .map(|(column, mut writer)| {
                for batch in batches {
                    for leaf in compute_leaves(&fields[column], batch.column(column))? {
                        writer.write(&leaf)?;
                    }
                }
                writer.close()
            })
            .collect::<std::result::Result<_, ParquetError>>()?;
        let mut rows = self.file.next_row_group()?;
        for chunk in chunks {
            chunk.append_to_row_group(&mut rows)?;
        }
        rows.close()?;
        self.file.flush()?;
        let newest = self.file.flushed_row_groups().last().cloned();
        if let Some(newest) = newest {
            self.file.inner_mut().of_columns(&newest, &mut self.sums);
        }
        Ok(())
    }
}

/// Numbers that ascend are packed by their differences, few texts as codes, and neither gains
/// from compression what it costs; everything else is compressed lightly.
fn properties(
    kind: PartKind,
    part: &PartSchema,
) -> std::result::Result<WriterProperties, ParquetError> {
    let light = match kind {
        PartKind::Part => Compression::ZSTD(ZstdLevel::try_new(1)?),
        PartKind::Run => Compression::LZ4_RAW,
    };
    let mut properties = WriterProperties::builder()
        .set_compression(light)
        .set_dictionary_enabled(kind == PartKind::Part)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_offset_index_disabled(true);
    for (index, field) in part.schema.fields().iter().enumerate() {
        let column = ColumnPath::from(field.name().as_str());
        let own = [super::ENTITY, INPUT, POSITION].contains(&field.name().as_str());
        properties = if own || index == part.time {
            packed(properties, &column)
        } else {
            properties.set_column_dictionary_page_size_limit(column, DICTIONARY_BYTES)
        };
        if is_category(part, field) {
            let column = ColumnPath::from(field.name().as_str());
            properties = properties
                .set_column_dictionary_enabled(column.clone(), true)
                .set_column_compression(column, Compression::UNCOMPRESSED);
        }
    }
    let entity = ColumnPath::from(super::ENTITY);
    Ok(properties
        .set_column_statistics_enabled(entity, EnabledStatistics::Chunk)
        .build())
}

fn packed(properties: WriterPropertiesBuilder, column: &ColumnPath) -> WriterPropertiesBuilder {
    properties
        .set_column_dictionary_enabled(column.clone(), false)
        .set_column_encoding(column.clone(), Encoding::DELTA_BINARY_PACKED)
        .set_column_compression(column.clone(), Compression::UNCOMPRESSED)
}

fn is_category(part: &PartSchema, field: &Field) -> bool {
    let mut columns = part.columns.iter();
    field.data_type() == &DataType::Utf8
        && columns.any(|column| column.name == *field.name() && column.dtype == "categorical")
}
