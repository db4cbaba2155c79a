//! `granary delete-entity`: erases one entity, also while a server runs.

use anyhow::Context as _;
use granary_pipelines::Progress;
use granary_pipelines::erase::RowsOf;

use super::context::Common;
use super::show::{self, Bar};
use crate::control::{self, Request};
use crate::service::{ErasureReport, ServiceOptions};

/// Erase one entity: from what is served, the log, versions, training sets and raw files under the
/// data directory
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:
  granary delete-entity user:4b3f0c2a91de

What is rewritten: the log, the online store, offline versions, ingested sources, training sets,
the serving log, skipped rows, and raw files under the data directory. Raw files elsewhere and
backups stay as they are and are listed; whatever is read of them from now on leaves the entity
out. `erased.json` keeps a hash of the id, for good; events that come later count, from nothing.")]
pub(super) struct Args {
    /// The entity, as RESP names its row
    #[arg(value_name = "PREFIX:ID")]
    pub row: String,
}

/// Runs it, through the server if one is running.
pub(super) fn run(common: &Common, args: &Args) -> anyhow::Result<()> {
    let context = common.open()?;
    let mut entities = context.registry.entities.iter();
    let key = entities.find_map(|entity| args.row.strip_prefix(&entity.prefix));
    let key = key.with_context(|| {
        let prefixes = context.registry.entities.iter();
        let rows: Vec<String> = prefixes.map(|it| format!("`{}<id>`", it.prefix)).collect();
        format!(
            "`{}` is no row of an entity; name {}",
            args.row,
            rows.join(" or ")
        )
    })?;
    let bar = Bar::new("delete-entity");
    let follow = |progress: Progress<'_>| bar.follow(progress);
    let request = Request::DeleteEntity {
        key: key.to_owned(),
    };
    let report: ErasureReport = match control::connect(&context.data)? {
        Some(server) => server.ask(&request, &follow)?,
        None => context
            .service(ServiceOptions::default())?
            .erase(key, &follow)?,
    };
    bar.finish();
    if common.json {
        println!("{}", serde_json::to_string(&report)?);
        return Ok(());
    }
    print(&args.row, &report);
    Ok(())
}

fn print(row: &str, report: &ErasureReport) {
    let finished = &report.finished;
    let files = &finished.files;
    let served = if report.was_served {
        "was served, and is no more"
    } else {
        "was not served"
    };
    println!("{row} {served}; hash {}", &report.hash[..16]);
    let line = |what: &str, count: u64| {
        if count > 0 {
            println!("  {what:<26} {:>9}", show::count(count));
        }
    };
    line("records of the log", finished.logged);
    line("rows of ingested sources", files.ingested);
    line("lines of logs", finished.lines);
    for RowsOf { name, rows } in files
        .raw
        .iter()
        .chain(&files.versions)
        .chain(&files.datasets)
    {
        line(name, *rows);
    }
    if !files.outside.is_empty() {
        println!("raw files outside the data directory have rows still, which count no more:");
        for RowsOf { name, rows } in &files.outside {
            line(name, *rows);
        }
    }
    if !report.backups.is_empty() {
        println!("backups that were made before have everything still:");
        for backup in &report.backups {
            println!("  {}", backup.display());
        }
    }
}
