//! The parts of a source that decode independently. Their borders come from the files alone:
//! row groups of Parquet, pieces of plain text cut at the ends of records, whole files of
//! compressed text. Called by `SourceFiles::chunks`.

use std::io;
use std::path::Path;

use memchr::memchr;
use rayon::prelude::*;

use super::Format;
use super::format::{open_range, read_full};
use super::parts::Entities;
use super::quotes::{end_of_a_record, inside_at_end, rest_of_quoted_record};

/// Bytes in which the quotes near a cut are to tell where a record ends.
const NEAR: u64 = 64 << 10;

/// A part of a source that is decoded by one thread; chunks in order make up the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Index into `SourceFiles::files`.
    pub(super) file: usize,
    pub(super) part: Part,
    pub(super) bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A row group of a Parquet file.
    RowGroup(usize),
    /// Bytes of a text file that is not compressed, from the begin of a record to the end of
    /// one.
    Range { start: u64, end: u64 },
    /// A compressed text file from its first row on.
    Stream,
    /// Some entities of our own layout; of no file.
    Entities(Entities),
}

impl Chunk {
    /// Index into `SourceFiles::files`; none of our own layout.
    pub fn file(&self) -> Option<usize> {
        (!matches!(self.part, Part::Entities(_))).then_some(self.file)
    }

    /// Its size on disk, for progress.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Sizes of the steps in which files are read. Results never depend on them; tests make them
/// small to put a border everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Length of the pieces of plain text files, in bytes.
    pub piece: u64,
    /// How much of a text file is split into cells at once, in bytes.
    pub block: usize,
    /// Rows per batch, about.
    pub batch_rows: usize,
}

impl Default for Layout {
    fn default() -> Layout {
        Layout {
            piece: 8 << 20,
            block: 512 << 10,
            batch_rows: 16 << 10,
        }
    }
}

/// Cuts `start..end` of a plain text file after newlines that end a record.
pub(super) fn cut(
    path: &Path,
    format: Format,
    start: u64,
    end: u64,
    piece: u64,
) -> io::Result<Vec<Part>> {
    let mut cuts = newlines_near(path, start, end, piece)?;
    if format == Format::Csv {
        cuts = match ends_near(path, &cuts, end, piece.min(NEAR))? {
            Some(ends) => ends,
            None => ends_of_records(path, &cuts, end)?,
        };
    }
    cuts.retain(|cut| *cut < end);
    cuts.dedup();
    let ends = cuts.iter().copied().skip(1).chain([end]);
    Ok(cuts
        .iter()
        .zip(ends)
        .map(|(start, end)| Part::Range { start: *start, end })
        .collect())
}

/// `start`, and for every multiple of `piece` after it the first place behind a newline.
fn newlines_near(path: &Path, start: u64, end: u64, piece: u64) -> io::Result<Vec<u64>> {
    let piece = piece.max(1);
    let pieces = end.saturating_sub(start).div_ceil(piece);
    let later: io::Result<Vec<u64>> = (1..pieces)
        .into_par_iter()
        .map(|index| behind_newline(path, start + index * piece - 1, end))
        .collect();
    let mut cuts = vec![start];
    cuts.extend(later?);
    cuts.dedup();
    Ok(cuts)
}

/// The first place behind a newline that stands at `from` or later.
fn behind_newline(path: &Path, from: u64, end: u64) -> io::Result<u64> {
    let mut input = open_range(path, from, end)?;
    let mut block = vec![0; 4 << 10];
    let mut at = from;
    loop {
        let filled = read_full(input.as_mut(), &mut block)?;
        if let Some(found) = memchr(b'\n', &block[..filled]) {
            return Ok(at + found as u64 + 1);
        }
        if filled < block.len() {
            return Ok(end);
        }
        at += filled as u64;
        block.resize((block.len() * 2).min(1 << 20), 0);
    }
}

/// Moves each cut to an end of a record that the quotes right behind it prove; none if those
/// behind some cut do not, for they are rare.
fn ends_near(path: &Path, cuts: &[u64], end: u64, near: u64) -> io::Result<Option<Vec<u64>>> {
    let moved = |cut: &u64| {
        let until = end.min(cut + near);
        let found = end_of_a_record(open_range(path, *cut, until)?.as_mut())?;
        Ok(match found {
            Some(length) => Some(cut + length),
            None => (until == end).then_some(end),
        })
    };
    let later: io::Result<Option<Vec<u64>>> = cuts[1..].par_iter().map(moved).collect();
    Ok(later?.map(|later| cuts[..1].iter().copied().chain(later).collect()))
}

/// Moves each cut that lies inside quotes to the end of its record. The stretches between the
/// cuts are followed in parallel, each for both answers to "does it begin inside quotes?".
fn ends_of_records(path: &Path, cuts: &[u64], end: u64) -> io::Result<Vec<u64>> {
    let stretches = cuts.len().saturating_sub(1);
    let followed: io::Result<Vec<[bool; 2]>> = (0..stretches)
        .into_par_iter()
        .map(|index| inside_at_end(open_range(path, cuts[index], cuts[index + 1])?.as_mut()))
        .collect();
    let followed = followed?;
    let mut inside = false;
    let mut ends = Vec::with_capacity(cuts.len());
    let mut reached = 0;
    for (index, cut) in cuts.iter().enumerate() {
        if !inside {
            ends.push(*cut);
        } else if *cut >= reached {
            let rest = rest_of_quoted_record(open_range(path, *cut, end)?.as_mut())?;
            reached = rest.map_or(end, |length| cut + length);
            ends.push(reached);
        }
        if let Some(answers) = followed.get(index) {
            inside = answers[usize::from(inside)];
        }
    }
    Ok(ends)
}
