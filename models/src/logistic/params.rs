//! What logistic regression can be told.

/// Settings of logistic regression.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// Penalty on the squared weights, in units of one row's loss.
    pub l2: f64,
    /// Most steps of the solver.
    pub max_iterations: u64,
    /// The solver stops when no weight pulls harder than this, per row.
    pub tolerance: f64,
}

impl Default for Params {
    fn default() -> Params {
        Params {
            l2: 1.0,
            max_iterations: 200,
            tolerance: 1e-6,
        }
    }
}
