//! `push`, its first half: the states of the newest offline versions, merged by entity, go
//! into a new generation of the online store. The second half is `stream::catch_up`.

use granary_storage::{GenerationLoader, StateBatch, States, Tombstones, Version};

use crate::error::Error;
use crate::fold::Sink;
use crate::job::Progress;
use crate::row;
use crate::serving::Serving;

/// Rows handed to the store at once.
const LOAD_ROWS: usize = 20_000;

/// Rows of one version, read in order of their keys.
struct Cursor<'a> {
    group: usize,
    states: States,
    batch: Option<StateBatch>,
    at: usize,
    /// None if the version knows all tombstones.
    is_out: Option<IsOut<'a>>,
}

/// Who is left out of a version that was made before.
struct IsOut<'a> {
    erased: &'a Tombstones,
    entity: &'a str,
    known: u64,
}

/// Loads the states of versions, given in the order of the serving groups, merged by key, but
/// for those that were erased since. Gives back the number of entities.
pub fn load(
    serving: &Serving,
    versions: &[Version],
    erased: &Tombstones,
    loader: &mut GenerationLoader<'_>,
    progress: &dyn Fn(Progress<'_>),
) -> Result<u64, Error> {
    let rows = versions.iter().map(|version| version.manifest().rows).max();
    progress(Progress::Begin { what: "push", rows });
    let mut cursors = Vec::with_capacity(versions.len());
    for (group, version) in versions.iter().enumerate() {
        debug_assert_eq!(version.manifest().group, serving.groups[group].fold.name);
        let known = version.manifest().erasures;
        let entity = serving.entity.name.as_str();
        let is_out = (known < erased.len() as u64).then_some(IsOut {
            erased,
            entity,
            known,
        });
        cursors.push(Cursor::open(group, version, is_out)?);
    }
    let mut loaded = 0u64;
    let mut batch: Vec<(Vec<u8>, Sink)> = Vec::with_capacity(LOAD_ROWS);
    loop {
        while batch.len() < LOAD_ROWS
            && let Some(row) = next_row(&mut cursors)?
        {
            batch.push(row);
        }
        if batch.is_empty() {
            return Ok(loaded);
        }
        let rows = batch.iter().map(|(key, row)| {
            (
                &key[..],
                &row.row[..],
                (!row.vectors.is_empty()).then_some(&row.vectors[..]),
            )
        });
        loaded += loader.insert_sorted(rows)?;
        progress(Progress::Rows(batch.len() as u64));
        batch.clear();
    }
}

/// The row of the smallest key that any cursor stands at; moves those on.
fn next_row(cursors: &mut [Cursor<'_>]) -> Result<Option<(Vec<u8>, Sink)>, Error> {
    let Some(smallest) = cursors.iter().filter_map(Cursor::key).min() else {
        return Ok(None);
    };
    let key = smallest.to_vec();
    let mut row = Sink::default();
    row::begin(&mut row);
    for cursor in cursors {
        if cursor.key() == Some(&key[..]) {
            cursor.append(&mut row);
            cursor.advance()?;
        }
    }
    Ok(Some((key, row)))
}

impl<'a> Cursor<'a> {
    fn open(
        group: usize,
        version: &Version,
        is_out: Option<IsOut<'a>>,
    ) -> Result<Cursor<'a>, Error> {
        let mut states = version.states()?;
        let batch = states.next().transpose()?;
        let mut cursor = Cursor {
            group,
            states,
            batch,
            at: 0,
            is_out,
        };
        cursor.pass_erased()?;
        Ok(cursor)
    }

    fn key(&self) -> Option<&[u8]> {
        self.batch
            .as_ref()
            .filter(|batch| self.at < batch.len())
            .map(|batch| batch.get(self.at).key)
    }

    fn append(&self, row: &mut Sink) {
        if let Some(batch) = &self.batch {
            let state = batch.get(self.at);
            let vectors = state.vectors.unwrap_or_default();
            row::append(row, self.group, state.row, vectors);
        }
    }

    fn advance(&mut self) -> Result<(), Error> {
        self.step()?;
        self.pass_erased()
    }

    fn pass_erased(&mut self) -> Result<(), Error> {
        let Some(is_out) = self.is_out.take() else {
            return Ok(());
        };
        while let Some(key) = self.key()
            && is_out.has(key)
        {
            self.step()?;
        }
        self.is_out = Some(is_out);
        Ok(())
    }

    fn step(&mut self) -> Result<(), Error> {
        self.at += 1;
        while self
            .batch
            .as_ref()
            .is_some_and(|batch| self.at >= batch.len())
        {
            self.batch = self.states.next().transpose()?;
            self.at = 0;
        }
        Ok(())
    }
}

impl IsOut<'_> {
    fn has(&self, key: &[u8]) -> bool {
        let key = String::from_utf8_lossy(key);
        self.erased.is_out(self.entity, &key, self.known)
    }
}
