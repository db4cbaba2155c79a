//! Fits the forest, one tree per task.

use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::{Forest, Params};
use crate::random::Random;
use crate::train::Training;
use crate::trees::{FeatureChoice, Growth, Targets, Trees, grow};
use crate::{Algorithm, Progress};

const STREAM: u64 = 1 << 32;

/// Trees on bootstrapped rows; a leaf says how often the label is 1 in it.
pub(crate) fn fit(training: &Training<'_>, params: &Params, seed: u64) -> Forest {
    (training.progress)(Progress::Started {
        algorithm: Algorithm::Forest,
    });
    let slots = training.bins.width();
    let square_root = (slots as f64).sqrt().round() as usize;
    let growth = Growth {
        max_leaves: usize::MAX,
        max_depth: params.max_depth,
        min_weight: params.min_leaf_rows as f64,
        lambda: 0.0,
        min_gain: 1e-9,
        shrinkage: 1.0,
        features: FeatureChoice::PerSplit(params.features_per_split.unwrap_or(square_root)),
    };
    let done = AtomicUsize::new(0);
    let grown = (0..params.trees as u64).into_par_iter().map(|tree| {
        let mut random = Random::new(seed, STREAM + tree);
        let (rows, targets) = bootstrap(training.train.labels, &mut random);
        let grown = grow(training.bins, &targets, rows, &growth, random);
        (training.progress)(Progress::Trees {
            algorithm: Algorithm::Forest,
            done: done.fetch_add(1, Ordering::Relaxed) + 1,
            total: params.trees,
        });
        grown.tree
    });
    let trees: Vec<_> = grown.collect();
    let mut gains = vec![0.0; slots];
    for tree in &trees {
        tree.add_gains(&mut gains);
    }
    Forest {
        trees: Trees::flatten(&trees),
        gains,
    }
}

/// As many rows as there are, drawn with replacement: each once, with its count.
fn bootstrap(labels: &[bool], random: &mut Random) -> (Vec<u32>, Targets) {
    let mut pairs = vec![[0, 0]; labels.len()];
    for _ in 0..labels.len() {
        let row = random.below(labels.len());
        pairs[row][0] += i32::from(labels[row]);
        pairs[row][1] += 1;
    }
    let rows = (0..labels.len() as u32)
        .filter(|&row| pairs[row as usize][1] > 0)
        .collect();
    (rows, Targets::counted(pairs))
}
