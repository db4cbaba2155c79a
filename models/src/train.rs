//! The whole training: read, encode, fit every algorithm, evaluate, choose.
//! Called by the `train` command; knows no clock, the caller times what it reports.

use std::collections::BTreeMap;

use crate::dataset::{Dataset, Outcome, Part, Table};
use crate::encoder::{Encoded, Encoder, LinearForm, TrainRows};
use crate::evaluate::{Evaluation, best_f1_threshold};
use crate::model::{Metadata, Model, Predictor};
use crate::trees::{Bins, MAX_SLOTS};
use crate::{Algorithm, Error, boosting, forest, logistic};

/// What to train, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The candidates.
    pub algorithms: Vec<Algorithm>,
    /// One seed and one dataset give one model, byte for byte.
    pub seed: u64,
    /// Settings of logistic regression.
    pub logistic: logistic::Params,
    /// Settings of the forest.
    pub forest: forest::Params,
    /// Settings of the boosting.
    pub boosting: boosting::Params,
    /// Kept with the model as they are (registry fingerprint, command line).
    pub notes: BTreeMap<String, String>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            algorithms: Algorithm::ALL.to_vec(),
            seed: 42,
            logistic: logistic::Params::default(),
            forest: forest::Params::default(),
            boosting: boosting::Params::default(),
            notes: BTreeMap::new(),
        }
    }
}

/// Where a training is. Sent from several threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The rows are read and are being encoded.
    Encoding {
        /// Rows of all parts.
        rows: usize,
    },
    /// The matrix is ready.
    Encoded {
        /// Its columns, as trees see them.
        slots: usize,
    },
    /// An algorithm begins.
    Started {
        /// Which one.
        algorithm: Algorithm,
    },
    /// Another tree has grown.
    Trees {
        /// Whose.
        algorithm: Algorithm,
        /// Trees that have grown; boosting may stop before `total`.
        done: usize,
        /// Most trees.
        total: usize,
    },
    /// An algorithm is fitted and evaluated.
    Finished {
        /// Which one.
        algorithm: Algorithm,
    },
}

/// Everything that was trained.
#[derive(Clone, Debug)]
pub struct Trained {
    /// One per algorithm, in the order of the options.
    pub candidates: Vec<Candidate>,
    /// Place of the candidate with the least log loss on `valid`.
    pub best: usize,
}

/// One fitted model and how good it is.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// What it is.
    pub algorithm: Algorithm,
    /// On the rows that chose it and its threshold.
    pub valid: Evaluation,
    /// On rows that took no part in anything.
    pub test: Evaluation,
    /// The model.
    pub model: Model,
}

impl Trained {
    /// The chosen candidate.
    pub fn best(&self) -> &Candidate {
        &self.candidates[self.best]
    }
}

/// Rows with their labels, ready for a trainer.
#[derive(Clone, Copy)]
pub(crate) struct Examples<'a> {
    pub(crate) encoded: &'a Encoded,
    pub(crate) labels: &'a [bool],
}

/// What a trainer is given.
pub(crate) struct Training<'a> {
    pub(crate) train: Examples<'a>,
    pub(crate) valid: Examples<'a>,
    /// The train rows as trees are grown on them.
    pub(crate) bins: &'a Bins,
    /// How linear models read a row.
    pub(crate) linear: &'a LinearForm,
    pub(crate) progress: &'a (dyn Fn(Progress) + Sync),
}

/// Trains every algorithm on the `train` rows and chooses on the `valid` rows. Runs on
/// the rayon pool it is called in.
pub fn train(
    dataset: &Dataset<'_>,
    options: &Options,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Trained, Error> {
    if dataset.features.is_empty() {
        return Err(Error::Nothing { what: "features" });
    }
    if options.algorithms.is_empty() {
        return Err(Error::Nothing { what: "algorithms" });
    }
    let outcome = Outcome::read(dataset)?;
    let table = Table::read(dataset.batches, &dataset.features)?;
    progress(Progress::Encoding { rows: table.rows() });
    let [train, valid, test] = Part::ALL.map(|part| outcome.part(part));
    let train_rows = TrainRows {
        table: &table,
        rows: &train.rows,
        labels: &train.labels,
    };
    let (encoder, encoded) = Encoder::fit(&dataset.features, train_rows, options.seed);
    if encoder.slots() > MAX_SLOTS {
        return Err(Error::TooWide {
            columns: encoder.slots(),
            limit: MAX_SLOTS,
        });
    }
    let [encoded_valid, encoded_test] =
        [valid, test].map(|part| encoder.encode(&table, &part.rows));
    let linear = LinearForm::fit(&encoder, &encoded);
    let bins = Bins::new(&encoded);
    progress(Progress::Encoded {
        slots: encoder.slots(),
    });

    let training = Training {
        train: Examples {
            encoded: &encoded,
            labels: &train.labels,
        },
        valid: Examples {
            encoded: &encoded_valid,
            labels: &valid.labels,
        },
        bins: &bins,
        linear: &linear,
        progress,
    };
    let test = Examples {
        encoded: &encoded_test,
        labels: &test.labels,
    };
    let mut candidates = Vec::with_capacity(options.algorithms.len());
    for &algorithm in &options.algorithms {
        let predictor = fit(algorithm, &training, options)?;
        let metadata = Metadata {
            label: dataset.label.to_owned(),
            seed: options.seed,
            rows: [
                train.rows.len(),
                training.valid.labels.len(),
                test.labels.len(),
            ]
            .map(|rows| rows as u64),
            notes: options.notes.clone(),
        };
        let model = Model::new(&dataset.features, encoder.clone(), predictor, metadata);
        candidates.push(evaluate(algorithm, model, training.valid, test));
        progress(Progress::Finished { algorithm });
    }
    let best = best(&candidates);
    Ok(Trained { candidates, best })
}

fn fit(
    algorithm: Algorithm,
    training: &Training<'_>,
    options: &Options,
) -> Result<Predictor, Error> {
    Ok(match algorithm {
        Algorithm::Logistic => Predictor::Logistic(logistic::fit(training, &options.logistic)?),
        Algorithm::Forest => {
            Predictor::Forest(forest::fit(training, &options.forest, options.seed))
        }
        Algorithm::Boosting => {
            Predictor::Boosting(boosting::fit(training, &options.boosting, options.seed))
        }
    })
}

fn evaluate(
    algorithm: Algorithm,
    mut model: Model,
    valid: Examples<'_>,
    test: Examples<'_>,
) -> Candidate {
    let on_valid = model.predict_encoded(valid.encoded);
    let on_test = model.predict_encoded(test.encoded);
    model.set_threshold(best_f1_threshold(valid.labels, &on_valid));
    Candidate {
        algorithm,
        valid: Evaluation::of(valid.labels, &on_valid, model.threshold()),
        test: Evaluation::of(test.labels, &on_test, model.threshold()),
        model,
    }
}

/// The one with the least log loss on `valid`, the first of equals.
fn best(candidates: &[Candidate]) -> usize {
    let loss = |&at: &usize| candidates[at].valid.log_loss;
    let by_loss = |a: &usize, b: &usize| loss(a).total_cmp(&loss(b));
    (0..candidates.len())
        .min_by(by_loss)
        .expect("at least one algorithm was asked for")
}

#[cfg(test)]
mod tests;
