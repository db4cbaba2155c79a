//! Reading features: of the stored states where they can answer, of the log where the
//! instant lies before the entity's newest event.

use std::cell::Cell;
use std::sync::Arc;

use granary_pipelines::source::BadRows;
use granary_pipelines::{
    Found, Job, KnownFiles, OpenRow, RowMemory, ValueWrite, Wanted, key_bytes,
};
use granary_registry::{EventTime, Value, ValueRef};
use granary_storage::{Bytes, View};

use super::answer::{Catalog, FeatureRow, Lookup, Origin};
use super::error::ServiceError;
use super::generation::Generation;
use super::sampling::Sampling;
use super::served::ServedRow;
use super::{Inner, Service};

/// Reads of one request, or of a pipeline of them: all from one generation and one view of its
/// rows.
pub struct Reader<'s> {
    service: &'s Service,
    generation: Arc<Generation>,
    view: View,
    now: EventTime,
    sampling: Option<Sampling<'s>>,
    memory: &'s mut ReadMemory,
}

/// The memory of reads, kept from one to the next.
#[derive(Debug, Default)]
pub struct ReadMemory {
    row: RowMemory,
    wanted: Wanted,
}

/// An entity's features at an instant, looked at where they lie.
pub struct Shown<'r> {
    row: OpenRow<'r>,
    features: &'r [usize],
    as_of: EventTime,
}

/// A stored row with the vectors that a read needs of it.
struct Stored {
    row: Bytes,
    vectors: Option<Bytes>,
    found: Found,
}

thread_local! {
    /// For the reads of a thread that has no other, one after another.
    static MEMORY: Cell<ReadMemory> = Cell::default();
}

impl Service {
    /// Reads with the memory of this thread.
    pub fn reading<T, E: From<ServiceError>>(
        &self,
        read: impl FnOnce(&mut Reader<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut memory = MEMORY.take();
        let done = match self.reader(&mut memory) {
            Ok(mut reader) => read(&mut reader),
            Err(error) => Err(error.into()),
        };
        MEMORY.set(memory);
        done
    }

    /// Begins reads; `memory` serves the next ones too.
    pub fn reader<'s>(&'s self, memory: &'s mut ReadMemory) -> Result<Reader<'s>, ServiceError> {
        let sampling = self.sampling(); // before the view
        let (generation, view) = self.current()?;
        Ok(Reader {
            service: self,
            generation,
            view,
            now: self.now(),
            sampling,
            memory,
        })
    }

    /// One entity's features. Microseconds, except for instants before its newest event.
    pub fn features(&self, lookup: Lookup<'_>) -> Result<FeatureRow, ServiceError> {
        self.reading(|reader| reader.row(lookup))
    }

    /// Several entities' features from one view of the store; an unknown one is an error of
    /// its own.
    pub fn features_of(
        &self,
        lookups: &[Lookup<'_>],
    ) -> Result<Vec<Result<FeatureRow, ServiceError>>, ServiceError> {
        self.reading(|reader| Ok(lookups.iter().map(|lookup| reader.row(*lookup)).collect()))
    }

    /// One entity's features at several instants, with what is needed to recompute them.
    pub fn served(
        &self,
        key: &str,
        instants: &[Option<EventTime>],
    ) -> Result<Vec<ServedRow>, ServiceError> {
        let known_from = self.inner.logged.folded();
        let (generation, view) = self.current()?;
        let mut memory = RowMemory::default();
        let now = self.now();
        let (all, every) = (&generation.all, generation.all.features());
        let stored = stored(&generation, &view, key, all, &mut memory)?;
        let stored = stored.ok_or_else(|| unknown(&generation, key))?;
        let mut open = open(&generation, &stored, key, all, &mut memory)?;
        let instants: Vec<EventTime> = instants
            .iter()
            .map(|instant| instant.unwrap_or_else(|| latest(&open, now)))
            .collect();
        let mut past = instants.clone();
        past.retain(|&as_of| is_past(&open, as_of));
        let mut past = self.read_log(&generation, key, every, &past)?.into_iter();
        let known_until = self.inner.logged.appended();
        let serve = |as_of| {
            let (from, values) = match is_past(&open, as_of) {
                true => (Origin::Log, past.next().unwrap_or_default()),
                false => (Origin::Online, open.values(every, as_of)?),
            };
            Ok(ServedRow {
                row: row(&generation, key, as_of, from, every, values),
                provenance: generation.provenance.clone(),
                known: (known_from, known_until),
            })
        };
        instants.into_iter().map(serve).collect()
    }

    /// Whether an entity has a row. Before the first push none has.
    pub fn contains(&self, key: &str) -> Result<bool, ServiceError> {
        Ok(self.inner.store.view().contains(key.as_bytes())?)
    }

    /// A hash of what is stored of an entity, which changes with every event of it.
    pub fn row_hash(&self, key: &str) -> Result<Option<u64>, ServiceError> {
        let view = self.inner.store.view();
        let row = view.row(key.as_bytes())?;
        Ok(row.map(|row| {
            let hash = blake3::hash(&row);
            let (first, _) = hash
                .as_bytes()
                .split_first_chunk()
                .expect("32 bytes are more");
            u64::from_le_bytes(*first)
        }))
    }

    /// How many bytes are stored of an entity.
    pub fn row_bytes(&self, key: &str) -> Result<Option<usize>, ServiceError> {
        let full = self.inner.store.view().full_row(key.as_bytes())?;
        let vectors =
            |full: &granary_storage::FullRow| full.vectors.as_ref().map_or(0, |it| it.len());
        Ok(full.map(|full| key.len() + full.row.len() + vectors(&full)))
    }

    /// Keys in order, after one, at most `limit`.
    pub fn keys(&self, after: Option<&str>, limit: usize) -> Result<Vec<String>, ServiceError> {
        let view = self.inner.store.view();
        let keys = view.keys(after.map(str::as_bytes), limit)?;
        let text = |key: Vec<u8>| String::from_utf8_lossy(&key).into_owned();
        Ok(keys.into_iter().map(text).collect())
    }

    /// Number of entities.
    pub fn len(&self) -> Result<u64, ServiceError> {
        Ok(self.inner.store.view().len())
    }

    /// Whether nothing is loaded.
    pub fn is_empty(&self) -> bool {
        self.len().is_ok_and(|len| len == 0)
    }

    /// The features at each of the instants.
    fn read_log(
        &self,
        generation: &Generation,
        key: &str,
        features: &[usize],
        instants: &[EventTime],
    ) -> Result<Vec<Vec<Value>>, ServiceError> {
        let job = Job {
            registry: &generation.serving.registry,
            data: &self.inner.data,
            log_until: self.log_end(),
            embedder: self.inner.embedder.clone(),
            bad_rows: &BadRows::strict(),
            erased: &self.inner.erased(),
            known: &KnownFiles::default(),
            memory: usize::MAX,
            progress: &|_| {},
        };
        Ok(self
            .inner
            .past
            .features(&job, &generation.serving, key, features, instants)?)
    }
}

impl Inner {
    /// The values that stand in the place of those of a write, all of them null if the entity is
    /// not there; features that are not served are left out.
    pub(super) fn values_now(&self, write: &ValueWrite) -> Result<Vec<Value>, ServiceError> {
        let Some(generation) = self.generation() else {
            return Ok(vec![Value::Null; write.values.len()]);
        };
        let names = write.values.iter();
        let features = names.filter_map(|(name, _)| generation.serving.feature(name));
        let features: Vec<usize> = features.collect();
        let nothing = vec![Value::Null; features.len()];
        let Some(key) = key_bytes(&write.key) else {
            return Ok(nothing);
        };
        let key = String::from_utf8_lossy(&key);
        let wanted = generation.serving.wanted(&features);
        let (view, mut memory) = (self.store.view(), RowMemory::default());
        let Some(stored) = stored(&generation, &view, &key, &wanted, &mut memory)? else {
            return Ok(nothing);
        };
        let mut open = open(&generation, &stored, &key, &wanted, &mut memory)?;
        let as_of = latest(&open, self.now());
        Ok(open.values(&features, as_of)?)
    }
}

impl<'s> Reader<'s> {
    /// What is read.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.generation.catalog
    }

    /// Refuses features that were found in another generation than is read.
    pub fn is_of(&self, generation: u64) -> Result<(), ServiceError> {
        if generation == self.generation.number {
            return Ok(());
        }
        Err(ServiceError::Busy(
            "a push has just replaced what is served; ask again".to_owned(),
        ))
    }

    /// The refusal of an entity that has no row.
    pub fn unknown(&self, key: &str) -> ServiceError {
        unknown(&self.generation, key)
    }

    /// Goes on with what has been written since.
    pub fn refresh(&mut self) {
        let view = self.service.inner.store.view();
        if view.generation() == self.generation.number {
            self.view = view;
            self.now = self.service.now();
        }
    }

    pub(super) fn generation(&self) -> &Generation {
        &self.generation
    }

    /// Whose answers go elsewhere than to a client.
    pub(super) fn unsampled(&mut self) -> &mut Reader<'s> {
        self.sampling = None;
        self
    }

    /// One entity's features, copied.
    pub fn row(&mut self, lookup: Lookup<'_>) -> Result<FeatureRow, ServiceError> {
        let Lookup { key, as_of, .. } = lookup;
        if lookup.features.is_some() {
            self.is_of(lookup.generation)?;
        }
        let (generation, service) = (&self.generation, self.service);
        let ReadMemory {
            row: memory,
            wanted,
        } = &mut *self.memory;
        let wanted = wanted_of(generation, lookup.features, wanted);
        let features = wanted.features();
        let stored = stored(generation, &self.view, key, wanted, memory)?;
        let stored = stored.ok_or_else(|| unknown(generation, key))?;
        let mut open = open(generation, &stored, key, wanted, memory)?;
        let as_of = as_of.unwrap_or_else(|| latest(&open, self.now));
        let (from, values) = if is_past(&open, as_of) {
            let values = service.read_log(generation, key, features, &[as_of])?;
            (Origin::Log, values.into_iter().next().unwrap_or_default())
        } else {
            (Origin::Online, open.values(features, as_of)?)
        };
        let row = row(generation, key, as_of, from, features, values);
        if let Some(sampling) = &self.sampling
            && sampling.takes()
        {
            sampling.send(generation, row.clone());
        }
        Ok(row)
    }

    /// Shows the newest state of an entity's features to `take`, if the entity has a row. None
    /// of `features` are all.
    pub fn show<T>(
        &mut self,
        key: &str,
        features: Option<&[usize]>,
        take: impl FnOnce(&mut Shown<'_>) -> Result<T, ServiceError>,
    ) -> Result<Option<T>, ServiceError> {
        let generation = &self.generation;
        let ReadMemory {
            row: memory,
            wanted,
        } = &mut *self.memory;
        let wanted = wanted_of(generation, features, wanted);
        let Some(stored) = stored(generation, &self.view, key, wanted, memory)? else {
            return Ok(None);
        };
        let open = open(generation, &stored, key, wanted, memory)?;
        let as_of = latest(&open, self.now);
        let features = wanted.features();
        let mut shown = Shown {
            row: open,
            features,
            as_of,
        };
        let taken = take(&mut shown)?;
        if let Some(sampling) = &self.sampling
            && sampling.takes()
        {
            let values = shown.row.values(features, as_of)?;
            let row = row(generation, key, as_of, Origin::Online, features, values);
            sampling.send(generation, row);
        }
        Ok(Some(taken))
    }
}

impl Shown<'_> {
    /// The instant that they hold at.
    pub fn as_of(&self) -> EventTime {
        self.as_of
    }

    /// The newest event behind a feature, [`EventTime::MIN`] for one of a table that has no
    /// instants; none if its group knows nothing of the entity.
    pub fn newest(&self, feature: usize) -> Option<EventTime> {
        self.row.newest_of(feature)
    }

    /// Shows each of the features asked for, in that order, by its position in the catalog.
    pub fn each(&mut self, take: impl FnMut(usize, ValueRef<'_>)) -> Result<(), ServiceError> {
        Ok(self.row.each(self.features, self.as_of, take)?)
    }
}

/// What the features asked for need; none are all.
fn wanted_of<'a>(
    generation: &'a Generation,
    features: Option<&[usize]>,
    wanted: &'a mut Wanted,
) -> &'a Wanted {
    let Some(features) = features else {
        return &generation.all;
    };
    generation.serving.want(features.iter().copied(), wanted);
    wanted
}

/// An entity's row, and its vectors if they are needed.
fn stored(
    generation: &Generation,
    view: &View,
    key: &str,
    wanted: &Wanted,
    memory: &mut RowMemory,
) -> Result<Option<Stored>, ServiceError> {
    let serving = &generation.serving;
    let Some(row) = view.row(key.as_bytes())? else {
        return Ok(None);
    };
    let found = serving.find(key, &row, wanted, memory)?;
    if !found.needs_vectors {
        let vectors = None;
        return Ok(Some(Stored {
            row,
            vectors,
            found,
        }));
    }
    // Together: an event between two reads would leave a count of one state and a sum of
    // another.
    let Some(full) = view.full_row(key.as_bytes())? else {
        return Ok(None);
    };
    Ok(Some(Stored {
        found: serving.find(key, &full.row, wanted, memory)?,
        row: full.row,
        vectors: full.vectors,
    }))
}

fn open<'a>(
    generation: &'a Generation,
    stored: &'a Stored,
    key: &'a str,
    wanted: &Wanted,
    memory: &'a mut RowMemory,
) -> Result<OpenRow<'a>, ServiceError> {
    let vectors = stored.vectors.as_deref();
    let serving = &generation.serving;
    Ok(serving.open(key, &stored.row, vectors, wanted, stored.found, memory)?)
}

fn unknown(generation: &Generation, key: &str) -> ServiceError {
    ServiceError::UnknownEntity {
        entity: generation.serving.entity.name.clone(),
        key: key.to_owned(),
    }
}

fn after_newest(open: &OpenRow<'_>) -> Option<EventTime> {
    let newest = open.newest()?;
    Some(EventTime(newest.0.saturating_add(1)))
}

/// The instant of a read that names none.
fn latest(open: &OpenRow<'_>, now: EventTime) -> EventTime {
    now.max(after_newest(open).unwrap_or(EventTime::MIN))
}

/// Whether an instant lies before what the states can answer for.
fn is_past(open: &OpenRow<'_>, as_of: EventTime) -> bool {
    after_newest(open).is_some_and(|after| as_of < after)
}

fn row(
    generation: &Generation,
    key: &str,
    as_of: EventTime,
    from: Origin,
    features: &[usize],
    values: Vec<Value>,
) -> FeatureRow {
    let served = &generation.serving.features;
    let names = features.iter().map(|&at| served[at].name.clone());
    FeatureRow {
        key: key.to_owned(),
        as_of,
        from,
        features: names.zip(values).collect(),
    }
}
