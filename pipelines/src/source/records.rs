//! Text files, block after block, as Arrow batches. Called by `files` for CSV and JSON lines.
//!
//! A block is split into cells, then every column takes its cells in one loop; rows with a
//! flaw are reported in file order and filtered out of the batch.

use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::Path;

use arrow::array::{BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use memchr::memchr_iter;

use super::cells::{Cells, Flaw};
use super::column::ColumnBuilder;
use super::csv::Fields;
use super::format::read_full;
use super::jsonl::Keys;
use super::wanted::schema;
use super::{BadRow, BadRows, Error, Layout, Wanted};

/// Longest record that is read. A longer one has a quote open or a newline missing.
const LONGEST_RECORD: usize = 256 << 20;

/// Text that a batch takes in before it is handed on, so that its 32-bit offsets suffice.
const BATCH_BYTES: usize = 64 << 20;

/// How a block becomes cells.
pub(super) enum Splitter<'a> {
    Csv(Fields),
    Jsonl(Keys<'a>),
}

/// A stretch of a text file that one thread decodes.
pub(super) struct Stretch<'a> {
    /// The source, for the count of bad rows.
    pub(super) source: &'a str,
    /// The file.
    pub(super) path: &'a Path,
    /// Lines of the file before a place in the stretch, counted only when a row is bad.
    pub(super) lines_before: &'a dyn Fn(u64) -> Result<u64, Error>,
    pub(super) columns: &'a [Wanted],
    pub(super) bad: &'a BadRows,
    pub(super) layout: Layout,
}

/// Decodes all records of `input`, which begins at the begin of one.
pub(super) fn decode(
    stretch: &Stretch<'_>,
    splitter: &Splitter<'_>,
    input: &mut dyn Read,
    sink: &mut dyn FnMut(RecordBatch) -> ControlFlow<()>,
) -> Result<(), Error> {
    let mut blocks = Blocks::new(input, stretch.layout.block);
    let mut cells = Cells::new(stretch.columns.len());
    let mut batch = Batch::new(stretch.columns);
    let mut place = Place::default();
    loop {
        blocks.fill().map_err(|error| Error::Io {
            path: stretch.path.to_owned(),
            error,
        })?;
        cells.clear();
        let used = splitter.split(blocks.bytes(), blocks.at_end, &mut cells);
        if cells.len() > 0 {
            let block = &blocks.bytes()[..used];
            let flaws = batch.append(&mut cells, block);
            stretch.report(&flaws, &cells, block, &mut place)?;
            batch.drop_rows(&flaws, cells.len());
        }
        place.pass(&blocks.bytes()[..used]);
        if batch.is_full(stretch.layout.batch_rows) && batch.hand_on(stretch.path, sink)?.is_break()
        {
            return Ok(());
        }
        if used == blocks.bytes().len() && blocks.at_end {
            // The sink may stop here too, but there is nothing left to stop.
            let _ = batch.hand_on(stretch.path, sink)?;
            return Ok(());
        }
        if used == 0 && !blocks.grow() {
            let line = place.lines(stretch)? + 1;
            let path = stretch.path.to_owned();
            return Err(Error::RecordTooLong {
                path,
                line,
                limit: LONGEST_RECORD,
            });
        }
        blocks.use_up(used);
    }
}

/// Hands on the cells of block after block, with the bytes that they are of: all from the begin of
/// the first record on.
pub(super) fn each_block(
    splitter: &Splitter<'_>,
    columns: usize,
    block: usize,
    input: &mut dyn Read,
    each: &mut dyn FnMut(&[u8], &Cells) -> io::Result<()>,
) -> io::Result<()> {
    let mut blocks = Blocks::new(input, block);
    let mut cells = Cells::new(columns);
    loop {
        blocks.fill()?;
        cells.clear();
        let used = splitter.split(blocks.bytes(), blocks.at_end, &mut cells);
        each(&blocks.bytes()[..used], &cells)?;
        if used == blocks.bytes().len() && blocks.at_end {
            return Ok(());
        }
        if used == 0 && !blocks.grow() {
            return Err(io::Error::other(format!(
                "a record has more than {LONGEST_RECORD} bytes"
            )));
        }
        blocks.use_up(used);
    }
}

/// How far a stretch is decoded.
#[derive(Default)]
struct Place {
    position: u64,
    /// Lines of the file before it, counted from the first bad row on.
    lines: Option<u64>,
}

impl Place {
    fn pass(&mut self, bytes: &[u8]) {
        self.position += bytes.len() as u64;
        if let Some(lines) = &mut self.lines {
            *lines += newlines(bytes);
        }
    }

    fn lines(&mut self, stretch: &Stretch<'_>) -> Result<u64, Error> {
        let lines = match self.lines {
            Some(lines) => lines,
            None => (stretch.lines_before)(self.position)?,
        };
        self.lines = Some(lines);
        Ok(lines)
    }
}

impl Splitter<'_> {
    fn split(&self, block: &[u8], last: bool, cells: &mut Cells) -> usize {
        match self {
            Splitter::Csv(fields) => fields.split(block, last, cells),
            Splitter::Jsonl(keys) => keys.split(block, last, cells),
        }
    }
}

/// A window over a stream that slides from record to record.
struct Blocks<'a> {
    input: &'a mut dyn Read,
    buffer: Vec<u8>,
    filled: usize,
    at_end: bool,
}

impl<'a> Blocks<'a> {
    fn new(input: &'a mut dyn Read, size: usize) -> Blocks<'a> {
        Blocks {
            input,
            buffer: vec![0; size.max(1)],
            filled: 0,
            at_end: false,
        }
    }

    fn bytes(&self) -> &[u8] {
        &self.buffer[..self.filled]
    }

    fn fill(&mut self) -> io::Result<()> {
        if !self.at_end {
            self.filled += read_full(self.input, &mut self.buffer[self.filled..])?;
            self.at_end = self.filled < self.buffer.len();
        }
        Ok(())
    }

    fn use_up(&mut self, used: usize) {
        self.buffer.copy_within(used..self.filled, 0);
        self.filled -= used;
    }

    /// Makes room for a longer record; false if it is too long already.
    fn grow(&mut self) -> bool {
        let size = self.buffer.len();
        self.buffer.resize((size * 2).min(LONGEST_RECORD), 0);
        self.buffer.len() > size
    }
}

impl Stretch<'_> {
    fn report(
        &self,
        flaws: &[Flaw],
        cells: &Cells,
        block: &[u8],
        place: &mut Place,
    ) -> Result<(), Error> {
        if flaws.is_empty() {
            return Ok(());
        }
        let (mut line, mut counted) = (place.lines(self)? + 1, 0);
        for flaw in flaws {
            let start = cells.start(flaw.record);
            line += newlines(&block[counted..start]);
            counted = start;
            let end = cells.next_start(flaw.record).unwrap_or(block.len());
            let raw = String::from_utf8_lossy(block[start..end].trim_ascii_end()).into_owned();
            let value = match flaw.column {
                Some(column) => {
                    String::from_utf8_lossy(cells.cell(flaw.record, column, block)).into_owned()
                }
                None => raw.clone(),
            };
            let row = BadRow {
                path: self.path.to_owned(),
                line,
                column: flaw.column.map(|column| self.columns[column].name.clone()),
                value,
                reason: flaw.reason.clone(),
                raw: Some(raw),
            };
            self.bad.report(self.source, row)?;
        }
        Ok(())
    }
}

fn newlines(bytes: &[u8]) -> u64 {
    memchr_iter(b'\n', bytes).count() as u64
}

/// The batch that is being filled.
struct Batch {
    schema: SchemaRef,
    columns: Vec<ColumnBuilder>,
    rows: usize,
    bytes: usize,
    /// Rows that are left out, ascending.
    dropped: Vec<usize>,
}

impl Batch {
    fn new(columns: &[Wanted]) -> Batch {
        let builders = columns
            .iter()
            .enumerate()
            .map(|(i, column)| ColumnBuilder::new(i, column));
        Batch {
            schema: schema(columns, columns.iter().map(Wanted::arrow_type)),
            columns: builders.collect(),
            rows: 0,
            bytes: 0,
            dropped: Vec::new(),
        }
    }

    /// Appends a block and returns the first flaw of each bad record, in file order.
    fn append(&mut self, cells: &mut Cells, block: &[u8]) -> Vec<Flaw> {
        let mut flaws = cells.take_flaws();
        for column in &mut self.columns {
            column.append(cells, block, &mut flaws);
        }
        self.bytes += block.len();
        // The sort is stable: of one column the splitter's flaw stays before the parser's.
        flaws.sort_by_key(|flaw| (flaw.record, flaw.column));
        flaws.dedup_by_key(|flaw| flaw.record);
        flaws
    }

    fn drop_rows(&mut self, flaws: &[Flaw], records: usize) {
        self.dropped
            .extend(flaws.iter().map(|flaw| self.rows + flaw.record));
        self.rows += records;
    }

    fn is_full(&self, rows: usize) -> bool {
        self.rows >= rows.max(1) || self.bytes >= BATCH_BYTES
    }

    fn hand_on(
        &mut self,
        path: &Path,
        sink: &mut dyn FnMut(RecordBatch) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Error> {
        let kept = self.rows - self.dropped.len();
        let batch = self.finish().map_err(|error| Error::Arrow {
            path: path.to_owned(),
            error,
        })?;
        Ok(if kept == 0 {
            ControlFlow::Continue(())
        } else {
            sink(batch)
        })
    }

    fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        let rows = std::mem::take(&mut self.rows);
        let dropped = std::mem::take(&mut self.dropped);
        self.bytes = 0;
        let arrays: Result<Vec<_>, _> =
            self.columns.iter_mut().map(ColumnBuilder::finish).collect();
        without_rows(self.schema.clone(), arrays?, rows, &dropped)
    }
}

/// A batch without the rows of these numbers, which ascend. Keys and instants that are never
/// null are only so once the bad rows are gone, so the check of the schema comes last.
pub(super) fn without_rows(
    schema: SchemaRef,
    mut arrays: Vec<arrow::array::ArrayRef>,
    rows: usize,
    dropped: &[usize],
) -> Result<RecordBatch, ArrowError> {
    if !dropped.is_empty() {
        let mut keep = vec![true; rows];
        for row in dropped {
            keep[*row] = false;
        }
        let keep = BooleanArray::from(keep);
        for array in &mut arrays {
            *array = arrow::compute::filter(array, &keep)?;
        }
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows - dropped.len()));
    RecordBatch::try_new_with_options(schema, arrays, &options)
}
