//! The names of the algorithms. Called wherever one is chosen or shown.

use std::fmt;

/// A way to learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// Logistic regression.
    Logistic,
    /// Random forest.
    Forest,
    /// Gradient boosting.
    Boosting,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Algorithm; 3] = [Algorithm::Logistic, Algorithm::Forest, Algorithm::Boosting];

    /// As commands and files write it.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Logistic => "logistic",
            Algorithm::Forest => "forest",
            Algorithm::Boosting => "boosting",
        }
    }

    /// The algorithm of this name.
    pub fn parse(name: &str) -> Option<Algorithm> {
        Algorithm::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
