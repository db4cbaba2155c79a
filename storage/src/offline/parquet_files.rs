//! How our Parquet files are written and read. Called by `offline` and `dataset`.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::{Error, Result};

pub(crate) const ROW_GROUP_ROWS: usize = 100_000;
pub(crate) const ROW_GROUP_BYTES: usize = 64 << 20;
const READ_BATCH_ROWS: usize = 65_536;

/// What a file holds decides how it is encoded. Harder compression than zstd 1 gains nothing:
/// the demo's features are as large at level 3.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Holds {
    /// Columns with values that repeat: dictionaries.
    Columns,
    /// Opaque bytes, no two alike: no dictionaries.
    Opaque,
}

/// A writer of our kind of Parquet into `file`; `path` is for messages.
pub(crate) fn write_parquet<W: Write + Send>(
    file: W,
    path: &Path,
    schema: SchemaRef,
    holds: Holds,
) -> Result<ArrowWriter<W>> {
    let level = ZstdLevel::try_new(1).map_err(Error::parquet("create", path))?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_dictionary_enabled(matches!(holds, Holds::Columns))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
        .build();
    ArrowWriter::try_new(file, schema, Some(properties)).map_err(Error::parquet("create", path))
}

/// The batches of an open file, of some columns or all, in the file's column order.
pub(crate) fn read_batches(
    file: File,
    path: &Path,
    columns: Option<&[&str]>,
) -> Result<ParquetRecordBatchReader> {
    let mut builder =
        ParquetRecordBatchReaderBuilder::try_new(file).map_err(Error::parquet("open", path))?;
    if let Some(columns) = columns {
        let roots = columns
            .iter()
            .map(|column| root_index(builder.schema(), path, column))
            .collect::<Result<Vec<usize>>>()?;
        let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
        builder = builder.with_projection(mask);
    }
    builder
        .with_batch_size(READ_BATCH_ROWS)
        .build()
        .map_err(Error::parquet("open", path))
}

/// Collects batches, telling the path if one does not read.
pub(crate) fn collect(batches: ParquetRecordBatchReader, path: &Path) -> Result<Vec<RecordBatch>> {
    batches
        .map(|batch| batch.map_err(|error| Error::parquet("read", path)(error.into())))
        .collect()
}

fn root_index(schema: &SchemaRef, path: &Path, column: &str) -> Result<usize> {
    schema.index_of(column).map_err(|_| Error::NoColumn {
        column: column.to_owned(),
        path: path.to_owned(),
        present: schema
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect(),
    })
}
