//! Reads the log, beside a living writer or without one. Called by builds, by point-in-time
//! answers, and by everything that folds the tail again after a restart.

use std::path::{Path, PathBuf};

use super::format::{Parsed, is_whole, proves_damage};
use super::segments::{self, Cursor, Step};
use super::{Kind, Offset};
use crate::{Error, Result};

/// A log to be read; it takes no lock and changes nothing.
#[derive(Clone, Debug)]
pub struct LogReader {
    directory: PathBuf,
}

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Where it begins.
    pub offset: Offset,
    /// Where the next one begins.
    pub next: Offset,
    /// What it is about.
    pub kind: Kind,
    /// Its bytes.
    pub payload: &'a [u8],
}

/// The records of a range, in order.
#[derive(Debug)]
pub struct Records {
    directory: PathBuf,
    end: Option<u64>,
    cursor: Option<Cursor>, // none before the first record of an empty log
}

impl LogReader {
    /// A reader of the log in this directory, which need not exist.
    pub fn open(directory: impl Into<PathBuf>) -> LogReader {
        LogReader {
            directory: directory.into(),
        }
    }

    /// The oldest offset still there.
    pub fn first(&self) -> Result<Offset> {
        Ok(Offset(
            segments::bases(&self.directory)?
                .first()
                .copied()
                .unwrap_or(0),
        ))
    }

    /// The records from an offset, which must be a record's, up to `end`. Without `end` it
    /// reads up to the last whole record, taking an unfinished one behind it for one that is
    /// still being written; with it, all records before `end` must be whole.
    pub fn read_from(&self, offset: Offset, end: Option<Offset>) -> Result<Records> {
        let bases = segments::bases(&self.directory)?;
        let base = bases.iter().copied().rfind(|base| *base <= offset.0);
        let last_end = |base: &u64| -> Result<u64> {
            Ok(base + segments::record_bytes(&segments::path_of(&self.directory, *base))?)
        };
        let log_end = bases.last().map(last_end).transpose()?.unwrap_or(0);
        if offset.0 > log_end || (base.is_none() && !bases.is_empty()) {
            return Err(Error::LogRange {
                directory: self.directory.clone(),
                offset,
                first: Offset(bases.first().copied().unwrap_or(0)),
                end: Offset(log_end),
            });
        }
        let cursor = base
            .map(|base| Cursor::open(&self.directory, base, offset.0))
            .transpose()?;
        Ok(Records {
            directory: self.directory.clone(),
            end: end.map(|end| end.0),
            cursor,
        })
    }
}

impl Records {
    /// The next record; none at the end.
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>> {
        let Some((offset, parsed)) = self.advance()? else {
            return Ok(None);
        };
        let (Some(cursor), Some(kind)) = (&self.cursor, parsed.kind) else {
            return Ok(None);
        };
        Ok(Some(Record {
            offset: Offset(offset),
            next: Offset(cursor.offset()),
            kind,
            payload: cursor.payload(parsed),
        }))
    }

    fn advance(&mut self) -> Result<Option<(u64, Parsed)>> {
        let Some(mut cursor) = self.cursor.take() else {
            return Ok(None);
        };
        let found = loop {
            let offset = cursor.offset();
            if self.end.is_some_and(|end| offset >= end) {
                break None;
            }
            match cursor.step()? {
                Step::Record(parsed) => {
                    // Behind what was left out, not where the look began.
                    let offset = cursor.offset() - parsed.length as u64;
                    if self.end.is_some_and(|end| offset >= end) {
                        break None;
                    }
                    break Some((offset, parsed));
                }
                Step::End => {
                    let offset = cursor.offset();
                    let next = segments::path_of(&self.directory, offset);
                    if offset > cursor.base() && next.exists() {
                        cursor = Cursor::open(&self.directory, offset, offset)?;
                    } else if self.end.is_some_and(|end| offset < end) {
                        return Err(cursor.corrupt("records that must follow are missing"));
                    } else {
                        break None;
                    }
                }
                Step::Broken => match judge(&self.directory, &mut cursor, self.end)? {
                    Verdict::Whole => {
                        cursor = Cursor::open(&self.directory, cursor.base(), offset)?;
                    }
                    Verdict::Torn => break None,
                },
            }
        };
        self.cursor = Some(cursor);
        Ok(found)
    }
}

/// What a broken record turned out to be, if it is no damage.
pub(super) enum Verdict {
    /// It has been completed meanwhile.
    Whole,
    /// It was never completed: a crash, or a writer in the middle of it.
    Torn,
}

/// Judges the bytes at the cursor, which are no whole record: only the end of the last
/// segment may be torn, and only behind everything that was ever synced.
pub(super) fn judge(directory: &Path, cursor: &mut Cursor, end: Option<u64>) -> Result<Verdict> {
    // Looked up before reading again: a segment that has a successor now is complete now.
    let base = cursor.base();
    let sealed = segments::bases(directory)?
        .iter()
        .any(|other| *other > base);
    let offset = cursor.offset();
    if is_whole(cursor.reread()?, offset) {
        return Ok(Verdict::Whole);
    }
    if sealed || end.is_some() {
        return Err(cursor.corrupt("a record is damaged"));
    }
    if !proves_damage(cursor.reread()?, offset) {
        return Ok(Verdict::Torn);
    }
    // The proof may have been written after the first look at a record in the making.
    if is_whole(cursor.reread()?, offset) {
        return Ok(Verdict::Whole);
    }
    Err(cursor.corrupt("a record is damaged, and later ones are whole"))
}
