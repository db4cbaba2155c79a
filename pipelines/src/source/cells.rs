//! The wanted cells of a block of text, column by column, as ranges of its bytes.
//! Filled by `csv` and `jsonl`, read by `column` and `records`; reused from block to block.

use super::Reason;

/// The records of one block.
pub(super) struct Cells {
    columns: Vec<Vec<Cell>>,
    /// Where each record begins in the block.
    starts: Vec<u32>,
    /// Cells whose text differs from the bytes of the block, without their escapes.
    unescaped: Vec<u8>,
    flaws: Vec<Flaw>,
}

/// One cell: null, a range of the block, or a range of the unescaped bytes. No enum, for one
/// that is written in parts and copied as a whole stalls the processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    start: u32,
    end: u32,
}

/// What tells a range of the unescaped bytes; no block is as long.
const UNESCAPED: u32 = 1 << 31;

impl Cell {
    pub(super) const NULL: Cell = Cell {
        start: u32::MAX,
        end: u32::MAX,
    };

    /// A range of the block.
    pub(super) fn in_block(start: usize, end: usize) -> Cell {
        Cell {
            start: start as u32,
            end: end as u32,
        }
    }

    /// A range of the unescaped bytes.
    pub(super) fn unescaped(start: usize, end: usize) -> Cell {
        Cell {
            start: start as u32 | UNESCAPED,
            end: end as u32,
        }
    }

    /// Its bytes, null as none.
    #[inline]
    pub(super) fn bytes<'a>(self, block: &'a [u8], unescaped: &'a [u8]) -> Option<&'a [u8]> {
        if self == Cell::NULL {
            return None;
        }
        let (bytes, start) = match self.start & UNESCAPED {
            0 => (block, self.start),
            flag => (unescaped, self.start ^ flag),
        };
        Some(&bytes[start as usize..self.end as usize])
    }
}

/// What is wrong with a record. The order is the order of reporting: by record, flaws of the
/// whole record before flaws of its columns.
#[derive(Clone, Debug)]
pub(super) struct Flaw {
    pub(super) record: usize,
    pub(super) column: Option<usize>,
    pub(super) reason: Reason,
}

impl Cells {
    pub(super) fn new(columns: usize) -> Cells {
        Cells {
            columns: vec![Vec::new(); columns],
            starts: Vec::new(),
            unescaped: Vec::new(),
            flaws: Vec::new(),
        }
    }

    pub(super) fn clear(&mut self) {
        self.columns.iter_mut().for_each(Vec::clear);
        self.starts.clear();
        self.unescaped.clear();
        self.flaws.clear();
    }

    /// Number of whole records.
    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }

    /// Where a record begins in the block.
    pub(super) fn start(&self, record: usize) -> usize {
        self.starts[record] as usize
    }

    /// Where the record after this one begins, if the block holds one.
    pub(super) fn next_start(&self, record: usize) -> Option<usize> {
        self.starts.get(record + 1).map(|start| *start as usize)
    }

    /// Adds a cell to the record that is being read.
    pub(super) fn push(&mut self, column: usize, cell: Cell) {
        self.columns[column].push(cell);
    }

    /// Ends the record that is being read: columns without a cell get a null.
    pub(super) fn end_record(&mut self, start: usize) {
        self.starts.push(start as u32);
        let records = self.starts.len();
        for column in &mut self.columns {
            column.resize(records, Cell::NULL);
        }
    }

    /// Ends a record that has a cell for each column.
    pub(super) fn end_whole_record(&mut self, start: usize) {
        self.starts.push(start as u32);
    }

    /// Takes back the cells of a record whose end is not in the block.
    pub(super) fn drop_partial_record(&mut self) {
        let records = self.starts.len();
        for column in &mut self.columns {
            column.truncate(records);
        }
        self.flaws.retain(|flaw| flaw.record < records);
    }

    /// Marks the record that is being read.
    pub(super) fn flaw(&mut self, column: Option<usize>, reason: Reason) {
        self.flaws.push(Flaw {
            record: self.starts.len(),
            column,
            reason,
        });
    }

    /// The bytes that unescaped cells point into, to be appended to.
    pub(super) fn unescaped(&mut self) -> &mut Vec<u8> {
        &mut self.unescaped
    }

    /// Whether splitting found a flaw in a record.
    pub(super) fn is_flawed(&self, record: usize) -> bool {
        self.flaws.iter().any(|flaw| flaw.record == record)
    }

    /// Flaws found while splitting, to be taken before the columns add theirs.
    pub(super) fn take_flaws(&mut self) -> Vec<Flaw> {
        std::mem::take(&mut self.flaws)
    }

    /// The bytes of the cells of one column, null as none.
    pub(super) fn column<'a>(
        &'a self,
        column: usize,
        block: &'a [u8],
    ) -> impl Iterator<Item = Option<&'a [u8]>> {
        self.columns[column]
            .iter()
            .map(|cell| cell.bytes(block, &self.unescaped))
    }

    /// The bytes of one cell.
    pub(super) fn cell<'a>(&'a self, record: usize, column: usize, block: &'a [u8]) -> &'a [u8] {
        self.columns[column][record]
            .bytes(block, &self.unescaped)
            .unwrap_or_default()
    }
}
