//! Fits the boosting: trees on the gradient of the logistic loss, until `valid` no
//! longer gains.

use rayon::prelude::*;

use super::{Boosting, Params};
use crate::evaluate::log_loss;
use crate::random::Random;
use crate::train::{Examples, Training};
use crate::trees::{FeatureChoice, Grown, Growth, Targets, Tree, Trees, grow};
use crate::{Algorithm, Progress, sigmoid};

const STREAM: u64 = 2 << 32;

/// Trees up to the one with the best log loss on `valid`.
pub(crate) fn fit(training: &Training<'_>, params: &Params, seed: u64) -> Boosting {
    (training.progress)(Progress::Started {
        algorithm: Algorithm::Boosting,
    });
    let ones = training.train.labels.iter().filter(|&&label| label).count() as f64;
    let zeros = training.train.labels.len() as f64 - ones;
    let base = (ones / zeros).ln();
    let mut train = Scores::start(training.train, base);
    let mut valid = Scores::start(training.valid, base);
    let mut trees: Vec<Tree> = Vec::new();
    let (mut best_loss, mut best_trees) = (valid.log_loss(), 0);

    while trees.len() < params.max_trees && trees.len() - best_trees < params.patience {
        let random = Random::new(seed, STREAM + trees.len() as u64);
        let (grown, rest) = one_tree(training, params, &train, random);
        train.add_leaves(&grown);
        train.add_walked(&grown.tree, &rest);
        valid.add_walked(&grown.tree, &valid.every_row());
        trees.push(grown.tree);
        let loss = valid.log_loss();
        if loss < best_loss {
            (best_loss, best_trees) = (loss, trees.len());
        }
        (training.progress)(Progress::Trees {
            algorithm: Algorithm::Boosting,
            done: trees.len(),
            total: params.max_trees,
        });
    }
    trees.truncate(best_trees);
    let mut gains = vec![0.0; training.bins.width()];
    for tree in &trees {
        tree.add_gains(&mut gains);
    }
    Boosting {
        base,
        trees: Trees::flatten(&trees),
        gains,
    }
}

/// Grows a tree on a share of rows and slots; gives it back with the rows left out.
fn one_tree(
    training: &Training<'_>,
    params: &Params,
    scores: &Scores<'_>,
    mut random: Random,
) -> (Grown, Vec<u32>) {
    let (rows, rest): (Vec<u32>, Vec<u32>) = (0..training.bins.rows() as u32)
        .partition(|_| params.row_share >= 1.0 || random.unit() < params.row_share);
    let width = training.bins.width();
    let mut slots: Vec<u32> = (0..width as u32).collect();
    let kept = ((width as f64 * params.feature_share).ceil() as usize).clamp(1, width);
    random.draw_to_front(&mut slots, kept);
    slots.truncate(kept);
    slots.sort_unstable();
    let growth = Growth {
        max_leaves: params.max_leaves,
        max_depth: params.max_depth,
        min_weight: params.min_leaf_weight,
        lambda: params.lambda,
        min_gain: 1e-6,
        shrinkage: params.learning_rate,
        features: FeatureChoice::OfTree(slots),
    };
    (
        grow(training.bins, &scores.targets(), rows, &growth, random),
        rest,
    )
}

/// The log-odds that the trees so far give the rows of a part.
struct Scores<'a> {
    part: Examples<'a>,
    log_odds: Vec<f64>,
}

impl<'a> Scores<'a> {
    fn start(part: Examples<'a>, base: f64) -> Scores<'a> {
        Scores {
            part,
            log_odds: vec![base; part.labels.len()],
        }
    }

    /// The slope of the loss and its curvature.
    fn targets(&self) -> Targets {
        Targets::rounded(
            self.log_odds
                .iter()
                .zip(self.part.labels)
                .map(|(&log_odds, &label)| {
                    let p = sigmoid(log_odds);
                    (f64::from(u8::from(label)) - p, p * (1.0 - p))
                }),
        )
    }

    fn add_leaves(&mut self, grown: &Grown) {
        for (rows, value) in grown.leaves() {
            for &row in rows {
                self.log_odds[row as usize] += f64::from(value);
            }
        }
    }

    fn add_walked(&mut self, tree: &Tree, rows: &[u32]) {
        let walk = |&row: &u32| tree.value(self.part.encoded.slots(row as usize));
        let values: Vec<f32> = rows.par_iter().with_min_len(2048).map(walk).collect();
        for (&row, value) in rows.iter().zip(values) {
            self.log_odds[row as usize] += f64::from(value);
        }
    }

    fn every_row(&self) -> Vec<u32> {
        (0..self.log_odds.len() as u32).collect()
    }

    fn log_loss(&self) -> f64 {
        let probabilities: Vec<f64> = self.log_odds.iter().map(|&x| sigmoid(x)).collect();
        log_loss(self.part.labels, &probabilities)
    }
}
