//! The files of one source: their columns, hashes and chunks, and the decoding of a chunk.
//! Called by the batch build, `materialize` and the reading of labels.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use granary_registry::Source;
use rayon::prelude::*;

use super::chunk::{Part, cut};
use super::format::{Compression, open_past, open_range};
use super::hash::{FileHash, FileState, blake3_of};
use super::head::{Head, fields, union_of_names};
use super::lines::LineCounts;
use super::parquet::RowGroup;
use super::parts::Parts;
use super::records::{Splitter, Stretch};
use super::{BadRows, Chunk, Error, Format, Layout, Wanted, find, jsonl, parquet, records};

/// Files of one registry source, found and checked.
#[derive(Clone, Debug)]
pub struct SourceFiles {
    source: String,
    data_dir: PathBuf,
    format: Format,
    pub(super) paths: Vec<PathBuf>,
    heads: Vec<Head>,
    pub(super) columns: Vec<String>,
    pub(super) layout: Layout,
    /// What was ingested; those of its files that are still there are not among `paths`.
    pub(super) parts: Option<Parts>,
    line_counts: Arc<[LineCounts]>,
    /// Where the rows of each file stand among those of one instant, if not in their order.
    pub(super) ranks: Vec<u32>,
    pub(super) still_there: Vec<PathBuf>,
}

/// By what it is noticed that a source has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceState {
    files: Vec<(PathBuf, Option<FileState>)>,
    ingested: Option<u64>,
}

impl SourceFiles {
    /// Finds the raw files of a source and reads their headers or footers.
    pub fn find(source: &Source, data_dir: &Path) -> Result<SourceFiles, Error> {
        let (paths, format) = find::find(source, data_dir)?;
        SourceFiles::of(source, data_dir, paths, format)
    }

    pub(super) fn of(
        source: &Source,
        data_dir: &Path,
        paths: Vec<PathBuf>,
        format: Format,
    ) -> Result<SourceFiles, Error> {
        let heads: Result<Vec<Head>, Error> = in_order(
            paths
                .par_iter()
                .map(|path| Head::read(path, format))
                .collect(),
        );
        let heads = heads?;
        let columns = union_of_names(&heads);
        Ok(SourceFiles {
            line_counts: paths.iter().map(|_| LineCounts::default()).collect(),
            source: source.name.clone(),
            data_dir: data_dir.to_owned(),
            format,
            paths,
            heads,
            columns,
            layout: Layout::default(),
            parts: None,
            ranks: Vec::new(),
            still_there: Vec::new(),
        })
    }

    /// The same files, read in other steps.
    #[must_use]
    pub fn with_layout(self, layout: Layout) -> SourceFiles {
        SourceFiles { layout, ..self }
    }

    /// The files, sorted by path.
    pub fn files(&self) -> &[PathBuf] {
        &self.paths
    }

    pub(super) fn head(&self, file: usize) -> &Head {
        &self.heads[file]
    }

    /// Their common format.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Names of the columns that any file has, in the order of the first file. Of JSON lines,
    /// the keys in the first megabyte of each file.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Whether a column is there.
    pub fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|name| name == column)
    }

    /// Number of rows that are unread, if files tell it without being read.
    pub fn rows_hint(&self, read: &HashSet<PathBuf>) -> Option<u64> {
        let heads = self.paths.iter().zip(&self.heads);
        let rows = heads
            .filter(|(path, _)| !read.contains(self.relative(path)))
            .map(|(_, head)| match head {
                Head::Parquet(footer) => Some(footer.rows()),
                Head::Csv { .. } | Head::Jsonl { .. } => None,
            });
        let of_parts = self.parts.as_ref().map(|parts| parts.rows(true));
        rows.chain([Some(of_parts.unwrap_or(0))]).sum()
    }

    /// Names of the columns that any of some files has, ingested or not.
    pub fn columns_of(&self, wanted: impl Fn(&Path) -> bool) -> Vec<String> {
        let heads = self.paths.iter().zip(&self.heads);
        let heads = heads.filter(|(path, _)| wanted(self.relative(path)));
        let of_heads = union_of_names(heads.map(|(_, head)| head));
        let parts = self.parts.as_ref();
        let of_parts = parts.map(|parts| parts.columns_of(&wanted));
        let mut names: Vec<String> = Vec::new();
        let of_parts = of_parts.into_iter().flatten().map(str::to_owned);
        for name in of_parts.chain(of_heads) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// Sizes, times and hashes of the files, ingested or not, by path. Those that are as they
    /// were when they were `recorded` are not read. One that was ingested must be as it was, or
    /// gone.
    pub fn hash(&self, recorded: &HashMap<PathBuf, FileHash>) -> Result<Vec<FileHash>, Error> {
        let mut hashes = self.hash_all(&self.paths, recorded)?;
        let Some(parts) = &self.parts else {
            return Ok(hashes);
        };
        let then: HashMap<PathBuf, FileHash> = parts
            .files()
            .map(|file| (file.path.clone(), file))
            .collect();
        let changed = |file: &FileHash, what: String| Error::Ingested {
            source_name: self.source.clone(),
            path: file.path.clone(),
            what,
        };
        let mut gone = then.clone();
        for file in self.hash_all(&self.still_there, &then)? {
            gone.remove(&file.path);
            if then
                .get(&file.path)
                .is_none_or(|then| then.blake3 != file.blake3)
            {
                return Err(changed(
                    &file,
                    "was ingested and has changed since".to_owned(),
                ));
            }
            hashes.push(file);
        }
        let renamed = |file: &&FileHash| gone.values().find(|then| then.blake3 == file.blake3);
        if let Some((file, then)) = hashes.iter().find_map(|file| Some((file, renamed(&file)?))) {
            let what = format!(
                "has the bytes of {}, which was ingested and is gone",
                then.path.display()
            );
            return Err(changed(file, what));
        }
        hashes.extend(gone.into_values());
        hashes.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(hashes)
    }

    fn hash_all(
        &self,
        paths: &[PathBuf],
        recorded: &HashMap<PathBuf, FileHash>,
    ) -> Result<Vec<FileHash>, Error> {
        let hashes = paths.par_iter().map(|path| self.hash_file(path, recorded));
        in_order(hashes.collect())
    }

    /// By what it is noticed that anything has changed.
    pub fn state(&self) -> SourceState {
        let state = |path: &PathBuf| (path.clone(), FileState::of(path).ok());
        SourceState {
            files: self.paths.iter().map(state).collect(),
            ingested: self.parts.as_ref().map(|parts| parts.manifest.number),
        }
    }

    /// The parts that decode independently: what was ingested, then the files in their order.
    pub fn chunks(&self) -> Result<Vec<Chunk>, Error> {
        let files = (0..self.paths.len()).into_par_iter();
        let chunks: Vec<Vec<Chunk>> = in_order(files.map(|file| self.chunks_of(file)).collect())?;
        let mut all = self.chunks_of_parts(false)?;
        all.extend(chunks.into_iter().flatten());
        Ok(all)
    }

    /// As manifests name it.
    pub(crate) fn relative<'p>(&self, path: &'p Path) -> &'p Path {
        relative(path, &self.data_dir)
    }

    /// The newest instant of a column in a chunk, where the file tells it without being read.
    pub fn newest(&self, chunk: &Chunk, column: &str) -> Option<i64> {
        if let (Part::Entities(_), Some(parts)) = (chunk.part, &self.parts) {
            let is_time = parts.manifest.event_time == column;
            return is_time.then(|| parts.newest()).flatten();
        }
        match (self.heads.get(chunk.file)?, chunk.part) {
            (Head::Parquet(footer), Part::RowGroup(index)) => {
                footer.newest(&self.paths[chunk.file], index, column)
            }
            _ => None,
        }
    }

    /// Checks that every file has the wanted columns with types that fit, without reading
    /// rows. `decode` checks the same for its own file.
    pub fn check(&self, columns: &[Wanted]) -> Result<(), Error> {
        self.paths
            .iter()
            .zip(&self.heads)
            .try_for_each(|(path, head)| {
                head.check_names(path, columns, &self.columns)?;
                match head {
                    Head::Parquet(footer) => footer.plan(path, columns).map(drop),
                    Head::Csv { header, .. } => fields(path, header, columns).map(drop),
                    Head::Jsonl { .. } => Ok(()),
                }
            })
    }

    /// Decodes the wanted columns of a chunk and hands on batch after batch; stops at the
    /// first error of the sink. Under the strict rule the error is the first bad row of the
    /// chunk; the source's is that of its first chunk with an error.
    pub fn decode<E: From<Error>>(
        &self,
        chunk: &Chunk,
        columns: &[Wanted],
        bad: &BadRows,
        sink: &mut dyn FnMut(RecordBatch) -> Result<(), E>,
    ) -> Result<(), E> {
        if let (Part::Entities(entities), Some(parts)) = (chunk.part, &self.parts) {
            let rows = self.layout.batch_rows;
            return parts.decode(entities, rows, columns, &mut |batch, _| sink(batch));
        }
        let mut refused = None;
        self.decode_until_break(chunk, columns, bad, &mut |batch| match sink(batch) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                refused = Some(error);
                ControlFlow::Break(())
            }
        })?;
        refused.map_or(Ok(()), Err)
    }

    /// All rows of the wanted columns in file order, decoded in parallel: for tables that fit
    /// into memory.
    pub fn read(&self, columns: &[Wanted], bad: &BadRows) -> Result<Vec<RecordBatch>, Error> {
        self.check(columns)?;
        let chunks = self.chunks()?;
        let decoded = chunks.par_iter().map(|chunk| {
            let mut batches = Vec::new();
            self.decode::<Error>(chunk, columns, bad, &mut |batch| {
                batches.push(batch);
                Ok(())
            })?;
            Ok(batches)
        });
        let batches: Vec<Vec<RecordBatch>> = in_order(decoded.collect())?;
        Ok(batches.into_iter().flatten().collect())
    }

    fn decode_until_break(
        &self,
        chunk: &Chunk,
        columns: &[Wanted],
        bad: &BadRows,
        sink: &mut dyn FnMut(RecordBatch) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let path = self.paths[chunk.file].as_path();
        let head = &self.heads[chunk.file];
        head.check_names(path, columns, &self.columns)?;
        let (splitter, start, compression) = match (head, chunk.part) {
            (Head::Parquet(footer), Part::RowGroup(index)) => {
                let (source, batch_rows) = (self.source.as_str(), self.layout.batch_rows);
                let group = RowGroup {
                    source,
                    path,
                    index,
                    columns,
                    bad,
                    batch_rows,
                };
                return parquet::decode(footer, &group, sink);
            }
            (
                Head::Csv {
                    header,
                    compression,
                },
                _,
            ) => {
                let fields = fields(path, header, columns)?;
                (Splitter::Csv(fields), header.end, *compression)
            }
            (Head::Jsonl { head, compression }, _) => (
                Splitter::Jsonl(jsonl::Keys::of(columns)),
                head.start,
                *compression,
            ),
            // A chunk of other files: there is nothing of it here.
            (Head::Parquet(_), _) => return Ok(()),
        };
        let failed = |error| Error::Io {
            path: path.to_owned(),
            error,
        };
        let (start, input) = match chunk.part {
            Part::Range { start, end } => (start, open_range(path, start, end)),
            Part::Stream | Part::RowGroup(_) | Part::Entities(_) => {
                (start, open_past(path, compression, start))
            }
        };
        let mut input = input.map_err(failed)?;
        let counts = &self.line_counts[chunk.file];
        let lines_before = |position| {
            let counted = counts.before(path, compression, start + position);
            counted.map_err(failed)
        };
        let stretch = Stretch {
            source: &self.source,
            path,
            lines_before: &lines_before,
            columns,
            bad,
            layout: self.layout,
        };
        records::decode(&stretch, &splitter, input.as_mut(), sink)
    }

    pub(super) fn chunks_of(&self, file: usize) -> Result<Vec<Chunk>, Error> {
        let path = &self.paths[file];
        let failed = |error| Error::Io {
            path: path.clone(),
            error,
        };
        let (start, compression) = match &self.heads[file] {
            Head::Parquet(footer) => {
                let groups = footer.row_groups().enumerate();
                let chunk = |(index, bytes)| Chunk {
                    file,
                    part: Part::RowGroup(index),
                    bytes,
                };
                return Ok(groups.map(chunk).collect());
            }
            Head::Csv {
                header,
                compression,
            } => (header.end, *compression),
            Head::Jsonl { head, compression } => (head.start, *compression),
        };
        let size = fs::metadata(path).map_err(failed)?.len();
        if compression != Compression::None {
            return Ok(vec![Chunk {
                file,
                part: Part::Stream,
                bytes: size,
            }]);
        }
        let parts = cut(path, self.format, start, size, self.layout.piece).map_err(failed)?;
        let length = |part: &Part| match part {
            Part::Range { start, end } => end - start,
            Part::RowGroup(_) | Part::Stream | Part::Entities(_) => 0,
        };
        Ok(parts
            .into_iter()
            .map(|part| Chunk {
                file,
                part,
                bytes: length(&part),
            })
            .collect())
    }

    fn hash_file(
        &self,
        path: &Path,
        recorded: &HashMap<PathBuf, FileHash>,
    ) -> Result<FileHash, Error> {
        let failed = |error| Error::Io {
            path: path.to_owned(),
            error,
        };
        // Taken before the bytes are read: a change meanwhile shows next time.
        let state = FileState::of(path).map_err(failed)?;
        let relative = self.relative(path);
        let known = recorded.get(relative).filter(|held| held.state == state);
        if let Some(known) = known.filter(|_| state.modified != 0) {
            return Ok(known.clone());
        }
        Ok(FileHash {
            path: relative.to_owned(),
            state,
            blake3: blake3_of(path).map_err(failed)?,
        })
    }
}

/// As manifests name it.
pub(super) fn relative<'p>(path: &'p Path, data_dir: &Path) -> &'p Path {
    path.strip_prefix(data_dir).unwrap_or(path)
}

/// The first error in order, whichever thread was the first to fail.
fn in_order<T>(results: Vec<Result<T, Error>>) -> Result<Vec<T>, Error> {
    results.into_iter().collect()
}
