//! Makes a set by its recipe and writes it down; whether it is published is the caller's.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use arrow::datatypes::SchemaRef;
use granary_pipelines::materialize::{self, RangeSet, Steps};
use granary_pipelines::{Fill, Job, Part, build};
use granary_registry::{FeatureService, Registry};
use granary_storage::{DatasetWriter, InputFile, OfflineStore, Written};
use serde_json::json;

use super::recipe::{Recipe, RowsFrom, steps};
use crate::cli::show;

/// A set on disk, not published yet.
pub(super) struct Made {
    pub written: Written,
    pub fills: Vec<Fill>,
    /// Rows and positive ones of each part, if there is a label.
    balance: Option<Vec<(Part, u64, u64)>>,
    /// Entities of a range, and its steps.
    range: Option<(usize, usize)>,
    /// Rows of the label without an outcome.
    pub left_out: u64,
}

/// Computes the rows and writes them where `open` says.
pub(super) fn make(
    job: &Job<'_>,
    recipe: &Recipe,
    open: impl FnOnce(SchemaRef) -> granary_storage::Result<DatasetWriter>,
) -> anyhow::Result<Made> {
    let service = service(job.registry, &recipe.service)?;
    let label = recipe.label(job.registry);
    let (rows, left_out) = match (&recipe.rows, label) {
        (RowsFrom::Spine(file), label) => {
            (materialize::rows_of_spine(job, service, label, file)?, 0)
        }
        (RowsFrom::Label, Some(label)) => materialize::rows_of_label(job, label, recipe.clock()?)?,
        (RowsFrom::Label, None) => bail!(
            "feature service `{}` has no label; name one in the registry, or pass --spine or --from",
            service.name
        ),
        (
            RowsFrom::Range {
                from,
                to,
                every,
                entities,
            },
            _,
        ) => {
            let steps = steps(from, to, every)?;
            return make_range(job, service, steps, entities.as_deref(), open);
        }
    };
    let set = materialize::materialize(job, service, rows)?;
    let mut writer = open(set.batch.schema())?;
    writer.write(&set.batch)?;
    Ok(Made {
        written: writer.finish()?,
        fills: set.fills,
        balance: label.map(|label| materialize::balance(&set.batch, &label.column)),
        range: None,
        left_out,
    })
}

fn make_range(
    job: &Job<'_>,
    service: &FeatureService,
    steps: Steps,
    entities: Option<&Path>,
    open: impl FnOnce(SchemaRef) -> granary_storage::Result<DatasetWriter>,
) -> anyhow::Result<Made> {
    let count = steps.count();
    let set = RangeSet::open(job, service, steps, entities)?;
    let mut writer = open(set.schema().clone())?;
    set.each_batch(|batch| Ok::<(), anyhow::Error>(writer.write(batch)?))?;
    Ok(Made {
        written: writer.finish()?,
        fills: Vec::new(),
        balance: None,
        range: Some((set.entities(), count)),
        left_out: 0,
    })
}

/// The service of this name, or an error that names those there are.
pub(super) fn service<'r>(
    registry: &'r Registry,
    name: &str,
) -> anyhow::Result<&'r FeatureService> {
    registry.service(name).with_context(|| {
        let known: Vec<&str> = registry
            .services
            .iter()
            .map(|service| service.name.as_str())
            .collect();
        format!(
            "the registry has no feature service `{name}`; it has {}",
            known.join(", ")
        )
    })
}

impl Made {
    /// What came of it, in words.
    pub(super) fn describe(&self) -> String {
        if let Some((entities, steps)) = self.range {
            let (entities, steps) = (show::count(entities as u64), show::count(steps as u64));
            return format!("{entities} entities at {steps} instants");
        }
        let part = |(part, rows, positive): &(Part, u64, u64)| {
            let share = *positive as f64 / (*rows).max(1) as f64 * 100.0;
            let rows = show::count(*rows);
            format!("{} {rows} ({share:.1} % positive)", part.name())
        };
        let parts = self.balance.iter().flatten().map(part);
        parts.collect::<Vec<_>>().join(", ")
    }

    /// Everything needed to make the same set again.
    pub(super) fn manifest(
        &self,
        job: &Job<'_>,
        recipe: &Recipe,
        inputs: &[InputFile],
        inputs_fingerprint: &str,
    ) -> anyhow::Result<serde_json::Value> {
        let registry = job.registry;
        let service = service(registry, &recipe.service)?;
        let label = recipe.label(registry);
        let fingerprint = |(group, name): &(String, Arc<str>)| {
            let print = registry.feature_fingerprint(group, name)?;
            Some((format!("{group}:{name}"), print.to_string()))
        };
        let features: BTreeMap<String, String> =
            service.features.iter().filter_map(fingerprint).collect();
        let fill = |fill: &Fill| {
            json!({
                "feature": fill.feature,
                "rule": fill.rule,
                "value": build::json(&fill.value),
                "filled": fill.filled,
            })
        };
        Ok(json!({
            "service": service.name,
            "label": label.map(|label| &label.name),
            "label_column": label.map(|label| &label.column),
            "features": service.features.iter().map(|(group, name)| format!("{group}:{name}")).collect::<Vec<_>>(),
            "feature_fingerprints": features,
            "offline_versions": offline_versions(job, service)?,
            "registry_fingerprint": registry.fingerprint().to_string(),
            "inputs_fingerprint": inputs_fingerprint,
            "inputs": inputs,
            "clock": recipe.clock,
            "embedder": recipe.embedder,
            "imputation": self.fills.iter().map(fill).collect::<Vec<_>>(),
            "granary": env!("CARGO_PKG_VERSION"),
            "erasures": job.erased.len(),
            "recipe": recipe,
        }))
    }
}

/// The current version of each group of the service that was built.
fn offline_versions(
    job: &Job<'_>,
    service: &FeatureService,
) -> anyhow::Result<BTreeMap<String, String>> {
    let store = OfflineStore::new(job.data);
    let mut versions = BTreeMap::new();
    for (group, _) in &service.features {
        if let Some(version) = store.current(group)? {
            versions.insert(group.clone(), version.name().to_owned());
        }
    }
    Ok(versions)
}
