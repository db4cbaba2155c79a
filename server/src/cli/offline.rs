//! `granary offline`: what the offline store holds.

use anyhow::Context as _;
use granary_storage::{DataDir, Manifest, OfflineStore};

use super::context::Common;
use super::show;

/// List, show or clean up versions of the offline store
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// All groups and versions
    Ls,
    /// One version's manifest: inputs, statistics, expectations
    Show {
        /// The group
        group: String,
        /// The version; the current one if absent
        version: Option<String>,
    },
    /// Remove old versions
    Gc {
        /// How many of each group to keep
        #[arg(long, default_value_t = 3)]
        keep: usize,
    },
}

/// Runs it.
pub(super) fn run(common: &Common, args: &Args) -> anyhow::Result<()> {
    let data = DataDir::open(&common.data_dir)?;
    let store = OfflineStore::new(&data);
    match &args.command {
        Command::Ls => ls(common, &store),
        Command::Show { group, version } => {
            let version = match version {
                Some(name) => store.version(group, name)?,
                None => store
                    .current(group)?
                    .with_context(|| format!("group `{group}` was never built"))?,
            };
            show(common, version.manifest())
        }
        Command::Gc { keep } => {
            let lock = data.lock_builder()?;
            for group in store.groups()? {
                for removed in store.gc(&lock, &group, *keep)? {
                    println!("removed {group}@{removed}");
                }
            }
            Ok(())
        }
    }
}

fn ls(common: &Common, store: &OfflineStore) -> anyhow::Result<()> {
    let mut manifests = Vec::new();
    for group in store.groups()? {
        let current = store
            .current(&group)?
            .map(|version| version.name().to_owned());
        for name in store.versions(&group)? {
            let version = store.version(&group, &name)?;
            manifests.push((current.as_ref() == Some(&name), version.manifest().clone()));
        }
    }
    if common.json {
        let manifests: Vec<&Manifest> = manifests.iter().map(|(_, manifest)| manifest).collect();
        println!("{}", serde_json::to_string_pretty(&manifests)?);
        return Ok(());
    }
    let rows = manifests.iter().map(|(current, held)| {
        vec![
            held.group.clone(),
            format!("{}{}", held.version, if *current { " *" } else { "" }),
            show::count(held.rows),
            show::bytes(held.features_bytes),
            show::bytes(held.states_bytes),
            granary_registry::EventTime(held.as_of).to_string(),
            format!("{:.2}", held.duration_ms as f64 / 1000.0),
        ]
    });
    let header = [
        "group", "version", "rows", "features", "states", "as of", "s",
    ];
    println!("{}", show::table(&header, &[2, 3, 4, 6], rows));
    Ok(())
}

fn show(common: &Common, manifest: &Manifest) -> anyhow::Result<()> {
    if common.json {
        println!("{}", serde_json::to_string_pretty(manifest)?);
        return Ok(());
    }
    println!(
        "{}@{}: {} rows",
        manifest.group,
        manifest.version,
        show::count(manifest.rows)
    );
    for input in &manifest.inputs {
        println!(
            "  input {} {} blake3 {}",
            input.path,
            show::bytes(input.bytes),
            &input.blake3[..16.min(input.blake3.len())]
        );
    }
    let number =
        |number: Option<f64>| number.map_or_else(String::new, |number| format!("{number:.4}"));
    let rows = manifest.columns.iter().map(|column| {
        vec![
            column.name.clone(),
            column.dtype.clone(),
            show::count(column.nulls),
            column.min.to_string(),
            number(column.mean),
            column.max.to_string(),
            column.distinct.map_or_else(String::new, show::count),
        ]
    });
    let header = ["feature", "type", "nulls", "min", "mean", "max", "distinct"];
    println!("{}", show::table(&header, &[2, 4, 6], rows));
    for held in &manifest.expectations {
        let verdict = if held.passed { "ok" } else { "broken" };
        println!(
            "  {} {} ({}): {verdict}, {}",
            held.feature, held.rule, held.severity, held.detail
        );
    }
    Ok(())
}
