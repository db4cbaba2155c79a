//! The files of a log: found, created and opened. Called by the log's writer and reader.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::format::{
    self, COMPACTED, FORMAT, Parsed, RECORD_HEADER, SEGMENT_HEADER, SegmentHeader,
    encode_segment_header,
};
use crate::publish::{entries, write_atomic};
use crate::{Error, Result};

const CHUNK: usize = 256 << 10;

/// The file of the segment that begins at this offset.
pub(super) fn path_of(directory: &Path, base: u64) -> PathBuf {
    directory.join(format!("{base:020}.log"))
}

/// The first offset of a segment, by its file's name.
pub(crate) fn segment_base(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    name.strip_suffix(".log")?.parse().ok()
}

/// The first offsets of all segments, ascending.
pub(super) fn bases(directory: &Path) -> Result<Vec<u64>> {
    let files = entries(directory)?;
    Ok(files.iter().filter_map(|path| segment_base(path)).collect())
}

/// Begins a segment: a file with its header, whole or not there.
pub(super) fn create(directory: &Path, base: u64) -> Result<()> {
    write_atomic(
        &path_of(directory, base),
        &encode_segment_header(FORMAT, base),
    )
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
    has_gaps: bool,
    offset: u64,   // of the record that begins at buffer[start]
    position: u64, // of that record in the file
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
        let has_gaps = match format::read_segment_header(&header) {
            SegmentHeader::Base(found) if found == base => false,
            SegmentHeader::Compacted(found) if found == base => true,
            SegmentHeader::Base(_) | SegmentHeader::Compacted(_) => {
                return Err(corrupt("its header is that of another segment"));
            }
            SegmentHeader::Newer(found) => {
                return Err(Error::Format {
                    path,
                    found,
                    known: COMPACTED,
                });
            }
            SegmentHeader::Broken => return Err(corrupt("its header is damaged")),
        };
        let mut cursor = Cursor {
            path,
            file,
            base,
            has_gaps,
            offset: base,
            position: SEGMENT_HEADER as u64,
            buffer: Vec::new(),
            start: 0,
        };
        if has_gaps {
            // Where a record lies is told by those before it.
            cursor.seek()?;
            while cursor.offset < offset && matches!(cursor.one()?, Step::Record(_)) {}
        } else {
            (cursor.offset, cursor.position) = (offset, SEGMENT_HEADER as u64 + offset - base);
            cursor.seek()?;
        }
        Ok(cursor)
    }

    /// Whether records were left out of the segment.
    pub(super) fn has_gaps(&self) -> bool {
        self.has_gaps
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
        loop {
            match self.one()? {
                Step::Record(parsed) if parsed.kind.is_none() => {}
                step => return Ok(step),
            }
        }
    }

    fn one(&mut self) -> Result<Step> {
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
        if parsed.kind.is_none() && !self.has_gaps {
            return Ok(Step::Broken);
        }
        self.start += parsed.length;
        self.position += parsed.length as u64;
        self.offset += match parsed.kind {
            Some(_) => parsed.length as u64,
            None => self.gap(parsed),
        };
        Ok(Step::Record(parsed))
    }

    /// How many bytes of offsets a gap stands for.
    fn gap(&self, passed: Parsed) -> u64 {
        let bytes = self.payload(passed).first_chunk::<8>();
        bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// The payload of the record just passed.
    pub(super) fn payload(&self, passed: Parsed) -> &[u8] {
        &self.buffer[self.start + RECORD_HEADER - passed.length..self.start]
    }

    /// Everything from the broken record to the end, read afresh: a living writer may have
    /// completed it meanwhile.
    pub(super) fn reread(&mut self) -> Result<&[u8]> {
        self.seek()?;
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
        self.position
    }

    fn seek(&mut self) -> Result<()> {
        self.buffer.clear();
        self.start = 0;
        self.file
            .seek(SeekFrom::Start(self.position))
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
