//! `ingest`: raw rows and closed segments of the log are rewritten once into our own layout,
//! from which builds read faster, and only what is new. Called by the command line.
//!
//! Rows are numbered by entity as they come, sorted in memory as far as they fit, and merged
//! from there, or from runs on disk, into parts of consecutive days. What was ingested before
//! is not touched, but small old parts are merged into larger ones.

mod columns; // what is kept of a source
mod compact; // many small parts -> few
mod days; // which part a row goes to
mod merge; // sorted runs -> one
mod rows; // decoded batches -> numbered rows
mod sort; // rows in memory -> sorted, in runs on disk if need be

#[cfg(test)]
mod laws; // what was ingested is what the raw files were

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use granary_registry::Source;
use granary_storage::{
    BuilderLock, EventLog, EventLogManifest, EventLogWriter, Ingested, IngestedFrom, LogReader,
    Offset,
};
use rayon::prelude::*;

use self::columns::Kept;
use self::rows::Numbered;
use self::sort::Sorter;
use crate::build::input_file;
use crate::error::Error;
use crate::event::{self, Event};
use crate::job::{Job, Progress};
use crate::logged;
use crate::source::{self, Chunk, FileHash, SourceFiles};

/// Events of a batch made from the log.
const LOG_BATCH: usize = 8192;

/// How much memory rows may take, and how parts are cut. Results never depend on it but by the
/// number of parts; tests make it small to put a border everywhere.
#[derive(Clone, Copy, Debug)]
pub struct IngestOptions {
    /// Bytes of rows that are sorted in memory at once.
    pub memory: usize,
    /// Rows that a part of many days has at least. Large, because nothing reads days alone, and
    /// an entity's rows stand together in a part.
    pub part_rows: u64,
    /// Rows up to which parts are merged into larger ones.
    pub most_rows: u64,
    /// Parts of about one size that may stand side by side.
    pub side_by_side: usize,
}

impl Default for IngestOptions {
    fn default() -> IngestOptions {
        IngestOptions {
            memory: 256 << 20,
            part_rows: 64 << 20,
            most_rows: 64 << 20,
            side_by_side: 8,
        }
    }
}

/// What an ingest did.
#[derive(Clone, Debug, Default)]
pub struct IngestReport {
    /// Files that were read.
    pub files: usize,
    /// Rows of them.
    pub rows: u64,
    /// Events exported from the log.
    pub logged: u64,
    /// Parts that were merged into larger ones.
    pub merged: usize,
    /// Parts there are now.
    pub parts: usize,
    /// Rows in them.
    pub rows_held: u64,
    /// Their size.
    pub bytes: u64,
    /// Files that were ingested and are gone: their rows stay.
    pub gone: Vec<PathBuf>,
}

/// Ingests what is new of a source; with `anew` everything, into a new event log.
pub fn ingest(
    job: &Job<'_>,
    lock: &BuilderLock,
    source: &Source,
    anew: bool,
    options: IngestOptions,
) -> Result<IngestReport, Error> {
    let writer = EventLog::new(job.data, &source.name)?.begin(lock)?;
    let before = writer.log().manifest()?;
    let kept = Kept::of(job, source)?;
    let mut manifest = match &before {
        Some(before) if !anew => before.clone(),
        before => EventLogManifest::anew(before.as_ref(), kept.key(), kept.time()),
    };
    if anew && let Some(before) = &before {
        refuse_to_lose(job, source, before)?;
    }
    let mut ingest = Ingest {
        job,
        source,
        writer: &writer,
        numbered: Numbered::of(&writer, &manifest, job.erased_of(source))?,
        options,
        kept,
        report: IngestReport::default(),
    };
    // Only what was there before: a build that knows it reads what comes now alone.
    ingest.report.merged = compact::compact(&writer, &mut manifest, &options)?;
    ingest.files(&mut manifest)?;
    ingest.log(&mut manifest)?;
    let mut report = ingest.report;
    if anew
        || report.files > 0
        || report.logged > 0
        || report.merged > 0
        || before.is_none_or(|before| before.log_until != manifest.log_until)
    {
        let known = manifest.keys.entities as usize;
        writer.append_keys(&mut manifest, ingest.numbered.keys_from(known))?;
        writer.publish(&mut manifest)?;
    }
    report.parts = manifest.parts.len();
    report.rows_held = manifest.rows();
    report.bytes = manifest.parts.iter().map(|part| part.bytes).sum();
    Ok(report)
}

/// What is ingested of one source.
struct Ingest<'a> {
    job: &'a Job<'a>,
    source: &'a Source,
    writer: &'a EventLogWriter,
    numbered: Numbered,
    options: IngestOptions,
    kept: Kept,
    report: IngestReport,
}

impl Ingest<'_> {
    /// Raw files that were not ingested yet. Those with the same columns go into parts together.
    fn files(&mut self, manifest: &mut EventLogManifest) -> Result<(), Error> {
        let mut raw = match SourceFiles::find(self.source, self.job.data.root()) {
            Err(source::Error::NotFound { .. }) if !manifest.inputs.is_empty() => {
                self.note_gone(manifest, &[]);
                return Ok(());
            }
            found => found?,
        };
        let hashes = self.hashes(manifest, &raw)?;
        self.note_gone(manifest, &hashes);
        let ingested: HashSet<PathBuf> = manifest
            .raw_files()
            .map(|(_, file)| PathBuf::from(&file.path))
            .collect();
        let is_new = |file: &usize| !ingested.contains(&hashes[*file].path);
        let files: Vec<usize> = (0..raw.files().len()).filter(is_new).collect();
        self.report.files = files.len();
        let chunks = raw.chunks_since(&ingested, Offset(0))?;
        (self.job.progress)(Progress::Begin {
            what: &self.source.name,
            rows: raw.rows_hint(&ingested),
        });
        let all = self.kept.clone();
        let columns = |file: &usize| all.columns_of(&raw, *file);
        for same in files.chunk_by(|a, b| columns(a) == columns(b)) {
            let kept = all.with(&columns(&same[0]));
            let only = (same.len() == 1).then_some(manifest.inputs.len() as u32);
            let schema = kept.part_schema(only.is_none(), false);
            let mut sorter = Sorter::new(self.writer, schema, only, self.options);
            for &file in same {
                let input = manifest.inputs.len() as u32;
                let of_file: Vec<&Chunk> = chunks
                    .iter()
                    .filter(|chunk| chunk.file() == Some(file))
                    .collect();
                let rows = self.read(&raw, &of_file, &kept, input, &mut sorter)?;
                self.report.rows += rows;
                manifest.inputs.push(Ingested {
                    from: IngestedFrom::File(input_file(&hashes[file])),
                    rows,
                });
            }
            sorter.finish(manifest)?;
        }
        Ok(())
    }

    fn read(
        &mut self,
        raw: &SourceFiles,
        chunks: &[&Chunk],
        kept: &Kept,
        input: u32,
        sorter: &mut Sorter<'_>,
    ) -> Result<u64, Error> {
        let mut rows = 0;
        for some in chunks.chunks(rayon::current_num_threads()) {
            let decode = |chunk: &&Chunk| {
                let mut batches = Vec::new();
                raw.decode(chunk, kept.wanted(), self.job.bad_rows, &mut |batch| {
                    (self.job.progress)(Progress::Rows(batch.num_rows() as u64));
                    batches.push(batch);
                    Ok::<(), Error>(())
                })?;
                Ok(batches)
            };
            // Not `collect` into a result: the first error in order is the one to tell.
            let decoded: Vec<Result<Vec<_>, Error>> = some.par_iter().map(decode).collect();
            for batch in decoded
                .into_iter()
                .collect::<Result<Vec<_>, Error>>()?
                .into_iter()
                .flatten()
            {
                rows += batch.num_rows() as u64;
                sorter.push(self.numbered.rows(&batch, input, None, sorter.schema())?)?;
            }
        }
        Ok(rows)
    }

    /// Closed segments that were not exported yet.
    fn log(&mut self, manifest: &mut EventLogManifest) -> Result<(), Error> {
        let log = LogReader::open(self.job.data.log());
        let (from, until) = (log.first()?.max(manifest.log_until), self.job.log_until);
        let input = manifest.inputs.len() as u32;
        let kept = self.kept.clone();
        let schema = kept.part_schema(false, true);
        let mut sorter = Sorter::new(self.writer, schema, Some(input), self.options);
        let mut events: Vec<Event> = Vec::new();
        let mut positions: Vec<i64> = Vec::new();
        let mut rows = 0;
        let numbered = &mut self.numbered;
        let mut take = |events: &mut Vec<Event>, positions: &mut Vec<i64>| {
            let batch = event::batch(events, kept.wanted())?;
            rows += batch.num_rows() as u64;
            events.clear();
            sorter.push(numbered.rows(
                &batch,
                input,
                Some(std::mem::take(positions)),
                sorter.schema(),
            )?)
        };
        logged::replay(&log, from, until, |offset, event| {
            if *event.source == *self.source.name {
                events.push(event);
                positions.push(offset.0 as i64 + 1);
            }
            if events.len() == LOG_BATCH {
                take(&mut events, &mut positions)?;
            }
            Ok(())
        })?;
        if !events.is_empty() {
            take(&mut events, &mut positions)?;
        }
        self.report.logged = rows;
        if rows > 0 {
            manifest.inputs.push(Ingested {
                from: IngestedFrom::Log { from, until },
                rows,
            });
            sorter.finish(manifest)?;
        }
        manifest.log_until = manifest.log_until.max(until);
        Ok(())
    }

    /// The hashes of the raw files, in their order, of which those that were ingested must be as
    /// they were.
    fn hashes(
        &self,
        manifest: &EventLogManifest,
        raw: &SourceFiles,
    ) -> Result<Vec<FileHash>, Error> {
        if manifest.inputs.is_empty() {
            return Ok(raw.hash(&HashMap::new())?);
        }
        // Tells of files that were changed or renamed.
        let mut hashes = self.job.files_of(self.source)?;
        hashes.retain(|file| {
            raw.files()
                .iter()
                .any(|path| raw.relative(path) == file.path)
        });
        Ok(hashes)
    }

    fn note_gone(&mut self, manifest: &EventLogManifest, there: &[FileHash]) {
        let files = manifest
            .raw_files()
            .map(|(_, file)| PathBuf::from(&file.path));
        let is_gone = |path: &PathBuf| !there.iter().any(|file| file.path == *path);
        self.report.gone = files.filter(is_gone).collect();
    }
}

/// A new event log must have everything that the old one has.
fn refuse_to_lose(job: &Job<'_>, source: &Source, before: &EventLogManifest) -> Result<(), Error> {
    let gone = before
        .raw_files()
        .find(|(_, file)| !job.data.root().join(&file.path).exists());
    if let Some((_, file)) = gone {
        return Err(Error::IngestAnew {
            source_name: source.name.clone(),
            what: format!("{} is gone", file.path),
        });
    }
    let first = LogReader::open(job.data.log()).first()?;
    let exported = before.inputs.iter().filter_map(|input| match input.from {
        IngestedFrom::Log { from, .. } => Some(from),
        IngestedFrom::File(_) => None,
    });
    match exported.min() {
        Some(from) if from < first => Err(Error::IngestAnew {
            source_name: source.name.clone(),
            what: format!(
                "the log no longer has what lies before {first}, but from {from} on it was exported"
            ),
        }),
        _ => Ok(()),
    }
}
