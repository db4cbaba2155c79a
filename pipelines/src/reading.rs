//! A group's source on its way in: files chunk by chunk, then the events and the written values
//! in the log, as pieces that the folds can take. Called by everything that reads whole sources, or what is
//! new of them.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute;
use granary_registry::{Entity, Expression, FeatureGroup, Source};
use granary_storage::{LogReader, Offset, Tombstone};
use rayon::prelude::*;

use crate::erased::is_stand_in;
use crate::error::Error;
use crate::event::{self, Event};
use crate::fold::{Columns, GroupFold, InputSpec};
use crate::intake::{Hindsight, Intake, KEY};
use crate::job::{Job, Progress};
use crate::logged::{Logged, replay_beside};
use crate::piece::{Interner, NOBODY, Numbering, Piece, lock};
use crate::source::{Chunk, Placed, SourceFiles};
use crate::value_write::ValueWrite;

/// Events of a batch made from the log.
const LOG_BATCH: usize = 8192;

/// One group over its source, ready to be read; more than once if need be.
pub(crate) struct Reading<'a> {
    /// The group's folds.
    pub fold: GroupFold,
    job: &'a Job<'a>,
    source: &'a Source,
    entity: &'a Entity,
    files: SourceFiles,
    /// All there are, and those with rows that were not read before.
    chunks: Vec<Chunk>,
    unread: Vec<Chunk>,
    since: Since,
    intake: Intake,
    interner: Mutex<Interner>,
}

/// What of a source was read before.
#[derive(Debug, Default)]
pub(crate) struct Since {
    /// These files were.
    pub files: HashSet<PathBuf>,
    /// The log's records before this were.
    pub log: Offset,
}

/// Which rows are read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rows<'a> {
    /// What was not read before.
    New,
    /// All there ever were of some entities.
    Of(&'a [bool]),
    /// All there ever were of the entities that have a number; others get none.
    Known,
}

impl Rows<'_> {
    fn has(self, entity: u32) -> bool {
        match self {
            _ if is_stand_in(entity) => true, // its rows decide
            Rows::New => true,
            Rows::Of(only) => only.get(entity as usize).copied().unwrap_or(false),
            Rows::Known => entity != NOBODY,
        }
    }
}

impl<'a> Reading<'a> {
    /// Finds the files and plans what to decode of them.
    pub(crate) fn open(
        job: &'a Job<'a>,
        group: &FeatureGroup,
        since: Since,
    ) -> Result<Self, Error> {
        Reading::plan(job, group, since, None, Hindsight::Kept)
    }

    /// For instants in the past, of which a row may have come too late.
    pub(crate) fn open_past(
        job: &'a Job<'a>,
        group: &FeatureGroup,
        hindsight: Hindsight,
    ) -> Result<Self, Error> {
        Reading::plan(job, group, Since::default(), None, hindsight)
    }

    /// The same for other inputs and conditions than those of the folds.
    pub(crate) fn open_for(
        job: &'a Job<'a>,
        group: &FeatureGroup,
        inputs: &[InputSpec],
        filters: &[Expression],
    ) -> Result<Self, Error> {
        let columns = Some((inputs, filters));
        Reading::plan(job, group, Since::default(), columns, Hindsight::Kept)
    }

    fn plan(
        job: &'a Job<'a>,
        group: &FeatureGroup,
        since: Since,
        columns: Option<(&[InputSpec], &[Expression])>,
        hindsight: Hindsight,
    ) -> Result<Self, Error> {
        let (source, entity) = job.source_of(group);
        let fold = job.compile(group)?;
        let mut files = job.open(source)?;
        let columns = columns.unwrap_or((&fold.inputs, &fold.filters));
        let intake = Intake::plan(
            columns,
            source,
            entity,
            files.columns(),
            &job.embedder,
            hindsight,
        )?;
        let chunks = files.chunks()?;
        let unread = files.chunks_since(&since.files, since.log)?;
        (job.progress)(Progress::Begin {
            what: &group.name,
            rows: files.rows_hint(&since.files),
        });
        Ok(Reading {
            fold,
            job,
            source,
            entity,
            files,
            chunks,
            unread,
            since,
            intake,
            interner: Mutex::new(job.interner(entity)),
        })
    }

    /// Works on the chunks in parallel, the log being the last of them: `take` gets the
    /// pieces of a chunk in order, `finish` what came of them. Results are in order. Rows of
    /// other entities are left out before anything is computed of them.
    pub(crate) fn each_chunk<S, T: Send>(
        &self,
        rows: Rows<'_>,
        begin: impl Fn(Option<&Chunk>) -> S + Sync,
        take: impl Fn(&mut S, Piece) -> Result<(), Error> + Sync,
        finish: impl Fn(S) -> Result<T, Error> + Sync,
    ) -> Result<Vec<T>, Error> {
        let of_chunk = |chunk: Option<&Chunk>| {
            let mut state = begin(chunk);
            let mut each = |piece| take(&mut state, piece);
            match chunk {
                Some(chunk) => self.decode(chunk, rows, &mut each)?,
                None => self.replay(rows, &mut each)?,
            }
            finish(state)
        };
        let chunks = match rows {
            Rows::New => &self.unread,
            Rows::Of(_) | Rows::Known => &self.chunks,
        };
        let chunks: Vec<Option<&Chunk>> = chunks.iter().map(Some).chain([None]).collect();
        // Not `collect` into a result: the first error in order is the one to tell.
        let results: Vec<Result<T, Error>> = chunks.into_par_iter().map(of_chunk).collect();
        results.into_iter().collect()
    }

    /// Such rows, all at once.
    pub(crate) fn pieces(&self, rows: Rows<'_>) -> Result<Vec<Piece>, Error> {
        let keep = |pieces: &mut Vec<Piece>, piece| {
            pieces.push(piece);
            Ok(())
        };
        let pieces = self.each_chunk(rows, |_| Vec::new(), keep, Ok)?;
        let mut pieces: Vec<Piece> = pieces.into_iter().flatten().collect();
        pieces.sort_by_key(|piece| piece.rank);
        Ok(pieces)
    }

    /// Gives these entities their places as numbers; none may have been met before.
    pub(crate) fn number(&self, keys: &[Arc<str>]) {
        self.interner().know(keys);
    }

    /// Whether all rows that a chunk has of an entity are all that there are in what was
    /// ingested, though they may stand apart in it.
    pub(crate) fn is_by_entity(&self, chunk: &Chunk) -> bool {
        self.files.is_by_entity(chunk)
    }

    /// Whether files stand beside what was ingested: at one instant theirs may come first.
    pub(crate) fn are_mixed(&self) -> bool {
        self.files.are_mixed()
    }

    /// The entities met so far, and others that there may be.
    pub(crate) fn interner(&self) -> MutexGuard<'_, Interner> {
        lock(&self.interner)
    }

    /// How many entities were met so far.
    pub(crate) fn entities(&self) -> usize {
        lock(&self.interner).len()
    }

    /// The folds, the files and the entities met.
    pub(crate) fn into_parts(self) -> (GroupFold, Interner) {
        let interner = self.interner.into_inner();
        (self.fold, interner.unwrap_or_else(PoisonError::into_inner))
    }

    fn decode(
        &self,
        chunk: &Chunk,
        rows: Rows<'_>,
        each: &mut dyn FnMut(Piece) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut numbering = Numbering::default();
        let mut take = |batch: RecordBatch, placed| {
            (self.job.progress)(Progress::Rows(batch.num_rows() as u64));
            match self.piece(batch, placed, rows, &mut numbering)? {
                Some(piece) => each(piece),
                None => Ok(()),
            }
        };
        self.files
            .decode_placed(chunk, self.intake.wanted(), self.job.bad_rows, &mut take)
    }

    /// Rows of a batch as the folds take them.
    fn piece(
        &self,
        batch: RecordBatch,
        placed: Placed,
        rows: Rows<'_>,
        numbering: &mut Numbering,
    ) -> Result<Option<Piece>, Error> {
        let take = |batch: &RecordBatch, _: &[u64]| self.intake.take(batch);
        self.piece_by(batch, placed, rows, numbering, take)
    }

    /// The same where `take` evaluates what is left of the batch, given its positions.
    fn piece_by(
        &self,
        mut batch: RecordBatch,
        placed: Placed,
        rows: Rows<'_>,
        numbering: &mut Numbering,
        take: impl FnOnce(&RecordBatch, &[u64]) -> Result<Columns, Error>,
    ) -> Result<Option<Piece>, Error> {
        let Placed {
            rank,
            mut positions,
        } = placed;
        let keys = batch.column(KEY);
        let mut entities = match rows {
            Rows::Known => numbering.of_known(keys, &self.interner)?,
            Rows::New | Rows::Of(_) => numbering.of(keys, &self.interner)?,
        };
        if !entities.iter().all(|&entity| rows.has(entity)) {
            let mask: BooleanArray = entities
                .iter()
                .map(|&entity| Some(rows.has(entity)))
                .collect();
            if mask.true_count() == 0 {
                return Ok(None);
            }
            batch = compute::filter_record_batch(&batch, &mask)?;
            let mut kept = mask.values().iter();
            positions.retain(|_| kept.next().unwrap_or(false));
            entities.retain(|&entity| rows.has(entity));
        }
        let mut columns = take(&batch, &positions)?;
        columns.positions = positions;
        let piece = Piece {
            entities,
            columns,
            rank,
        };
        Ok(self.without_erased(piece, rows))
    }

    /// Leaves out what was erased. Who came back since has a number from then on.
    fn without_erased(&self, mut piece: Piece, rows: Rows<'_>) -> Option<Piece> {
        if !piece.entities.iter().any(|&entity| is_stand_in(entity)) {
            return Some(piece);
        }
        let mut interner = lock(&self.interner);
        let columns = &piece.columns;
        for (row, entity) in piece.entities.iter_mut().enumerate() {
            if is_stand_in(*entity) {
                let position = columns.positions.get(row).copied().unwrap_or(0);
                let counts = |tombstone: &Tombstone| tombstone.admits(position, columns.times[row]);
                let number = interner.admit(*entity, counts);
                *entity = number.filter(|&number| rows.has(number)).unwrap_or(NOBODY);
            }
        }
        let stay: Vec<u32> = (0..piece.rows() as u32)
            .filter(|&row| piece.entities[row as usize] != NOBODY)
            .collect();
        (!stay.is_empty()).then(|| piece.take(&stay))
    }

    /// What the log has for the group: events of its source, and values that were written.
    fn replay(
        &self,
        rows: Rows<'_>,
        each: &mut dyn FnMut(Piece) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let log = LogReader::open(self.job.data.log());
        let first = match rows {
            Rows::New => log.first()?.max(self.since.log),
            Rows::Of(_) | Rows::Known => log.first()?,
        };
        let ingested = self.files.log_until();
        let takes_writes = self.intake.has_values();
        // Events that were ingested are read from there; values stand in the log alone.
        let from = if takes_writes {
            first
        } else {
            first.max(ingested)
        };
        let mut tail = Tail {
            reading: self,
            rows,
            numbering: Numbering::default(),
            events: Waiting::default(),
            writes: Waiting::default(),
        };
        replay_beside(
            &log,
            from,
            ingested,
            self.job.log_until,
            |offset, logged| {
                let position = offset.0 + 1;
                match logged {
                    Logged::Event(event) if *event.source == *self.source.name => {
                        tail.events.push(event, position);
                    }
                    Logged::Write(write)
                        if *write.entity == *self.entity.name && self.intake.has_any(&write) =>
                    {
                        tail.writes.push(write, position);
                    }
                    _ => return Ok(()),
                }
                tail.hand_on(LOG_BATCH, each)
            },
        )?;
        tail.hand_on(1, each)
    }
}

/// Records of the log, gathered into batches.
struct Tail<'r> {
    reading: &'r Reading<'r>,
    rows: Rows<'r>,
    numbering: Numbering,
    events: Waiting<Event>,
    writes: Waiting<ValueWrite>,
}

/// Records of one kind with their positions, one past their offsets.
struct Waiting<T> {
    records: Vec<T>,
    positions: Vec<u64>,
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Waiting {
            records: Vec::new(),
            positions: Vec::new(),
        }
    }
}

impl<T> Waiting<T> {
    fn push(&mut self, record: T, position: u64) {
        self.records.push(record);
        self.positions.push(position);
    }

    /// All of them, placed behind every file.
    fn leave(&mut self) -> (Vec<T>, Placed) {
        let positions = std::mem::take(&mut self.positions);
        let rank = u32::MAX;
        (
            std::mem::take(&mut self.records),
            Placed { rank, positions },
        )
    }
}

impl Tail<'_> {
    /// Hands on what has come to so many records.
    fn hand_on(
        &mut self,
        least: usize,
        each: &mut dyn FnMut(Piece) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if self.events.records.len() >= least {
            self.events()?.map_or(Ok(()), &mut *each)?;
        }
        if self.writes.records.len() >= least {
            self.writes()?.map_or(Ok(()), each)?;
        }
        Ok(())
    }

    fn events(&mut self) -> Result<Option<Piece>, Error> {
        let (events, placed) = self.events.leave();
        let batch = event::batch(&events, self.reading.intake.wanted())?;
        self.reading
            .piece(batch, placed, self.rows, &mut self.numbering)
    }

    fn writes(&mut self) -> Result<Option<Piece>, Error> {
        let reading = self.reading;
        let (writes, placed) = self.writes.leave();
        let bare = |write: &ValueWrite| write.bare(reading.source, reading.entity);
        let bare: Vec<Event> = writes.iter().map(bare).collect();
        let batch = event::batch(&bare, reading.intake.wanted())?;
        let positions = placed.positions.clone();
        let take = |batch: &RecordBatch, kept: &[u64]| {
            let mut kept = kept.iter().peekable();
            let is_kept = |at: &usize| kept.next_if(|&&held| held == positions[*at]).is_some();
            let kept = (0..writes.len()).filter(is_kept);
            let kept: Vec<&ValueWrite> = kept.map(|at| &writes[at]).collect();
            reading.intake.take_writes(batch, &kept)
        };
        reading.piece_by(batch, placed, self.rows, &mut self.numbering, take)
    }
}
