//! What a finished feature column must be and what it is: expectations, checked at every
//! build, and statistics for the manifest. Called by `build` once per column, and for values
//! that are written one by one.

mod expectation; // the rules of the registry, checked
mod statistics; // nulls, bounds, mean, distinct values
mod vectors; // a column of vectors, of fixed or free length

pub use expectation::{Detail, Outcome, broken_by, check};
pub use statistics::{Statistics, statistics};
