//! Logistic regression: a weighted sum of the standardised columns, by `linfa-logistic`.
//! Called by `train`.

mod fit;
mod params;
mod predict;

pub(crate) use fit::fit;
pub use params::Params;
pub(crate) use predict::Logistic;
