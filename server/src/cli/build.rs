//! `granary build`: raw rows to versions of the offline store.

use std::sync::{Arc, Mutex};

use anyhow::bail;
use granary_pipelines::batch::Base;
use granary_pipelines::build::{self, BuildPlan, Built};
use granary_pipelines::fold::STATE_FORMAT;
use granary_pipelines::source::BadRows;
use granary_pipelines::{Error, Job};
use granary_registry::{Clock, EventTime, FeatureGroup, Label};
use granary_storage::{AtomicFile, BuilderLock, OfflineStore};

use super::context::{Common, Context};
use super::show::{self, Bar};
use super::stage::Stage;

/// Compute feature groups from the raw tables and the log, as new offline versions
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  granary build
  granary build --group user_activity_features --force
  granary build --on-bad-row skip")]
pub(super) struct Args {
    /// Only this group or label; may be given several times
    #[arg(long, value_name = "NAME")]
    pub group: Vec<String>,
    /// Build even if the inputs are unchanged
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub bad_rows: BadRowArgs,
}

/// What happens to rows that cannot be read.
#[derive(clap::Args, Debug, Clone, Copy)]
pub(super) struct BadRowArgs {
    /// What happens to rows that cannot be read
    #[arg(long, value_enum, default_value_t = OnBadRow::Fail, env = "GRANARY_ON_BAD_ROW")]
    pub on_bad_row: OnBadRow,
}

/// What happens to rows that cannot be read.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnBadRow {
    /// Stop with file, line, column, value and reason.
    Fail,
    /// Leave them out, count them, and write them to bad_rows/.
    Skip,
}

/// Runs it.
pub(super) fn run(common: &Common, args: &Args) -> anyhow::Result<()> {
    let context = common.open()?;
    let lock = context.data.lock_builder()?;
    build_all(&context, &lock, args, &mut |stage| stage.print(common.json))
}

/// Builds what is asked for, telling of each group as it is done.
pub(super) fn build_all(
    context: &Context,
    lock: &BuilderLock,
    args: &Args,
    tell: &mut dyn FnMut(&Stage),
) -> anyhow::Result<()> {
    check_names(context, &args.group)?;
    let wanted = |name: &str| args.group.is_empty() || args.group.iter().any(|held| held == name);
    let side = SideFile::new(context, args.bad_rows)?;
    let bad_rows = side.rule();
    let until = context.close_log()?;
    let quiet = |_: granary_pipelines::Progress<'_>| {};
    for group in context
        .registry
        .groups
        .iter()
        .filter(|group| wanted(&group.name))
    {
        let bar = Bar::new(&group.name);
        let follow = |progress: granary_pipelines::Progress<'_>| bar.follow(progress);
        let job = context.job(until, &bad_rows, &follow)?;
        let as_of = || context.as_of(&job);
        let (stage, built) = build_group(&job, lock, group, &as_of, args.force, &bar)?;
        drop(bar);
        tell(&finish(
            stage,
            built.as_ref(),
            bad_rows.skipped(&group.source),
        ));
    }
    for label in context
        .registry
        .labels
        .iter()
        .filter(|label| wanted(&label.name))
    {
        let bar = Bar::new(&label.name);
        let job = context.job(until, &bad_rows, &quiet)?;
        let as_of = || context.as_of(&job);
        let (stage, built) = build_label(&job, lock, label, &as_of, args.force, &bar)?;
        drop(bar);
        tell(&finish(
            stage,
            built.as_ref(),
            bad_rows.skipped(&label.source),
        ));
    }
    drop(bad_rows);
    side.commit()
}

fn check_names(context: &Context, names: &[String]) -> anyhow::Result<()> {
    let registry = &context.registry;
    for name in names {
        if registry.group(name).is_none() && registry.label(name).is_none() {
            let groups = registry.groups.iter().map(|group| group.name.as_str());
            let known: Vec<&str> = groups
                .chain(registry.labels.iter().map(|label| label.name.as_str()))
                .collect();
            bail!(
                "the registry has no feature group or label `{name}`; it has {}",
                known.join(", ")
            );
        }
    }
    Ok(())
}

type AsOf<'a> = &'a (dyn Fn() -> Result<EventTime, Error> + Sync);
type Outcome = anyhow::Result<(Stage, Option<Built>)>;

fn build_group(
    job: &Job<'_>,
    lock: &BuilderLock,
    group: &FeatureGroup,
    as_of: AsOf<'_>,
    force: bool,
    bar: &Bar,
) -> Outcome {
    let definition = format!(
        "{} {:?} {STATE_FORMAT}",
        group.fingerprint,
        expectations(group)
    );
    let inputs = || inputs_fingerprint(job, &group.source, &definition);
    let name = format!("build {}", group.name);
    let mut base = None;
    if !force {
        if let Some(version) = unchanged(job, &group.name, &inputs, as_of)? {
            return Ok((Stage::skipped(name, version), None));
        }
        base = Base::find(job, group)?;
    }
    let elapsed = || bar.elapsed().as_micros() as u64;
    let plan = BuildPlan {
        as_of,
        base: base.as_ref(),
        inputs_fingerprint: &inputs,
        elapsed: &elapsed,
    };
    let built = build::build(job, lock, group, plan)?;
    Ok((
        Stage::done(name, built.rows_read, bar.elapsed(), String::new()),
        Some(built),
    ))
}

fn build_label(
    job: &Job<'_>,
    lock: &BuilderLock,
    label: &Label,
    as_of: AsOf<'_>,
    force: bool,
    bar: &Bar,
) -> Outcome {
    let definition = format!("{label:?}");
    let inputs = || inputs_fingerprint(job, &label.source, &definition);
    let name = format!("build {}", label.name);
    if !force && let Some(version) = unchanged(job, &label.name, &inputs, as_of)? {
        return Ok((Stage::skipped(name, version), None));
    }
    let elapsed = || bar.elapsed().as_micros() as u64;
    let plan = BuildPlan {
        as_of,
        base: None,
        inputs_fingerprint: &inputs,
        elapsed: &elapsed,
    };
    let built = build::build_label(job, lock, label, plan)?;
    Ok((
        Stage::done(name, built.rows_read, bar.elapsed(), String::new()),
        Some(built),
    ))
}

fn expectations(group: &FeatureGroup) -> Vec<&[granary_registry::Expectation]> {
    group
        .features
        .iter()
        .map(|feature| &feature.expectations[..])
        .collect()
}

/// Equal when a build at the same instant would give the same: definition, files and log.
fn inputs_fingerprint(job: &Job<'_>, source: &str, definition: &str) -> Result<String, Error> {
    let source = job.registry.source(source).expect("checked: sources exist");
    let mut hasher = blake3::Hasher::new();
    hasher.update(definition.as_bytes());
    for file in job.files_of(source)? {
        hasher.update(file.path.as_os_str().as_encoded_bytes());
        hasher.update(file.blake3.as_bytes());
    }
    hasher.update(&job.log_until.0.to_le_bytes());
    hasher.update(job.embedder.id().as_bytes());
    Ok(hasher.finalize().to_hex().to_string())
}

/// The current version, if a build would give it again. Inputs are hashed only to compare, and
/// of those only what is not as its manifest says.
fn unchanged(
    job: &Job<'_>,
    name: &str,
    inputs: &dyn Fn() -> Result<String, Error>,
    as_of: AsOf<'_>,
) -> Result<Option<String>, Error> {
    let Some(current) = OfflineStore::new(job.data).current(name)? else {
        return Ok(None);
    };
    let manifest = current.manifest();
    job.known.trust(&manifest.inputs);
    let same = manifest.inputs_fingerprint == inputs()?
        && (job.registry.clock == Clock::Wall || manifest.as_of == as_of()?.0);
    Ok(same.then(|| current.name().to_owned()))
}

/// Adds what came of a build to its stage.
fn finish(mut stage: Stage, built: Option<&Built>, skipped_rows: u64) -> Stage {
    if let Some(built) = built {
        let manifest = built.version.manifest();
        let from = manifest.base.as_ref().map(|base| format!(" from {base}"));
        stage.detail = format!(
            "{}{}: {} entities, features {}, states {}",
            built.version.name(),
            from.unwrap_or_default(),
            show::count(manifest.rows),
            show::bytes(manifest.features_bytes),
            show::bytes(manifest.states_bytes),
        );
        if let Some(bytes) = built.spilled {
            let waited = format!(", {} of rows on disk meanwhile", show::bytes(bytes));
            stage.detail.push_str(&waited);
        }
        stage.warnings.extend(manifest.notes.iter().cloned());
        let broken = manifest.expectations.iter().filter(|held| !held.passed);
        stage
            .warnings
            .extend(broken.map(|held| format!("{} {}: {}", held.feature, held.rule, held.detail)));
    }
    if skipped_rows > 0 {
        let rows = show::count(skipped_rows);
        stage
            .warnings
            .push(format!("{rows} bad rows left out, see bad_rows/"));
    }
    stage
}

/// The file that bad rows go to.
pub(super) struct SideFile {
    file: Option<Arc<Mutex<AtomicFile>>>,
}

/// A handle for the decoders, while the command keeps the file to commit it.
struct Shared(Arc<Mutex<AtomicFile>>);

impl std::io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .flush()
    }
}

impl SideFile {
    /// Opens it if rows are to be skipped.
    pub(super) fn new(context: &Context, args: BadRowArgs) -> anyhow::Result<SideFile> {
        let file = match args.on_bad_row {
            OnBadRow::Skip => Some(Arc::new(Mutex::new(
                context.data.bad_rows_writer("bad_rows.jsonl")?,
            ))),
            OnBadRow::Fail => None,
        };
        Ok(SideFile { file })
    }

    /// The rule for the decoders.
    pub(super) fn rule(&self) -> BadRows {
        match &self.file {
            Some(file) => BadRows::skip(Box::new(Shared(file.clone()))),
            None => BadRows::strict(),
        }
    }

    /// Makes the file visible, once no decoder writes any more.
    pub(super) fn commit(self) -> anyhow::Result<()> {
        if let Some(file) = self.file.and_then(Arc::into_inner) {
            file.into_inner()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .commit()?;
        }
        Ok(())
    }
}
