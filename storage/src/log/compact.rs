//! Rewrites closed segments without what nobody needs any more: changes of plain keys that a
//! flush has made part of the online store. Called by the flusher.
//!
//! The records that stay keep their offsets. A gap stands for those left out, so a segment of
//! plain keys alone becomes a few bytes.

use std::path::Path;

use super::format::{COMPACTED, encode_gap, encode_record, encode_segment_header};
use super::segments::{self, Cursor, Step};
use super::{Kind, Log, Offset};
use crate::Result;
use crate::publish::{read_if_there, write_atomic};

/// Up to which offset segments have been looked at, in decimal digits.
const MARK: &str = "compacted";

impl Log {
    /// Leaves changes of plain keys out of the closed segments that end before an offset.
    /// Returns how many bytes that freed. Readers that are at it go on with the old files.
    pub fn leave_out_plain(&self, until: Offset) -> Result<u64> {
        let directory = self.directory();
        let mark = directory.join(MARK);
        let marked = read_if_there(&mark)?.and_then(|text| String::from_utf8(text).ok());
        let from: u64 = marked.and_then(|text| text.parse().ok()).unwrap_or(0);
        let bases = segments::bases(directory)?;
        let closed = bases.windows(2).map(|pair| (pair[0], pair[1]));
        let (mut freed, mut reached) = (0, from);
        for (base, end) in closed.filter(|(base, end)| *base >= from && *end <= until.0) {
            freed += compact(directory, base, end)?;
            reached = end;
        }
        if reached > from {
            write_atomic(&mark, reached.to_string().as_bytes())?;
        }
        Ok(freed)
    }
}

/// Rewrites one segment, if there is something to leave out of it.
fn compact(directory: &Path, base: u64, end: u64) -> Result<u64> {
    let mut cursor = Cursor::open(directory, base, base)?;
    let mut out = encode_segment_header(COMPACTED, base).to_vec();
    let (mut written, mut left_out) = (base, false);
    loop {
        let parsed = match cursor.step()? {
            Step::Record(parsed) => parsed,
            Step::End => break,
            Step::Broken => return Err(cursor.corrupt("a record is damaged")),
        };
        let Some(kind) = parsed.kind.filter(|kind| *kind != Kind::Plain) else {
            left_out = true;
            continue;
        };
        let offset = cursor.offset() - parsed.length as u64;
        gap(&mut out, written, offset);
        encode_record(&mut out, offset, 0, kind, cursor.payload(parsed));
        written = cursor.offset();
    }
    if !left_out {
        return Ok(0);
    }
    if cursor.offset() != end {
        return Err(cursor.corrupt("it does not end where the next segment begins"));
    }
    gap(&mut out, written, end);
    let path = segments::path_of(directory, base);
    let before = segments::record_bytes(&path)?;
    write_atomic(&path, &out)?;
    Ok(before.saturating_sub(out.len() as u64))
}

fn gap(out: &mut Vec<u8>, from: u64, to: u64) {
    if to > from {
        encode_gap(out, from, to - from);
    }
}
