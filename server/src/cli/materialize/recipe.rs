//! What a set is made of, besides the files: kept in its manifest, so that it can be made again.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use granary_pipelines::materialize::Steps;
use granary_registry::{EventTime, FeatureService, Label, Registry, Span};
use granary_storage::Offset;
use serde::{Deserialize, Serialize};

use crate::cli::context::Context;

/// Everything that decides the bytes of a set, as far as it is not in a file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Recipe {
    pub service: String,
    pub rows: RowsFrom,
    /// Whether rows that cannot be read are left out.
    pub skips_bad_rows: bool,
    /// The text of the registry.
    pub registry: String,
    pub embedder: String,
    /// The instant of labels that have none of their own.
    pub clock: String,
    pub log: LogPart,
}

/// The records of the log that count as history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LogPart {
    pub from: Offset,
    pub until: Offset,
}

/// Which entities at which instants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RowsFrom {
    /// Those of the service's label.
    Label,
    /// Those of a file.
    Spine(PathBuf),
    /// Every entity at every step.
    Range {
        from: String,
        to: String,
        every: String,
        entities: Option<PathBuf>,
    },
}

impl RowsFrom {
    /// The file that they come from, if it is none of the registry's.
    pub(super) fn file(&self) -> Option<&Path> {
        match self {
            RowsFrom::Label => None,
            RowsFrom::Spine(file) => Some(file),
            RowsFrom::Range { entities, .. } => entities.as_deref(),
        }
    }
}

impl Recipe {
    pub(super) fn clock(&self) -> anyhow::Result<EventTime> {
        EventTime::parse(&self.clock).context("the clock in the manifest")
    }

    /// The same things make the same set; of the registry only what matters to it counts.
    pub(super) fn fingerprint(&self, registry: &Registry, hasher: &mut blake3::Hasher) {
        let service = self.service(registry);
        // Of a range its split alone matters.
        let label = service.and_then(|service| service.label.as_deref());
        let label = label.and_then(|label| registry.label(label));
        hasher.update(format!("{service:?} {label:?} {:?}", self.rows).as_bytes());
        hasher.update(format!("{} {:?}", self.skips_bad_rows, self.log).as_bytes());
        hasher.update(self.embedder.as_bytes());
        // Only labels without an instant of their own depend on the clock.
        let instant = label.map(|label| &label.instant);
        if instant == Some(&granary_registry::Instant::DataClock) {
            hasher.update(self.clock.as_bytes());
        }
        for (group, name) in service.into_iter().flat_map(|service| &service.features) {
            let group = registry.group(group);
            let source = group.and_then(|group| registry.source(&group.source));
            let feature = group.and_then(|group| group.feature(name));
            let created = source.and_then(|source| source.created.as_ref());
            let imputation = feature.and_then(|feature| feature.imputation.as_ref());
            let group = group.map(|group| (&group.fingerprint, group.max_age));
            hasher.update(format!("{group:?} {created:?} {imputation:?}").as_bytes());
        }
    }

    fn service<'r>(&self, registry: &'r Registry) -> Option<&'r FeatureService> {
        registry.service(&self.service)
    }

    /// The label whose column and split the rows have; those of a range have none.
    pub(super) fn label<'r>(&self, registry: &'r Registry) -> Option<&'r Label> {
        let label = self.service(registry)?.label.as_deref()?;
        match self.rows {
            RowsFrom::Range { .. } => None,
            RowsFrom::Label | RowsFrom::Spine(_) => registry.label(label),
        }
    }
}

/// The steps of a range as they were asked for.
pub(super) fn steps(from: &str, to: &str, every: &str) -> anyhow::Result<Steps> {
    let instant =
        |flag: &str, text: &str| EventTime::parse(text).with_context(|| format!("--{flag} {text}"));
    let span = Span::parse(every).with_context(|| format!("--every {every}"))?;
    let steps = Steps::new(instant("from", from)?, instant("to", to)?, span);
    steps.map_err(anyhow::Error::msg)
}

/// The part of the log that a job reads.
pub(super) fn log_part(context: &Context, until: Offset) -> anyhow::Result<LogPart> {
    let from = granary_storage::LogReader::open(context.data.log()).first()?;
    Ok(LogPart { from, until })
}
