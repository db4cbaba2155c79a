//! The feature maths and the jobs that run it on rayon.
//!
//! A feature is a fold ([`fold`]); batch, stream, serving and point in time call the same one.

mod error; // why a job failed

pub mod expression; // expressions of the registry over columns and rows
pub mod fold; // the states of features and their four moves
pub mod quality; // expectations and statistics of finished columns
pub mod source; // CSV, Parquet, JSON lines -> Arrow batches
pub mod synth; // demo data: a known truth to learn
pub mod text; // sentiment and embeddings

mod event; // an event as the log keeps it
mod feature_columns; // finalized features as Arrow columns
mod history; // rows of a source by entity, in order, without copies
mod intake; // rows of a source -> what folds read
mod job; // what every job works on
mod row; // one entity's stored row

mod batch; // every entity's whole history -> states and features at one instant
mod point_in_time; // every (entity, instant) of a spine -> features as they were then

pub use error::Error;
pub use event::{Event, replay};
pub use job::{Gathered, Job, Progress};
