//! A source's rows in our own layout, as chunks like any other. A chunk is a range of entities
//! over all parts, which are sorted by entity: an entity's rows are never in two of them.
//! Called by `files`.

mod decode; // rows of a chunk -> batches of the wanted columns
mod picks; // which parts and rows are wanted

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use granary_registry::Source;
use granary_storage::{
    DataDir, EntityKeys, EventLog, EventLogManifest, IngestedFrom, Offset, PartReader,
};

pub(crate) use self::picks::ranks_of_inputs;
use self::picks::{Pick, Picks};
use super::{Error, FileHash};

/// Rows that a chunk has of the largest part, about: of parts as large few row groups are then
/// read for two chunks, and what all parts have is still little.
const ROWS_OF_LARGEST: u64 = 256 << 10;

/// The event log of a source.
#[derive(Clone, Debug)]
pub(in crate::source) struct Parts {
    source: String,
    log: EventLog,
    pub(in crate::source) manifest: Arc<EventLogManifest>,
    /// For each input where its rows stand among those of one instant: by path, the log last.
    ranks: Vec<u32>,
    /// Whether raw files stand beside them.
    is_mixed: bool,
    all: Picks,
    unread: Picks,
    opened: Arc<Mutex<Option<Arc<Opened>>>>,
}

#[derive(Debug)]
struct Opened {
    readers: Vec<PartReader>,
    keys: EntityKeys,
}

/// Some entities, of all rows or of those that were not read before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::source) struct Entities {
    first: u32,
    end: u32,
    is_unread: bool,
}

impl Parts {
    /// Of a source that was ingested.
    pub(in crate::source) fn open(
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
    pub(in crate::source) fn mix(&mut self, files: &[&Path]) -> Vec<u32> {
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
    pub(in crate::source) fn since(&mut self, files: &HashSet<PathBuf>, log: Offset) {
        self.unread = self.pick(files, (log.0, self.all.positions.1));
    }

    fn picks(&self, is_unread: bool) -> &Picks {
        if is_unread { &self.unread } else { &self.all }
    }

    /// Cuts the entities so that a chunk has a bounded number of rows, at the borders of the
    /// largest part's row groups.
    pub(in crate::source) fn chunks(&self, is_unread: bool) -> Result<Vec<Entities>, Error> {
        let picks = self.picks(is_unread).parts.iter();
        let largest = picks.max_by_key(|pick| self.manifest.parts[pick.part].rows);
        let Some(&Pick { part: largest, .. }) = largest else {
            return Ok(Vec::new());
        };
        let opened = self.opened()?;
        let mut firsts = vec![0];
        let mut held = 0;
        for group in opened.readers[largest].groups() {
            if held >= ROWS_OF_LARGEST && firsts.last() < Some(&group.first) {
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
    pub(in crate::source) fn chunk_of(entity: u32) -> Entities {
        Entities {
            first: entity,
            end: entity + 1,
            is_unread: false,
        }
    }

    /// The keys of all entities.
    pub(in crate::source) fn with_keys<T>(
        &self,
        take: impl FnOnce(&EntityKeys) -> T,
    ) -> Result<T, Error> {
        Ok(take(&self.opened()?.keys))
    }

    /// Rows in all chunks together.
    pub(in crate::source) fn rows(&self, is_unread: bool) -> u64 {
        let picks = self.picks(is_unread).parts.iter();
        picks.map(|pick| self.manifest.parts[pick.part].rows).sum()
    }

    /// Whether rows are from the log, and know their places in it.
    pub(in crate::source) fn have_positions(&self, entities: Entities) -> bool {
        let mut picks = self.picks(entities.is_unread).parts.iter();
        picks.any(|pick| self.manifest.parts[pick.part].positions.is_some())
    }

    /// Whether a chunk has more than one part: an entity's rows may stand apart in it.
    pub(in crate::source) fn are_several(&self, entities: Entities) -> bool {
        self.picks(entities.is_unread).parts.len() > 1
    }

    /// The newest instant of all.
    pub(in crate::source) fn newest(&self) -> Option<i64> {
        self.manifest.parts.iter().map(|part| part.instants.1).max()
    }

    /// Names of the columns of some of the raw files that were ingested.
    pub(in crate::source) fn columns_of<'s>(
        &'s self,
        wanted: &dyn Fn(&Path) -> bool,
    ) -> Vec<&'s str> {
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
    pub(in crate::source) fn files(&self) -> impl Iterator<Item = FileHash> {
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
}

fn stale(source: &str, why: &str) -> Error {
    Error::Stale {
        source_name: source.to_owned(),
        why: why.to_owned(),
    }
}
