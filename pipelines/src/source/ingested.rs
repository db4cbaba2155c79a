//! A source of which something was ingested: our own layout, and the files and the log that are
//! not in it yet, as one history. Called by everything that opens a source.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use granary_registry::{DType, Source};
use granary_storage::{DataDir, Offset, POSITION};

use super::chunk::Part;
use super::files::relative;
use super::parts::Parts;
use super::{BadRows, Chunk, Error, Format, SourceFiles, Wanted, find};

/// Where the rows of a batch come from.
#[derive(Debug, Default)]
pub(crate) struct Placed {
    /// Among rows of one instant those of a smaller rank come first.
    pub(crate) rank: u32,
    /// Places in the log, one past the offsets, 0 for rows of files; none if all are.
    pub(crate) positions: Vec<u64>,
}

impl SourceFiles {
    /// Finds what there is of a source: what was ingested of it, of the log up to an offset,
    /// and the files that were not.
    pub fn open(source: &Source, data: &DataDir, log_until: Offset) -> Result<SourceFiles, Error> {
        let Some(mut parts) = Parts::open(source, data, log_until)? else {
            return SourceFiles::find(source, data.root());
        };
        let (paths, format) = match find::find(source, data.root()) {
            Err(Error::NotFound { .. }) => (Vec::new(), Format::Parquet),
            found => found?,
        };
        let ingested: HashSet<PathBuf> = parts.files().map(|file| file.path).collect();
        let is_ingested = |path: &PathBuf| ingested.contains(relative(path, data.root()));
        let (still_there, paths) = paths.into_iter().partition(is_ingested);
        let mut files = SourceFiles::of(source, data.root(), paths, format)?;
        let mut columns: Vec<String> = Vec::new();
        let of_parts = parts.columns_of(&|_| true).into_iter().map(str::to_owned);
        for name in of_parts.chain(files.columns) {
            if !columns.contains(&name) {
                columns.push(name);
            }
        }
        files.columns = columns;
        let left: Vec<&Path> = files
            .paths
            .iter()
            .map(|path| files.relative(path))
            .collect();
        files.ranks = parts.mix(&left);
        files.parts = Some(parts);
        files.still_there = still_there;
        Ok(files)
    }

    /// Up to where the log is among what was ingested.
    pub fn log_until(&self) -> Offset {
        let parts = self.parts.as_ref();
        parts.map_or(Offset(0), |parts| parts.manifest.log_until)
    }

    /// Whether files are left beside what was ingested. Theirs come first at an instant of both
    /// if their names do.
    pub fn are_mixed(&self) -> bool {
        self.parts.is_some() && !self.paths.is_empty()
    }

    /// Those of them that have rows beyond some files and an offset of the log, and of what was
    /// ingested no other rows.
    pub fn chunks_since(
        &mut self,
        read: &HashSet<PathBuf>,
        log: Offset,
    ) -> Result<Vec<Chunk>, Error> {
        if let Some(parts) = &mut self.parts {
            parts.since(read, log);
        }
        let mut chunks = self.chunks_of_parts(true)?;
        for file in 0..self.paths.len() {
            if !read.contains(self.relative(&self.paths[file])) {
                chunks.extend(self.chunks_of(file)?);
            }
        }
        Ok(chunks)
    }

    /// The chunks with one entity that was ingested, given its number.
    pub fn chunk_of_entity(&self, entity: u32) -> Chunk {
        Chunk {
            file: 0,
            part: Part::Entities(Parts::chunk_of(entity)),
            bytes: 0,
        }
    }

    /// The keys of the entities that were ingested, by number.
    pub fn each_key(&self, mut each: impl FnMut(&str)) -> Result<(), Error> {
        let parts = self.parts.as_ref();
        parts.map_or(Ok(()), |parts| {
            parts.with_keys(|keys| keys.iter().for_each(&mut each))
        })
    }

    /// Whether all rows of an entity are in this chunk if any are, though not together.
    pub fn is_by_entity(&self, chunk: &Chunk) -> bool {
        match (chunk.part, &self.parts) {
            (Part::Entities(entities), Some(parts)) => parts.are_several(entities),
            _ => false,
        }
    }

    pub(super) fn chunks_of_parts(&self, is_unread: bool) -> Result<Vec<Chunk>, Error> {
        let Some(parts) = &self.parts else {
            return Ok(Vec::new());
        };
        let chunk = |entities| Chunk {
            file: 0,
            part: Part::Entities(entities),
            bytes: 0,
        };
        Ok(parts.chunks(is_unread)?.into_iter().map(chunk).collect())
    }

    /// The same, with where the rows come from.
    pub(crate) fn decode_placed<E: From<Error>>(
        &self,
        chunk: &Chunk,
        columns: &[Wanted],
        bad: &BadRows,
        sink: &mut dyn FnMut(RecordBatch, Placed) -> Result<(), E>,
    ) -> Result<(), E> {
        let (Part::Entities(entities), Some(parts)) = (chunk.part, &self.parts) else {
            let rank = self.ranks.get(chunk.file).copied().unwrap_or(0);
            let placed = |positions| Placed { rank, positions };
            return self.decode(chunk, columns, bad, &mut |batch| {
                sink(batch, placed(Vec::new()))
            });
        };
        let rows = self.layout.batch_rows;
        if !parts.have_positions(entities) {
            let placed = |rank| Placed {
                rank,
                positions: Vec::new(),
            };
            return parts.decode(entities, rows, columns, &mut |batch, rank| {
                sink(batch, placed(rank))
            });
        }
        let columns = [columns, &[Wanted::optional(POSITION, DType::Int)]].concat();
        parts.decode(entities, rows, &columns, &mut |mut batch, rank| {
            let positions = batch.remove_column(columns.len() - 1);
            let positions = positions.as_primitive::<Int64Type>().iter();
            let positions = positions.map(|at| at.unwrap_or(0) as u64).collect();
            sink(batch, Placed { rank, positions })
        })
    }
}
