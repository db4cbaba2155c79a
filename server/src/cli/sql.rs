//! `granary sql`: a feature group as SQL for another engine, to check granary's numbers by.

use std::path::PathBuf;

use anyhow::Context as _;
use granary_pipelines::materialize::spine_files;
use granary_pipelines::source::{BadRows, SourceFiles};
use granary_pipelines::sql::{self, SqlFiles, SqlSpine};
use granary_registry::EventTime;
use granary_storage::{OfflineStore, Offset};

use super::context::{Common, Context};
use super::synth::instant;

/// Print SQL that computes a feature group, with the same semantics, in another engine
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  granary sql user_activity_features > activity.sql && duckdb < activity.sql
  granary sql user_activity_features --spine my_users.parquet   columns: user_id, as_of

The query reads the source's files; events in the log are not in it.")]
pub(super) struct Args {
    /// Name of the feature group
    pub group: String,
    /// The engine
    #[arg(long, value_enum, default_value_t = Dialect::Duckdb)]
    pub dialect: Dialect,
    /// Every entity at this instant; that of the newest build, or now, if absent
    #[arg(long, value_name = "INSTANT", value_parser = instant, conflicts_with = "spine")]
    pub as_of: Option<EventTime>,
    /// Entities and instants of your own (Parquet, CSV or JSON lines)
    #[arg(long, value_name = "FILE")]
    pub spine: Option<PathBuf>,
}

/// Engines whose SQL is known.
#[derive(clap::ValueEnum, Clone, Copy, Debug)]
pub(super) enum Dialect {
    Duckdb,
}

/// Runs it.
pub(super) fn run(common: &Common, args: &Args) -> anyhow::Result<()> {
    let context = common.open()?;
    let registry = &context.registry;
    let group = registry.group(&args.group).with_context(|| {
        let known: Vec<&str> = registry.groups.iter().map(|group| &*group.name).collect();
        format!(
            "the registry has no group `{}`; it has {}",
            args.group,
            known.join(", ")
        )
    })?;
    let source = registry
        .source(&group.source)
        .context("checked: a group's source exists")?;
    let files = SourceFiles::find(source, context.data.root())?;
    let paths: Vec<String> = files
        .files()
        .iter()
        .map(absolute)
        .collect::<Result<_, _>>()?;
    let spine = match (&args.spine, args.as_of) {
        (Some(path), _) => SqlSpine::File {
            path: absolute(path)?,
            instant: spine_files(&group.entity, path)?.1.to_owned(),
        },
        (None, Some(instant)) => SqlSpine::At(instant),
        (None, None) => SqlSpine::At(newest(&context, &args.group)?),
    };
    let files = SqlFiles {
        paths: &paths,
        columns: files.columns(),
    };
    let query = match args.dialect {
        Dialect::Duckdb => sql::duckdb(registry, group, files, &spine),
    };
    if common.json {
        let left_out: Vec<&str> = query.left_out.iter().map(|(name, _)| &**name).collect();
        println!(
            "{}",
            serde_json::json!({ "sql": query.text, "left_out": left_out })
        );
    } else {
        print!("{}", query.text);
    }
    Ok(())
}

/// The instant of the group's current version, so that both can be compared.
fn newest(context: &Context, group: &str) -> anyhow::Result<EventTime> {
    if let Some(version) = OfflineStore::new(&context.data).current(group)? {
        return Ok(EventTime(version.manifest().as_of));
    }
    let bad_rows = BadRows::strict();
    Ok(context.as_of(&context.job(Offset(0), &bad_rows, &|_| {})?)?)
}

fn absolute(path: &PathBuf) -> anyhow::Result<String> {
    let path = std::path::absolute(path)?;
    Ok(path.display().to_string())
}
