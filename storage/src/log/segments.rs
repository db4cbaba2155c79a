//! The files of a log: found, created and opened. Called by the log's writer and reader.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::format::{
    self, FORMAT, Parsed, RECORD_HEADER, SEGMENT_HEADER, SegmentHeader, encode_segment_header,
};
use crate::publish::{entries, write_atomic};
use crate::{Error, Result};

const CHUNK: usize = 256 << 10;

/// The file of the segment that begins at this offset.
pub(super) fn path_of(directory: &Path, base: u64) -> PathBuf {
    directory.join(format!("{base:020}.log"))
}

/// The first offsets of all segments, ascending.
pub(super) fn bases(directory: &Path) -> Result<Vec<u64>> {
    let base = |path: &PathBuf| {
        path.file_name()?
            .to_str()?
            .strip_suffix(".log")?
            .parse()
            .ok()
    };
    Ok(entries(directory)?.iter().filter_map(base).collect())
}

/// Begins a segment: a file with its header, whole or not there.
pub(super) fn create(directory: &Path, base: u64) -> Result<()> {
    write_atomic(&path_of(directory, base), &encode_segment_header(base))
}

/// How many bytes of records a segment file holds.
pub(super) fn record_bytes(path: &Path) -> Result<u64> {
    let length = fs::metadata(path)
        .map_err(Error::io("look at", path))?
        .len();
    Ok(length.saturating_sub(SEGMENT_HEADER as u64))
}

/// Reads one segment record by record.
#[derive(Debug)]
pub(super) struct Cursor {
    path: PathBuf,
    file: File,
    base: u64,
    offset: u64, // of the record that begins at buffer[start]
    buffer: Vec<u8>,
    start: usize,
}

/// What stands at the cursor.
#[derive(Debug)]
pub(super) enum Step {
    /// A whole record, which the cursor has passed.
    Record(Parsed),
    /// The end of the file.
    End,
    /// Bytes that are no whole record.
    Broken,
}

impl Cursor {
    /// Opens the segment that begins at `base`, at a record's offset.
    pub(super) fn open(directory: &Path, base: u64, offset: u64) -> Result<Cursor> {
        let path = path_of(directory, base);
        let mut file = File::open(&path).map_err(Error::io("open", &path))?;
        let mut header = [0; SEGMENT_HEADER];
        let read = file.read_exact(&mut header);
        let corrupt = |reason| Error::LogCorrupt {
            file: path.clone(),
            position: 0,
            reason,
        };
        match read {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(corrupt("its header is cut off"));
            }
            read => read.map_err(Error::io("read", &path))?,
        }
        match format::read_segment_header(&header) {
            SegmentHeader::Base(found) if found == base => {}
            SegmentHeader::Base(_) => return Err(corrupt("its header is that of another segment")),
            SegmentHeader::Newer(found) => {
                return Err(Error::Format {
                    path,
                    found,
                    known: FORMAT,
                });
            }
            SegmentHeader::Broken => return Err(corrupt("its header is damaged")),
        }
        let mut cursor = Cursor {
            path,
            file,
            base,
            offset,
            buffer: Vec::new(),
            start: 0,
        };
        cursor.seek(offset)?;
        Ok(cursor)
    }

    /// The offset of the next record.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The first offset of the segment.
    pub(super) fn base(&self) -> u64 {
        self.base
    }

    /// Reads on.
    pub(super) fn step(&mut self) -> Result<Step> {
        match self.fill(RECORD_HEADER)? {
            0 => return Ok(Step::End),
            RECORD_HEADER.. => {}
            _ => return Ok(Step::Broken),
        }
        let Some(header) = format::read_record_header(self.rest()) else {
            return Ok(Step::Broken);
        };
        self.fill(header.length)?;
        let Some(parsed) = header.check(self.rest(), self.offset) else {
            return Ok(Step::Broken);
        };
        self.start += parsed.length;
        self.offset += parsed.length as u64;
        Ok(Step::Record(parsed))
    }

    /// The payload of the record just passed.
    pub(super) fn payload(&self, passed: Parsed) -> &[u8] {
        &self.buffer[self.start + RECORD_HEADER - passed.length..self.start]
    }

    /// Everything from the broken record to the end, read afresh: a living writer may have
    /// completed it meanwhile.
    pub(super) fn reread(&mut self) -> Result<&[u8]> {
        self.seek(self.offset)?;
        self.file
            .read_to_end(&mut self.buffer)
            .map_err(Error::io("read", &self.path))?;
        Ok(&self.buffer)
    }

    /// The error for damage at the cursor.
    pub(super) fn corrupt(&self, reason: &'static str) -> Error {
        Error::LogCorrupt {
            file: self.path.clone(),
            position: self.position(),
            reason,
        }
    }

    /// Where in the file the cursor stands.
    pub(super) fn position(&self) -> u64 {
        SEGMENT_HEADER as u64 + self.offset - self.base
    }

    fn seek(&mut self, offset: u64) -> Result<()> {
        self.offset = offset;
        self.buffer.clear();
        self.start = 0;
        let position = SeekFrom::Start(self.position());
        self.file
            .seek(position)
            .map_err(Error::io("seek in", &self.path))?;
        Ok(())
    }

    fn rest(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// Tries to have `wanted` bytes at the cursor; returns how many there are.
    fn fill(&mut self, wanted: usize) -> Result<usize> {
        if self.rest().len() < wanted {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        while self.buffer.len() - self.start < wanted {
            let missing = wanted - (self.buffer.len() - self.start);
            let read = (&mut self.file)
                .take(missing.max(CHUNK) as u64)
                .read_to_end(&mut self.buffer)
                .map_err(Error::io("read", &self.path))?;
            if read == 0 {
                break;
            }
        }
        Ok(self.rest().len())
    }
}
