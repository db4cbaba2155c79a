//! Writes a version: features, states, manifest, then all of it at once into view. Called by
//! builds.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayBuilder, ArrayRef, AsArray, BinaryBuilder, Int64Builder, RecordBatch,
};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;

use super::parquet_files::{Holds, write_parquet};
use super::table::TableWriter;
use super::version::{StateRow, Version};
use super::{FEATURES, MANIFEST, Manifest, STATES};
use crate::versions::Staged;
use crate::{Error, Result};

const STATE_BATCH_ROWS: usize = 1_024;
const STATE_BATCH_BYTES: usize = 16 << 20;

/// A version under construction; nothing stays of it unless it is published.
pub struct VersionWriter {
    group: String,
    staged: Staged,
    features: Option<Features>,
    states: States,
}

struct Features {
    table: TableWriter<File>,
    last_key: Option<ArrayRef>, // one element
    rows: u64,
}

struct States {
    path: PathBuf,
    file: ArrowWriter<File>,
    schema: SchemaRef,
    last_key: Option<Vec<u8>>,
    keys: BinaryBuilder,
    rows: BinaryBuilder,
    vectors: BinaryBuilder,
    events: Int64Builder,
    buffered: usize,
}

impl VersionWriter {
    pub(super) fn begin(group: &str, staged: Staged) -> Result<VersionWriter> {
        let states = States::create(staged.path().join(STATES))?;
        Ok(VersionWriter {
            group: group.to_owned(),
            staged,
            features: None,
            states,
        })
    }

    /// The name the version will have.
    pub fn version(&self) -> &str {
        self.staged.name()
    }

    /// Begins `features.parquet`. The first column is the key: text or int64, ascending.
    fn features(&mut self, schema: SchemaRef) -> Result<()> {
        let path = self.staged.path().join(FEATURES);
        let file = File::create(&path).map_err(Error::io("create", &path))?;
        self.features = Some(Features {
            table: TableWriter::begin(file, &path, schema)?,
            last_key: None,
            rows: 0,
        });
        Ok(())
    }

    /// Appends rows, beginning the file by the batch's schema if it is the first.
    pub fn write_features(&mut self, batch: &RecordBatch) -> Result<()> {
        if self.features.is_none() {
            self.features(batch.schema())?;
        }
        self.features
            .as_mut()
            .map_or(Ok(()), |features| features.write(batch))
    }

    /// Appends the state of one entity. Keys ascend.
    pub fn append_state(&mut self, state: StateRow<'_>) -> Result<()> {
        self.states.append(state)
    }

    /// Writes features and states at once: for a version that is at hand whole.
    pub fn write<'s>(
        &mut self,
        features: &RecordBatch,
        states: impl Iterator<Item = StateRow<'s>> + Send,
    ) -> Result<()> {
        self.features(features.schema())?;
        let (file, rows) = (&mut self.features, &mut self.states);
        let (features, states) = rayon::join(
            || file.as_mut().map_or(Ok(()), |file| file.write(features)),
            || {
                for state in states {
                    rows.append(state)?;
                }
                rows.flush()
            },
        );
        features.and(states)
    }

    /// Makes the version appear, whole, and current.
    pub fn publish(self, manifest: Manifest) -> Result<Version> {
        let path = self.staged.path();
        let features = self
            .features
            .ok_or_else(|| Error::NoFeatures { path: path.clone() })?;
        let rows = features.rows;
        let manifest = Manifest {
            group: self.group,
            version: self.staged.name().to_owned(),
            rows,
            features_bytes: features.close()?,
            states_bytes: self.states.close()?,
            ..manifest
        };
        manifest.write(&path.join(MANIFEST))?;
        Version::open(self.staged.publish()?)
    }
}

impl Features {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let key = batch.column(0);
        self.check_ascending(batch.schema().field(0).name(), key)?;
        self.table.write(batch)?;
        self.last_key = Some(key.slice(key.len() - 1, 1));
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    fn check_ascending(&self, name: &str, key: &ArrayRef) -> Result<()> {
        let refuse = |found: String| Error::KeyColumn {
            path: self.table.path().to_owned(),
            column: name.to_owned(),
            found,
        };
        if key.null_count() > 0 {
            return Err(refuse("null in some row".to_owned()));
        }
        let last = self.last_key.as_ref();
        let disorder = match key.data_type() {
            DataType::Utf8 => first_disorder(
                last.iter()
                    .flat_map(|last| last.as_string::<i32>())
                    .chain(key.as_string::<i32>()),
            ),
            DataType::LargeUtf8 => first_disorder(
                last.iter()
                    .flat_map(|last| last.as_string::<i64>())
                    .chain(key.as_string::<i64>()),
            ),
            DataType::Utf8View => first_disorder(
                last.iter()
                    .flat_map(|last| last.as_string_view())
                    .chain(key.as_string_view()),
            ),
            DataType::Int64 => first_disorder(
                last.iter()
                    .flat_map(|last| last.as_primitive::<Int64Type>())
                    .chain(key.as_primitive::<Int64Type>()),
            ),
            other => return Err(refuse(other.to_string())),
        };
        disorder.map_or(Ok(()), |(previous, key)| {
            Err(Error::KeyOrder {
                target: self.table.path().display().to_string(),
                previous,
                key,
            })
        })
    }

    fn close(self) -> Result<u64> {
        let path = self.table.path().to_owned();
        self.table.finish()?;
        size(&path)
    }
}

impl States {
    fn create(path: PathBuf) -> Result<States> {
        let schema = Arc::new(Schema::new(vec![
            Field::new("key", DataType::Binary, false),
            Field::new("row", DataType::Binary, false),
            Field::new("vectors", DataType::Binary, true),
            Field::new("events", DataType::Int64, false),
        ]));
        let file = File::create(&path).map_err(Error::io("create", &path))?;
        let file = write_parquet(file, &path, Arc::clone(&schema), Holds::Opaque)?;
        let builder = BinaryBuilder::new;
        Ok(States {
            path,
            file,
            schema,
            last_key: None,
            keys: builder(),
            rows: builder(),
            vectors: builder(),
            events: Int64Builder::new(),
            buffered: 0,
        })
    }

    fn append(&mut self, state: StateRow<'_>) -> Result<()> {
        let StateRow { key, row, .. } = state;
        match &mut self.last_key {
            Some(last) if last.as_slice() >= key => {
                return Err(Error::KeyOrder {
                    target: self.path.display().to_string(),
                    previous: String::from_utf8_lossy(last).into_owned(),
                    key: String::from_utf8_lossy(key).into_owned(),
                });
            }
            Some(last) => key.clone_into(last),
            None => self.last_key = Some(key.to_vec()),
        }
        self.keys.append_value(key);
        self.rows.append_value(row);
        self.vectors.append_option(state.vectors);
        self.events.append_value(state.events as i64);
        self.buffered += key.len() + row.len() + state.vectors.map_or(0, <[u8]>::len);
        if self.buffered >= STATE_BATCH_BYTES || self.keys.len() >= STATE_BATCH_ROWS {
            self.write_buffered()?;
        }
        Ok(())
    }

    fn write_buffered(&mut self) -> Result<()> {
        if self.keys.is_empty() {
            return Ok(());
        }
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.keys.finish()),
            Arc::new(self.rows.finish()),
            Arc::new(self.vectors.finish()),
            Arc::new(self.events.finish()),
        ];
        self.buffered = 0;
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(|error| Error::parquet("write", &self.path)(error.into()))?;
        self.file
            .write(&batch)
            .map_err(Error::parquet("write", &self.path))
    }

    /// Encodes what was written so far, so that closing is quick.
    fn flush(&mut self) -> Result<()> {
        self.write_buffered()?;
        self.file
            .flush()
            .map_err(Error::parquet("write", &self.path))
    }

    fn close(mut self) -> Result<u64> {
        self.write_buffered()?;
        let closed = self.file.close();
        closed.map_err(Error::parquet("finish", &self.path))?;
        size(&self.path)
    }
}

/// The first two neighbours that do not ascend.
fn first_disorder<T: PartialOrd + ToString>(
    keys: impl Iterator<Item = Option<T>>,
) -> Option<(String, String)> {
    let mut previous: Option<T> = None;
    for key in keys.flatten() {
        if let Some(previous) = &previous
            && *previous >= key
        {
            return Some((previous.to_string(), key.to_string()));
        }
        previous = Some(key);
    }
    None
}

fn size(path: &Path) -> Result<u64> {
    Ok(fs::metadata(path)
        .map_err(Error::io("look at", path))?
        .len())
}
