//! Numbers of lines in text files, for messages alone: counted when a row is bad, and no byte
//! twice, however many rows are.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use memchr::memchr_iter;

use super::format::{Compression, open_past, read_full};

const BLOCK: usize = 256 << 10;

/// What was counted of one file: newlines before some of its unpacked bytes.
#[derive(Debug, Default)]
pub(super) struct LineCounts(Mutex<BTreeMap<u64, u64>>);

impl LineCounts {
    /// Newlines before a place in the unpacked bytes.
    pub(super) fn before(
        &self,
        path: &Path,
        compression: Compression,
        end: u64,
    ) -> io::Result<u64> {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let nearest = counted.range(..=end).next_back();
        let (start, before) = nearest.map_or((0, 0), |(place, lines)| (*place, *lines));
        let mut rest = open_past(path, compression, start)?.take(end - start);
        let lines = before + newlines(&mut rest)?;
        counted.insert(end, lines);
        Ok(lines)
    }
}

fn newlines(input: &mut dyn Read) -> io::Result<u64> {
    let mut block = vec![0; BLOCK];
    let mut lines = 0;
    loop {
        let filled = read_full(input, &mut block)?;
        lines += memchr_iter(b'\n', &block[..filled]).count() as u64;
        if filled < block.len() {
            return Ok(lines);
        }
    }
}
