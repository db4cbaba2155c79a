//! Reads the files that the registry names (CSV, Parquet, JSON lines) as Arrow batches.
//! Called by the batch build, `materialize` and the reading of labels; nothing else opens
//! raw inputs. What a client sends as Arrow or as text is read by the same rules.
//!
//! A file is decoded in chunks whose borders depend on the file alone, never on the number
//! of threads, so that a build merges the same parts in the same order everywhere.

mod error; // what can go wrong, and how it is told
mod wanted; // which columns to decode, and as what

mod find; // from the registry's paths to files
mod format; // formats and compressions, and opening a file as a stream of bytes
mod head; // what a header line or a footer tells about a file
mod hash; // what tells that a file has changed

mod files; // the files of one source: columns, hashes, chunks, decoding

mod chunk; // the parts that decode independently
mod words; // CSV 64 bytes at a time: where fields end
mod quotes; // which newlines of a CSV file end a record

mod cells; // the wanted cells of a block, column by column
mod column; // cells of one column -> one Arrow array
mod field; // one field of CSV
mod csv; // a block of CSV -> cells
mod dictionary; // repeated strings -> dictionary arrays
mod jsonl; // a block of JSON lines -> cells
mod lines; // numbers of lines, for messages
mod records; // cells -> batches, for both text formats
mod scalar; // the text of one cell -> a number, a bool, an instant, a vector

mod cast; // the type found in Parquet -> the registry's type
mod parquet; // row groups -> batches
mod parts; // our own layout -> batches

mod ingested; // our own layout beside what is not in it

mod ipc; // Arrow IPC that a client sent -> rows of a source

mod leave_out; // files without the rows of some entities

mod bad_rows; // what happens to rows that cannot be read

#[cfg(test)]
mod tests;

pub use bad_rows::{BadRow, BadRows, Reason};
pub use chunk::{Chunk, Layout};
pub use error::Error;
pub use files::{SourceFiles, SourceState};
pub use format::Format;
pub use hash::{FileHash, FileState};
pub(crate) use ingested::Placed;
pub use ipc::{IpcError, Row as IpcRow, rows as ipc_rows};
pub use leave_out::{IsOut, mentions};
pub(crate) use parts::ranks_of_inputs;
pub use scalar::of_text;
pub use wanted::{TextAs, Wanted};
