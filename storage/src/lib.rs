//! Keeps bytes, rows and files, and gives them back; no feature logic.
//!
//! Everything under the data directory is opened, listed and published here; other crates
//! get readers and writers. Synchronous, without a clock: times arrive as arguments.

mod backup; // a data directory in one file
mod artifacts; // trained models, as versioned directories
mod dataset; // training sets: a Parquet file and its manifest, published as a pair
mod digest; // how many bytes, and their blake3
mod directory; // the data directory: where everything lies, and who may write it
mod error; // what can go wrong, told with the path
mod event_log; // sources in our own layout: parts, keys, manifest
mod log; // append-only checksummed segments: what is acknowledged is here first
mod names; // which names may become file names
mod offline; // Parquet feature groups: versions and manifests
mod online; // redb behind the memory of changed rows
mod publish; // files that appear whole or not at all
mod line_log; // JSON lines in files of bounded size
mod tombstones; // who was erased
mod spill; // rows on disk while a job works on them
mod versions; // numbered directories of which one is current

pub use artifacts::{ArtifactWriter, Artifacts};
pub use backup::{
    BackedUpFile, BackupMade, BackupManifest, back_up, backups_made, note_backup, restore,
};
pub use dataset::{
    Dataset, DatasetName, DatasetWriter, Envelope, Written, check_dataset, read_dataset,
    read_manifest,
};
pub use digest::Digest;
pub use directory::{BuilderLock, DataDir, ServerLock};
pub use error::{Error, Result};
pub use event_log::{
    ENTITY, EntityKeys, EventColumn, EventLog, EventLogManifest, EventLogWriter, EventPart, INPUT,
    Ingested, IngestedFrom, KeysFile, OutUntil, POSITION, PartKind, PartPlan, PartReader,
    PartSchema, PartWriter, RowGroup,
};
pub use line_log::{LineLog, LineLogOptions, leave_out_lines, leave_out_of_file, read_lines};
pub use log::{Kind, Log, LogOptions, LogReader, MAX_PAYLOAD, Offset, Record, Records, TornTail};
pub use names::check_name;
pub use offline::{
    ColumnStatistics, ExpectationOutcome, InputFile, IsOut, Manifest, OfflineStore, StateBatch,
    StateRow, States, Version, VersionWriter,
};
pub use online::{
    Bytes, Change, Field, Fields, Flush, FullRow, GenerationInfo, GenerationLoader, KeyKind, Merge,
    MergeError, Merged, NEVER, OnlineOptions, OnlineStore, Replayed, Turn, Value as PlainValue,
    View, Watcher,
};
pub use publish::{AtomicFile, read_if_there, write_atomic};
pub use spill::{Spill, Spilled};
pub use tombstones::{SECRET_BYTES, Tombstone, Tombstones};
