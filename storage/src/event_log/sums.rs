//! Checksums of a part's pieces, its footer and each column of each row group: taken while it
//! is written, held against what is read, so that a changed byte is an error and not a value.
//! The footer carries those of the columns, and the manifest that of the footer.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::buf::Reader;
use bytes::{Buf, Bytes};
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::{ChunkReader, Length};

use crate::publish::AtomicFile;

/// Where the footer keeps the checksums of the columns.
pub(super) const SUMS: &str = "granary.sums";

/// A file that keeps what is written to it until its checksums are taken.
#[derive(Debug)]
pub(super) struct Summed {
    pub file: AtomicFile,
    hasher: blake3::Hasher,
    written: u64,
    held: Vec<u8>,
}

impl Summed {
    pub(super) fn new(file: AtomicFile) -> Summed {
        Summed {
            file,
            hasher: blake3::Hasher::new(),
            written: 0,
            held: Vec::new(),
        }
    }

    /// Length and hash of everything written.
    pub(super) fn digest(&self) -> (u64, String) {
        (self.written, self.hasher.finalize().to_hex().to_string())
    }

    /// Appends the checksums of a row group's columns, which must be the newest.
    pub(super) fn of_columns(&mut self, group: &RowGroupMetaData, sums: &mut String) {
        let first = self.written - self.held.len() as u64;
        for column in group.columns() {
            let (start, length) = column.byte_range();
            let start = (start - first) as usize;
            let sum = crc32fast::hash(&self.held[start..start + length as usize]);
            // Writing to a string cannot fail.
            let _ = write!(sums, "{sum:08x}");
        }
        self.held.clear();
    }

    /// Where the rest begins, and its checksum.
    pub(super) fn of_rest(&self) -> (u64, u32) {
        let start = self.written - self.held.len() as u64;
        (start, crc32fast::hash(&self.held))
    }
}

impl Write for Summed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.held.extend_from_slice(&bytes[..written]);
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A piece of a file and its checksum.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub range: Range<u64>,
    pub sum: u32,
}

/// A file of which only pieces with known checksums are read, whole, before any of their bytes
/// is believed.
#[derive(Debug)]
pub(super) struct Checked {
    file: Arc<File>,
    length: u64,
    /// In order.
    pieces: Arc<[Piece]>,
    held: Mutex<Vec<(u64, Bytes)>>,
}

impl Checked {
    pub(super) fn new(file: Arc<File>, length: u64, pieces: Arc<[Piece]>) -> Checked {
        Checked {
            file,
            length,
            pieces,
            held: Mutex::new(Vec::new()),
        }
    }

    /// The rest of the piece that begins at or before a place.
    fn rest(&self, at: u64) -> Result<Bytes, ParquetError> {
        let piece = self.pieces.partition_point(|piece| piece.range.end <= at);
        let piece = self
            .pieces
            .get(piece)
            .filter(|piece| piece.range.start <= at);
        let piece = piece.ok_or_else(|| damaged(at))?;
        let start = (at - piece.range.start) as usize;
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, bytes)) = held.iter().find(|held| held.0 == piece.range.start) {
            return Ok(bytes.slice(start..));
        }
        let mut bytes = vec![0; (piece.range.end - piece.range.start) as usize];
        self.file.read_exact_at(&mut bytes, piece.range.start)?;
        if crc32fast::hash(&bytes) != piece.sum {
            return Err(damaged(piece.range.start));
        }
        let bytes = Bytes::from(bytes);
        held.push((piece.range.start, bytes.clone()));
        Ok(bytes.slice(start..))
    }
}

fn damaged(at: u64) -> ParquetError {
    let what = "the bytes are not those that were written; `granary ingest --force` writes it anew";
    ParquetError::General(format!("at byte {at}: {what}"))
}

impl Length for Checked {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for Checked {
    type T = Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(self.rest(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let rest = self.rest(start)?;
        if rest.len() < length {
            return Err(damaged(start));
        }
        Ok(rest.slice(..length))
    }
}
