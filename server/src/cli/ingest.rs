//! `granary ingest`: raw rows and closed segments of the log into our own layout.

use anyhow::bail;
use granary_pipelines::Progress;
use granary_pipelines::ingest::{self, IngestOptions, IngestReport};
use granary_registry::Source;

use super::build::{BadRowArgs, SideFile};
use super::context::{Common, Context};
use super::show::{self, Bar};
use super::stage::Stage;

/// Rewrite event sources once into a layout that builds read faster, and only what is new
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  granary ingest
  granary ingest event_logs --on-bad-row skip
  granary ingest event_logs --force")]
pub(super) struct Args {
    /// Only these sources; all with an event time if absent
    #[arg(value_name = "SOURCE")]
    pub sources: Vec<String>,
    /// Begin anew: files that were ingested have changed, or the registry asks for more columns
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub bad_rows: BadRowArgs,
}

/// Runs it.
pub(super) fn run(common: &Common, args: &Args) -> anyhow::Result<()> {
    let context = common.open()?;
    let lock = context.data.lock_builder()?;
    let sources = sources(&context, &args.sources)?;
    let side = SideFile::new(&context, args.bad_rows)?;
    let bad_rows = side.rule();
    let until = context.close_log()?;
    let mut options = IngestOptions::default();
    options.memory = options.memory.min(context.memory as usize / 8);
    for source in sources {
        let bar = Bar::new(&source.name);
        let follow = |progress: Progress<'_>| bar.follow(progress);
        let job = context.job(until, &bad_rows, &follow)?;
        let report = ingest::ingest(&job, &lock, source, args.force, options)?;
        let took = bar.elapsed();
        drop(bar);
        let mut stage = stage(source, &report, took);
        let skipped = bad_rows.skipped(&source.name);
        if skipped > 0 {
            let rows = show::count(skipped);
            stage
                .warnings
                .push(format!("{rows} bad rows left out, see bad_rows/"));
        }
        stage.print(common.json);
    }
    drop(bad_rows);
    side.commit()
}

/// Those asked for, or all that there are.
fn sources<'c>(context: &'c Context, names: &[String]) -> anyhow::Result<Vec<&'c Source>> {
    let all = context.registry.sources.iter();
    let mut events = all.filter(|source| source.event_time.is_some());
    if names.is_empty() {
        return Ok(events.collect());
    }
    let mut sources = Vec::new();
    for name in names {
        let Some(source) = context.registry.source(name) else {
            let known: Vec<&str> = events.by_ref().map(|source| source.name.as_str()).collect();
            bail!(
                "the registry has no source `{name}`; with an event time it has {}",
                known.join(", ")
            );
        };
        sources.push(source);
    }
    Ok(sources)
}

fn stage(source: &Source, report: &IngestReport, took: std::time::Duration) -> Stage {
    let name = format!("ingest {}", source.name);
    let held = format!(
        "{} rows in {} parts, {}",
        show::count(report.rows_held),
        report.parts,
        show::bytes(report.bytes)
    );
    let rows = report.rows + report.logged;
    let mut stage = if report.files == 0 && rows == 0 && report.merged == 0 {
        Stage::skipped(name, held)
    } else {
        let mut read = vec![format!("{} files", report.files)];
        if report.logged > 0 {
            read.push(format!("{} events of the log", show::count(report.logged)));
        }
        if report.merged > 0 {
            read.push(format!("{} parts merged", report.merged));
        }
        Stage::done(name, rows, took, format!("{}: {held}", read.join(", ")))
    };
    for path in &report.gone {
        stage
            .warnings
            .push(format!("{} is gone, its rows stay", path.display()));
    }
    stage
}
