//! `granary verify`: what was served, held against recomputations. Replays the serving log, or
//! asks for random entities and instants.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use granary_pipelines::source::BadRows;
use granary_pipelines::verify::{Draw, Drawn, Report, Served, Verification, verify};
use granary_registry::{EventTime, FeatureGroup};
use granary_storage::{Offset, read_lines};

use super::build::{BadRowArgs, OnBadRow};
use super::context::{Common, Context};
use super::show::Bar;
use super::verified::{self, Outcome};
use crate::control::{self, Moment, Request};
use crate::service::{ServedReader, Service, ServiceOptions};

/// Pairs that are drawn if neither a log nor a number says otherwise.
const DEFAULT_SAMPLES: u64 = 2_000;

/// Keys asked for at once.
const KEYS: usize = 1 << 16;

/// Entities asked for at once.
const ENTITIES: usize = 64;

/// Hold served values against recomputations from the raw tables and the log
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  granary verify                           the serving log, if there is one, else 2,000 samples
  granary verify --samples 50000 --seed 7  random entities and instants, edges of windows included
  granary verify --group user_activity_features --json

The serving log is written by `granary serve --serving-log SHARE`. The exit code is 1 if any
value differs.")]
pub(super) struct Args {
    /// Ask for so many random pairs of entity and instant instead of replaying the serving log
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub samples: Option<u64>,
    /// Which pairs are drawn
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
    /// Only this group; may be repeated
    #[arg(long, value_name = "NAME")]
    pub group: Vec<String>,
    /// Leave the naive oracle out: half the time, half the proof
    #[arg(long)]
    pub no_oracle: bool,
    #[command(flatten)]
    pub bad_rows: BadRowArgs,
}

/// Runs it.
pub(super) fn run(common: &Common, args: &Args) -> anyhow::Result<()> {
    let context = common.open()?;
    let bar = Bar::new("verify");
    let bad_rows = match args.bad_rows.on_bad_row {
        // The build has told of them.
        OnBadRow::Skip => BadRows::skip(Box::new(std::io::sink())),
        OnBadRow::Fail => BadRows::strict(),
    };
    let logged = match args.samples {
        Some(_) => Vec::new(),
        None => replay(&context)?,
    };
    let (records, drawn) = if logged.is_empty() {
        let draw = Draw {
            seed: args.seed,
            samples: args.samples.unwrap_or(DEFAULT_SAMPLES),
        };
        let (records, edges) = sample(&context, args, draw, &bad_rows, &bar)?;
        (records, Some((draw, edges)))
    } else {
        (logged, None)
    };
    let report = recompute(&context, args, &records, &bad_rows, &bar)?;
    let outcome = Outcome {
        report: &report,
        drawn,
        took: bar.finish(),
    };
    verified::print(&outcome, common.json);
    judge(&report)
}

/// An error if a value differs, or if there was none to compare.
fn judge(report: &Report) -> anyhow::Result<()> {
    let (compared, mismatched) = (report.compared(), report.mismatched());
    if mismatched > 0 {
        bail!("{mismatched} of {compared} served values are not what they must be");
    }
    if compared == 0 {
        bail!(
            "no value was compared: the definitions or files have changed since; run `granary build` and `granary push`"
        );
    }
    Ok(())
}

fn recompute(
    context: &Context,
    args: &Args,
    records: &[Served],
    bad_rows: &BadRows,
    bar: &Bar,
) -> anyhow::Result<Report> {
    let until = records.iter().map(|record| record.known_until).max();
    let follow = |progress: granary_pipelines::Progress<'_>| bar.follow(progress);
    let job = context.job(until.unwrap_or(Offset(0)), bad_rows, &follow)?;
    let verification = Verification {
        records,
        groups: &args.group,
        oracle: !args.no_oracle,
    };
    Ok(verify(&job, verification)?)
}

/// The answers in the serving log; none if there is no log.
fn replay(context: &Context) -> anyhow::Result<Vec<Served>> {
    let mut reader = ServedReader::new(&context.registry);
    let mut records = Vec::new();
    let directory = context.data.serving_log();
    let mut each = |path: &Path, number: u64, line: &str| {
        let record = reader.read(line).map_err(|reason| {
            let path = path.display();
            anyhow::anyhow!("read {path}, line {number}: {reason}; remove the line or the file")
        })?;
        records.push(record);
        Ok(())
    };
    read_lines::<anyhow::Error>(&directory, &mut each)?;
    Ok(records)
}

/// Draws entities and instants and asks for them. Also tells how many are at an edge.
fn sample(
    context: &Context,
    args: &Args,
    draw: Draw,
    bad_rows: &BadRows,
    bar: &Bar,
) -> anyhow::Result<(Vec<Served>, u64)> {
    let service = match control::connect(&context.data)? {
        Some(_) => None,
        None => Some(context.service(ServiceOptions::default())?),
    };
    let asked = Asked {
        context,
        service: service.as_ref(),
    };
    let keys = draw.entities(asked.keys()?);
    if keys.is_empty() {
        bail!("nothing is served yet; run `granary build` and `granary push` (or `granary up`)");
    }
    let moment = asked.moment()?;
    let follow = |progress: granary_pipelines::Progress<'_>| bar.follow(progress);
    let job = context.job(Offset(moment.log_end), bad_rows, &follow)?;
    let groups = groups(context, &args.group)?;
    let drawn = draw.instants(&job, &groups, keys, EventTime(moment.now))?;
    let edges = drawn.iter().map(|drawn| drawn.edges as u64).sum();
    let samples = drawn.iter().map(|drawn| drawn.instants.len() as u64).sum();
    bar.begin("ask", Some(samples));
    let mut reader = ServedReader::new(&context.registry);
    let mut records = Vec::with_capacity(samples as usize);
    for some in drawn.chunks(ENTITIES) {
        for line in asked.served(some)? {
            let record = reader.read(&line);
            records.push(record.map_err(|reason| anyhow::anyhow!("read an answer: {reason}"))?);
        }
        bar.at(records.len() as u64);
    }
    Ok((records, edges))
}

/// The groups to draw for: those named, or all of the entity that is served.
fn groups<'a>(context: &'a Context, names: &[String]) -> anyhow::Result<Vec<&'a FeatureGroup>> {
    let all = &context.registry.groups;
    let named = |name: &String| {
        all.iter()
            .find(|group| group.name == *name)
            .with_context(|| {
                let known: Vec<&str> = all.iter().map(|group| &*group.name).collect();
                format!(
                    "the registry has no group `{name}`; it has {}",
                    known.join(", ")
                )
            })
    };
    if names.is_empty() {
        let served = all.first().map(|group| &group.entity);
        return Ok(all
            .iter()
            .filter(|group| Some(&group.entity) == served)
            .collect());
    }
    names.iter().map(named).collect()
}

/// The running server, or the files themselves.
struct Asked<'a> {
    context: &'a Context,
    service: Option<&'a Service>,
}

impl Asked<'_> {
    fn ask<T: serde::de::DeserializeOwned>(&self, request: &Request) -> anyhow::Result<T> {
        let server = control::connect(&self.context.data)?;
        let server = server.context("the server ended meanwhile; run `granary verify` again")?;
        server.ask(request, &|_| {})
    }

    fn moment(&self) -> anyhow::Result<Moment> {
        match self.service {
            Some(service) => Ok(control::moment(service)),
            None => self.ask(&Request::Moment),
        }
    }

    fn keys(&self) -> anyhow::Result<Vec<Arc<str>>> {
        let mut all: Vec<Arc<str>> = Vec::new();
        loop {
            let after = all.last().map(ToString::to_string);
            let some: Vec<String> = match self.service {
                Some(service) => {
                    control::keys(service, after.as_deref(), KEYS).map_err(anyhow::Error::msg)?
                }
                None => self.ask(&Request::Keys { after, limit: KEYS })?,
            };
            let last = some.len() < KEYS;
            all.extend(some.into_iter().map(Arc::from));
            if last {
                return Ok(all);
            }
        }
    }

    fn served(&self, drawn: &[Drawn]) -> anyhow::Result<Vec<String>> {
        let entity = |drawn: &Drawn| {
            let instants = drawn.instants.iter();
            let instants = instants.map(|instant| instant.map(|instant| instant.0));
            (drawn.key.to_string(), instants.collect())
        };
        let entities: Vec<(String, Vec<Option<i64>>)> = drawn.iter().map(entity).collect();
        match self.service {
            Some(service) => control::served(service, &entities).map_err(anyhow::Error::msg),
            None => self.ask(&Request::Served { entities }),
        }
    }
}
