//! A training set under construction: written to the side and hashed on its way. Called by
//! materialization.
//!
//! Two files cannot be renamed at once, so the manifest of a set that is replaced goes first
//! under a third name, `<name>.manifest.next.json`; then the data is renamed; then the manifest.
//! After a crash between any two steps exactly one of the two manifests fits the data that is
//! there, and that pair is read: the old one, or the new one. A version is renamed as a whole.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use serde_json::Value as Json;

use super::{DATA, DatasetName, Envelope, FORMAT, MANIFEST, Paths, versions};
use crate::directory::{BuilderLock, DataDir};
use crate::offline::TableWriter;
use crate::publish::{AtomicFile, create_directory, sync_directory, write_atomic};
use crate::versions::Staged;
use crate::{Error, Result};

/// A training set under construction; nothing stays of it unless it is published.
pub struct DatasetWriter {
    place: Place,
    table: TableWriter<Hashing<Output>>,
    rows: u64,
}

/// All rows of a training set on disk, beside the place where they will be.
pub struct Written {
    place: Place,
    output: Output,
    /// Number of rows.
    pub rows: u64,
    bytes: u64,
    /// The hash of the data file, in hex.
    pub blake3: String,
}

/// Where it will be.
enum Place {
    Alone(Paths),
    Version(String, Staged),
}

/// Where it is written.
enum Output {
    Atomic(AtomicFile),
    Staged(File),
}

impl DatasetWriter {
    /// Begins the set that replaces the one of this name, or that comes to stand again where a
    /// version was. The lock proves that nobody else does.
    pub fn replace(
        directory: &DataDir,
        _lock: &BuilderLock,
        name: &DatasetName,
        schema: SchemaRef,
    ) -> Result<DatasetWriter> {
        create_directory(&directory.materialized_store())?;
        let paths = Paths::of(directory, name)?;
        let path = paths.data.clone();
        let output = Output::Atomic(AtomicFile::create(path.clone())?);
        DatasetWriter::begin(Place::Alone(paths), &path, output, schema)
    }

    /// Begins the next version of a named set.
    pub fn version(
        directory: &DataDir,
        _lock: &BuilderLock,
        name: &str,
        schema: SchemaRef,
    ) -> Result<DatasetWriter> {
        let staged = versions(directory, name)?.stage()?;
        let path = staged.path().join(DATA);
        let file = File::create(&path).map_err(Error::io("create", &path))?;
        let place = Place::Version(name.to_owned(), staged);
        DatasetWriter::begin(place, &path, Output::Staged(file), schema)
    }

    fn begin(
        place: Place,
        path: &Path,
        output: Output,
        schema: SchemaRef,
    ) -> Result<DatasetWriter> {
        Ok(DatasetWriter {
            place,
            table: TableWriter::begin(Hashing::new(output), path, schema)?,
            rows: 0,
        })
    }

    /// Appends rows.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        self.table.write(batch)
    }

    /// Ends the data.
    pub fn finish(self) -> Result<Written> {
        let hashing = self.table.finish()?;
        Ok(Written {
            place: self.place,
            output: hashing.inner,
            rows: self.rows,
            bytes: hashing.hasher.count(),
            blake3: hashing.hasher.finalize().to_hex().to_string(),
        })
    }
}

impl Written {
    /// Makes data and manifest appear, whole or not at all. Returns what it is called now.
    pub fn publish(self, manifest: Json) -> Result<DatasetName> {
        let envelope = Envelope {
            format: FORMAT,
            rows: self.rows,
            bytes: self.bytes,
            blake3: self.blake3,
            dataset: manifest,
        };
        let json = |path| {
            let mut json = serde_json::to_vec_pretty(&envelope).map_err(Error::json(path))?;
            json.push(b'\n');
            Ok(json)
        };
        match (self.place, self.output) {
            (Place::Alone(paths), output) => {
                write_atomic(&paths.next, &json(&paths.next)?)?;
                output.commit()?;
                paths.switch_manifest()?;
                let name = paths.data.file_stem().unwrap_or_default();
                Ok(DatasetName {
                    name: name.to_string_lossy().into_owned(),
                    version: None,
                })
            }
            (Place::Version(name, staged), output) => {
                drop(output);
                let path = staged.path().join(MANIFEST);
                fs::write(&path, json(&path)?).map_err(Error::io("write", &path))?;
                let version = Some(staged.name().to_owned());
                staged.publish()?;
                Ok(DatasetName { name, version })
            }
        }
    }

    /// Puts the data where they were, under the manifest that is there: for a set that was made
    /// again, byte for byte.
    pub fn restore(self) -> Result<()> {
        self.output.commit()
    }
}

impl Paths {
    pub(super) fn switch_manifest(&self) -> Result<()> {
        fs::rename(&self.next, &self.manifest).map_err(Error::io("rename", &self.next))?;
        self.manifest.parent().map_or(Ok(()), sync_directory)
    }
}

impl Output {
    fn commit(self) -> Result<()> {
        match self {
            Output::Atomic(file) => file.commit(),
            Output::Staged(_) => Ok(()),
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Output::Atomic(file) => file.write(bytes),
            Output::Staged(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Output::Atomic(file) => file.flush(),
            Output::Staged(file) => file.flush(),
        }
    }
}

/// Hashes what passes through.
struct Hashing<W> {
    inner: W,
    hasher: blake3::Hasher,
}

impl<W> Hashing<W> {
    fn new(inner: W) -> Hashing<W> {
        Hashing {
            inner,
            hasher: blake3::Hasher::new(),
        }
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
