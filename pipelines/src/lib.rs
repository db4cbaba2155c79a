//! The feature maths and the jobs that run it on rayon.
//!
//! A feature is a fold ([`fold`]); batch, stream, serving and point in time call the same one.

mod error; // why a job failed

pub mod expression; // expressions of the registry over columns and rows
pub mod fold; // the states of features and their four moves
pub mod quality; // expectations and statistics of finished columns
pub mod source; // CSV, Parquet, JSON lines -> Arrow batches
pub mod sql; // a group as SQL for another engine
pub mod synth; // demo data: a known truth to learn
pub mod text; // sentiment and embeddings

mod erased; // entities that were erased, on the way in
mod event; // an event as the log keeps it
mod value_write; // values as the log keeps them
mod logged; // both, in the order of the log
mod feature_columns; // finalized features as Arrow columns
mod grouped; // rows by entity, in order, without copies
mod history; // all rows of a source, grouped
mod imputation; // fills a training set's nulls
mod intake; // rows of a source -> what folds read
mod job; // what every job works on
mod known; // what a command found out of its files
mod label; // who is predicted, when, and what came of it
mod oracle; // features again, from plain rows, by naive code
mod origin; // the file that an event came from, and the place in it
mod piece; // rows of a batch with their entities as numbers
mod reading; // a source on its way in, chunk by chunk
mod row; // one entity's stored row

pub mod batch; // every entity's whole history -> states and features at one instant
mod lookup; // one entity at an instant in the past
mod point_in_time; // every (entity, instant) of a spine -> features as they were then

pub mod ingest; // raw rows and the log -> our own layout
pub mod build; // raw rows -> a version of the offline store
pub mod materialize; // labels and features -> a training set
pub mod push; // offline versions -> a generation of the online store
pub mod erase; // what files have of entities that were erased
pub mod verify; // served values against recomputations
mod live; // live events and values, and the rows that they change
mod serving; // stored rows -> features
mod stream; // logged events, one after another, into rows

pub use error::Error;
pub use event::Event;
pub use imputation::Fill;
pub use job::{Gathered, Job, Progress};
pub use known::KnownFiles;
pub use label::{Part, split};
pub use live::Prepared;
pub use logged::replay;
pub use lookup::Lookup;
pub use origin::{FileMark, Origin, newest_origins};
pub use point_in_time::Spine;
pub use serving::{Found, OpenRow, RowMemory, ServedFeature, ServedGroup, Serving, Wanted};
pub use stream::{Rows, Streamed, catch_up, fold_events, fold_writes, key_bytes};
pub use value_write::ValueWrite;
