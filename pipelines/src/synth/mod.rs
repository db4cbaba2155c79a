//! The demo data: four raw tables in which a hidden satisfaction decides who
//! fades out, complains, writes what, and churns. Called by the `synth`
//! subcommand, which owns files and the progress bar; nothing here opens a path
//! or reads a clock, and the bytes depend on the plan alone.
//!
//! Every user is drawn from a random stream of its own, (seed, index), so
//! neither threads nor chunks can change what a user does.

mod calendar; // when people are there: days, hours, sessions, gaps
mod catalogue; // products and the metadata texts of events
mod chunk; // some users in a row: their share of the four tables
mod csv; // a record batch as CSV text
mod customer; // one user: profile, account, habits
mod files; // the tables as Parquet and CSV files
mod generate; // chunks on all threads, written in order
mod history; // what one user did, row by row
mod journey; // which event follows which
#[rustfmt::skip] // lists of words, packed
mod phrases; // the words of the review grammar
mod plan; // what is asked for, what comes back
pub(crate) mod random; // the random numbers
mod review; // one review: rating, text, votes
mod truth; // satisfaction, churn, and how well an oracle would do
mod uuid; // event ids

#[cfg(test)]
mod tests;

pub use generate::generate;
pub use plan::{DEFAULT_END, Error, Formats, Open, Output, Plan, Progress, Summary, TableSummary};
