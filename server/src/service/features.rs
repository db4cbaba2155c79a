//! Reading features: of the stored states where they can answer, of the log where the
//! instant lies before the entity's newest event.

use granary_pipelines::source::BadRows;
use granary_pipelines::{Job, KnownFiles, OpenRow};
use granary_registry::{EventTime, Value};
use granary_storage::View;

use super::Service;
use super::answer::{FeatureRow, Lookup, Origin};
use super::error::ServiceError;
use super::generation::Generation;
use super::served::ServedRow;

impl Service {
    /// One entity's features. Microseconds, except for instants before its newest event.
    pub fn features(&self, lookup: Lookup<'_>) -> Result<FeatureRow, ServiceError> {
        let sampling = self.sampling();
        let (generation, view) = self.current()?;
        let row = self.read(&generation, &view, lookup)?;
        if let Some(sampling) = &sampling {
            sampling.offer(&generation, &row);
        }
        Ok(row)
    }

    /// Several entities' features from one view of the store; an unknown one is an error of
    /// its own.
    pub fn features_of(
        &self,
        lookups: &[Lookup<'_>],
    ) -> Result<Vec<Result<FeatureRow, ServiceError>>, ServiceError> {
        let sampling = self.sampling();
        let (generation, view) = self.current()?;
        let read = |lookup: &Lookup<'_>| {
            let row = self.read(&generation, &view, *lookup)?;
            if let Some(sampling) = &sampling {
                sampling.offer(&generation, &row);
            }
            Ok(row)
        };
        Ok(lookups.iter().map(read).collect())
    }

    /// One entity's features at several instants, with what is needed to recompute them.
    pub fn served(
        &self,
        key: &str,
        instants: &[Option<EventTime>],
    ) -> Result<Vec<ServedRow>, ServiceError> {
        let known_from = self.inner.logged.folded();
        let (generation, view) = self.current()?;
        let open = open_row(&generation, &view, key, &generation.all)?;
        let instants: Vec<EventTime> = instants
            .iter()
            .map(|instant| instant.unwrap_or_else(|| self.latest(&open)))
            .collect();
        let mut past = instants.clone();
        past.retain(|&as_of| is_past(&open, as_of));
        let mut past = self
            .read_log(&generation, key, &generation.all, &past)?
            .into_iter();
        let known_until = self.inner.logged.appended();
        let serve = |as_of| {
            let (from, values) = match is_past(&open, as_of) {
                true => (Origin::Log, past.next().unwrap_or_default()),
                false => (Origin::Online, online(&open, &generation.all, as_of)),
            };
            ServedRow {
                row: row(&generation, key, as_of, from, &generation.all, values),
                provenance: generation.provenance.clone(),
                known: (known_from, known_until),
            }
        };
        Ok(instants.into_iter().map(serve).collect())
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

    pub(super) fn read(
        &self,
        generation: &Generation,
        view: &View,
        lookup: Lookup<'_>,
    ) -> Result<FeatureRow, ServiceError> {
        if lookup.features.is_some() && lookup.generation != generation.number {
            return Err(ServiceError::Busy(
                "a push has just replaced what is served; ask again".to_owned(),
            ));
        }
        let features = lookup.features.unwrap_or(&generation.all);
        let open = open_row(generation, view, lookup.key, features)?;
        let as_of = lookup.as_of.unwrap_or_else(|| self.latest(&open));
        let (from, values) = if is_past(&open, as_of) {
            let values = self.read_log(generation, lookup.key, features, &[as_of])?;
            (Origin::Log, values.into_iter().next().unwrap_or_default())
        } else {
            (Origin::Online, online(&open, features, as_of))
        };
        Ok(row(generation, lookup.key, as_of, from, features, values))
    }

    /// The instant of a read that names none.
    fn latest(&self, open: &OpenRow<'_>) -> EventTime {
        self.now().max(after_newest(open).unwrap_or(EventTime::MIN))
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

/// An entity's states, as far as these features need them.
fn open_row<'a>(
    generation: &'a Generation,
    view: &View,
    key: &str,
    features: &[usize],
) -> Result<OpenRow<'a>, ServiceError> {
    let serving = &generation.serving;
    let unknown = || ServiceError::UnknownEntity {
        entity: serving.entity.name.clone(),
        key: key.to_owned(),
    };
    // Left out, vectors cost nothing; features that need them were not asked for.
    if !serving.needs_vectors(features) {
        let row = view.row(key.as_bytes())?.ok_or_else(unknown)?;
        return Ok(serving.open(key, &row, None, features)?);
    }
    // Together: an event between two reads would leave a count of one state and a sum of
    // another.
    let full = view.full_row(key.as_bytes())?.ok_or_else(unknown)?;
    let vectors = full.vectors.as_deref().unwrap_or_default();
    Ok(serving.open(key, &full.row, Some(vectors), features)?)
}

fn after_newest(open: &OpenRow<'_>) -> Option<EventTime> {
    let newest = open.newest()?;
    Some(EventTime(newest.0.saturating_add(1)))
}

/// Whether an instant lies before what the states can answer for.
fn is_past(open: &OpenRow<'_>, as_of: EventTime) -> bool {
    after_newest(open).is_some_and(|after| as_of < after)
}

fn online(open: &OpenRow<'_>, features: &[usize], as_of: EventTime) -> Vec<Value> {
    features.iter().map(|&at| open.value(at, as_of)).collect()
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
