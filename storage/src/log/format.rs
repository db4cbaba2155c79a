//! The bytes of a segment, written and checked. Called by the log's writer and reader.
//!
//! A segment file is a header and then records, nothing between or after:
//!
//! | segment header | bytes | |
//! |---|---|---|
//! | 0  | 8 | magic `GRANLOG\n` |
//! | 8  | 4 | format number: 1, or 2 for a segment out of which records were left |
//! | 12 | 8 | offset of the first record |
//! | 20 | 4 | crc32 of bytes 0 to 19 |
//!
//! | record | bytes | |
//! |---|---|---|
//! | 0  | 4 | crc32 of the record's offset (8 bytes) and of bytes 4 to the end |
//! | 4  | 4 | length of the payload |
//! | 8  | 4 | bytes between the last sync and this record, when it was appended |
//! | 12 | 1 | kind: 1 event, 2 value, 3 plain; in format 2 also 0, a gap |
//! | 13 |   | payload; of a gap: how many bytes of offsets were left out, 8 bytes |
//!
//! Numbers are little-endian. The offset in the checksum makes a record valid at its own
//! place only, so no payload can pass for a record. The distance to the last sync tells a
//! torn tail from damage: a valid record that was appended after a sync *beyond* a broken
//! one proves that the broken one was once whole on disk.

use super::Kind;

/// The largest payload of one record.
pub const MAX_PAYLOAD: usize = 64 << 20;

pub(super) const SEGMENT_HEADER: usize = 24;
pub(super) const RECORD_HEADER: usize = 13;

const MAGIC: [u8; 8] = *b"GRANLOG\n";
pub(super) const FORMAT: u32 = 1;
/// Of a segment out of which records were left.
pub(super) const COMPACTED: u32 = 2;
const GAP: u8 = 0;

/// What the header of a segment says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SegmentHeader {
    /// It begins at this offset.
    Base(u64),
    /// It begins at this offset, and has gaps.
    Compacted(u64),
    /// It has a format not known here.
    Newer(u32),
    /// It is no segment, or a damaged one.
    Broken,
}

/// A record found whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parsed {
    /// None for a gap.
    pub(super) kind: Option<Kind>,
    /// Header and payload.
    pub(super) length: usize,
}

/// What the first bytes of a record promise, before its checksum is known to hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct RecordHeader {
    crc: u32,
    unsynced: u32,
    kind: Option<Kind>,
    pub(super) length: usize,
}

pub(super) fn encode_segment_header(format: u32, base: u64) -> [u8; SEGMENT_HEADER] {
    let mut header = [0; SEGMENT_HEADER];
    header[..8].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&format.to_le_bytes());
    header[12..20].copy_from_slice(&base.to_le_bytes());
    let crc = crc32fast::hash(&header[..20]);
    header[20..].copy_from_slice(&crc.to_le_bytes());
    header
}

pub(super) fn read_segment_header(header: &[u8; SEGMENT_HEADER]) -> SegmentHeader {
    if header[..8] != MAGIC || le32(header, 20) != crc32fast::hash(&header[..20]) {
        return SegmentHeader::Broken;
    }
    let base = u64::from(le32(header, 12)) | u64::from(le32(header, 16)) << 32;
    match le32(header, 8) {
        FORMAT => SegmentHeader::Base(base),
        COMPACTED => SegmentHeader::Compacted(base),
        newer => SegmentHeader::Newer(newer),
    }
}

/// Appends a record to `out`. The payload is at most [`MAX_PAYLOAD`].
pub(super) fn encode_record(
    out: &mut Vec<u8>,
    offset: u64,
    unsynced: u32,
    kind: Kind,
    payload: &[u8],
) {
    encode(out, offset, unsynced, kind as u8, payload);
}

/// Appends a gap: so many bytes of offsets were left out.
pub(super) fn encode_gap(out: &mut Vec<u8>, offset: u64, left_out: u64) {
    encode(out, offset, 0, GAP, &left_out.to_le_bytes());
}

fn encode(out: &mut Vec<u8>, offset: u64, unsynced: u32, kind: u8, payload: &[u8]) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    out.extend_from_slice(&unsynced.to_le_bytes());
    out.push(kind);
    out.extend_from_slice(payload);
    let crc = checksum(offset, &out[start + 4..]);
    out[start..start + 4].copy_from_slice(&crc.to_le_bytes());
}

/// The header of a record, if it can be one.
pub(super) fn read_record_header(bytes: &[u8]) -> Option<RecordHeader> {
    if bytes.len() < RECORD_HEADER {
        return None;
    }
    let payload = le32(bytes, 4) as usize;
    if payload > MAX_PAYLOAD {
        return None;
    }
    let kind = match bytes[12] {
        GAP => None,
        1 => Some(Kind::Event),
        2 => Some(Kind::Value),
        3 => Some(Kind::Plain),
        _ => return None,
    };
    Some(RecordHeader {
        crc: le32(bytes, 0),
        unsynced: le32(bytes, 8),
        kind,
        length: RECORD_HEADER + payload,
    })
}

impl RecordHeader {
    /// Checks the whole record, whose bytes begin at the header.
    pub(super) fn check(self, bytes: &[u8], offset: u64) -> Option<Parsed> {
        let whole = bytes.get(4..self.length)?;
        (checksum(offset, whole) == self.crc).then_some(Parsed {
            kind: self.kind,
            length: self.length,
        })
    }
}

/// Whether `bytes`, which begin at `offset`, begin with a whole record.
pub(super) fn is_whole(bytes: &[u8], offset: u64) -> bool {
    read_record_header(bytes).is_some_and(|header| header.check(bytes, offset).is_some())
}

/// Whether some record behind the broken one at `offset` was appended after a sync that
/// covered the broken one.
pub(super) fn proves_damage(bytes: &[u8], offset: u64) -> bool {
    (1..bytes.len()).any(|distance| {
        let candidate = &bytes[distance..];
        read_record_header(candidate).is_some_and(|header| {
            u64::from(header.unsynced) < distance as u64
                && header.check(candidate, offset + distance as u64).is_some()
        })
    })
}

fn checksum(offset: u64, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&offset.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

fn le32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
