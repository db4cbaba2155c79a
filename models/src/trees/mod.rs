//! The one tree core: everything that is a tree is grown and read by it.
//! `forest` and `boosting` stand on it; it knows neither labels nor losses.

mod bins; // values as at most 256 codes
mod grow; // one tree, best leaf first
mod histogram; // sums by code, over which splits are found
mod nodes; // the flat form that predicts
mod search; // the best split of a leaf
mod split; // the best split of one slot

pub(crate) use bins::Bins;
pub(crate) use grow::{FeatureChoice, Grown, Growth, grow};
pub(crate) use histogram::Targets;
pub(crate) use nodes::{Tree, Trees};

/// The most matrix columns that a node can name.
pub(crate) const MAX_SLOTS: usize = u16::MAX as usize;

#[cfg(test)]
mod tests;
