//! `granary materialize --rebuild`: a set again by the recipe in its manifest, and whether the
//! bytes are the same.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use granary_pipelines::{Progress, materialize};
use granary_registry::Registry;
use granary_storage::{
    DataDir, Dataset, DatasetName, DatasetWriter, Envelope, InputFile, read_manifest,
};

use super::make::make;
use super::recipe::{LogPart, Recipe, log_part};
use crate::cli::build::{BadRowArgs, OnBadRow, SideFile};
use crate::cli::context::{Common, Context};
use crate::cli::show::Bar;
use crate::cli::stage::Stage;

/// Makes a set again; refuses if anything that it was made of has changed.
pub(super) fn rebuild(common: &Common, name: &str) -> anyhow::Result<Stage> {
    let data = DataDir::open(&common.data_dir)?;
    let lock = data.lock_builder()?;
    let name = DatasetName::parse(name)?.resolve(&data)?;
    let held = read_manifest(&data, &name)?
        .with_context(|| format!("there is no training set `{name}` with a manifest"))?;
    let recipe = recipe_of(&name, &held)?;
    let registry = Registry::parse(&recipe.registry).map_err(|problems| {
        anyhow::anyhow!("the registry in the manifest of `{name}`: {problems}")
    })?;
    let context = &Context::of(data, registry, recipe.registry.clone());
    let on_bad_row = match recipe.skips_bad_rows {
        true => OnBadRow::Skip,
        false => OnBadRow::Fail,
    };
    let side = SideFile::new(context, BadRowArgs { on_bad_row })?;
    let bad_rows = side.rule();
    check_log(context, &name, recipe.log)?;
    let bar = Bar::new("materialize");
    let follow = |progress: Progress<'_>| bar.follow(progress);
    let job = context.job(recipe.log.until, &bad_rows, &follow)?;
    if recipe.embedder != job.embedder.id() {
        bail!(
            "cannot rebuild `{name}`: it was made with the embedder {}, here is {}",
            recipe.embedder,
            job.embedder.id()
        );
    }
    let known = Dataset::erasures(&held.dataset);
    if known != job.erased.len() as u64 {
        bail!("cannot rebuild `{name}`: entities were erased since it was made; materialize anew");
    }
    let inputs = inputs_of(&held)?;
    let is_gone = |input: &&InputFile| !context.data.root().join(&input.path).exists();
    let gone = inputs.iter().filter(is_gone).map(|input| &*input.path);
    let gone: Vec<&str> = gone.collect();
    if !gone.is_empty() {
        bail!("cannot rebuild `{name}`: gone is `{}`", gone.join("`, `"));
    }
    let service = super::make::service(&context.registry, &recipe.service)?;
    let label = recipe.label(&context.registry);
    let found = materialize::inputs(&job, service, label, recipe.rows.file())?;
    check_inputs(&name, inputs, found)?;
    let made = make(&job, &recipe, |schema| {
        DatasetWriter::replace(&context.data, &lock, &name, schema)
    })?;
    drop(bad_rows);
    side.commit()?;
    if made.written.blake3 != held.blake3 {
        let by = held.dataset.get("granary").and_then(|by| by.as_str());
        bail!(
            "`{name}` made again is another file: {} rows with hash {}, not {} rows with hash {} as granary {} made it; the set was left as it is",
            made.written.rows,
            made.written.blake3,
            held.rows,
            held.blake3,
            by.unwrap_or("before 0.1")
        );
    }
    let detail = format!("{name}: the same bytes, hash {}", &held.blake3[..16]);
    made.written.restore()?;
    Ok(Stage::done("materialize", held.rows, bar.finish(), detail))
}

fn recipe_of(name: &DatasetName, held: &Envelope) -> anyhow::Result<Recipe> {
    let recipe = held.dataset.get("recipe").with_context(|| {
        format!(
            "the manifest of `{name}` has no recipe: it is of an older granary; materialize anew"
        )
    })?;
    serde_json::from_value(recipe.clone())
        .with_context(|| format!("the recipe in the manifest of `{name}`"))
}

/// The files that a set was made of.
pub(super) fn inputs_of(held: &Envelope) -> anyhow::Result<Vec<InputFile>> {
    match held.dataset.get("inputs") {
        Some(inputs) => serde_json::from_value(inputs.clone()).context("the inputs in a manifest"),
        None => Ok(Vec::new()),
    }
}

/// The log must reach as far as it did, and begin where it did.
fn check_log(context: &Context, name: &DatasetName, held: LogPart) -> anyhow::Result<()> {
    let now = log_part(context, context.close_log()?)?;
    if now.until < held.until || now.from != held.from {
        bail!(
            "cannot rebuild `{name}`: it read the log from {} to {}, which now goes from {} to {}",
            held.from.0,
            held.until.0,
            now.from.0,
            now.until.0
        );
    }
    Ok(())
}

/// Every file must be there with the same bytes, and none more.
fn check_inputs(
    name: &DatasetName,
    held: Vec<InputFile>,
    now: Vec<InputFile>,
) -> anyhow::Result<()> {
    let by_path = |files: Vec<InputFile>| -> BTreeMap<String, String> {
        files
            .into_iter()
            .map(|file| (file.path, file.blake3))
            .collect()
    };
    let (held, now) = (by_path(held), by_path(now));
    let mut changed: Vec<String> = Vec::new();
    for (path, hash) in &held {
        match now.get(path) {
            Some(found) if found == hash => {}
            Some(_) => changed.push(format!("`{path}` has changed")),
            None => changed.push(format!("`{path}` is not read any more")),
        }
    }
    let new = now.keys().filter(|path| !held.contains_key(*path));
    changed.extend(new.map(|path| format!("`{path}` is new")));
    if changed.is_empty() {
        return Ok(());
    }
    bail!(
        "cannot rebuild `{name}`: {}; put back what it was made of, or materialize anew",
        changed.join("; ")
    )
}
