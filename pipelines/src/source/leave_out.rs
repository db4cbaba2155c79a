//! Raw files without the rows of entities that were erased. Rows that stay keep their bytes in
//! text files, and their types and order in Parquet. Called by `erase`.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::compute;
use arrow::datatypes::DataType;
use flate2::write::GzEncoder;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression as Codec;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::file::properties::WriterProperties;

use super::cells::Cells;
use super::format::{Compression, open_past, open_unpacked};
use super::head::{Head, fields};
use super::records::{self, Splitter};
use super::{Error, SourceFiles, Wanted, jsonl};

/// Rows of a Parquet file that are read at a time.
const BATCH_ROWS: usize = 8 << 10;
/// Bytes of a text file that are read at a time.
const BLOCK: usize = 1 << 20;
/// As hard as `zstd` does by itself.
const ZSTD_LEVEL: i32 = 3;

/// Whether a row is left out, by its key.
pub type IsOut<'a> = dyn Fn(&str) -> bool + Sync + 'a;

impl SourceFiles {
    /// How many rows of a file are out.
    pub fn count_out(&self, file: usize, key: &Wanted, is_out: &IsOut<'_>) -> Result<u64, Error> {
        self.leave_out(file, key, is_out, None)
    }

    /// Writes a file without the rows that are out, and tells how many they are.
    pub fn copy_without(
        &self,
        file: usize,
        key: &Wanted,
        is_out: &IsOut<'_>,
        out: &mut (dyn Write + Send),
    ) -> Result<u64, Error> {
        self.leave_out(file, key, is_out, Some(out))
    }

    fn leave_out(
        &self,
        file: usize,
        key: &Wanted,
        is_out: &IsOut<'_>,
        out: Option<&mut (dyn Write + Send)>,
    ) -> Result<u64, Error> {
        let path = self.files()[file].as_path();
        let failed = |error| Error::Io {
            path: path.to_owned(),
            error,
        };
        let columns = std::slice::from_ref(key);
        let (splitter, start, compression) = match self.head(file) {
            Head::Parquet(_) => {
                return of_parquet(path, &key.name, is_out, out).map_err(|error| Error::Parquet {
                    path: path.to_owned(),
                    error,
                });
            }
            Head::Csv {
                header,
                compression,
            } => (
                Splitter::Csv(fields(path, header, columns)?),
                header.end,
                *compression,
            ),
            Head::Jsonl { head, compression } => (
                Splitter::Jsonl(jsonl::Keys::of(columns)),
                head.start,
                *compression,
            ),
        };
        let text = Text {
            splitter,
            start,
            compression,
        };
        text.copy(path, is_out, out).map_err(failed)
    }
}

/// A text file.
struct Text<'a> {
    splitter: Splitter<'a>,
    /// Where its rows begin.
    start: u64,
    compression: Compression,
}

impl Text<'_> {
    fn copy(
        &self,
        path: &Path,
        is_out: &IsOut<'_>,
        out: Option<&mut (dyn Write + Send)>,
    ) -> io::Result<u64> {
        let Some(out) = out else {
            return self.rows(path, is_out, &mut io::sink());
        };
        match self.compression {
            Compression::None => self.all(path, is_out, out),
            Compression::Gzip => {
                let mut packed = GzEncoder::new(out, flate2::Compression::default());
                let rows = self.all(path, is_out, &mut packed)?;
                packed.finish()?;
                Ok(rows)
            }
            Compression::Zstd => {
                let mut packed = zstd::Encoder::new(out, ZSTD_LEVEL)?;
                let rows = self.all(path, is_out, &mut packed)?;
                packed.finish()?;
                Ok(rows)
            }
        }
    }

    fn all(&self, path: &Path, is_out: &IsOut<'_>, out: &mut dyn Write) -> io::Result<u64> {
        let head = open_unpacked(path, self.compression)?;
        io::copy(&mut head.take(self.start), out)?;
        self.rows(path, is_out, out)
    }

    fn rows(&self, path: &Path, is_out: &IsOut<'_>, out: &mut dyn Write) -> io::Result<u64> {
        let mut input = open_past(path, self.compression, self.start)?;
        let mut left_out = 0;
        records::each_block(
            &self.splitter,
            1,
            BLOCK,
            input.as_mut(),
            &mut |block, cells| {
                let mut copied = 0;
                for record in 0..cells.len() {
                    let start = cells.start(record);
                    let end = cells.next_start(record).unwrap_or(block.len());
                    if is_of(block, start..end, cells, record, is_out) {
                        out.write_all(&block[copied..start])?;
                        copied = end;
                        left_out += 1;
                    }
                }
                out.write_all(&block[copied..])
            },
        )?;
        Ok(left_out)
    }
}

/// Whether a record is of somebody who is out. A broken one is if it names anybody.
fn is_of(
    block: &[u8],
    bytes: std::ops::Range<usize>,
    cells: &Cells,
    record: usize,
    is_out: &IsOut<'_>,
) -> bool {
    if cells.is_flawed(record) {
        return mentions(&String::from_utf8_lossy(&block[bytes]), is_out);
    }
    is_out(&String::from_utf8_lossy(cells.cell(record, 0, block)))
}

/// Whether a line that may be broken names somebody who is out: as a value of a JSON object, or as
/// a field between commas.
pub fn mentions(line: &str, is_out: &dyn Fn(&str) -> bool) -> bool {
    if let Ok(serde_json::Value::Object(values)) = serde_json::from_str(line) {
        return values.values().any(|value| match value {
            serde_json::Value::String(text) => is_out(text) || mentions(text, is_out),
            serde_json::Value::Number(number) => is_out(&number.to_string()),
            _ => false,
        });
    }
    let mut fields = line.split([',', ';', '\t', '{', '}', '[', ']', ':', '"', '\n']);
    fields.any(|field| is_out(field.trim()))
}

fn of_parquet(
    path: &Path,
    key: &str,
    is_out: &IsOut<'_>,
    out: Option<&mut (dyn Write + Send)>,
) -> Result<u64, ParquetError> {
    let file = File::open(path)?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
    let Ok(column) = builder.schema().index_of(key) else {
        return Ok(0);
    };
    let schema = builder.schema().clone();
    let properties = properties_of(builder.metadata());
    let Some(out) = out else {
        let only = parquet::arrow::ProjectionMask::roots(builder.parquet_schema(), [column]);
        let mut left_out = 0;
        for batch in builder.with_projection(only).build()? {
            left_out += kept(batch?.column(0), is_out)?.false_count() as u64;
        }
        return Ok(left_out);
    };
    let mut writer = ArrowWriter::try_new(out, schema, Some(properties))?;
    let mut left_out = 0;
    for batch in builder.with_batch_size(BATCH_ROWS).build()? {
        let batch = batch?;
        let kept = kept(batch.column(column), is_out)?;
        left_out += kept.false_count() as u64;
        writer.write(&compute::filter_record_batch(&batch, &kept)?)?;
    }
    writer.close()?;
    Ok(left_out)
}

/// Packed as the file was, in row groups as large.
fn properties_of(metadata: &ParquetMetaData) -> WriterProperties {
    let groups = metadata.row_groups();
    let codec = groups.first().and_then(|group| group.columns().first());
    let codec = codec.map_or(Codec::UNCOMPRESSED, ColumnChunkMetaData::compression);
    let rows = groups.iter().map(RowGroupMetaData::num_rows).max();
    let rows = rows.map_or(BATCH_ROWS, |rows| rows.max(1) as usize);
    WriterProperties::builder()
        .set_compression(codec)
        .set_max_row_group_row_count(Some(rows))
        .build()
}

/// Which rows stay.
fn kept(keys: &ArrayRef, is_out: &IsOut<'_>) -> Result<BooleanArray, ParquetError> {
    let texts = compute::cast(keys, &DataType::Utf8)?;
    let texts = texts.as_string::<i32>();
    let stays = |row| texts.is_null(row) || !is_out(texts.value(row));
    Ok((0..texts.len()).map(|row| Some(stays(row))).collect())
}
