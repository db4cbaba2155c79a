//! `granary predict`: one entity's churn probability on the terminal.

use super::context::Common;
use crate::control::{self, Request};
use crate::service::ServiceOptions;

/// Show one entity's churn probability
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  granary predict 4b3f0c2a91de
  granary predict 4b3f0c2a91de --json")]
pub(super) struct Args {
    /// Key of the entity, such as a user id
    pub key: String,
}

/// Runs it.
pub(super) fn run(common: &Common, args: &Args) -> anyhow::Result<()> {
    let context = common.open()?;
    let prediction: serde_json::Value = if let Some(server) = control::connect(&context.data)? {
        server.ask(
            &Request::Predict {
                key: args.key.clone(),
            },
            &|_| {},
        )?
    } else {
        let service = context.service(ServiceOptions::default())?;
        control::predict(&service, &args.key).map_err(anyhow::Error::msg)?
    };
    if common.json {
        println!("{prediction}");
        return Ok(());
    }
    let number = |name: &str| {
        prediction
            .get(name)
            .and_then(serde_json::Value::as_f64)
            .unwrap_or(f64::NAN)
    };
    let text = |name: &str| {
        prediction
            .get(name)
            .and_then(|value| value.as_str())
            .unwrap_or_default()
    };
    println!(
        "{}: churn probability {:.4} (threshold {:.4}: {}), model {}@{}, as of {}",
        args.key,
        number("probability"),
        number("threshold"),
        text("decision"),
        text("model"),
        text("version"),
        text("as_of"),
    );
    Ok(())
}
