//! Appends to the log, syncs, closes segments and drops old ones. Called by the one process
//! that holds the server's lock.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::format::{MAX_PAYLOAD, RECORD_HEADER, SEGMENT_HEADER, encode_record};
use super::reader::{Verdict, judge};
use super::segments::{self, Cursor, Step};
use super::{Kind, Offset};
use crate::publish::{create_directory, remove_leftovers, sync_directory};
use crate::{Error, Result};

const BUFFER_BYTES: usize = 4 << 20; // unwritten records beyond this are written, not yet synced

/// How a log is kept.
#[derive(Clone, Copy, Debug)]
pub struct LogOptions {
    /// A segment that has reached this size is followed by another.
    pub segment_bytes: u64,
}

impl Default for LogOptions {
    fn default() -> LogOptions {
        LogOptions {
            segment_bytes: 64 << 20,
        }
    }
}

/// What a crash left unfinished at the end of the log; nothing of it was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The segment that was cut.
    pub file: PathBuf,
    /// Its length now.
    pub position: u64,
    /// How many bytes were cut off.
    pub bytes: u64,
}

/// The writing end of a log.
#[derive(Debug)]
pub struct Log {
    directory: PathBuf,
    options: LogOptions,
    path: PathBuf,
    file: File,
    base: u64,
    end: u64,
    synced: u64,
    buffer: Vec<u8>, // appended, not yet written
    poisoned: bool,
    torn: Option<TornTail>,
}

impl Log {
    /// Opens the log, creating it if need be, and finds its end. An unfinished record at the
    /// very end is cut off; any other damage is an error.
    pub fn open(directory: impl Into<PathBuf>, options: LogOptions) -> Result<Log> {
        let directory = directory.into();
        create_directory(&directory)?;
        remove_leftovers(&directory)?;
        let mut bases = segments::bases(&directory)?;
        check_chain(&directory, &bases)?;
        if bases.is_empty() {
            segments::create(&directory, 0)?;
            bases.push(0);
        }
        let base = bases.last().copied().unwrap_or(0);
        let (end, torn) = recover(&directory, base)?;
        let path = segments::path_of(&directory, base);
        let file = append_to(&path)?;
        // What an earlier process wrote without syncing counts as synced from here on.
        file.sync_all().map_err(Error::io("sync", &path))?;
        Ok(Log {
            directory,
            options,
            path,
            file,
            base,
            end,
            synced: end,
            buffer: Vec::new(),
            poisoned: false,
            torn,
        })
    }

    /// What was cut off when the log was opened.
    pub fn torn_tail(&self) -> Option<&TornTail> {
        self.torn.as_ref()
    }

    /// The end of what was appended; a reader may not see all of it yet.
    pub fn end(&self) -> Offset {
        Offset(self.end)
    }

    /// The end of what a crash cannot take back.
    pub fn synced(&self) -> Offset {
        Offset(self.synced)
    }

    /// Appends a record in memory and returns where it begins. Nothing may be acknowledged
    /// before the next [`sync`](Log::sync).
    pub fn append(&mut self, kind: Kind, payload: &[u8]) -> Result<Offset> {
        self.refuse_if_poisoned()?;
        if payload.len() > MAX_PAYLOAD {
            return Err(Error::RecordTooLarge {
                bytes: payload.len(),
                limit: MAX_PAYLOAD,
            });
        }
        if self.end - self.base >= self.options.segment_bytes {
            self.close_segment()?;
        }
        if u32::try_from(self.end - self.synced).is_err() {
            self.sync()?;
        }
        let offset = self.end;
        // At most u32::MAX by the sync above.
        let unsynced = (offset - self.synced) as u32;
        encode_record(&mut self.buffer, offset, unsynced, kind, payload);
        self.end += (RECORD_HEADER + payload.len()) as u64;
        if self.buffer.len() >= BUFFER_BYTES {
            self.write()?;
        }
        Ok(Offset(offset))
    }

    /// Hands everything appended to the operating system: it outlives this process, not a
    /// power failure.
    pub fn write(&mut self) -> Result<()> {
        self.refuse_if_poisoned()?;
        if self.buffer.is_empty() {
            return Ok(());
        }
        let written = self.file.write_all(&self.buffer);
        self.buffer.clear();
        self.poison_on_error("write", written)
    }

    /// Makes everything appended durable, with one sync, and returns its end.
    pub fn sync(&mut self) -> Result<Offset> {
        self.write()?;
        if self.synced < self.end {
            let synced = self.file.sync_data();
            self.poison_on_error("sync", synced)?;
            self.synced = self.end;
        }
        Ok(Offset(self.end))
    }

    /// Syncs and begins another segment, unless the current one is empty. Everything before
    /// the returned offset lies in closed segments.
    pub fn close_segment(&mut self) -> Result<Offset> {
        self.sync()?;
        if self.end > self.base {
            let begun = segments::create(&self.directory, self.end).and_then(|()| {
                let path = segments::path_of(&self.directory, self.end);
                Ok((append_to(&path)?, path))
            });
            self.poisoned = begun.is_err();
            (self.file, self.path) = begun?;
            self.base = self.end;
        }
        Ok(Offset(self.end))
    }

    /// Removes the closed segments that lie wholly below an offset; the current one stays.
    /// Returns how many were removed.
    pub fn drop_before(&mut self, offset: Offset) -> Result<usize> {
        let bases = segments::bases(&self.directory)?;
        let below: Vec<u64> = bases
            .windows(2)
            .filter(|pair| pair[1] <= offset.0)
            .map(|pair| pair[0])
            .collect();
        // Oldest first, so that a crash leaves no gap.
        for base in &below {
            let path = segments::path_of(&self.directory, *base);
            fs::remove_file(&path).map_err(Error::io("remove", &path))?;
        }
        if !below.is_empty() {
            sync_directory(&self.directory)?;
        }
        Ok(below.len())
    }

    fn refuse_if_poisoned(&self) -> Result<()> {
        if self.poisoned {
            return Err(Error::LogPoisoned {
                directory: self.directory.clone(),
            });
        }
        Ok(())
    }

    /// After a failed write or sync nobody knows what reached the disk; only reading the file
    /// again can tell, which is what opening the log does.
    fn poison_on_error(
        &mut self,
        operation: &'static str,
        outcome: std::io::Result<()>,
    ) -> Result<()> {
        self.poisoned = outcome.is_err();
        outcome.map_err(Error::io(operation, &self.path))
    }

    #[cfg(test)]
    pub(super) fn replace_file(&mut self, file: File) {
        self.file = file;
    }
}

fn append_to(path: &Path) -> Result<File> {
    OpenOptions::new()
        .append(true)
        .open(path)
        .map_err(Error::io("open", path))
}

/// Every segment must end where the next begins.
fn check_chain(directory: &Path, bases: &[u64]) -> Result<()> {
    for pair in bases.windows(2) {
        let cursor = Cursor::open(directory, pair[0], pair[1])?;
        let path = segments::path_of(directory, pair[0]);
        if pair[0] + segments::record_bytes(&path)? != pair[1] {
            return Err(cursor.corrupt("it does not end where the next segment begins"));
        }
    }
    Ok(())
}

/// Reads the last segment through and cuts off what a crash left unfinished.
fn recover(directory: &Path, base: u64) -> Result<(u64, Option<TornTail>)> {
    let mut cursor = Cursor::open(directory, base, base)?;
    while let Step::Record(_) = cursor.step()? {}
    let path = segments::path_of(directory, base);
    let length = SEGMENT_HEADER as u64 + segments::record_bytes(&path)?;
    let position = cursor.position();
    if length == position {
        return Ok((cursor.offset(), None));
    }
    match judge(directory, &mut cursor, None)? {
        Verdict::Whole => return Err(cursor.corrupt("another process is writing it")),
        Verdict::Torn => {}
    }
    let file = OpenOptions::new()
        .write(true)
        .open(&path)
        .map_err(Error::io("open", &path))?;
    file.set_len(position)
        .and_then(|()| file.sync_all())
        .map_err(Error::io("truncate", &path))?;
    let torn = TornTail {
        file: path,
        position,
        bytes: length - position,
    };
    tracing::warn!(file = %torn.file.display(), position, bytes = torn.bytes, "cut an unfinished record off the log");
    Ok((cursor.offset(), Some(torn)))
}
