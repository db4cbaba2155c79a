//! Random forest: the mean of deep trees, each grown on rows drawn with replacement.
//! Called by `train`.

mod fit;
mod params;
mod predict;

pub(crate) use fit::fit;
pub use params::Params;
pub(crate) use predict::Forest;
