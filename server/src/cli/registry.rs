//! `granary registry`: check, show and compare feature definitions.

use std::path::PathBuf;

use granary_registry::{FeatureKind, Registry, diff, json_schema};

use super::context::{Common, read_registry};
use super::show;

/// Check, show or compare feature definitions
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Every problem of the file at once, each with its line
    Check,
    /// The groups and features as they were understood
    Show,
    /// What changed since an older file, and what that means for stored data
    Diff {
        /// The older file
        old: PathBuf,
    },
    /// The JSON Schema of the file, for editors
    Schema,
}

/// Runs it.
pub(super) fn run(common: &Common, args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Command::Schema => println!("{}", serde_json::to_string_pretty(&json_schema())?),
        Command::Check => check(common)?,
        Command::Show => show(common, &common.read_registry()?.0)?,
        Command::Diff { old } => {
            let (old, _) = read_registry(old)?;
            compare(common, &old, &common.read_registry()?.0)?;
        }
    }
    Ok(())
}

fn check(common: &Common) -> anyhow::Result<()> {
    let (registry, _) = common.read_registry()?;
    let features: usize = registry
        .groups
        .iter()
        .map(|group| group.features.len())
        .sum();
    if common.json {
        println!(
            "{}",
            serde_json::json!({ "ok": true, "features": features, "fingerprint": registry.fingerprint().to_string() })
        );
    } else {
        println!(
            "{}: ok, {} groups with {features} features, {} labels, {} feature services",
            common.registry.display(),
            registry.groups.len(),
            registry.labels.len(),
            registry.services.len(),
        );
    }
    Ok(())
}

fn show(common: &Common, registry: &Registry) -> anyhow::Result<()> {
    let rows = registry.groups.iter().flat_map(|group| {
        group.features.iter().map(move |feature| {
            vec![
                group.name.clone(),
                feature.name.to_string(),
                feature.dtype.to_string(),
                meaning(&feature.kind),
                feature.description.clone(),
            ]
        })
    });
    let header = ["group", "feature", "type", "computed as", "description"];
    if common.json {
        let objects: Vec<serde_json::Value> = rows
            .map(|row| {
                header
                    .iter()
                    .zip(row)
                    .map(|(name, cell)| ((*name).to_owned(), cell.into()))
                    .collect()
            })
            .map(serde_json::Value::Object)
            .collect();
        println!("{}", serde_json::to_string_pretty(&objects)?);
    } else {
        println!("{}", show::table(&header, &[], rows));
    }
    Ok(())
}

/// How a feature comes about, in a few words.
fn meaning(kind: &FeatureKind) -> String {
    match kind {
        FeatureKind::Value { .. } => "value".to_owned(),
        FeatureKind::Derived(expression) => expression.to_string(),
        FeatureKind::Aggregate(aggregation) => {
            let input = aggregation
                .input
                .as_ref()
                .map_or_else(String::new, ToString::to_string);
            let filter = aggregation.filter.as_ref();
            let filter = filter.map_or_else(String::new, |filter| format!(" where {filter}"));
            let window = aggregation.window;
            let window =
                window.map_or_else(String::new, |window| format!(" over {}", window.length));
            let function = &aggregation.function;
            let input = [input].into_iter().filter(|input| !input.is_empty());
            // The categories of a vector are many, and its description has them.
            let arguments = function.arguments().into_iter();
            let arguments = arguments.filter(|(key, _)| *key != "categories");
            let arguments = arguments.map(|(key, argument)| format!("{key} {argument}"));
            let inside: Vec<String> = input.chain(arguments).collect();
            format!("{}({}){filter}{window}", function.name(), inside.join(", "))
        }
    }
}

fn compare(common: &Common, old: &Registry, new: &Registry) -> anyhow::Result<()> {
    let changes = diff(old, new);
    if common.json {
        let lines: Vec<String> = changes.iter().map(ToString::to_string).collect();
        println!("{}", serde_json::to_string_pretty(&lines)?);
    } else if changes.is_empty() {
        println!("no change");
    } else {
        for change in &changes {
            println!("{change}");
        }
    }
    Ok(())
}
