//! `granary up`: the whole job. Demo data if there are none, build, materialize, push,
//! train, serve; a stage whose inputs are unchanged is skipped.

use std::time::Instant;

use super::build::{self, BadRowArgs};
use super::context::{Common, Context};
use super::serve::{self, Bound, Doors};
use super::stage::Stage;
use super::{materialize, push, show, synth, train};
use crate::control::{self, Request};
use crate::service::Service;

/// The whole job: demo data if there are none, build, materialize, push, train, serve
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  granary up
  granary up --users 1000 --data-dir /tmp/demo --http 127.0.0.1:0 --resp 127.0.0.1:0
  granary up --no-serve --force")]
pub(super) struct Args {
    /// Users of the demo data, written if data/raw is empty
    #[arg(long, default_value_t = 10_000)]
    users: u64,
    /// Seed of the demo data and of the training
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Do every stage, even if its inputs are unchanged
    #[arg(long)]
    force: bool,
    /// Stop before serving
    #[arg(long)]
    no_serve: bool,
    #[command(flatten)]
    bad_rows: BadRowArgs,
    #[command(flatten)]
    doors: Doors,
}

/// Runs it.
pub(super) fn run(common: &Common, args: &Args) -> anyhow::Result<()> {
    let started = Instant::now();
    let context = common.open()?;
    // Before minutes of work: a door open to all, a taken port, or a server on this directory, is
    // known at once.
    let bound = if args.no_serve {
        None
    } else {
        args.doors.check(&context)?;
        Some(serve::bind(&args.doors)?)
    };
    anyhow::ensure!(
        args.no_serve || control::connect(&context.data)?.is_none(),
        "a server is running on {}; use `granary build`, `materialize`, `push` and `train` beside it, or `granary up --no-serve`",
        context.data.root().display()
    );
    stages(common, &context, args)?;
    if !common.json {
        println!(
            "  {:<34} {:>25.2} s",
            "total",
            started.elapsed().as_secs_f64()
        );
    }
    let Some(bound) = bound else { return Ok(()) };
    let service = context.service(args.doors.options())?;
    service.set_rebuilder(common.rebuilder()?);
    service.set_audit(args.doors.audit_log);
    serve::serve(&context, &service, bound, args.doors.serving_log, |bound| {
        try_this(&service, bound, started.elapsed().as_secs_f64())
    })
}

fn stages(common: &Common, context: &Context, args: &Args) -> anyhow::Result<()> {
    let tell = |stage: &Stage| stage.print(common.json);
    let lock = context.data.lock_builder()?;
    if synth::is_empty(&context.data) {
        let plan = synth::Args {
            users: args.users,
            seed: args.seed,
            format: synth::Format::Parquet,
            end: granary_pipelines::synth::DEFAULT_END,
            force: false,
        };
        tell(&synth::write(&context.data, &plan)?);
    }
    let build = build::Args {
        group: Vec::new(),
        force: args.force,
        bad_rows: args.bad_rows,
    };
    build::build_all(context, &lock, &build, &mut |stage| tell(stage))?;
    let set = materialize::Args::of_label(args.force, args.bad_rows);
    tell(&materialize::materialize(context, &lock, &set)?);
    tell(&push::push(context, args.force, args.doors.options())?);
    let training = train::Args {
        model: train::ModelChoice::All,
        seed: args.seed,
        service: None,
        force: args.force,
    };
    let (stage, outcome) = train::train(context, &lock, &training)?;
    tell(&stage);
    if let Some(outcome) = outcome.filter(|_| !common.json) {
        outcome.print();
    }
    if let Some(server) = control::connect(&context.data)? {
        server.ask::<()>(&Request::ReloadModel, &|_| {})?;
    }
    Ok(())
}

/// A box of things to try, with a real key.
fn try_this(service: &Service, bound: &Bound, seconds: f64) -> anyhow::Result<()> {
    let catalog = service.catalog();
    let key = service.keys(None, 1)?.pop().unwrap_or_default();
    let secure = bound.secure();
    let http = format!("http{secure}://{}", bound.http_addr()?);
    let tls = if secure.is_empty() { "" } else { " --tls" };
    let mut lines = vec![
        format!("granary is serving, {seconds:.1} s after the start. Try:"),
        String::new(),
    ];
    if let Some(resp) = bound.resp_addr()? {
        let prefix = &catalog.prefix;
        lines.push(format!(
            "redis-cli{tls} -h {} -p {} HGETALL {prefix}{key}",
            resp.ip(),
            resp.port()
        ));
    }
    lines.push(format!("curl {http}/features/{key}"));
    lines.push(format!(
        "curl -d '{{\"{}\":\"{key}\"}}' {http}/predict",
        catalog.key
    ));
    lines.push(String::new());
    lines.push(format!("the page: {http}/    the API: {http}/docs"));
    let width = lines
        .iter()
        .map(|line| line.chars().count())
        .max()
        .unwrap_or(0);
    show::say(&format!("\n╭{}╮", "─".repeat(width + 2)));
    for line in &lines {
        show::say(&format!("│ {line:<width$} │"));
    }
    show::say(&format!("╰{}╯", "─".repeat(width + 2)));
    Ok(())
}
