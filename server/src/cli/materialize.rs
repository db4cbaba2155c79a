//! `granary materialize`: a training set at label instants.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use granary_pipelines::materialize::{self, Rows, TrainingSet};
use granary_pipelines::{Job, Part, Progress, build};
use granary_registry::{EventTime, FeatureService, Label};
use granary_storage::{BuilderLock, OfflineStore, read_dataset, write_dataset};
use serde_json::json;

use super::build::{BadRowArgs, SideFile};
use super::context::{Common, Context};
use super::show::{self, Bar};
use super::stage::Stage;

/// Name of the training set in the materialized store.
pub(super) const DATASET: &str = "training_dataset";

/// Compute a training set: features as of each label's instant
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  granary materialize
  granary materialize --spine my_users.parquet   columns: user_id, as_of, and the label if known")]
pub(super) struct Args {
    /// The feature service whose features are taken; the first one with a label if absent
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
    /// Entities and instants of your own (Parquet, CSV or JSON lines), instead of the label's
    #[arg(long, value_name = "FILE")]
    pub spine: Option<PathBuf>,
    /// Compute even if the inputs are unchanged
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub bad_rows: BadRowArgs,
}

/// Runs it.
pub(super) fn run(common: &Common, args: &Args) -> anyhow::Result<()> {
    let context = common.open()?;
    let lock = context.data.lock_builder()?;
    materialize(&context, &lock, args)?.print(common.json);
    Ok(())
}

/// Writes the training set, unless its inputs are unchanged.
pub(super) fn materialize(
    context: &Context,
    lock: &BuilderLock,
    args: &Args,
) -> anyhow::Result<Stage> {
    let (service, label) = service_of(context, args.service.as_deref())?;
    let side = SideFile::new(context, args.bad_rows)?;
    let bad_rows = side.rule();
    let until = context.close_log()?;
    let bar = Bar::new("materialize");
    let follow = |progress: Progress<'_>| bar.follow(progress);
    let job = context.job(until, &bad_rows, &follow);
    let clock = context.as_of(&job)?;
    let inputs = inputs_fingerprint(&job, service, label, clock, args)?;
    if !args.force
        && let Some(dataset) = read_dataset(&context.data, DATASET)?
        && dataset
            .manifest
            .get("inputs_fingerprint")
            .and_then(|held| held.as_str())
            == Some(&inputs)
    {
        return Ok(Stage::skipped(
            "materialize",
            format!("{} rows", count_rows(&dataset.batches)),
        ));
    }
    let (rows, left_out) = rows(&job, service, label, clock, args)?;
    let set = materialize::materialize(&job, service, rows)?;
    let manifest = manifest(context, service, label, clock, &inputs, &set);
    let written = set.batch.num_rows() as u64;
    let balance = label.map(|label| materialize::balance(&set.batch, &label.column));
    write_dataset(
        &context.data,
        lock,
        DATASET,
        set.batch.schema(),
        [set.batch],
        manifest,
    )?;
    drop(bad_rows);
    side.commit()?;
    let mut stage = Stage::done(
        "materialize",
        written,
        bar.finish(),
        describe(balance.as_deref()),
    );
    if left_out > 0 {
        let left_out = show::count(left_out);
        stage
            .warnings
            .push(format!("{left_out} rows without a label left out"));
    }
    Ok(stage)
}

/// The service asked for, or the first with a label, and its label.
pub(super) fn service_of<'a>(
    context: &'a Context,
    name: Option<&str>,
) -> anyhow::Result<(&'a FeatureService, Option<&'a Label>)> {
    let registry = &context.registry;
    let service = match name {
        Some(name) => registry.service(name),
        None => registry
            .services
            .iter()
            .find(|service| service.label.is_some()),
    };
    let Some(service) = service else {
        let known: Vec<&str> = registry
            .services
            .iter()
            .map(|service| service.name.as_str())
            .collect();
        bail!(
            "the registry has no feature service `{}`; it has {}",
            name.unwrap_or("with a label"),
            known.join(", ")
        );
    };
    Ok((
        service,
        service
            .label
            .as_deref()
            .and_then(|label| registry.label(label)),
    ))
}

fn rows(
    job: &Job<'_>,
    service: &FeatureService,
    label: Option<&Label>,
    clock: EventTime,
    args: &Args,
) -> anyhow::Result<(Rows, u64)> {
    if let Some(path) = &args.spine {
        return Ok((materialize::rows_of_spine(job, service, label, path)?, 0));
    }
    let Some(label) = label else {
        bail!(
            "feature service `{}` has no label; name one in the registry, or pass --spine",
            service.name
        );
    };
    Ok(materialize::rows_of_label(job, label, clock)?)
}

fn inputs_fingerprint(
    job: &Job<'_>,
    service: &FeatureService,
    label: Option<&Label>,
    clock: EventTime,
    args: &Args,
) -> anyhow::Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(format!("{service:?} {label:?}").as_bytes());
    hasher.update(&job.log_until.0.to_le_bytes());
    hasher.update(job.embedder.id().as_bytes());
    // Only labels without an instant of their own depend on the clock.
    if label.is_some_and(|label| label.instant == granary_registry::Instant::DataClock) {
        hasher.update(&clock.0.to_le_bytes());
    }
    let mut sources: Vec<&str> = Vec::new();
    for (group, _) in &service.features {
        let group = job.group(group)?;
        let imputations: Vec<_> = group
            .features
            .iter()
            .map(|feature| &feature.imputation)
            .collect();
        hasher.update(format!("{} {imputations:?}", group.fingerprint).as_bytes());
        sources.push(&group.source);
    }
    sources.extend(label.map(|label| label.source.as_str()));
    sources.sort_unstable();
    sources.dedup();
    for source in sources {
        let source = job.registry.source(source).context("a source vanished")?;
        for file in job.files_of(source)? {
            hasher.update(file.blake3.as_bytes());
        }
    }
    if let Some(path) = &args.spine {
        let bytes = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
        hasher.update(&bytes);
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// Everything needed to make the same set again.
fn manifest(
    context: &Context,
    service: &FeatureService,
    label: Option<&Label>,
    clock: EventTime,
    inputs_fingerprint: &str,
    set: &TrainingSet,
) -> serde_json::Value {
    let registry = &context.registry;
    let fingerprint = |(group, name): &(String, Arc<str>)| {
        let print = registry.feature_fingerprint(group, name)?;
        Some((format!("{group}:{name}"), print.to_string()))
    };
    let features: BTreeMap<String, String> =
        service.features.iter().filter_map(fingerprint).collect();
    let mut groups: Vec<&str> = service
        .features
        .iter()
        .map(|(group, _)| group.as_str())
        .collect();
    groups.dedup();
    let versions: BTreeMap<&str, String> = groups
        .into_iter()
        .filter_map(|group| {
            let version = OfflineStore::new(&context.data)
                .current(group)
                .ok()
                .flatten();
            version.map(|version| (group, version.name().to_owned()))
        })
        .collect();
    json!({
        "service": service.name,
        "label": label.map(|label| &label.name),
        "label_column": label.map(|label| &label.column),
        "features": service.features.iter().map(|(group, name)| format!("{group}:{name}")).collect::<Vec<_>>(),
        "feature_fingerprints": features,
        "offline_versions": versions,
        "registry_fingerprint": context.registry.fingerprint().to_string(),
        "inputs_fingerprint": inputs_fingerprint,
        "inputs": set.inputs,
        "clock": clock.to_string(),
        "embedder": context.embedder.id(),
        "imputation": set.fills.iter().map(|fill| json!({
            "feature": fill.feature,
            "rule": fill.rule,
            "value": build::json(&fill.value),
            "filled": fill.filled,
        })).collect::<Vec<_>>(),
    })
}

fn describe(balance: Option<&[(Part, u64, u64)]>) -> String {
    let part = |(part, rows, positive): &(Part, u64, u64)| {
        let share = *positive as f64 / (*rows).max(1) as f64 * 100.0;
        format!(
            "{} {} ({share:.1} % positive)",
            part.name(),
            show::count(*rows)
        )
    };
    balance
        .into_iter()
        .flatten()
        .map(part)
        .collect::<Vec<_>>()
        .join(", ")
}

fn count_rows(batches: &[arrow::array::RecordBatch]) -> String {
    show::count(batches.iter().map(|batch| batch.num_rows() as u64).sum())
}
