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
    let bar = Bar::new("push");
    let follow = |progress: Progress<'_>| bar.follow(progress);
    let request = PushRequest { force: args.force };
    let report = push(&context, request, &follow)?;
    drop(bar);
    stage(&report).print(common.json);
    Ok(())
}

fn push(
    context: &Context,
    request: PushRequest,
    follow: &dyn Fn(Progress<'_>),
) -> anyhow::Result<PushReport> {
    match control::connect(&context.data)? {
        Some(server) => server.ask(&Request::Push(request), follow),
        None => Ok(context
            .service(ServiceOptions::default())?
            .push(request, follow)?),
    }
}

/// What a push did, as a stage.
pub(super) fn stage(report: &PushReport) -> Stage {
    let detail = format!("generation {}", report.generation);
    if report.unchanged {
        return Stage::skipped("push", detail);
    }
    let took = std::time::Duration::from_secs_f64(report.seconds);
    let detail = format!("{detail}, {} logged events folded in", report.caught_up);
    Stage::done("push", report.rows, took, detail)
}
