//! One field of CSV: found byte by byte, or between two places that `words` has found. Called
//! by `csv` for headers and records.

use memchr::{memchr, memchr2};

use super::Reason;
use super::cells::Cell;

/// One field: its text without the outer quotes, and where the next begins.
pub(super) struct Field {
    start: usize,
    end: usize,
    /// Holds doubled quotes.
    escaped: bool,
    pub(super) ends_record: bool,
    pub(super) next: usize,
    pub(super) flaw: Option<Reason>,
}

impl Field {
    /// A field without a flaw, up to its comma or newline.
    pub(super) fn regular(block: &[u8], at: usize, separator: usize, ends_record: bool) -> Field {
        let end = if ends_record {
            without_return(block, at, separator)
        } else {
            separator
        };
        let quoted = block[at] == b'"' && end > at + 1;
        let (start, end) = if quoted { (at + 1, end - 1) } else { (at, end) };
        Field {
            start,
            end,
            escaped: quoted && memchr(b'"', &block[start..end]).is_some(),
            ends_record,
            next: separator + 1,
            flaw: None,
        }
    }
}

/// The field that begins at `at`, or none if the block ends before it does.
pub(super) fn next_field(block: &[u8], at: usize, last: bool) -> Option<Field> {
    if block.get(at) == Some(&b'"') {
        return quoted_field(block, at, last);
    }
    let (end, ends_record, next) = field_end(block, at, last)?;
    Some(Field {
        start: at,
        end,
        escaped: false,
        ends_record,
        next,
        flaw: None,
    })
}

fn quoted_field(block: &[u8], at: usize, last: bool) -> Option<Field> {
    let start = at + 1;
    let (mut search, mut escaped) = (start, false);
    loop {
        let Some(found) = memchr(b'"', block.get(search..)?) else {
            let flaw = Some(Reason::OpenQuote);
            let next = block.len();
            let open = Field {
                start,
                end: next,
                escaped,
                ends_record: true,
                next,
                flaw,
            };
            return last.then_some(open);
        };
        let quote = search + found;
        if block.get(quote + 1) == Some(&b'"') {
            escaped = true;
            search = quote + 2;
            continue;
        }
        let (end, ends_record, next) = field_end(block, quote + 1, last)?;
        let flaw = (end > quote + 1).then_some(Reason::AfterQuote);
        return Some(Field {
            start,
            end: quote,
            escaped,
            ends_record,
            next,
            flaw,
        });
    }
}

/// From a place outside quotes: where the field ends, whether its record ends there too, and
/// where the next field or record begins.
fn field_end(block: &[u8], at: usize, last: bool) -> Option<(usize, bool, usize)> {
    match memchr2(b',', b'\n', &block[at..]) {
        Some(found) if block[at + found] == b',' => Some((at + found, false, at + found + 1)),
        Some(found) => {
            let newline = at + found;
            Some((without_return(block, at, newline), true, newline + 1))
        }
        None if last => Some((without_return(block, at, block.len()), true, block.len())),
        None => None,
    }
}

/// The end of a line without the `\r` of `\r\n`.
pub(super) fn without_return(block: &[u8], start: usize, end: usize) -> usize {
    if end > start && block[end - 1] == b'\r' {
        end - 1
    } else {
        end
    }
}

/// The field as a cell of its block.
#[inline]
pub(super) fn cell(block: &[u8], field: &Field, unescaped: &mut Vec<u8>) -> Cell {
    if field.start == field.end {
        Cell::NULL
    } else if field.escaped {
        unescape(&block[field.start..field.end], unescaped)
    } else {
        Cell::in_block(field.start, field.end)
    }
}

/// Inside a quoted field every quote is the first of a pair; one of each pair is kept.
fn unescape(mut rest: &[u8], unescaped: &mut Vec<u8>) -> Cell {
    let start = unescaped.len();
    while let Some(quote) = memchr(b'"', rest) {
        unescaped.extend_from_slice(&rest[..=quote]);
        rest = rest.get(quote + 2..).unwrap_or_default();
    }
    unescaped.extend_from_slice(rest);
    Cell::unescaped(start, unescaped.len())
}
