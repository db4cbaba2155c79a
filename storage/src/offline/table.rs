//! A Parquet file of ours under construction, whose columns are encoded each for itself, in
//! parallel. Called by `writer` for features and by `dataset`.

use std::io::Write;
use std::path::{Path, PathBuf};

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::{Field, SchemaRef};
use parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves,
};
use parquet::errors::Result as ParquetResult;
use parquet::file::writer::SerializedFileWriter;
use rayon::prelude::*;

use super::parquet_files::{Holds, ROW_GROUP_BYTES, ROW_GROUP_ROWS, write_parquet};
use crate::{Error, Result};

/// Rows that a column takes in at a time: what the encoder keeps of them grows with them.
const SLICE_ROWS: usize = 8_192;

/// A table on its way into a file. A field is one column of the file: no structs.
pub(crate) struct TableWriter<W: Write + Send> {
    path: PathBuf,
    schema: SchemaRef,
    file: SerializedFileWriter<W>,
    factory: ArrowRowGroupWriterFactory,
    row_groups: usize,
    open: Option<RowGroup>,
}

/// A row group, which is kept whole until it is written.
struct RowGroup {
    columns: Vec<ArrowColumnWriter>,
    rows: usize,
    most: usize,
}

impl<W: Write + Send> TableWriter<W> {
    /// Into `output`; `path` is for messages.
    pub(crate) fn begin(output: W, path: &Path, schema: SchemaRef) -> Result<TableWriter<W>> {
        let (file, factory) = write_parquet(output, path, schema.clone(), Holds::Columns)?
            .into_serialized_writer()
            .map_err(Error::parquet("create", path))?;
        Ok(TableWriter {
            path: path.to_owned(),
            schema,
            file,
            factory,
            row_groups: 0,
            open: None,
        })
    }

    /// Where it is written, as messages name it.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends rows.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let written = self.append(batch);
        written.map_err(Error::parquet("write", &self.path))
    }

    /// Ends the file.
    pub(crate) fn finish(mut self) -> Result<W> {
        let closed = self.close_row_group();
        closed.map_err(Error::parquet("write", &self.path))?;
        let finished = self.file.into_inner();
        finished.map_err(Error::parquet("finish", &self.path))
    }

    fn append(&mut self, batch: &RecordBatch) -> ParquetResult<()> {
        let mut first = 0;
        while first < batch.num_rows() {
            let mut group = match self.open.take() {
                Some(group) => group,
                None => self.row_group(batch)?,
            };
            let rows = (group.most - group.rows).min(batch.num_rows() - first);
            group.append(&self.schema, &batch.slice(first, rows))?;
            first += rows;
            let is_full = group.rows == group.most;
            self.open = Some(group);
            if is_full {
                self.close_row_group()?;
            }
        }
        Ok(())
    }

    /// The next, for rows as large as these.
    fn row_group(&self, batch: &RecordBatch) -> ParquetResult<RowGroup> {
        let bytes_of_a_row = batch.get_array_memory_size() / batch.num_rows().max(1);
        Ok(RowGroup {
            columns: self.factory.create_column_writers(self.row_groups)?,
            rows: 0,
            most: (ROW_GROUP_BYTES / bytes_of_a_row.max(1)).clamp(1, ROW_GROUP_ROWS),
        })
    }

    fn close_row_group(&mut self) -> ParquetResult<()> {
        let Some(group) = self.open.take() else {
            return Ok(());
        };
        let columns = group.columns.into_par_iter();
        let columns: Vec<ArrowColumnChunk> = columns
            .map(ArrowColumnWriter::close)
            .collect::<ParquetResult<_>>()?;
        let mut written = self.file.next_row_group()?;
        for column in columns {
            column.append_to_row_group(&mut written)?;
        }
        written.close()?;
        self.row_groups += 1;
        Ok(())
    }
}

impl RowGroup {
    fn append(&mut self, schema: &SchemaRef, batch: &RecordBatch) -> ParquetResult<()> {
        self.rows += batch.num_rows();
        self.columns
            .par_iter_mut()
            .zip(schema.fields().par_iter())
            .zip(batch.columns())
            .try_for_each(|((writer, field), column)| encode(writer, field, column))
    }
}

fn encode(writer: &mut ArrowColumnWriter, field: &Field, column: &ArrayRef) -> ParquetResult<()> {
    for first in (0..column.len()).step_by(SLICE_ROWS) {
        let rows = SLICE_ROWS.min(column.len() - first);
        for leaf in compute_leaves(field, &column.slice(first, rows))? {
            writer.write(&leaf)?;
        }
    }
    Ok(())
}
