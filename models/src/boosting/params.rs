//! What gradient boosting can be told.

/// Settings of gradient boosting.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// Most trees.
    pub max_trees: usize,
    /// How much of a tree's advice is taken.
    pub learning_rate: f64,
    /// Most leaves of a tree.
    pub max_leaves: usize,
    /// Most steps from the root to a leaf.
    pub max_depth: usize,
    /// Least sum of `p (1 - p)` over the rows of a leaf.
    pub min_leaf_weight: f64,
    /// Weight that every leaf is given at value 0.
    pub lambda: f64,
    /// Share of the rows that a tree is grown on.
    pub row_share: f64,
    /// Share of the slots that a tree is grown on.
    pub feature_share: f64,
    /// Trees without a better log loss on `valid` after which growing stops.
    pub patience: usize,
}

impl Default for Params {
    fn default() -> Params {
        Params {
            max_trees: 1000,
            learning_rate: 0.04,
            max_leaves: 15,
            max_depth: 8,
            min_leaf_weight: 3.0,
            lambda: 1.0,
            row_share: 0.8,
            feature_share: 0.8,
            patience: 50,
        }
    }
}
