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

/// One cell.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cell {
    Null,
    /// A range of the block.
    InBlock {
        start: u32,
        end: u32,
    },
    /// A range of the unescaped bytes.
    Unescaped {
        start: u32,
        end: u32,
    },
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
            column.resize(records, Cell::Null);
        }
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
            .map(|cell| self.bytes(*cell, block))
    }

    /// The bytes of one cell.
    pub(super) fn cell<'a>(&'a self, record: usize, column: usize, block: &'a [u8]) -> &'a [u8] {
        self.bytes(self.columns[column][record], block)
            .unwrap_or_default()
    }

    fn bytes<'a>(&'a self, cell: Cell, block: &'a [u8]) -> Option<&'a [u8]> {
        match cell {
            Cell::Null => None,
            Cell::InBlock { start, end } => Some(&block[start as usize..end as usize]),
            Cell::Unescaped { start, end } => Some(&self.unescaped[start as usize..end as usize]),
        }
    }
}
