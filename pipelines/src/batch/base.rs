//! A version to go on from: what it has read is not read again. Its states are one more part
//! of every entity's history, the first; an entity with an event that is not newer than that
//! part is tangled like any other, and read again from the beginning.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use granary_registry::FeatureGroup;
use granary_storage::{LogReader, OfflineStore, Offset, Version};

use super::chunk::Partials;
use crate::erased::is_stand_in;
use crate::error::Error;
use crate::fold::{DecodeError, InputFrom, InputSpec, STATE_FORMAT};
use crate::job::Job;
use crate::piece::Interner;
use crate::reading::Since;
use crate::source::FileHash;

/// A version whose states hold for the files that are there.
#[derive(Debug)]
pub struct Base {
    version: Version,
    /// The files whose rows are in the states.
    files: HashSet<PathBuf>,
}

impl Base {
    /// The group's current version, if its definition is the group's and everything that it
    /// read is still there.
    pub fn find(job: &Job<'_>, group: &FeatureGroup) -> Result<Option<Base>, Error> {
        let Some(version) = OfflineStore::new(job.data).current(&group.name)? else {
            return Ok(None);
        };
        let manifest = version.manifest();
        let embedder = manifest.embedder.as_ref();
        if manifest.fingerprint != group.fingerprint.to_string()
            || manifest.state_format != STATE_FORMAT
            || embedder.is_some_and(|embedder| *embedder != job.embedder.id())
            || !is_in_log(job, manifest.log_offset)?
        {
            return Ok(None);
        }
        let inputs = manifest.inputs.iter();
        let inputs: HashMap<&str, &str> =
            inputs.map(|input| (&*input.path, &*input.blake3)).collect();
        let is_read = |file: &FileHash| {
            let hash = inputs.get(&*file.path.to_string_lossy());
            hash.is_some_and(|hash| **hash == *file.blake3.to_hex())
        };
        let hashes = job.files_of(job.source_of(group).0)?.into_iter();
        let files: HashSet<PathBuf> = hashes.filter(is_read).map(|file| file.path).collect();
        if files.len() != inputs.len() || !has_the_same_columns(job, group, &files)? {
            return Ok(None);
        }
        Ok(Some(Base { version, files }))
    }

    /// The version.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// What it has read.
    pub(crate) fn since(&self) -> Since {
        Since {
            files: self.files.clone(),
            log: self.version.manifest().log_offset,
        }
    }

    /// Its states.
    pub(super) fn partials(&self, interner: &mut Interner) -> Result<Partials, Error> {
        let mut partials = Partials::default();
        let manifest = self.version.manifest();
        for batch in self.version.states()? {
            for state in batch?.iter() {
                let damaged = |source| Error::State {
                    key: String::from_utf8_lossy(state.key).into_owned(),
                    group: manifest.group.clone(),
                    source,
                };
                let key = std::str::from_utf8(state.key).map_err(|_| {
                    damaged(DecodeError::Invalid {
                        what: "key that is no text",
                        found: 0,
                    })
                })?;
                let mut entity = interner.number(key);
                if is_stand_in(entity) {
                    // A version that knows the tombstone has only what counts in spite of it.
                    let known = manifest.erasures;
                    let counts = (interner.tombstone_of(entity) as u64) < known;
                    match interner.admit(entity, |_| counts) {
                        Some(number) => entity = number,
                        None => continue,
                    }
                }
                let pushed = partials.push_encoded(entity, &state);
                pushed.map_err(damaged)?;
            }
        }
        Ok(partials)
    }
}

/// Values are taken from the columns that files have: new ones would make others of them.
fn has_the_same_columns(
    job: &Job<'_>,
    group: &FeatureGroup,
    read: &HashSet<PathBuf>,
) -> Result<bool, Error> {
    let by_name = |input: &InputSpec| matches!(input.from, InputFrom::Value { .. });
    if !job.compile(group)?.inputs.iter().any(by_name) {
        return Ok(true);
    }
    let files = job.open(job.source_of(group).0)?;
    Ok(files.columns_of(|file| read.contains(file)) == files.columns())
}

/// Whether the log goes on from this offset: records that a version has not read are all
/// there.
fn is_in_log(job: &Job<'_>, offset: Offset) -> Result<bool, Error> {
    let first = LogReader::open(job.data.log()).first()?;
    Ok(first <= offset && offset <= job.log_until)
}
