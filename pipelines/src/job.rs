//! What every job needs: the registry, the data directory, how far to read the log, and
//! whom to tell of progress. Gathers the history of a group for `build`, `materialize` and
//! the labels.

use std::sync::Arc;

use arrow::array::RecordBatch;
use granary_registry::{DType, Entity, EventTime, FeatureGroup, Registry, Source, Value};
use granary_storage::{DataDir, LogReader, Offset, Tombstones};
use rayon::prelude::*;

use crate::erased::Erased;
use crate::error::Error;
use crate::fold::{CompileError, GroupFold};
use crate::history::History;
use crate::intake::Hindsight;
use crate::known::{KnownFiles, Newest};
use crate::logged;
use crate::piece::Interner;
use crate::reading::{Reading, Rows, Since};
use crate::source::{BadRows, Chunk, FileHash, SourceFiles, Wanted};
use crate::text::Embedder;

/// What a job works on.
#[derive(Clone)]
pub struct Job<'a> {
    /// What is defined.
    pub registry: &'a Registry,
    /// Where everything lies.
    pub data: &'a DataDir,
    /// The log's records before this are part of every source's history.
    pub log_until: Offset,
    /// Turns text into vectors.
    pub embedder: Arc<dyn Embedder>,
    /// What happens to rows that cannot be read.
    pub bad_rows: &'a BadRows,
    /// Who was erased, and is left out of everything that is read.
    pub erased: &'a Tombstones,
    /// What the command found out of the files.
    pub known: &'a KnownFiles,
    /// Bytes of rows and states that a build may hold at once; what goes beyond them waits on
    /// disk.
    pub memory: usize,
    /// Told of work begun and done.
    pub progress: &'a (dyn Fn(Progress<'_>) + Sync),
}

/// What a job tells of itself.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// A stage begins, with so many rows where that is known.
    Begin {
        /// What it works on.
        what: &'a str,
        /// Rows ahead.
        rows: Option<u64>,
    },
    /// So many more rows are done.
    Rows(u64),
}

/// A group with its folds and everything they fold.
pub struct Gathered {
    /// The folds.
    pub fold: GroupFold,
    /// Keys of the entities, by their numbers.
    pub names: Vec<Arc<str>>,
    /// The rows, by entity.
    pub history: History,
    /// The files read.
    pub files: Vec<FileHash>,
}

impl<'a> Job<'a> {
    /// The group of this name.
    pub fn group(&self, name: &str) -> Result<&'a FeatureGroup, Error> {
        self.registry.group(name).ok_or_else(|| Error::NoSuch {
            what: "feature group",
            name: name.to_owned(),
            known: self
                .registry
                .groups
                .iter()
                .map(|group| group.name.clone())
                .collect(),
        })
    }

    /// The source and entity that a group reads.
    pub fn source_of(&self, group: &FeatureGroup) -> (&'a Source, &'a Entity) {
        let source = self
            .registry
            .source(&group.source)
            .expect("checked: a group's source exists");
        let entity = self
            .registry
            .entity(&group.entity)
            .expect("checked: a group's entity exists");
        (source, entity)
    }

    /// Compiles a group.
    pub fn compile(&self, group: &FeatureGroup) -> Result<GroupFold, CompileError> {
        GroupFold::compile(group, self.source_of(group).0, &self.embedder)
    }

    /// Who was erased of the entities that a source is about.
    pub(crate) fn erased_of(&self, source: &Source) -> Option<Erased> {
        let entity = self.registry.entity(&source.entity)?;
        Erased::of(self.erased, entity)
    }

    /// Numbers entities of a kind as they are met.
    pub(crate) fn interner(&self, entity: &Entity) -> Interner {
        Interner::new(Erased::of(self.erased, entity))
    }

    /// Reads everything there is for a group.
    pub fn gather(&self, group: &FeatureGroup) -> Result<Gathered, Error> {
        let reading = Reading::open(self, group, Since::default())?;
        let history = History::read(&reading, Rows::New)?;
        self.gathered(group, reading, history)
    }

    /// Reads everything there is of these entities, whose places become their numbers, for
    /// what was known of them at instants in the past.
    pub fn gather_of(&self, group: &FeatureGroup, keys: &[Arc<str>]) -> Result<Gathered, Error> {
        let reading = Reading::open_past(self, group, Hindsight::Cut)?;
        reading.number(keys);
        let history = History::read(&reading, Rows::Known)?;
        self.gathered(group, reading, history)
    }

    fn gathered(
        &self,
        group: &FeatureGroup,
        reading: Reading<'_>,
        history: History,
    ) -> Result<Gathered, Error> {
        let (fold, interner) = reading.into_parts();
        Ok(Gathered {
            fold,
            names: interner.into_names(),
            history,
            files: self.files_of(self.source_of(group).0)?,
        })
    }

    /// Files of a group with their hashes, without reading rows: what decides whether a
    /// stage can be skipped.
    pub fn files_of(&self, source: &Source) -> Result<Vec<FileHash>, Error> {
        let files = || self.open(source);
        self.known.hashes(&source.name, files)
    }

    /// What there is of a source, ingested or not.
    pub(crate) fn open(&self, source: &Source) -> Result<SourceFiles, Error> {
        Ok(SourceFiles::open(source, self.data, self.log_until)?)
    }

    /// One microsecond past the newest event of any event source.
    pub fn data_clock(&self) -> Result<Option<EventTime>, Error> {
        let mut newest: Option<i64> = None;
        for source in self
            .registry
            .sources
            .iter()
            .filter(|source| source.event_time.is_some())
        {
            newest = newest.max(self.newest_of(source)?);
        }
        Ok(newest.map(|time| EventTime(time.saturating_add(1))))
    }

    /// The newest event of a source; of its files only what is not known yet is read.
    fn newest_of(&self, source: &Source) -> Result<Option<i64>, Error> {
        let Some(time) = &source.event_time else {
            return Ok(None);
        };
        let log = LogReader::open(self.data.log());
        let known = match self.known.newest(&source.name) {
            Some(known) => known,
            None => Newest {
                instant: self.newest_of_files(source, time)?,
                log_until: log.first()?,
            },
        };
        let mut newest = known.instant;
        logged::replay(&log, known.log_until, self.log_until, |_, event| {
            if *event.source == *source.name
                && let Value::Timestamp(at) = event.field(time)
            {
                newest = newest.max(Some(at.0));
            }
            Ok(())
        })?;
        self.note_newest(source, newest);
        Ok(newest)
    }

    /// Keeps the newest event of a source, for the data clock.
    pub(crate) fn note_newest(&self, source: &Source, instant: Option<i64>) {
        let log_until = self.log_until;
        let newest = Newest { instant, log_until };
        self.known.note_newest(&source.name, newest);
    }

    fn newest_of_files(&self, source: &Source, time: &str) -> Result<Option<i64>, Error> {
        let files = self.open(source)?;
        let wanted = [Wanted::required(time, DType::Timestamp)];
        let newest = |chunk: &Chunk| {
            if let Some(newest) = files.newest(chunk, time) {
                return Ok(Some(newest));
            }
            let mut newest = None;
            files.decode(chunk, &wanted, self.bad_rows, &mut |batch: RecordBatch| {
                newest = newest.max(newest_in(&batch));
                Ok::<(), Error>(())
            })?;
            Ok::<_, Error>(newest)
        };
        let of_files = files
            .chunks()?
            .par_iter()
            .map(newest)
            .collect::<Result<Vec<_>, Error>>()?;
        Ok(of_files.into_iter().flatten().max())
    }
}

fn newest_in(batch: &RecordBatch) -> Option<i64> {
    use arrow::array::AsArray;
    use arrow::datatypes::TimestampMicrosecondType;
    arrow::compute::max(batch.column(0).as_primitive::<TimestampMicrosecondType>())
}
