//! Training sets: a table and a manifest. Called by materialization, which writes them, and by
//! training, which reads them.
//!
//! A set without a name of its own, `<name>.parquet` and `<name>.manifest.json`, is replaced
//! each time; one with a name gets a version, `<name>/<version>/`, that stays as it is. The
//! manifest carries the hash of its data, so data and manifest are told to belong together.

mod leave_out; // rewrites sets without some entities
mod writer; // a set under construction

#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Seek};
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

pub use self::writer::{DatasetWriter, Written};
use crate::digest::Digest;
use crate::directory::DataDir;
use crate::names::check_name;
use crate::offline::{check_format, collect, read_batches};
use crate::versions::Versions;
use crate::{Error, Result};

const FORMAT: u32 = 1;
const KIND: &str = "training set";
/// Names of the files of a version.
const DATA: &str = "dataset.parquet";
const MANIFEST: &str = "manifest.json";
const NEXT_MANIFEST: &str = "manifest.next.json";

/// Which training set: the one that is replaced each time, or a version of a named one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatasetName {
    /// Its name.
    pub name: String,
    /// Its version; without one the current version, or the set that has none.
    pub version: Option<String>,
}

/// A training set as it was written.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// The rows.
    pub batches: Vec<RecordBatch>,
    /// What the writer said of them.
    pub manifest: Json,
    /// The hash of the data file, in hex: the training set's identity.
    pub blake3: String,
}

/// The manifest as it lies on disk.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Envelope {
    format: u32,
    /// Rows of the data.
    pub rows: u64,
    bytes: u64,
    /// The hash of the data file, in hex.
    pub blake3: String,
    /// What the writer said of it.
    pub dataset: Json,
}

#[derive(Clone, Debug)]
struct Paths {
    data: PathBuf,
    manifest: PathBuf,
    /// Where the manifest waits while the data are replaced.
    next: PathBuf,
}

impl DatasetName {
    /// Reads `name` or `name/version`.
    pub fn parse(text: &str) -> Result<DatasetName> {
        let (name, version) = match text.split_once('/') {
            Some((name, version)) => (name, Some(version)),
            None => (text, None),
        };
        check_name(KIND, name)?;
        if let Some(version) = version {
            check_name(KIND, version)?;
        }
        Ok(DatasetName {
            name: name.to_owned(),
            version: version.map(str::to_owned),
        })
    }

    /// The same with the version that it means now.
    pub fn resolve(&self, directory: &DataDir) -> Result<DatasetName> {
        let version = match &self.version {
            Some(version) => Some(version.clone()),
            None => versions(directory, &self.name)?.current()?,
        };
        Ok(DatasetName {
            name: self.name.clone(),
            version,
        })
    }
}

impl fmt::Display for DatasetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match &self.version {
            Some(version) => write!(f, "/{version}"),
            None => Ok(()),
        }
    }
}

/// Reads a training set; none if it was never written.
pub fn read_dataset(directory: &DataDir, name: &DatasetName) -> Result<Option<Dataset>> {
    let paths = Paths::of(directory, &name.resolve(directory)?)?;
    let Some((file, envelope)) = paths.open()? else {
        return Ok(None);
    };
    let batches = collect(read_batches(file, &paths.data, None)?, &paths.data)?;
    Ok(Some(Dataset {
        batches,
        manifest: envelope.dataset,
        blake3: envelope.blake3,
    }))
}

/// What is said of a training set whose data are there and whole; none if it was never written.
pub fn check_dataset(directory: &DataDir, name: &DatasetName) -> Result<Option<Envelope>> {
    let paths = Paths::of(directory, &name.resolve(directory)?)?;
    Ok(paths.open()?.map(|(_, envelope)| envelope))
}

/// Reads the manifest alone, whatever became of the data.
pub fn read_manifest(directory: &DataDir, name: &DatasetName) -> Result<Option<Envelope>> {
    let paths = Paths::of(directory, &name.resolve(directory)?)?;
    read_envelope(&paths.manifest)
}

fn versions(directory: &DataDir, name: &str) -> Result<Versions> {
    Versions::new(KIND, &directory.materialized_store(), name)
}

impl Paths {
    fn of(directory: &DataDir, name: &DatasetName) -> Result<Paths> {
        check_name(KIND, &name.name)?;
        if let Some(version) = &name.version {
            return Ok(Paths::within(
                &versions(directory, &name.name)?.path(version)?,
            ));
        }
        let home = directory.materialized_store();
        let name = &name.name;
        Ok(Paths {
            data: home.join(format!("{name}.parquet")),
            manifest: home.join(format!("{name}.manifest.json")),
            next: home.join(format!("{name}.manifest.next.json")),
        })
    }

    fn within(version: &Path) -> Paths {
        Paths {
            data: version.join(DATA),
            manifest: version.join(MANIFEST),
            next: version.join(NEXT_MANIFEST),
        }
    }

    /// The data, and the manifest that describes them.
    fn open(&self) -> Result<Option<(File, Envelope)>> {
        let mut file = match File::open(&self.data) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("open", &self.data)(error)),
        };
        let digest = Digest::of(&file).map_err(Error::io("read", &self.data))?;
        let envelope = self.envelope_of(&digest)?;
        file.rewind().map_err(Error::io("read", &self.data))?;
        Ok(Some((file, envelope)))
    }

    /// The manifest that describes this data.
    fn envelope_of(&self, digest: &Digest) -> Result<Envelope> {
        for path in [&self.manifest, &self.next] {
            match read_envelope(path)? {
                Some(envelope) if envelope.blake3 == digest.blake3 => return Ok(envelope),
                _ => {}
            }
        }
        Err(Error::TornPair {
            path: self.data.clone(),
            reason: format!(
                "no manifest says {} bytes with hash {}",
                digest.bytes, digest.blake3
            ),
        })
    }
}

fn read_envelope(path: &Path) -> Result<Option<Envelope>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("read", path)(error)),
    };
    check_format(path, &bytes, FORMAT)?;
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(Error::json(path))
}
