//! Whether a record can still be recomputed: under the definition that it was served under,
//! from the files that its version was built from.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use granary_registry::{FeatureGroup, FeatureKind, Registry};
use granary_storage::{OfflineStore, Offset};

use super::{Report, Served, Verification};
use crate::build::input_file;
use crate::error::Error;
use crate::job::Job;

/// The log's end in the version that a record was served from, or why it is left out.
type Standing = Result<Offset, String>;

/// The standing of one group's records, by version.
pub(super) struct Standings<'a> {
    job: &'a Job<'a>,
    group: &'a FeatureGroup,
    store: OfflineStore,
    /// Fingerprint of the registry at hand.
    registry: String,
    known: HashMap<(Arc<str>, bool), Standing>,
}

impl<'a> Standings<'a> {
    pub(super) fn new(job: &'a Job<'a>, group: &'a FeatureGroup) -> Standings<'a> {
        Standings {
            job,
            group,
            store: OfflineStore::new(job.data),
            registry: job.registry.fingerprint().to_string(),
            known: HashMap::new(),
        }
    }

    /// Of a record that has features of the group.
    pub(super) fn of(&mut self, record: &Served) -> Result<Standing, Error> {
        let name = &self.group.name;
        let versions = &mut record.versions.iter();
        let Some((_, version)) = versions.find(|(group, _)| **group == **name) else {
            return Ok(Err(format!("group `{name}` was not served then")));
        };
        let same_registry = *record.registry == *self.registry;
        let place = (version.clone(), same_registry);
        if let Some(standing) = self.known.get(&place) {
            return Ok(standing.clone());
        }
        let standing = self.look(version, same_registry)?;
        self.known.insert(place, standing.clone());
        Ok(standing)
    }

    fn look(&self, name: &str, same_registry: bool) -> Result<Standing, Error> {
        let group = self.group;
        let gone = |why: &str| {
            Ok(Err(format!(
                "group `{}`: {why} since version {name} was served",
                group.name
            )))
        };
        if !self
            .store
            .versions(&group.name)?
            .iter()
            .any(|held| held == name)
        {
            return gone("its files were removed");
        }
        let version = self.store.version(&group.name, name)?;
        let manifest = version.manifest();
        if manifest.fingerprint != group.fingerprint.to_string() {
            return gone("its definition changed");
        }
        // The fingerprint says nothing of `max_age`, which only values have.
        let is_value = |kind: &FeatureKind| matches!(kind, FeatureKind::Value { .. });
        if !same_registry && group.features.iter().any(|feature| is_value(&feature.kind)) {
            return gone("the registry, and perhaps its `max_age`, changed");
        }
        self.job.known.trust(&manifest.inputs);
        let files = self.job.files_of(self.job.source_of(group).0)?;
        let files = files.iter().map(input_file);
        let mut files: Vec<_> = files.map(|file| (file.path, file.blake3)).collect();
        let inputs = manifest.inputs.iter().cloned();
        let mut inputs: Vec<_> = inputs.map(|input| (input.path, input.blake3)).collect();
        files.sort();
        inputs.sort();
        if files != inputs {
            return gone("its source files changed");
        }
        Ok(Ok(manifest.log_offset))
    }
}

/// Counts served features that the registry does not have any more.
pub(super) fn count_unknown(
    registry: &Registry,
    verification: Verification<'_>,
    report: &mut Report,
) {
    let defined = |name: &str| {
        registry
            .groups
            .iter()
            .any(|group| group.feature(name).is_some())
    };
    let mut names: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, _) in verification
        .records
        .iter()
        .flat_map(|record| &record.features)
    {
        *names.entry(name).or_default() += 1;
    }
    for (name, values) in names {
        if !defined(name) {
            report.skip(&format!("feature `{name}` is not in the registry"), values);
        }
    }
}
