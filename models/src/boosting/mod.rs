//! Gradient boosting: shallow trees, each grown on what those before it left unexplained.
//! Called by `train`.

mod fit;
mod params;
mod predict;

pub(crate) use fit::fit;
pub use params::Params;
pub(crate) use predict::Boosting;
