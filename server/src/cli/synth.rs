//! `granary synth`: demo data with a truth to learn.

use std::io;

use anyhow::bail;
use granary_pipelines::synth::{self, Formats, Output, Plan};
use granary_registry::EventTime;
use granary_storage::{AtomicFile, DataDir};

use super::context::Common;
use super::show::{self, Bar};
use super::stage::Stage;

/// Write demo data: users, events, reviews and labels with a truth to learn
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  granary synth --users 10000 --seed 42
  granary synth --users 1000 --format both --data-dir /tmp/demo")]
pub(super) struct Args {
    /// Number of users
    #[arg(long, default_value_t = 10_000)]
    pub users: u64,
    /// The same seed gives the same bytes
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
    /// File format
    #[arg(long, value_enum, default_value_t = Format::Parquet)]
    pub format: Format,
    /// The instant that labels are taken at; events end there
    #[arg(long, value_name = "INSTANT", default_value = "2026-01-01T00:00:00Z", value_parser = instant)]
    pub end: EventTime,
    /// Replace files that are already there
    #[arg(long)]
    pub force: bool,
}

/// File formats of the demo data.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Parquet files.
    Parquet,
    /// CSV files.
    Csv,
    /// Both, with the same rows.
    Both,
}

/// An ISO-8601 instant given as a flag.
pub(super) fn instant(text: &str) -> Result<EventTime, String> {
    EventTime::parse(text).map_err(|error| error.to_string())
}

/// Runs it.
pub(super) fn run(common: &Common, args: &Args) -> anyhow::Result<()> {
    let data = DataDir::open(&common.data_dir)?;
    let _lock = data.lock_builder()?;
    if !args.force && !is_empty(&data) {
        bail!(
            "{} already holds files; pass --force to replace them, or choose another --data-dir",
            data.raw().display()
        );
    }
    write(&data, args)?.print(common.json);
    Ok(())
}

/// Whether there are no raw tables yet.
pub(super) fn is_empty(data: &DataDir) -> bool {
    std::fs::read_dir(data.raw()).map_or(true, |mut entries| entries.next().is_none())
}

/// Writes the tables.
pub(super) fn write(data: &DataDir, args: &Args) -> anyhow::Result<Stage> {
    let formats = match args.format {
        Format::Parquet => Formats::Parquet,
        Format::Csv => Formats::Csv,
        Format::Both => Formats::Both,
    };
    let plan = Plan {
        users: args.users,
        seed: args.seed,
        formats,
        end: args.end,
    };
    let bar = Bar::new("synth");
    bar.begin("synth", Some(plan.users));
    let open = |name: &str| -> io::Result<Box<dyn Output>> {
        let file = data.raw_writer(name).map_err(io::Error::other)?;
        Ok(Box::new(RawFile(file)))
    };
    let summary = synth::generate(&plan, &open, &|progress| bar.at(progress.users_done))?;
    let rows = summary.tables.iter().map(|table| table.rows).sum();
    let size: u64 = summary
        .tables
        .iter()
        .flat_map(|table| &table.files)
        .map(|file| file.1)
        .sum();
    let detail = format!(
        "{}; {}, churn {:.1} %, oracle ROC-AUC {:.4}",
        summary
            .tables
            .iter()
            .map(|table| format!("{} {}", show::count(table.rows), table.table))
            .collect::<Vec<_>>()
            .join(", "),
        show::bytes(size),
        summary.churn_share.unwrap_or(0.0) * 100.0,
        summary.oracle_roc_auc.unwrap_or(f64::NAN),
    );
    Ok(Stage::done("synth", rows, bar.finish(), detail))
}

struct RawFile(AtomicFile);

impl io::Write for RawFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Output for RawFile {
    fn commit(self: Box<Self>) -> io::Result<()> {
        self.0.commit().map_err(io::Error::other)
    }
}
