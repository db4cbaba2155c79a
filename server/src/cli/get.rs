//! `granary get`: one entity's features on the terminal, from the server or the files.

use granary_registry::EventTime;

use super::context::Common;
use super::show;
use super::synth::instant;
use crate::control::{self, Request};
use crate::service::ServiceOptions;

/// Show one entity's features
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  granary get 4b3f0c2a91de
  granary get 4b3f0c2a91de purchases_7d last_active_days --as-of 2025-12-01T00:00:00Z --json")]
pub(super) struct Args {
    /// Key of the entity, such as a user id
    pub key: String,
    /// Names of features; all if absent
    pub features: Vec<String>,
    /// The instant the features hold at; now if absent
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub as_of: Option<EventTime>,
}

/// Runs it.
pub(super) fn run(common: &Common, args: &Args) -> anyhow::Result<()> {
    let context = common.open()?;
    let as_of = args.as_of.map(|instant| instant.0);
    let row: serde_json::Value = if let Some(server) = control::connect(&context.data)? {
        let (key, features) = (args.key.clone(), args.features.clone());
        server.ask(
            &Request::Get {
                key,
                features,
                as_of,
            },
            &|_| {},
        )?
    } else {
        let service = context.service(ServiceOptions::default())?;
        control::get(&service, &args.key, &args.features, as_of).map_err(anyhow::Error::msg)?
    };
    if common.json {
        println!("{row}");
    } else {
        print(&row);
    }
    Ok(())
}

fn print(row: &serde_json::Value) {
    let text = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(items) if items.len() > 8 => {
            let first: Vec<String> = items[..6].iter().map(ToString::to_string).collect();
            format!("[{}, … {} elements]", first.join(", "), items.len())
        }
        value => value.to_string(),
    };
    let features = row
        .get("features")
        .and_then(|features| features.as_object());
    let rows = features
        .into_iter()
        .flatten()
        .map(|(name, value)| vec![name.clone(), text(value)]);
    println!("{}", show::table(&["feature", "value"], &[], rows));
    println!(
        "  as of {}",
        row.get("as_of").map_or_else(String::new, text)
    );
}
