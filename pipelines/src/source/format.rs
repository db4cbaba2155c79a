//! The formats and compressions of raw inputs, and a file as a stream of plain bytes.
//! Called by `find` for names and by `files` and `records` for bytes.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use flate2::read::MultiGzDecoder;

/// How the rows of a file are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Apache Parquet.
    Parquet,
    /// RFC 4180 with a header line.
    Csv,
    /// One JSON object per line.
    Jsonl,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Parquet => "Parquet",
            Format::Csv => "CSV",
            Format::Jsonl => "JSON lines",
        })
    }
}

/// Every ending that is read, in the order in which a path without one tries them.
pub(super) const ENDINGS: [(&str, Format); 10] = [
    ("parquet", Format::Parquet),
    ("csv", Format::Csv),
    ("csv.gz", Format::Csv),
    ("csv.zst", Format::Csv),
    ("jsonl", Format::Jsonl),
    ("jsonl.gz", Format::Jsonl),
    ("jsonl.zst", Format::Jsonl),
    ("ndjson", Format::Jsonl),
    ("ndjson.gz", Format::Jsonl),
    ("ndjson.zst", Format::Jsonl),
];

/// The format that a file's name promises.
pub(super) fn of_name(path: &Path) -> Option<Format> {
    let name = path.file_name()?.to_str()?.to_ascii_lowercase();
    ENDINGS.iter().find_map(|(ending, format)| {
        let stem = name.strip_suffix(ending)?.strip_suffix('.')?;
        (!stem.is_empty()).then_some(*format)
    })
}

/// How the bytes of a file are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// Told by the first bytes, which a wrong name cannot change.
    pub(super) fn of_file(path: &Path) -> io::Result<Compression> {
        let mut magic = Vec::with_capacity(4);
        File::open(path)?.take(4).read_to_end(&mut magic)?;
        Ok(match magic.as_slice() {
            [0x1f, 0x8b, ..] => Compression::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd] => Compression::Zstd,
            _ => Compression::None,
        })
    }
}

/// The unpacked bytes of a file from its beginning, through all members or frames.
pub(super) fn open_unpacked(path: &Path, compression: Compression) -> io::Result<Box<dyn Read>> {
    let file = File::open(path)?;
    Ok(match compression {
        Compression::None => Box::new(file),
        Compression::Gzip => Box::new(MultiGzDecoder::new(io::BufReader::new(file))),
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::new(file)?),
    })
}

/// The bytes `start..end` of a file that is not compressed.
pub(super) fn open_range(path: &Path, start: u64, end: u64) -> io::Result<Box<dyn Read>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(start))?;
    Ok(Box::new(file.take(end.saturating_sub(start))))
}

/// The stream of a file, positioned at its first row.
pub(super) fn open_past(
    path: &Path,
    compression: Compression,
    start: u64,
) -> io::Result<Box<dyn Read>> {
    let mut input = open_unpacked(path, compression)?;
    io::copy(&mut input.by_ref().take(start), &mut io::sink())?;
    Ok(input)
}

/// Fills as much of the buffer as the stream still has.
pub(super) fn read_full(input: &mut dyn Read, mut buffer: &mut [u8]) -> io::Result<usize> {
    let mut total = 0;
    while !buffer.is_empty() {
        match input.read(buffer) {
            Ok(0) => break,
            Ok(n) => {
                total += n;
                buffer = &mut buffer[n..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_formats() {
        let format = |name: &str| of_name(Path::new(name));
        assert_eq!(format("a/events.CSV.gz"), Some(Format::Csv));
        assert_eq!(format("events.2026-01.ndjson.zst"), Some(Format::Jsonl));
        assert_eq!(format("users.parquet"), Some(Format::Parquet));
        assert_eq!(format("users.parquet.gz"), None);
        assert_eq!(format(".csv"), None);
        assert_eq!(format("csv"), None);
        assert_eq!(format("notes.txt"), None);
    }
}
