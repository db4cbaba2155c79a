//! Rewrites closed segments without what nobody needs any more: changes of plain keys that a
//! flush has made part of the online store, and what is about entities that were erased. Called
//! by the flusher and by an erasure.
//!
//! The records that stay keep their offsets. A gap stands for those left out, so a segment of
//! plain keys alone becomes a few bytes.

use std::path::Path;

use super::format::{COMPACTED, encode_gap, encode_record, encode_segment_header};
use super::segments::{self, Cursor, Step};
use super::{Kind, Log, Offset};
use crate::publish::{read_if_there, write_atomic};
use crate::{Error, Result};

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
        let mut is_plain = |kind, _: Offset, _: &[u8]| Ok::<_, Error>(kind == Kind::Plain);
        for (base, end) in closed.filter(|(base, end)| *base >= from && *end <= until.0) {
            freed += rewrite(directory, base, end, &mut is_plain)?.bytes;
            reached = end;
        }
        if reached > from {
            write_atomic(&mark, reached.to_string().as_bytes())?;
        }
        Ok(freed)
    }

    /// Leaves records out of the closed segments: those for which `is_out` says so, given their
    /// kind, where they begin, and their payload. Returns how many. Readers that are at it go on
    /// with the old files.
    pub fn leave_out<E: From<Error>>(
        &self,
        mut is_out: impl FnMut(Kind, Offset, &[u8]) -> std::result::Result<bool, E>,
    ) -> std::result::Result<u64, E> {
        let directory = self.directory();
        let mut records = 0;
        for pair in segments::bases(directory)?.windows(2) {
            records += rewrite(directory, pair[0], pair[1], &mut is_out)?.records;
        }
        Ok(records)
    }
}

/// What was left out of a segment.
#[derive(Default)]
struct LeftOut {
    records: u64,
    bytes: u64,
}

/// Rewrites one segment, if there is something to leave out of it.
fn rewrite<E: From<Error>>(
    directory: &Path,
    base: u64,
    end: u64,
    is_out: &mut impl FnMut(Kind, Offset, &[u8]) -> std::result::Result<bool, E>,
) -> std::result::Result<LeftOut, E> {
    let mut cursor = Cursor::open(directory, base, base)?;
    let mut out = encode_segment_header(COMPACTED, base).to_vec();
    let (mut written, mut records) = (base, 0);
    loop {
        let parsed = match cursor.step()? {
            Step::Record(parsed) => parsed,
            Step::End => break,
            Step::Broken => return Err(cursor.corrupt("a record is damaged").into()),
        };
        let Some(kind) = parsed.kind else { continue };
        let offset = cursor.offset() - parsed.length as u64;
        if is_out(kind, Offset(offset), cursor.payload(parsed))? {
            records += 1;
            continue;
        }
        gap(&mut out, written, offset);
        encode_record(&mut out, offset, 0, kind, cursor.payload(parsed));
        written = cursor.offset();
    }
    if records == 0 {
        return Ok(LeftOut::default());
    }
    if cursor.offset() != end {
        let reason = "it does not end where the next segment begins";
        return Err(cursor.corrupt(reason).into());
    }
    gap(&mut out, written, end);
    let path = segments::path_of(directory, base);
    let before = segments::record_bytes(&path)?;
    write_atomic(&path, &out)?;
    Ok(LeftOut {
        records,
        bytes: before.saturating_sub(out.len() as u64),
    })
}

fn gap(out: &mut Vec<u8>, from: u64, to: u64) {
    if to > from {
        encode_gap(out, from, to - from);
    }
}
