//! Numbers from texts: sentiment, and vectors that stand for a text. Called by
//! `expression` for `vader(...)` and `embed(...)`; knows no files and no network.

mod column; // a column of texts, plain or by dictionary
mod embedder; // the seam: what turns a text into a vector
pub mod embedding; // vectors of whole columns
mod ngrams; // the embedder in the binary
pub mod sentiment; // VADER

pub use column::TextColumn;
pub use embedder::Embedder;
pub use ngrams::HashedNgrams;
