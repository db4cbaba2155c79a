//! Reads a published version. Called by push, materialization, `verify` and the command line.

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow::array::{Array, AsArray, BinaryArray, Int64Array, RecordBatch};
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

use super::parquet_files::{collect, read_batches};
use super::{FEATURES, MANIFEST, Manifest, STATES};
use crate::{Error, Result};

/// A published version of a feature group.
#[derive(Clone, Debug)]
pub struct Version {
    path: PathBuf,
    manifest: Manifest,
}

/// The encoded states of a version, in key order, a batch at a time.
#[derive(Debug)]
pub struct States {
    path: PathBuf,
    batches: ParquetRecordBatchReader,
}

/// Some states in key order.
#[derive(Clone, Debug)]
pub struct StateBatch {
    keys: BinaryArray,
    rows: BinaryArray,
    vectors: BinaryArray,
    events: Option<Int64Array>, // since format 2
}

/// What is kept of one entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateRow<'a> {
    /// Its key.
    pub key: &'a [u8],
    /// Its encoded state.
    pub row: &'a [u8],
    /// The vectors of its state.
    pub vectors: Option<&'a [u8]>,
    /// How many rows of the source are folded into it.
    pub events: u64,
}

impl Version {
    pub(super) fn open(path: PathBuf) -> Result<Version> {
        let manifest = Manifest::read(&path.join(MANIFEST))?;
        Ok(Version { path, manifest })
    }

    /// Its name, such as `v000001`.
    pub fn name(&self) -> &str {
        &self.manifest.version
    }

    /// What it says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its features, for readers of Parquet.
    pub fn features_path(&self) -> PathBuf {
        self.path.join(FEATURES)
    }

    /// Its features, some columns or all, in the file's column order.
    pub fn read_features(&self, columns: Option<&[&str]>) -> Result<Vec<RecordBatch>> {
        let path = self.features_path();
        let file = File::open(&path).map_err(Error::io("open", &path))?;
        collect(read_batches(file, &path, columns)?, &path)
    }

    /// Its encoded states.
    pub fn states(&self) -> Result<States> {
        let path = self.path.join(STATES);
        let file = File::open(&path).map_err(Error::io("open", &path))?;
        let columns = ["key", "row", "vectors", "events"];
        let known = if self.manifest.format < 2 { 3 } else { 4 };
        let batches = read_batches(file, &path, Some(&columns[..known]))?;
        Ok(States { path, batches })
    }
}

impl Iterator for States {
    type Item = Result<StateBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.batches.next()?;
        Some(
            batch
                .map_err(|error| Error::parquet("read", &self.path)(error.into()))
                .and_then(|batch| {
                    let column = |index: usize, name: &str| {
                        batch
                            .column(index)
                            .as_binary_opt::<i32>()
                            .cloned()
                            .ok_or_else(|| Error::NoColumn {
                                column: format!("{name} (binary)"),
                                path: self.path.clone(),
                                present: batch
                                    .schema()
                                    .fields()
                                    .iter()
                                    .map(ToString::to_string)
                                    .collect(),
                            })
                    };
                    Ok(StateBatch {
                        keys: column(0, "key")?,
                        rows: column(1, "row")?,
                        vectors: column(2, "vectors")?,
                        events: batch
                            .columns()
                            .get(3)
                            .and_then(|events| events.as_primitive_opt().cloned()),
                    })
                }),
        )
    }
}

impl StateBatch {
    /// How many states.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// One of them.
    pub fn get(&self, index: usize) -> StateRow<'_> {
        let is_valid = self.vectors.is_valid(index);
        let events = self.events.as_ref().map_or(0, |events| events.value(index));
        StateRow {
            key: self.keys.value(index),
            row: self.rows.value(index),
            vectors: is_valid.then(|| self.vectors.value(index)),
            events: events.max(0) as u64,
        }
    }

    /// All of them, in key order.
    pub fn iter(&self) -> impl Iterator<Item = StateRow<'_>> {
        (0..self.len()).map(|index| self.get(index))
    }
}
