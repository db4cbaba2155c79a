//! A source's rows in our own layout, as chunks like any other. A chunk is a range of entities
//! over all parts, which are sorted by entity: an entity's rows are never in two of them.
//! Called by `files`.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, DictionaryArray, Int32Array, RecordBatch, StringArray,
    UInt32Array,
};
use arrow::compute;
use arrow::datatypes::{DataType, Int32Type, Int64Type};
use granary_registry::Source;
use granary_storage::{
    DataDir, ENTITY, EntityKeys, EventLog, EventLogManifest, EventPart, INPUT, IngestedFrom,
    Offset, POSITION, PartPlan, PartReader,
};

use super::wanted::schema;
use super::{Error, FileHash, Wanted, cast};

/// Rows of a chunk, about.
const CHUNK_ROWS: u64 = 1 << 20;
/// The most, however many parts there are.
const MOST_ROWS: u64 = 8 << 20;
/// Rows of a part that a chunk has at least, so that few row groups are read twice.
const ROWS_OF_PART: u64 = 256 << 10;

/// The event log of a source.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    source: String,
    log: EventLog,
    pub(super) manifest: Arc<EventLogManifest>,
    /// For each input where its rows stand among those of one instant: by path, the log last.
    ranks: Vec<u32>,
    /// Whether raw files stand beside them.
    is_mixed: bool,
    all: Picks,
    unread: Picks,
    opened: Arc<Mutex<Option<Arc<Opened>>>>,
}

/// What is read of the parts.
#[derive(Clone, Debug, Default)]
struct Picks {
    /// In the order of their inputs.
    parts: Vec<Pick>,
    /// Whether rows of one part stand between those of another.
    are_interleaved: bool,
    /// For each input whether its rows are wanted.
    inputs: Vec<bool>,
    /// Places in the log: after the first, up to the second.
    positions: (u64, u64),
}

#[derive(Clone, Copy, Debug)]
struct Pick {
    part: usize,
    /// Whether some of its rows are not wanted.
    is_filtered: bool,
}

#[derive(Debug)]
struct Opened {
    readers: Vec<PartReader>,
    keys: EntityKeys,
}

/// Some entities, of all rows or of those that were not read before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entities {
    first: u32,
    end: u32,
    is_unread: bool,
}

/// How one part is read for a chunk.
struct PartReading<'a> {
    reader: &'a PartReader,
    part: &'a EventPart,
    key: &'a str,
    plan: PartPlan,
    pick: Pick,
}

impl Parts {
    /// Of a source that was ingested.
    pub(super) fn open(
        source: &Source,
        data: &DataDir,
        log_until: Offset,
    ) -> Result<Option<Parts>, Error> {
        let log = EventLog::new(data, &source.name)?;
        let Some(manifest) = log.manifest()? else {
            return Ok(None);
        };
        if source.event_time.as_ref() != Some(&manifest.event_time) {
            return Err(stale(
                &source.name,
                "its `event_time` is another column now",
            ));
        }
        let mut parts = Parts {
            source: source.name.clone(),
            log,
            ranks: ranks_of_inputs(&manifest),
            manifest: Arc::new(manifest),
            is_mixed: false,
            all: Picks::default(),
            unread: Picks::default(),
            opened: Arc::default(),
        };
        parts.all = parts.pick(&HashSet::new(), (0, log_until.0));
        parts.unread = parts.all.clone();
        Ok(Some(parts))
    }

    /// Leaves room for raw files that stand beside them, and tells where those stand.
    pub(super) fn mix(&mut self, files: &[&Path]) -> Vec<u32> {
        let inputs = self.manifest.inputs.iter();
        let ingested = inputs.filter_map(|input| match &input.from {
            IngestedFrom::File(file) => Some(Path::new(&file.path)),
            IngestedFrom::Log { .. } => None,
        });
        let mut all: Vec<&Path> = ingested.chain(files.iter().copied()).collect();
        all.sort_unstable();
        let rank = |path: &Path| all.partition_point(|held| *held < path) as u32;
        let ranks = self.manifest.inputs.iter().zip(&self.ranks);
        let ranks = ranks.map(|(input, &among)| match &input.from {
            IngestedFrom::File(file) => rank(Path::new(&file.path)),
            IngestedFrom::Log { .. } => all.len() as u32 + among,
        });
        self.ranks = ranks.collect();
        self.is_mixed = !files.is_empty();
        files.iter().map(|path| rank(path)).collect()
    }

    /// Leaves out of what is unread these files, and the log before an offset.
    pub(super) fn since(&mut self, files: &HashSet<PathBuf>, log: Offset) {
        self.unread = self.pick(files, (log.0, self.all.positions.1));
    }

    fn pick(&self, read: &HashSet<PathBuf>, positions: (u64, u64)) -> Picks {
        let is_wanted = |from: &IngestedFrom| match from {
            IngestedFrom::File(file) => !read.contains(Path::new(&file.path)),
            IngestedFrom::Log { from, until } => from.0 < positions.1 && until.0 > positions.0,
        };
        let inputs = self.manifest.inputs.iter();
        let inputs: Vec<bool> = inputs.map(|input| is_wanted(&input.from)).collect();
        let mut parts: Vec<(Pick, (u32, u32))> = Vec::new();
        for (number, part) in self.manifest.parts.iter().enumerate() {
            let (first, last) = part.positions.unwrap_or((u64::MAX, 0));
            let within = last <= positions.1 && first > positions.0;
            let wanted = part.inputs.iter().filter(|&&input| inputs[input as usize]);
            let wanted: Vec<u32> = wanted.map(|&input| self.ranks[input as usize]).collect();
            let (Some(&least), Some(&most)) = (wanted.iter().min(), wanted.iter().max()) else {
                continue;
            };
            let pick = Pick {
                part: number,
                is_filtered: !within || wanted.len() < part.inputs.len(),
            };
            parts.push((pick, (least, most)));
        }
        parts.sort_by_key(|(_, ranks)| *ranks);
        let follow = |pair: &[(Pick, (u32, u32))]| pair[0].1.1 <= pair[1].1.0;
        Picks {
            are_interleaved: !parts.windows(2).all(follow),
            parts: parts.into_iter().map(|(pick, _)| pick).collect(),
            inputs,
            positions,
        }
    }

    fn picks(&self, is_unread: bool) -> &Picks {
        if is_unread { &self.unread } else { &self.all }
    }

    /// Cuts the entities so that a chunk has a bounded number of rows, at the borders of the
    /// largest part's row groups.
    pub(super) fn chunks(&self, is_unread: bool) -> Result<Vec<Entities>, Error> {
        let picks = &self.picks(is_unread).parts;
        let parts = picks
            .iter()
            .map(|pick| (pick.part, self.manifest.parts[pick.part].rows));
        let Some((largest, most)) = parts.clone().max_by_key(|(_, rows)| *rows) else {
            return Ok(Vec::new());
        };
        let rows: u64 = parts.map(|(_, rows)| rows).sum();
        let per_chunk = (picks.len() as u64 * ROWS_OF_PART).clamp(CHUNK_ROWS, MOST_ROWS);
        let of_largest = (per_chunk as u128 * most as u128 / rows.max(1) as u128) as u64;
        let opened = self.opened()?;
        let mut firsts = vec![0];
        let mut held = 0;
        for group in opened.readers[largest].groups() {
            if held >= of_largest.max(1) && firsts.last() < Some(&group.first) {
                firsts.push(group.first);
                held = 0;
            }
            held += group.rows;
        }
        let ends = firsts.iter().skip(1).copied().chain([u32::MAX]);
        let of = |(&first, end)| Entities {
            first,
            end,
            is_unread,
        };
        Ok(firsts.iter().zip(ends).map(of).collect())
    }

    /// One entity alone.
    pub(super) fn chunk_of(entity: u32) -> Entities {
        Entities {
            first: entity,
            end: entity + 1,
            is_unread: false,
        }
    }

    /// The keys of all entities.
    pub(super) fn with_keys<T>(&self, take: impl FnOnce(&EntityKeys) -> T) -> Result<T, Error> {
        Ok(take(&self.opened()?.keys))
    }

    /// Rows in all chunks together.
    pub(super) fn rows(&self, is_unread: bool) -> u64 {
        let picks = self.picks(is_unread).parts.iter();
        picks.map(|pick| self.manifest.parts[pick.part].rows).sum()
    }

    /// Whether rows are from the log, and know their places in it.
    pub(super) fn have_positions(&self, entities: Entities) -> bool {
        let mut picks = self.picks(entities.is_unread).parts.iter();
        picks.any(|pick| self.manifest.parts[pick.part].positions.is_some())
    }

    /// Whether a chunk has more than one part: an entity's rows may stand apart in it.
    pub(super) fn are_several(&self, entities: Entities) -> bool {
        self.picks(entities.is_unread).parts.len() > 1
    }

    /// The newest instant of all.
    pub(super) fn newest(&self) -> Option<i64> {
        self.manifest.parts.iter().map(|part| part.instants.1).max()
    }

    /// Names of the columns of some of the raw files that were ingested.
    pub(super) fn columns_of<'s>(&'s self, wanted: &dyn Fn(&Path) -> bool) -> Vec<&'s str> {
        let is_wanted = |input: &u32| match &self.manifest.inputs[*input as usize].from {
            IngestedFrom::File(file) => wanted(Path::new(&file.path)),
            IngestedFrom::Log { .. } => false,
        };
        let parts = self.manifest.parts.iter();
        let parts = parts.filter(|part| part.inputs.iter().any(is_wanted));
        let mut names: Vec<&str> = Vec::new();
        for column in parts.flat_map(|part| &part.columns) {
            if !names.contains(&column.name.as_str()) {
                names.push(&column.name);
            }
        }
        names
    }

    /// The raw files that were ingested, as they were then.
    pub(super) fn files(&self) -> impl Iterator<Item = FileHash> {
        self.manifest
            .raw_files()
            .filter_map(|(_, file)| FileHash::recorded(file))
    }

    fn opened(&self) -> Result<Arc<Opened>, Error> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(opened) = &*opened {
            return Ok(opened.clone());
        }
        let parts = self.manifest.parts.iter();
        let held = Arc::new(Opened {
            readers: parts
                .map(|part| self.log.part(part))
                .collect::<Result<_, _>>()?,
            keys: self.log.keys(&self.manifest)?,
        });
        *opened = Some(held.clone());
        Ok(held)
    }

    /// Decodes the wanted columns of a chunk. Where raw files stand beside them, or rows of one
    /// part between those of another, batches come in the order of their inputs, with the rank
    /// of each.
    pub(super) fn decode<E: From<Error>>(
        &self,
        entities: Entities,
        batch_rows: usize,
        columns: &[Wanted],
        sink: &mut dyn FnMut(RecordBatch, u32) -> Result<(), E>,
    ) -> Result<(), E> {
        let opened = self.opened()?;
        let picks = self.picks(entities.is_unread);
        let end = entities.end.min(opened.keys.len() as u32);
        let first = entities.first.min(end);
        let names = (first..end).map(|entity| opened.keys.get(entity as usize));
        let keys: ArrayRef = Arc::new(StringArray::from_iter_values(names));
        let mut apart: Vec<(RecordBatch, Vec<u32>)> = Vec::new();
        for pick in &picks.parts {
            let reading = self.plan(&opened, *pick, columns)?;
            let groups = reading.reader.groups().iter().enumerate();
            let groups = groups.filter(|(_, group)| group.last >= first && group.first < end);
            for (group, _) in groups {
                let batches = reading
                    .reader
                    .read(&reading.plan, group, batch_rows)
                    .map_err(Error::from)?;
                for batch in batches {
                    let failed = |error| Error::Arrow {
                        path: reading.reader.path().to_owned(),
                        error,
                    };
                    let batch = batch.map_err(failed)?;
                    let batch = of_entities(&batch, first, end).map_err(failed)?;
                    if batch.num_rows() == 0 {
                        continue;
                    }
                    let rows = reading
                        .columns(&batch, columns, first, &keys)
                        .map_err(failed)?;
                    let inputs = reading.inputs(&batch);
                    let mask = self.mask(picks, &reading, &batch, &inputs);
                    let rows = match &mask {
                        Some(mask) => compute::filter_record_batch(&rows, mask).map_err(failed)?,
                        None => rows,
                    };
                    if !(picks.are_interleaved || self.is_mixed) {
                        sink(rows, 0)?;
                        continue;
                    }
                    let ranks = inputs.iter().enumerate();
                    let ranks =
                        ranks.filter(|(row, _)| mask.as_ref().is_none_or(|mask| mask.value(*row)));
                    let ranks = ranks
                        .map(|(_, &input)| self.ranks[input as usize])
                        .collect();
                    apart.push((rows, ranks));
                }
            }
        }
        if apart.is_empty() {
            return Ok(());
        }
        let failed = |error| Error::Arrow {
            path: PathBuf::from(&self.source),
            error,
        };
        let (rows, ranks) = by_rank(&apart).map_err(failed)?;
        let mut start = 0;
        for same in ranks.chunk_by(|a, b| a == b) {
            sink(rows.slice(start, same.len()), same[0])?;
            start += same.len();
        }
        Ok(())
    }

    fn plan<'o>(
        &'o self,
        opened: &'o Opened,
        pick: Pick,
        columns: &[Wanted],
    ) -> Result<PartReading<'o>, Error> {
        let (reader, part) = (&opened.readers[pick.part], &self.manifest.parts[pick.part]);
        let interleaved = self.all.are_interleaved || self.unread.are_interleaved || self.is_mixed;
        let mut read = vec![(ENTITY.to_owned(), DataType::Int32)];
        let has = |name: &str| reader.schema().column_with_name(name).is_some();
        if (pick.is_filtered || interleaved) && has(INPUT) {
            read.push((INPUT.to_owned(), DataType::Int32));
        }
        let is_asked = columns.iter().any(|column| column.name == POSITION);
        if (pick.is_filtered || is_asked) && has(POSITION) {
            read.push((POSITION.to_owned(), DataType::Int64));
        }
        for column in columns {
            if column.name == self.manifest.entity_key || column.name == POSITION {
                continue;
            }
            let Some((_, field)) = reader.schema().column_with_name(&column.name) else {
                if self.is_of_log(part) {
                    continue;
                }
                return Err(stale(
                    &self.source,
                    &format!("it was ingested without column `{}`", column.name),
                ));
            };
            let as_read = cast::readable_as(field.data_type(), column);
            let as_read = as_read.ok_or_else(|| {
                let (name, wanted) = (&column.name, column.dtype);
                stale(
                    &self.source,
                    &format!(
                        "column `{name}` was ingested as {}, registry says {wanted}",
                        field.data_type()
                    ),
                )
            })?;
            read.push((column.name.clone(), as_read));
        }
        Ok(PartReading {
            plan: reader.plan(&read)?,
            reader,
            part,
            key: &self.manifest.entity_key,
            pick,
        })
    }

    fn is_of_log(&self, part: &EventPart) -> bool {
        let mut inputs = part
            .inputs
            .iter()
            .map(|&input| &self.manifest.inputs[input as usize].from);
        inputs.all(|from| matches!(from, IngestedFrom::Log { .. }))
    }

    /// Which rows are wanted, if not all.
    fn mask(
        &self,
        picks: &Picks,
        reading: &PartReading<'_>,
        batch: &RecordBatch,
        inputs: &[i32],
    ) -> Option<BooleanArray> {
        if !reading.pick.is_filtered {
            return None;
        }
        let positions = batch.column_by_name(POSITION);
        let positions = positions.map(|held| held.as_primitive::<Int64Type>());
        let (after, until) = picks.positions;
        let is_wanted = |(row, &input): (usize, &i32)| {
            let at = positions
                .filter(|held| held.is_valid(row))
                .map(|held| held.value(row) as u64);
            let within = at.is_none_or(|at| at > after && at <= until);
            Some(picks.inputs[input as usize] && within)
        };
        Some(inputs.iter().enumerate().map(is_wanted).collect())
    }
}

impl PartReading<'_> {
    /// The wanted columns of some rows.
    fn columns(
        &self,
        batch: &RecordBatch,
        columns: &[Wanted],
        first: u32,
        keys: &ArrayRef,
    ) -> Result<RecordBatch, arrow::error::ArrowError> {
        let rows = batch.num_rows();
        let mut arrays = Vec::with_capacity(columns.len());
        for column in columns {
            let array = match batch.column_by_name(&column.name) {
                Some(array) => cast::to_wanted(array, column)?,
                None if column.name == self.key => key_column(batch, column, first, keys)?,
                None => arrow::array::new_null_array(&column.arrow_type(), rows),
            };
            arrays.push(array);
        }
        let types: Vec<DataType> = arrays
            .iter()
            .map(|array| array.data_type().clone())
            .collect();
        RecordBatch::try_new(schema(columns, types), arrays)
    }

    /// Which input each row is from.
    fn inputs(&self, batch: &RecordBatch) -> Vec<i32> {
        match batch.column_by_name(INPUT) {
            Some(inputs) => inputs.as_primitive::<Int32Type>().values().to_vec(),
            None => {
                vec![self.part.inputs.first().map_or(0, |&input| input as i32); batch.num_rows()]
            }
        }
    }
}

/// Where rows of each input stand among those of one instant.
pub(crate) fn ranks_of_inputs(manifest: &EventLogManifest) -> Vec<u32> {
    let mut order: Vec<usize> = (0..manifest.inputs.len()).collect();
    order.sort_by_key(|&input| match &manifest.inputs[input].from {
        IngestedFrom::File(file) => (0, PathBuf::from(&file.path), 0),
        IngestedFrom::Log { from, .. } => (1, PathBuf::new(), from.0),
    });
    let mut ranks = vec![0; order.len()];
    for (rank, input) in order.into_iter().enumerate() {
        ranks[input] = rank as u32;
    }
    ranks
}

/// The rows of entities from one up to another; rows stand in order of entity.
fn of_entities(
    batch: &RecordBatch,
    first: u32,
    end: u32,
) -> Result<RecordBatch, arrow::error::ArrowError> {
    let entities = entities_of(batch)?.values();
    let start = entities.partition_point(|&entity| (entity as u32) < first);
    let stop = entities.partition_point(|&entity| (entity as u32) < end);
    Ok(batch.slice(start, stop - start))
}

fn entities_of(batch: &RecordBatch) -> Result<&Int32Array, arrow::error::ArrowError> {
    let column = batch.column_by_name(ENTITY);
    column
        .and_then(|held| held.as_primitive_opt::<Int32Type>())
        .ok_or_else(|| arrow::error::ArrowError::SchemaError(format!("no column `{ENTITY}`")))
}

/// Keys for numbers: a dictionary that all batches of a chunk share.
fn key_column(
    batch: &RecordBatch,
    column: &Wanted,
    first: u32,
    keys: &ArrayRef,
) -> Result<ArrayRef, arrow::error::ArrowError> {
    let numbers: Int32Array = entities_of(batch)?.unary(|entity| entity - first as i32);
    let dictionary: ArrayRef = Arc::new(DictionaryArray::<Int32Type>::try_new(
        numbers,
        keys.clone(),
    )?);
    if column.arrow_type() == *dictionary.data_type() {
        return Ok(dictionary);
    }
    compute::cast(
        &compute::cast(&dictionary, &DataType::Utf8)?,
        &column.arrow_type(),
    )
}

/// Rows of several parts in the order of their inputs.
fn by_rank(
    apart: &[(RecordBatch, Vec<u32>)],
) -> Result<(RecordBatch, Vec<u32>), arrow::error::ArrowError> {
    let mut ranks: Vec<u32> = apart.iter().flat_map(|(_, ranks)| ranks).copied().collect();
    let mut order: Vec<u32> = (0..ranks.len() as u32).collect();
    order.sort_by_key(|&row| ranks[row as usize]);
    let batches = apart.iter().map(|(batch, _)| batch);
    let whole = compute::concat_batches(&apart[0].0.schema(), batches)?;
    ranks.sort_unstable();
    Ok((
        compute::take_record_batch(&whole, &UInt32Array::from(order))?,
        ranks,
    ))
}

fn stale(source: &str, why: &str) -> Error {
    Error::Stale {
        source_name: source.to_owned(),
        why: why.to_owned(),
    }
}
