//! The tables as files. Encoding happens on every thread (`Encoder`), writing in
//! order on one at a time (`TableFile`). Called by `generate`.

use std::io::{self, Write};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowRowGroupWriterFactory, ArrowWriterOptions, compute_leaves,
};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;

use super::chunk::{EVENT_LOGS, TABLES, schemas};
use super::csv;
use super::plan::{Error, Formats, Open, Output, TableSummary};

/// Rows per row group of the small tables; the events have one per chunk.
const ROW_GROUP_ROWS: [usize; 4] = [100_000, 0, 10_000, 100_000];

/// An output that knows its name and counts its bytes.
pub(super) struct File {
    name: String,
    output: Box<dyn Output>,
    bytes: u64,
}

impl File {
    pub(super) fn open(open: Open<'_>, name: String) -> Result<File, Error> {
        match open(&name) {
            Ok(output) => Ok(File {
                name,
                output,
                bytes: 0,
            }),
            Err(source) => Err(Error::File { file: name, source }),
        }
    }

    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.write_all(bytes).map_err(|source| Error::File {
            file: self.name.clone(),
            source,
        })
    }

    /// Makes the file visible; its name and bytes.
    pub(super) fn commit(mut self) -> Result<(String, u64), Error> {
        let committed = self.output.flush().and_then(|()| self.output.commit());
        match committed {
            Ok(()) => Ok((self.name, self.bytes)),
            Err(source) => Err(Error::File {
                file: self.name,
                source,
            }),
        }
    }
}

impl Write for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.output.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

/// Turns batches into what the files take, without the files.
pub(super) struct Encoder {
    formats: Formats,
    events: Option<ArrowRowGroupWriterFactory>,
}

/// A batch, ready to be written.
pub(super) struct Encoded {
    rows: u64,
    parquet: Option<ParquetPart>,
    csv: Option<Vec<u8>>,
}

enum ParquetPart {
    Rows(RecordBatch),
    RowGroup(Vec<ArrowColumnChunk>),
}

impl Encoder {
    /// Encodes a batch of a table; `row_group` is where a row group will stand.
    pub(super) fn encode(
        &self,
        table: usize,
        row_group: usize,
        batch: RecordBatch,
    ) -> Result<Encoded, Error> {
        let rows = batch.num_rows() as u64;
        let csv = (self.formats.csv().then(|| csv::rows(&batch)).transpose())
            .map_err(|source| columns_error(table, source.into()))?;
        let parquet = match &self.events {
            Some(factory) if table == EVENT_LOGS => {
                let columns = encode_row_group(factory, row_group, &batch)
                    .map_err(|source| columns_error(table, source))?;
                Some(ParquetPart::RowGroup(columns))
            }
            _ => (self.formats.parquet()).then_some(ParquetPart::Rows(batch)),
        };
        Ok(Encoded { rows, parquet, csv })
    }
}

fn encode_row_group(
    factory: &ArrowRowGroupWriterFactory,
    row_group: usize,
    batch: &RecordBatch,
) -> Result<Vec<ArrowColumnChunk>, ParquetError> {
    let schema = batch.schema_ref();
    let columns = schema.fields().iter().zip(batch.columns());
    (columns.zip(factory.create_column_writers(row_group)?))
        .map(|((field, column), mut writer)| {
            for leaf in compute_leaves(field, column)? {
                writer.write(&leaf)?;
            }
            writer.close()
        })
        .collect()
}

/// The files of one table, open.
pub(super) struct TableFile {
    table: usize,
    rows: u64,
    parquet: Option<ParquetFile>,
    csv: Option<File>,
}

enum ParquetFile {
    Batches(Box<ArrowWriter<File>>),
    RowGroups(Box<SerializedFileWriter<File>>),
}

/// Opens the files of all tables, and makes the encoder for them.
pub(super) fn open_tables(
    formats: Formats,
    open: Open<'_>,
) -> Result<(Vec<TableFile>, Encoder), Error> {
    let mut encoder = Encoder {
        formats,
        events: None,
    };
    let mut files = Vec::with_capacity(TABLES.len());
    for (table, schema) in schemas().into_iter().enumerate() {
        let mut file = TableFile {
            table,
            rows: 0,
            parquet: None,
            csv: None,
        };
        if formats.csv() {
            let mut csv = File::open(open, format!("{}.csv", TABLES[table]))?;
            csv.put(&csv::header(&schema))?;
            file.csv = Some(csv);
        }
        if formats.parquet() {
            let output = File::open(open, format!("{}.parquet", TABLES[table]))?;
            let (parquet, factory) = open_parquet(table, schema, output)
                .map_err(|source| columns_error(table, source))?;
            file.parquet = Some(parquet);
            encoder.events = encoder.events.or(factory);
        }
        files.push(file);
    }
    Ok((files, encoder))
}

fn open_parquet(
    table: usize,
    schema: SchemaRef,
    output: File,
) -> Result<(ParquetFile, Option<ArrowRowGroupWriterFactory>), ParquetError> {
    let options = ArrowWriterOptions::new()
        .with_properties(properties(table)?)
        // Readers shall see plain text columns, not our way of holding them.
        .with_skip_arrow_metadata(true);
    let writer = ArrowWriter::try_new_with_options(output, schema, options)?;
    if table != EVENT_LOGS {
        return Ok((ParquetFile::Batches(Box::new(writer)), None));
    }
    let (writer, factory) = writer.into_serialized_writer()?;
    Ok((ParquetFile::RowGroups(Box::new(writer)), Some(factory)))
}

fn properties(table: usize) -> Result<WriterProperties, ParquetError> {
    let builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_statistics_enabled(EnabledStatistics::Chunk);
    if table != EVENT_LOGS {
        let rows = Some(ROW_GROUP_ROWS[table]);
        return Ok(builder.set_max_row_group_row_count(rows).build());
    }
    let event_id = ColumnPath::from("event_id");
    Ok(builder
        .set_column_dictionary_enabled(ColumnPath::from("timestamp"), false)
        .set_column_dictionary_enabled(event_id.clone(), false)
        .set_column_statistics_enabled(event_id, EnabledStatistics::None)
        .build())
}

impl TableFile {
    /// Rows written so far.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// The table's name.
    pub(super) fn table(&self) -> &'static str {
        TABLES[self.table]
    }

    /// Appends one batch to the table's files.
    pub(super) fn append(&mut self, encoded: Encoded) -> Result<(), Error> {
        self.rows += encoded.rows;
        if let (Some(file), Some(text)) = (&mut self.csv, encoded.csv) {
            file.put(&text)?;
        }
        if let (Some(file), Some(part)) = (&mut self.parquet, encoded.parquet)
            && encoded.rows > 0
        {
            file.append(part)
                .map_err(|source| columns_error(self.table, source))?;
        }
        Ok(())
    }

    /// Completes the files; none of them is visible yet.
    pub(super) fn finish(self) -> Result<FinishedTable, Error> {
        let mut files = Vec::from_iter(self.csv);
        if let Some(parquet) = self.parquet {
            let file = parquet.finish();
            files.push(file.map_err(|source| columns_error(self.table, source))?);
        }
        Ok(FinishedTable {
            table: TABLES[self.table],
            rows: self.rows,
            files,
        })
    }
}

impl ParquetFile {
    fn append(&mut self, part: ParquetPart) -> Result<(), ParquetError> {
        match (self, part) {
            (ParquetFile::Batches(writer), ParquetPart::Rows(batch)) => writer.write(&batch),
            (ParquetFile::RowGroups(writer), ParquetPart::RowGroup(columns)) => {
                let mut row_group = writer.next_row_group()?;
                for column in columns {
                    column.append_to_row_group(&mut row_group)?;
                }
                row_group.close().map(drop)
            }
            _ => Err(ParquetError::General(
                "rows encoded for another table".to_owned(),
            )),
        }
    }

    fn finish(self) -> Result<File, ParquetError> {
        match self {
            ParquetFile::Batches(writer) => writer.into_inner(),
            ParquetFile::RowGroups(writer) => writer.into_inner(),
        }
    }
}

/// A table whose files are complete.
pub(super) struct FinishedTable {
    table: &'static str,
    rows: u64,
    files: Vec<File>,
}

impl FinishedTable {
    pub(super) fn commit(self) -> Result<TableSummary, Error> {
        let files = self.files.into_iter().map(File::commit);
        Ok(TableSummary {
            table: self.table,
            rows: self.rows,
            files: files.collect::<Result<_, Error>>()?,
        })
    }
}

fn columns_error(table: usize, source: ParquetError) -> Error {
    Error::Encode {
        table: TABLES[table],
        source,
    }
}
