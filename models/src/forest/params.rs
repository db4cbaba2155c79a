//! What a random forest can be told.

/// Settings of the random forest.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// Number of trees.
    pub trees: usize,
    /// Slots drawn for each split; none: the square root of their number.
    pub features_per_split: Option<usize>,
    /// Least rows of a leaf.
    pub min_leaf_rows: usize,
    /// Most steps from the root to a leaf.
    pub max_depth: usize,
}

impl Default for Params {
    fn default() -> Params {
        Params {
            trees: 150,
            features_per_split: None,
            min_leaf_rows: 8,
            max_depth: 32,
        }
    }
}
