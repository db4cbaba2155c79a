//! `granary train`: models on the training set; the best becomes the serving one.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context as _, bail};
use granary_models::{
    Algorithm, Candidate, Dataset, FeatureColumn, Options, Progress, ReportContext, Trained,
};
use granary_registry::DType;
use granary_storage::{Artifacts, BuilderLock, DatasetName, read_dataset};

use super::context::{Common, Context};
use super::materialize::{DATASET, service_of};
use super::show::{self, Bar};
use super::stage::Stage;
use crate::control::{self, Request};
use crate::service::{LINEAGE_FILE, Lineage, METRICS_FILE, MODEL_FILE, REPORT_FILE, WallClock};

/// Train churn models on the training set; the best by log loss on `valid` will serve
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  granary train
  granary train --model boosting --seed 7")]
pub(super) struct Args {
    /// Algorithms to try
    #[arg(long, value_enum, default_value_t = ModelChoice::All)]
    pub model: ModelChoice,
    /// One seed and one training set give one model
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
    /// The feature service; the first one with a label if absent
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
    /// Train even if the training set and the seed are unchanged
    #[arg(long)]
    pub force: bool,
}

/// Which algorithms are tried.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ModelChoice {
    /// Logistic regression.
    Logistic,
    /// Random forest.
    Forest,
    /// Gradient boosting.
    Boosting,
    /// All of them.
    All,
}

/// Runs it.
pub(super) fn run(common: &Common, args: &Args) -> anyhow::Result<()> {
    let context = common.open()?;
    let lock = context.data.lock_builder()?;
    let (stage, outcome) = train(&context, &lock, args)?;
    if let Some(server) = control::connect(&context.data)? {
        server.ask::<()>(&Request::ReloadModel, &|_| {})?;
    }
    stage.print(common.json);
    match outcome {
        Some(outcome) if common.json => println!("{}", outcome.metrics),
        Some(outcome) => outcome.print(),
        None => {}
    }
    Ok(())
}

/// What a training gave, for the terminal.
pub(super) struct Outcome {
    trained: Trained,
    seconds: Vec<(Algorithm, f64)>,
    oracle: Option<f64>,
    metrics: serde_json::Value,
    report: String,
}

/// Trains and publishes, unless nothing has changed.
pub(super) fn train(
    context: &Context,
    lock: &BuilderLock,
    args: &Args,
) -> anyhow::Result<(Stage, Option<Outcome>)> {
    let (service, label) = service_of(context, args.service.as_deref())?;
    let Some(label) = label else {
        bail!("feature service `{}` has no label to learn", service.name);
    };
    let name = DatasetName::parse(DATASET)?;
    let dataset = read_dataset(&context.data, &name)?
        .context("there is no training set; run `granary materialize`")?;
    if dataset
        .manifest
        .get("service")
        .and_then(|held| held.as_str())
        != Some(&service.name)
    {
        bail!("the training set is of another feature service; run `granary materialize`");
    }
    let artifacts = Artifacts::new(&context.data);
    let lineage = Lineage {
        service: service.name.clone(),
        label: label.name.clone(),
        features: fingerprints(&dataset.manifest),
        dataset: dataset.blake3.clone(),
        seed: args.seed,
        models: format!("{:?}", args.model),
    };
    if !args.force
        && let Some(version) = unchanged(&artifacts, &service.name, &lineage)?
    {
        return Ok((
            Stage::skipped("train", format!("{}@{version}", service.name)),
            None,
        ));
    }
    let bar = Bar::new("train");
    let clock = PhaseClock::new(&bar);
    let options = Options {
        algorithms: algorithms(args.model),
        seed: args.seed,
        notes: BTreeMap::from([("dataset".to_owned(), dataset.blake3.clone())]),
        ..Options::default()
    };
    let learnt = Dataset {
        batches: &dataset.batches,
        features: features(context, &dataset.manifest)?,
        label: &label.column,
        split: "split",
    };
    let trained = granary_models::train(&learnt, &options, &|progress| clock.follow(progress))?;
    let seconds = clock.seconds();
    let oracle = oracle(context);
    let mut writer = artifacts.begin(lock, &service.name)?;
    let version = writer.version().to_owned();
    let trained_at = WallClock::System.now().to_string();
    let report = ReportContext {
        model: &service.name,
        version: &version,
        trained_at: &trained_at,
        seconds: &seconds,
        oracle_roc_auc: oracle,
    };
    let metrics = granary_models::metrics_json(&trained, &report);
    writer.file(MODEL_FILE, &trained.best().model.encode())?;
    writer.file(METRICS_FILE, &serde_json::to_vec_pretty(&metrics)?)?;
    writer.file(LINEAGE_FILE, &serde_json::to_vec_pretty(&lineage)?)?;
    writer.file(
        REPORT_FILE,
        granary_models::report_html(&trained, &report).as_bytes(),
    )?;
    let version = writer.publish()?;
    artifacts.promote(&service.name, &version)?;
    let rows: usize = dataset
        .batches
        .iter()
        .map(arrow::array::RecordBatch::num_rows)
        .sum();
    let best = trained.best();
    let detail = format!(
        "{}@{version}: {}, ROC-AUC {:.4}{}",
        service.name,
        best.algorithm.name(),
        best.test.roc_auc,
        oracle.map_or_else(String::new, |oracle| format!(" (oracle {oracle:.4})")),
    );
    let report = artifacts.path(&service.name, &version)?.join(REPORT_FILE);
    let stage = Stage::done("train", rows as u64, bar.finish(), detail);
    let report = report.display().to_string();
    Ok((
        stage,
        Some(Outcome {
            trained,
            seconds,
            oracle,
            metrics,
            report,
        }),
    ))
}

fn algorithms(choice: ModelChoice) -> Vec<Algorithm> {
    match choice {
        ModelChoice::Logistic => vec![Algorithm::Logistic],
        ModelChoice::Forest => vec![Algorithm::Forest],
        ModelChoice::Boosting => vec![Algorithm::Boosting],
        ModelChoice::All => Algorithm::ALL.to_vec(),
    }
}

fn fingerprints(manifest: &serde_json::Value) -> BTreeMap<String, String> {
    let prints = manifest
        .get("feature_fingerprints")
        .and_then(|prints| prints.as_object());
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    prints
        .into_iter()
        .flatten()
        .map(|(name, print)| (name.clone(), text(print)))
        .collect()
}

/// The features of the training set, with their types from the registry.
fn features(context: &Context, manifest: &serde_json::Value) -> anyhow::Result<Vec<FeatureColumn>> {
    let names = manifest.get("features").and_then(|names| names.as_array());
    let names = names.context("the training set's manifest lists no features")?;
    let feature = |name: &serde_json::Value| -> anyhow::Result<FeatureColumn> {
        let (group, name) = name
            .as_str()
            .and_then(|name| name.split_once(':'))
            .unwrap_or_default();
        let feature = context
            .registry
            .group(group)
            .and_then(|group| group.feature(name))
            .with_context(|| format!("the registry has no feature `{group}:{name}` any more; run `granary materialize`"))?;
        Ok(FeatureColumn {
            name: feature.name.clone(),
            dtype: dtype(feature.dtype),
        })
    };
    names.iter().map(feature).collect()
}

fn dtype(dtype: DType) -> DType {
    if dtype == DType::Text {
        DType::Categorical
    } else {
        dtype
    }
}

fn unchanged(
    artifacts: &Artifacts,
    name: &str,
    lineage: &Lineage,
) -> anyhow::Result<Option<String>> {
    let Some(version) = artifacts.current(name)? else {
        return Ok(None);
    };
    let held: Option<Lineage> =
        serde_json::from_slice(&artifacts.read(name, &version, LINEAGE_FILE)?).ok();
    Ok((held.as_ref() == Some(lineage)).then_some(version))
}

/// The demo data come with the score of one who knows the truth.
fn oracle(context: &Context) -> Option<f64> {
    let truth = std::fs::read(context.data.raw().join("truth.json")).ok()?;
    let truth: serde_json::Value = serde_json::from_slice(&truth).ok()?;
    truth.get("oracle_roc_auc")?.as_f64()
}

/// Times the phases that a training reports: it has no clock of its own.
struct PhaseClock<'a> {
    bar: &'a Bar,
    began: Mutex<Vec<(Algorithm, Instant, f64)>>,
}

impl<'a> PhaseClock<'a> {
    fn new(bar: &'a Bar) -> Self {
        PhaseClock {
            bar,
            began: Mutex::new(Vec::new()),
        }
    }

    fn follow(&self, progress: Progress) {
        let mut began = self
            .began
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        match progress {
            Progress::Encoding { rows } => self.bar.begin("encode", Some(rows as u64)),
            Progress::Encoded { .. } => {}
            Progress::Started { algorithm } => {
                began.push((algorithm, Instant::now(), 0.0));
                self.bar.begin(&format!("train {}", algorithm.name()), None);
            }
            Progress::Trees {
                algorithm,
                done,
                total,
            } => {
                if done == 1 {
                    self.bar
                        .begin(&format!("train {}", algorithm.name()), Some(total as u64));
                }
                self.bar.at(done as u64);
            }
            Progress::Finished { algorithm } => {
                if let Some(entry) = began.iter_mut().find(|(held, ..)| *held == algorithm) {
                    entry.2 = entry.1.elapsed().as_secs_f64();
                }
            }
        }
    }

    fn seconds(self) -> Vec<(Algorithm, f64)> {
        let began = self
            .began
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        began
            .into_iter()
            .map(|(algorithm, _, seconds)| (algorithm, seconds))
            .collect()
    }
}

impl Outcome {
    /// The candidates, and the chosen one in full.
    pub(super) fn print(&self) {
        let row = |candidate: &Candidate| {
            let took = self
                .seconds
                .iter()
                .find(|(held, _)| *held == candidate.algorithm);
            let chosen = candidate.algorithm == self.trained.best().algorithm;
            vec![
                format!(
                    "{}{}",
                    candidate.algorithm.name(),
                    if chosen { " *" } else { "" }
                ),
                format!("{:.4}", candidate.valid.log_loss),
                format!("{:.4}", candidate.test.roc_auc),
                format!("{:.4}", candidate.test.pr_auc),
                format!("{:.4}", candidate.test.log_loss),
                took.map_or_else(String::new, |(_, seconds)| format!("{seconds:.2}")),
            ]
        };
        let header = [
            "model",
            "valid log loss",
            "test ROC-AUC",
            "test PR-AUC",
            "test log loss",
            "s",
        ];
        println!(
            "{}",
            show::table(
                &header,
                &[1, 2, 3, 4, 5],
                self.trained.candidates.iter().map(row)
            )
        );
        let best = &self.trained.best().test;
        let classes = best.confusion.classes();
        let class = |(name, class): (&str, &granary_models::ClassReport)| {
            vec![
                name.to_owned(),
                format!("{:.3}", class.precision),
                format!("{:.3}", class.recall),
                format!("{:.3}", class.f1),
                show::count(class.support),
            ]
        };
        let names = ["stays", "churns"].into_iter().zip(&classes).map(class);
        println!(
            "{}",
            show::table(
                &["test", "precision", "recall", "F1", "rows"],
                &[1, 2, 3, 4],
                names
            )
        );
        let confusion = [
            vec![
                "stays".to_owned(),
                show::count(best.confusion.true_negatives),
                show::count(best.confusion.false_positives),
            ],
            vec![
                "churns".to_owned(),
                show::count(best.confusion.false_negatives),
                show::count(best.confusion.true_positives),
            ],
        ];
        println!(
            "{}",
            show::table(
                &["actual \\ decided", "stays", "churns"],
                &[1, 2],
                confusion
            )
        );
        if let Some(oracle) = self.oracle {
            println!(
                "  test ROC-AUC {:.4}, an oracle that knows the hidden satisfaction: {oracle:.4}",
                best.roc_auc
            );
        }
        println!("  report: {}", self.report);
    }
}
