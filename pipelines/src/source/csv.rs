//! Splits a block of CSV (RFC 4180, commas, a header line) into the wanted cells.
//! Called by `files` for the header and by `records` for the rows.
//!
//! A quote opens a quoted field only as the field's first byte; `quotes` cuts files by the
//! same rule. An empty field is null. Blank lines are skipped.

use std::io::{self, Read};

use super::cells::Cells;
use super::field::{Field, cell, next_field, without_return};
use super::format::read_full;
use super::words::Ends;
use super::{Reason, Wanted};

/// The header line of one file.
#[derive(Clone, Debug)]
pub(super) struct Header {
    pub(super) names: Vec<String>,
    /// Where the first row begins in the unpacked bytes.
    pub(super) end: u64,
}

/// Which fields of a row go to which wanted columns.
pub(super) struct Fields {
    /// (field, wanted column), sorted by field.
    picks: Vec<(usize, usize)>,
    count: usize,
}

/// Why there are no fields to pick.
pub(super) enum HeaderFault {
    Missing(usize),
    Repeated(usize),
}

impl Header {
    /// Reads the first line; none if the file is empty or its first line is blank.
    pub(super) fn read(input: &mut dyn Read) -> io::Result<Option<Header>> {
        let mut bytes = Vec::new();
        let mut size = 64 << 10;
        loop {
            let filled = bytes.len();
            bytes.resize(size, 0);
            let read = read_full(input, &mut bytes[filled..])?;
            bytes.truncate(filled + read);
            let at_end = bytes.len() < size;
            let start = if bytes.starts_with(b"\xef\xbb\xbf") {
                3
            } else {
                0
            };
            if let Some((names, end)) = header_fields(&bytes, start, at_end) {
                let blank = names.iter().all(String::is_empty);
                return Ok((!blank).then_some(Header {
                    names,
                    end: end as u64,
                }));
            }
            if at_end || size >= 64 << 20 {
                return Ok(None);
            }
            size *= 4;
        }
    }
}

impl Fields {
    /// Where the wanted columns stand.
    pub(super) fn of(header: &Header, columns: &[Wanted]) -> Result<Fields, HeaderFault> {
        let mut picks = Vec::with_capacity(columns.len());
        for (index, column) in columns.iter().enumerate() {
            let mut fields = (0..header.names.len()).filter(|i| header.names[*i] == column.name);
            let field = fields.next().ok_or(HeaderFault::Missing(index))?;
            if fields.next().is_some() {
                return Err(HeaderFault::Repeated(index));
            }
            picks.push((field, index));
        }
        picks.sort_unstable();
        Ok(Fields {
            picks,
            count: header.names.len(),
        })
    }

    /// Takes all records that end in the block into `cells`; `last` if nothing follows it.
    /// Returns the number of bytes used up.
    pub(super) fn split(&self, block: &[u8], last: bool, cells: &mut Cells) -> usize {
        let mut at = 0;
        let mut ends = Ends::new(block, self.count);
        while at < block.len() {
            if let Some(end) = self.split_regular(block, at, &mut ends, cells) {
                at = end;
                continue;
            }
            let blank = blank_line(&block[at..]);
            if blank > 0 {
                at += blank;
            } else if let Some(end) = self.split_record(block, at, last, cells) {
                at = end;
            } else {
                cells.drop_partial_record();
                break;
            }
            ends.go_to(at);
        }
        at
    }

    /// Returns the end of the record, or none if there is anything unusual about it.
    fn split_regular(
        &self,
        block: &[u8],
        start: usize,
        ends: &mut Ends<'_>,
        cells: &mut Cells,
    ) -> Option<usize> {
        let places = ends.ahead(self.count)?;
        let is_newline = |place: &u32| block[*place as usize] == b'\n';
        let (last, others) = places.split_last()?;
        let end = *last as usize;
        let is_blank = without_return(block, start, end) == start;
        if !is_newline(last) || others.iter().any(is_newline) || is_blank {
            return None;
        }
        for &(field, column) in &self.picks {
            let at = match field {
                0 => start,
                _ => places[field - 1] as usize + 1,
            };
            let separator = places[field] as usize;
            let field = Field::regular(block, at, separator, separator == end);
            let cell = cell(block, &field, cells.unescaped());
            cells.push(column, cell);
        }
        cells.end_whole_record(start);
        ends.use_up(self.count);
        Some(end + 1)
    }

    /// Returns the end of the record, or none if the block ends before it.
    fn split_record(
        &self,
        block: &[u8],
        start: usize,
        last: bool,
        cells: &mut Cells,
    ) -> Option<usize> {
        let (mut at, mut count) = (start, 0);
        let mut picks = self.picks.iter().peekable();
        loop {
            let field = next_field(block, at, last)?;
            while let Some((_, column)) = picks.next_if(|(index, _)| *index == count) {
                let cell = cell(block, &field, cells.unescaped());
                cells.push(*column, cell);
            }
            if let Some(reason) = field.flaw {
                cells.flaw(None, reason);
            }
            count += 1;
            at = field.next;
            if field.ends_record {
                break;
            }
        }
        if count != self.count {
            cells.flaw(
                None,
                Reason::Fields {
                    found: count,
                    wanted: self.count,
                },
            );
        }
        cells.end_record(start);
        Some(at)
    }
}

/// Length of a blank line at the beginning of the block, 0 if it begins otherwise.
fn blank_line(block: &[u8]) -> usize {
    match block {
        [b'\n', ..] => 1,
        [b'\r', b'\n', ..] => 2,
        _ => 0,
    }
}

fn header_fields(block: &[u8], start: usize, last: bool) -> Option<(Vec<String>, usize)> {
    let (mut at, mut names, mut unescaped) = (start, Vec::new(), Vec::new());
    if at >= block.len() {
        return None;
    }
    loop {
        let field = next_field(block, at, last)?;
        unescaped.clear();
        let name = cell(block, &field, &mut unescaped);
        let name = name.bytes(block, &unescaped).unwrap_or_default();
        names.push(String::from_utf8_lossy(name).into_owned());
        at = field.next;
        if field.ends_record {
            return Some((names, at));
        }
    }
}
