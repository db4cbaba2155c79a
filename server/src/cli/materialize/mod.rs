//! `granary materialize`: features as they were, at the instants of a label, of a file, or of
//! a range.

mod make; // a set by its recipe
mod rebuild; // a set again, and whether it is the same
mod recipe; // what a set is made of, besides files

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use granary_pipelines::{Job, Progress, materialize as sets};
use granary_registry::{FeatureService, Label};
use granary_storage::{BuilderLock, DatasetName, DatasetWriter, InputFile, Offset, check_dataset};

use self::make::make;
use self::recipe::{Recipe, RowsFrom, log_part};
use super::build::{BadRowArgs, OnBadRow, SideFile};
use super::context::{Common, Context};
use super::show::{self, Bar};
use super::stage::Stage;

/// Name of the training set in the materialized store unless it is given one.
pub(super) const DATASET: &str = "training_dataset";

/// Compute a training set: features as of each label's instant
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  granary materialize
  granary materialize --spine my_users.parquet   columns: user_id, as_of, and the label if known
  granary materialize --from 2025-01-01 --to 2025-06-01 --every 1w
  granary materialize --name spring              a version that stays: spring/v000001
  granary materialize --rebuild spring           again, from the same files: are the bytes the same?

Of a source with `created`, only rows count that were known at the instant. A range includes its
end if a step falls on it; it has no label, whose outcomes hold at the label's own instants, and
its gaps are not filled.")]
pub(super) struct Args {
    /// The feature service whose features are taken; the first one with a label if absent
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
    /// Entities and instants of your own (Parquet, CSV or JSON lines), instead of the label's
    #[arg(long, value_name = "FILE", conflicts_with_all = ["from", "to", "every", "entities"])]
    pub spine: Option<PathBuf>,
    /// First instant of a range: every entity at every step, instead of the label's rows
    #[arg(long, value_name = "INSTANT", requires_all = ["to", "every"])]
    pub from: Option<String>,
    /// Last instant of the range, included if a step falls on it
    #[arg(long, value_name = "INSTANT", requires = "from")]
    pub to: Option<String>,
    /// The step: 1d, 1w, 12h
    #[arg(long, value_name = "SPAN", requires = "from")]
    pub every: Option<String>,
    /// Only the entities that the key column of this file names; all if absent
    #[arg(long, value_name = "FILE", requires = "from")]
    pub entities: Option<PathBuf>,
    /// Keep the set as a new version under this name, instead of replacing `training_dataset`
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Make a set again by its manifest and say whether its bytes are the same
    #[arg(long, value_name = "NAME[/VERSION]", conflicts_with_all = ["service", "spine", "from", "name", "force"])]
    pub rebuild: Option<String>,
    /// Compute even if the inputs are unchanged
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub bad_rows: BadRowArgs,
}

impl Args {
    /// The label's rows, into the set that training reads.
    pub(super) fn of_label(force: bool, bad_rows: BadRowArgs) -> Args {
        Args {
            service: None,
            spine: None,
            from: None,
            to: None,
            every: None,
            entities: None,
            name: None,
            rebuild: None,
            force,
            bad_rows,
        }
    }

    fn rows(&self) -> anyhow::Result<RowsFrom> {
        // A rebuild may run in another directory.
        let absolute = |path: &Path| std::path::absolute(path);
        if let Some(spine) = &self.spine {
            return Ok(RowsFrom::Spine(absolute(spine)?));
        }
        let (Some(from), Some(to), Some(every)) = (&self.from, &self.to, &self.every) else {
            return Ok(RowsFrom::Label);
        };
        recipe::steps(from, to, every)?;
        Ok(RowsFrom::Range {
            from: from.clone(),
            to: to.clone(),
            every: every.clone(),
            entities: self.entities.as_deref().map(absolute).transpose()?,
        })
    }

    fn name(&self) -> anyhow::Result<DatasetName> {
        let name = DatasetName::parse(self.name.as_deref().unwrap_or(DATASET))?;
        if self.name.is_some() && (name.name == DATASET || name.version.is_some()) {
            bail!(
                "--name {name}: `{DATASET}` has no versions, and versions get their numbers by themselves; choose a plain name"
            );
        }
        Ok(name)
    }
}

/// Runs it.
pub(super) fn run(common: &Common, args: &Args) -> anyhow::Result<()> {
    let stage = if let Some(name) = &args.rebuild {
        rebuild::rebuild(common, name)?
    } else {
        let context = common.open()?;
        let lock = context.data.lock_builder()?;
        materialize(&context, &lock, args)?
    };
    stage.print(common.json);
    Ok(())
}

/// Writes the training set, unless its inputs are unchanged.
pub(super) fn materialize(
    context: &Context,
    lock: &BuilderLock,
    args: &Args,
) -> anyhow::Result<Stage> {
    let (service, _) = service_of(context, args.service.as_deref())?;
    let (rows, name) = (args.rows()?, args.name()?);
    let side = SideFile::new(context, args.bad_rows)?;
    let bad_rows = side.rule();
    let until = context.close_log()?;
    let bar = Bar::new("materialize");
    let follow = |progress: Progress<'_>| bar.follow(progress);
    let job = context.job(until, &bad_rows, &follow)?;
    let recipe = recipe(context, &job, service, rows, args.bad_rows, until)?;
    let held = check_dataset(&context.data, &name);
    // What is damaged can be made anew.
    let held = if args.force {
        held.ok().flatten()
    } else {
        held?
    };
    if let Some(held) = &held {
        job.known.trust(&rebuild::inputs_of(held)?);
    }
    let label = recipe.label(&context.registry);
    let inputs = sets::inputs(&job, service, label, recipe.rows.file())?;
    let fingerprint = fingerprint(context, &recipe, &inputs);
    if !args.force
        && let Some(held) = held
        && held
            .dataset
            .get("inputs_fingerprint")
            .and_then(|held| held.as_str())
            == Some(&fingerprint)
    {
        let rows = show::count(held.rows);
        return Ok(Stage::skipped("materialize", format!("{rows} rows")));
    }
    let made = make(&job, &recipe, |schema| match &args.name {
        Some(name) => DatasetWriter::version(&context.data, lock, name, schema),
        None => DatasetWriter::replace(&context.data, lock, &name, schema),
    })?;
    let manifest = made.manifest(&job, &recipe, &inputs, &fingerprint)?;
    let (rows, left_out) = (made.written.rows, made.left_out);
    let mut detail = made.describe();
    let published = made.written.publish(manifest)?;
    if args.name.is_some() {
        detail = format!("{published}  {detail}");
    }
    drop(bad_rows);
    side.commit()?;
    let mut stage = Stage::done("materialize", rows, bar.finish(), detail);
    if left_out > 0 {
        let left_out = show::count(left_out);
        let warning = format!("{left_out} rows without a label left out");
        stage.warnings.push(warning);
    }
    Ok(stage)
}

fn recipe(
    context: &Context,
    job: &Job<'_>,
    service: &FeatureService,
    rows: RowsFrom,
    bad_rows: BadRowArgs,
    until: Offset,
) -> anyhow::Result<Recipe> {
    Ok(Recipe {
        service: service.name.clone(),
        rows,
        skips_bad_rows: bad_rows.on_bad_row == OnBadRow::Skip,
        registry: context.registry_text.clone(),
        embedder: context.embedder.id().to_owned(),
        clock: context.as_of(job)?.to_string(),
        log: log_part(context, until)?,
    })
}

fn fingerprint(context: &Context, recipe: &Recipe, inputs: &[InputFile]) -> String {
    let mut hasher = blake3::Hasher::new();
    recipe.fingerprint(&context.registry, &mut hasher);
    for input in inputs {
        hasher.update(input.blake3.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

/// The service asked for, or the first with a label, and its label.
pub(super) fn service_of<'a>(
    context: &'a Context,
    name: Option<&str>,
) -> anyhow::Result<(&'a FeatureService, Option<&'a Label>)> {
    let registry = &context.registry;
    let service = if let Some(name) = name {
        make::service(registry, name)?
    } else {
        let mut services = registry.services.iter();
        let service = services.find(|service| service.label.is_some());
        service
            .context("no feature service of the registry has a label; choose one with --service")?
    };
    let label = service.label.as_deref();
    Ok((service, label.and_then(|label| registry.label(label))))
}
