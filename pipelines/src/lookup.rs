//! One entity's features at instants before its newest event: the same sweep as for a
//! training set, over the few chunks of the sources that hold the entity. Called by the
//! service; an index of which chunk holds whom is made at the first question.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute;
use arrow::datatypes::{DataType, Int32Type};
use granary_registry::{Entity, EventTime, Source, Value};
use granary_storage::{LogReader, Offset, Tombstone};
use rayon::prelude::*;
use twox_hash::XxHash3_64;

use crate::erased::admitted;
use crate::error::Error;
use crate::event::{self, Event};
use crate::expression::value_at;
use crate::history::History;
use crate::intake::Intake;
use crate::job::Job;
use crate::logged::{Logged, replay_all};
use crate::piece::{Piece, lock};
use crate::point_in_time::{self, Spine};
use crate::serving::Serving;
use crate::source::{Chunk, SourceFiles, SourceState, Wanted};
use crate::value_write::ValueWrite;

/// Answers questions about the past; keeps where each entity's rows are.
#[derive(Default)]
pub struct Lookup {
    sources: Mutex<HashMap<String, Arc<SourceIndex>>>,
    log: Mutex<LogIndex>,
}

/// How often rows are read again because files changed meanwhile.
const TRIES: usize = 3;

/// Whose rows are wanted, for one group.
struct Asked<'a> {
    job: &'a Job<'a>,
    serving: &'a Serving,
    group: usize,
    key: &'a str,
    erased: Option<&'a Tombstone>,
}

/// Which chunks of a source hold an entity.
struct SourceIndex {
    files: SourceFiles,
    /// So that changed files are read again.
    state: SourceState,
    chunks: Vec<Chunk>,
    /// Hash of a key and a chunk that holds it, sorted.
    places: Vec<(u64, u32)>,
    /// Hash of a key and its number in what was ingested, sorted.
    ingested: Vec<(u64, u32)>,
}

/// The records of one entity in the log, in its order.
#[derive(Default)]
struct Records {
    events: Vec<(Offset, Event)>,
    writes: Vec<(Offset, ValueWrite)>,
}

/// Which records of the log are about an entity.
#[derive(Default)]
struct LogIndex {
    read_until: Offset,
    places: HashMap<u64, Vec<Offset>>,
}

impl Lookup {
    /// Files and log may be others from now on.
    pub fn forget(&self) {
        lock(&self.sources).clear();
        *lock(&self.log) = LogIndex::default();
    }

    /// The features at these positions as of each instant, of an entity that may be unknown.
    pub fn features(
        &self,
        job: &Job<'_>,
        serving: &Serving,
        key: &str,
        features: &[usize],
        instants: &[EventTime],
    ) -> Result<Vec<Vec<Value>>, Error> {
        let mut values = vec![vec![Value::Null; features.len()]; instants.len()];
        if instants.is_empty() {
            return Ok(values);
        }
        let erased = job.erased.find(&serving.entity.name, key);
        let erased = erased.map(|(_, tombstone)| tombstone);
        let records = self.logged(job, serving, key, erased)?;
        let spine = Spine::of_one(key, instants.to_vec());
        for (number, group) in serving.groups.iter().enumerate() {
            let wanted: Vec<usize> = (0..features.len())
                .filter(|&at| serving.features[features[at]].group == number)
                .collect();
            if wanted.is_empty() {
                continue;
            }
            let slots: Vec<usize> = wanted
                .iter()
                .map(|&at| serving.features[features[at]].slot)
                .collect();
            let asked = Asked {
                job,
                serving,
                group: number,
                key,
                erased,
            };
            let history = self.history(&asked, &records)?;
            let columns = point_in_time::sweep(&group.fold, history, &spine, &slots)?;
            for (at, column) in wanted.into_iter().zip(&columns) {
                for (row, values) in values.iter_mut().enumerate() {
                    values[at] = value_at(column, row);
                }
            }
        }
        Ok(values)
    }

    /// The entity's rows, read again if files changed meanwhile.
    fn history(&self, asked: &Asked<'_>, records: &Records) -> Result<History, Error> {
        let source = asked.serving.source(&asked.serving.groups[asked.group]);
        let mut tries = 0..TRIES;
        loop {
            let index = self.index(asked.job, source, &asked.serving.entity)?;
            let history = index.history(asked, records);
            let is_last = tries.next().is_none();
            if is_last || (history.is_ok() && index.files.state() == index.state) {
                return history;
            }
        }
    }

    fn index(
        &self,
        job: &Job<'_>,
        source: &Source,
        entity: &Entity,
    ) -> Result<Arc<SourceIndex>, Error> {
        let files = job.open(source)?;
        let state = files.state();
        let mut held = lock(&self.sources);
        if let Some(index) = held.get(&source.name).filter(|index| index.state == state) {
            return Ok(index.clone());
        }
        let index = Arc::new(SourceIndex::read(job, files, state, entity)?);
        held.insert(source.name.clone(), index.clone());
        Ok(index)
    }

    /// The entity's records in the log.
    fn logged(
        &self,
        job: &Job<'_>,
        serving: &Serving,
        key: &str,
        erased: Option<&Tombstone>,
    ) -> Result<Records, Error> {
        let log = LogReader::open(job.data.log());
        let mut index = lock(&self.log);
        let first = log.first()?;
        let from = index.read_until.max(first);
        let first = erased.map_or(first, |tombstone| first.max(tombstone.log_until));
        replay_all(&log, from, job.log_until, |offset, logged| {
            if let Some(key) = logged.key_of(&serving.entity) {
                index
                    .places
                    .entry(XxHash3_64::oneshot(&key))
                    .or_default()
                    .push(offset);
            }
            Ok(())
        })?;
        index.read_until = index.read_until.max(job.log_until);
        let places = index.places.get(&XxHash3_64::oneshot(key.as_bytes()));
        let mut records = Records::default();
        for &offset in places
            .into_iter()
            .flatten()
            .filter(|&&offset| offset >= first)
        {
            let one_on = Offset(offset.0 + 1);
            replay_all(&log, offset, one_on, |offset, logged| {
                if logged.key_of(&serving.entity).as_deref() != Some(key.as_bytes()) {
                    return Ok(());
                }
                match logged {
                    Logged::Event(event) => records.events.push((offset, event)),
                    Logged::Write(write) => records.writes.push((offset, write)),
                }
                Ok(())
            })?;
        }
        Ok(records)
    }
}

impl SourceIndex {
    fn read(
        job: &Job<'_>,
        files: SourceFiles,
        state: SourceState,
        entity: &Entity,
    ) -> Result<SourceIndex, Error> {
        let mut chunks = files.chunks()?;
        chunks.retain(|chunk| chunk.file().is_some());
        let mut ingested = Vec::new();
        files.each_key(|key| {
            ingested.push((XxHash3_64::oneshot(key.as_bytes()), ingested.len() as u32));
        })?;
        ingested.sort_unstable();
        let wanted = [Wanted::required(&entity.key, entity.dtype)];
        let of_chunk = |(number, chunk): (usize, &Chunk)| {
            let mut places = Vec::new();
            files.decode(chunk, &wanted, job.bad_rows, &mut |batch: RecordBatch| {
                places.extend(
                    distinct(batch.column(0))?
                        .into_iter()
                        .map(|hash| (hash, number as u32)),
                );
                places.sort_unstable();
                places.dedup();
                Ok::<(), Error>(())
            })?;
            Ok::<_, Error>(places)
        };
        let found = chunks
            .par_iter()
            .enumerate()
            .map(of_chunk)
            .collect::<Result<Vec<_>, Error>>()?;
        let mut places = found.concat();
        places.sort_unstable();
        Ok(SourceIndex {
            files,
            state,
            chunks,
            places,
            ingested,
        })
    }

    /// The rows of one entity, for one group.
    fn history(&self, asked: &Asked<'_>, records: &Records) -> Result<History, Error> {
        let &Asked {
            job,
            serving,
            group,
            key,
            erased,
        } = asked;
        let served = &serving.groups[group];
        let source = serving.source(served);
        let intake = Intake::new(
            &served.fold,
            source,
            &serving.entity,
            self.files.columns(),
            &job.embedder,
        )?;
        let hash = XxHash3_64::oneshot(key.as_bytes());
        let entities = numbers_of(&self.ingested, hash);
        let entities = entities.map(|entity| self.files.chunk_of_entity(entity));
        let here = numbers_of(&self.places, hash).map(|chunk| self.chunks[chunk as usize].clone());
        let mut pieces: Vec<Piece> = Vec::new();
        for chunk in entities.chain(here) {
            let wanted = intake.wanted();
            self.files
                .decode_placed(&chunk, wanted, job.bad_rows, &mut |batch, placed| {
                    let mask = equal_to(batch.column(0), key)?;
                    if mask.true_count() > 0 {
                        let rows = compute::filter_record_batch(&batch, &mask)?;
                        let mut columns = intake.take(&rows)?;
                        let mut kept = mask.values().iter();
                        columns.positions = placed.positions;
                        columns.positions.retain(|_| kept.next().unwrap_or(false));
                        if let Some(tombstone) = erased {
                            columns = columns.take(&admitted(&columns, tombstone));
                        }
                        let rank = placed.rank;
                        pieces.push(Piece {
                            rank,
                            ..Piece::of_one(columns)
                        });
                    }
                    Ok::<(), Error>(())
                })?;
        }
        let ingested = self.files.log_until();
        let of_source = records
            .events
            .iter()
            .filter(|(offset, event)| *event.source == *source.name && *offset >= ingested);
        let (offsets, logged): (Vec<Offset>, Vec<Event>) = of_source.cloned().unzip();
        if !logged.is_empty() {
            let mut columns = intake.take(&event::batch(&logged, intake.wanted())?)?;
            columns.positions = offsets.iter().map(|offset| offset.0 + 1).collect();
            let rank = u32::MAX;
            pieces.push(Piece {
                rank,
                ..Piece::of_one(columns)
            });
        }
        pieces.extend(written(&intake, source, &serving.entity, &records.writes)?);
        pieces.sort_by_key(|piece| piece.rank);
        Ok(History::gather(pieces, 1))
    }
}

/// The values written that one group has.
fn written(
    intake: &Intake,
    source: &Source,
    entity: &Entity,
    writes: &[(Offset, ValueWrite)],
) -> Result<Option<Piece>, Error> {
    let of_group = writes.iter().filter(|(_, write)| intake.has_any(write));
    let (positions, writes): (Vec<u64>, Vec<&ValueWrite>) = of_group
        .map(|(offset, write)| (offset.0 + 1, write))
        .unzip();
    if writes.is_empty() {
        return Ok(None);
    }
    let bare = writes.iter().map(|write| write.bare(source, entity));
    let bare: Vec<Event> = bare.collect();
    let mut columns = intake.take_writes(&event::batch(&bare, intake.wanted())?, &writes)?;
    columns.positions = positions;
    let rank = u32::MAX;
    Ok(Some(Piece {
        rank,
        ..Piece::of_one(columns)
    }))
}

/// The numbers that stand with a hash.
fn numbers_of(sorted: &[(u64, u32)], hash: u64) -> impl Iterator<Item = u32> {
    let first = sorted.partition_point(|(held, _)| *held < hash);
    let here = sorted[first..]
        .iter()
        .take_while(move |(held, _)| *held == hash);
    here.map(|(_, number)| *number)
}

/// Hashes of the keys in a column.
fn distinct(keys: &ArrayRef) -> Result<Vec<u64>, Error> {
    let values = match keys.as_dictionary_opt::<Int32Type>() {
        Some(dictionary) => dictionary.values().clone(),
        None => compute::cast(keys, &DataType::Utf8)?,
    };
    let texts = values.as_string::<i32>().iter().flatten();
    Ok(texts
        .map(|key| XxHash3_64::oneshot(key.as_bytes()))
        .collect())
}

fn equal_to(keys: &ArrayRef, key: &str) -> Result<BooleanArray, Error> {
    if let Some(dictionary) = keys.as_dictionary_opt::<Int32Type>() {
        let values = dictionary.values().as_string::<i32>();
        let wanted: Vec<bool> = values.iter().map(|held| held == Some(key)).collect();
        let of_row = |code: Option<i32>| Some(code.is_some_and(|code| wanted[code as usize]));
        return Ok(dictionary.keys().iter().map(of_row).collect());
    }
    let texts = compute::cast(keys, &DataType::Utf8)?;
    Ok(texts
        .as_string::<i32>()
        .iter()
        .map(|held| Some(held == Some(key)))
        .collect())
}
