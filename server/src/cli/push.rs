//! `granary push`: the newest offline versions into the online store, through the server if
//! one is running.

use granary_pipelines::Progress;

use super::context::{Common, Context};
use super::show::Bar;
use super::stage::Stage;
use crate::control::{self, Request};
use crate::service::{PushReport, PushRequest, ServiceOptions};

/// Load the newest offline versions into the online store, as one new generation
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  granary push            beside a running server, or without one")]
pub(super) struct Args {
    /// Load even versions that are older than those served, or the very same
    #[arg(long)]
    pub force: bool,
}

/// Runs it.
pub(super) fn run(common: &Common, args: &Args) -> anyhow::Result<()> {
    let context = common.open()?;
    push(&context, args.force, ServiceOptions::default())?.print(common.json);
    Ok(())
}

/// Pushes through the server if one is running, else into the store itself.
pub(super) fn push(
    context: &Context,
    force: bool,
    options: ServiceOptions,
) -> anyhow::Result<Stage> {
    let bar = Bar::new("push");
    let follow = |progress: Progress<'_>| bar.follow(progress);
    let request = PushRequest {
        registry: context.registry_text.clone(),
        force,
    };
    let report: PushReport = match control::connect(&context.data)? {
        Some(server) => server.ask(&Request::Push(request), &follow)?,
        None => context.service(options)?.push(&request, &follow)?,
    };
    Ok(stage(&report))
}

fn stage(report: &PushReport) -> Stage {
    let detail = format!("generation {}", report.generation);
    if report.unchanged {
        return Stage::skipped("push", detail);
    }
    let took = std::time::Duration::from_secs_f64(report.seconds);
    let detail = format!("{detail}, {} logged events folded in", report.caught_up);
    Stage::done("push", report.rows, took, detail)
}
