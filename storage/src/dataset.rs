//! Training sets: `<name>.parquet` and `<name>.manifest.json`, published as a pair. Called by
//! materialization, which writes them, and by training, which reads them.
//!
//! Two files cannot be renamed at once, so the manifest carries the hash of its data and goes
//! first under a third name, `<name>.manifest.next.json`; then the data is renamed; then the
//! manifest. After a crash between any two steps exactly one of the two manifests fits the
//! data that is there, and that pair is read: the old one, or the new one.

use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::digest::Digest;
use crate::directory::{BuilderLock, DataDir};
use crate::names::check_name;
use crate::offline::{Holds, check_format, collect, read_batches, write_parquet};
use crate::publish::{AtomicFile, create_directory, sync_directory, write_atomic};
use crate::{Error, Result};

const FORMAT: u32 = 1;

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
#[derive(Debug, Serialize, Deserialize)]
struct Envelope {
    format: u32,
    rows: u64,
    bytes: u64,
    blake3: String,
    dataset: Json,
}

struct Paths {
    data: PathBuf,
    manifest: PathBuf,
    next: PathBuf,
}

/// Replaces a training set, whole or not at all, and returns the path of its data. The lock
/// proves that nobody else does.
pub fn write_dataset(
    directory: &DataDir,
    _lock: &BuilderLock,
    name: &str,
    schema: SchemaRef,
    batches: impl IntoIterator<Item = RecordBatch>,
    manifest: Json,
) -> Result<PathBuf> {
    let paths = Paths::of(directory, name)?;
    let mut file = AtomicFile::create(paths.data.clone())?;
    let mut writer = write_parquet(Hashing::new(&mut file), &paths.data, schema, Holds::Columns)?;
    let mut rows = 0;
    for batch in batches {
        rows += batch.num_rows() as u64;
        writer
            .write(&batch)
            .map_err(Error::parquet("write", &paths.data))?;
    }
    let hasher = writer
        .into_inner()
        .map_err(Error::parquet("finish", &paths.data))?
        .hasher;
    let envelope = Envelope {
        format: FORMAT,
        rows,
        bytes: hasher.count(),
        blake3: hasher.finalize().to_hex().to_string(),
        dataset: manifest,
    };
    let mut json = serde_json::to_vec_pretty(&envelope).map_err(Error::json(&paths.next))?;
    json.push(b'\n');
    write_atomic(&paths.next, &json)?;
    file.commit()?;
    paths.switch_manifest()?;
    Ok(paths.data)
}

/// Reads a training set; none if it was never written.
pub fn read_dataset(directory: &DataDir, name: &str) -> Result<Option<Dataset>> {
    let paths = Paths::of(directory, name)?;
    let mut file = match File::open(&paths.data) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("open", &paths.data)(error)),
    };
    let digest = Digest::of(&file).map_err(Error::io("read", &paths.data))?;
    let envelope = paths.envelope_of(&digest)?;
    file.rewind().map_err(Error::io("read", &paths.data))?;
    let batches = collect(read_batches(file, &paths.data, None)?, &paths.data)?;
    Ok(Some(Dataset {
        batches,
        manifest: envelope.dataset,
        blake3: envelope.blake3,
    }))
}

impl Paths {
    fn of(directory: &DataDir, name: &str) -> Result<Paths> {
        check_name("training set", name)?;
        let home = directory.materialized_store();
        create_directory(&home)?;
        Ok(Paths {
            data: home.join(format!("{name}.parquet")),
            manifest: home.join(format!("{name}.manifest.json")),
            next: home.join(format!("{name}.manifest.next.json")),
        })
    }

    fn switch_manifest(&self) -> Result<()> {
        fs::rename(&self.next, &self.manifest).map_err(Error::io("rename", &self.next))?;
        self.manifest.parent().map_or(Ok(()), sync_directory)
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array};
    use serde_json::json;

    use super::*;

    fn batch(values: &[i64]) -> RecordBatch {
        RecordBatch::try_from_iter([("x", Arc::new(Int64Array::from(values.to_vec())) as ArrayRef)])
            .unwrap()
    }

    fn write(data: &DataDir, values: &[i64], manifest: Json) -> PathBuf {
        let lock = data.lock_builder().unwrap();
        let batch = batch(values);
        write_dataset(
            data,
            &lock,
            "training_dataset",
            batch.schema(),
            [batch],
            manifest,
        )
        .unwrap()
    }

    fn read(data: &DataDir) -> (RecordBatch, Json) {
        let dataset = read_dataset(data, "training_dataset").unwrap().unwrap();
        assert_eq!(dataset.batches.len(), 1);
        (dataset.batches[0].clone(), dataset.manifest)
    }

    #[test]
    fn a_training_set_comes_back_and_is_replaced() {
        let home = tempfile::tempdir().unwrap();
        let data = DataDir::open(home.path()).unwrap();
        assert!(read_dataset(&data, "training_dataset").unwrap().is_none());
        write(&data, &[1, 2], json!({"old": true}));
        assert_eq!(read(&data), (batch(&[1, 2]), json!({"old": true})));
        let path = write(&data, &[3], json!({"new": [1.5]}));
        assert_eq!(read(&data), (batch(&[3]), json!({"new": [1.5]})));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 2);
    }

    #[test]
    fn a_crash_between_any_two_steps_leaves_the_old_pair_or_the_new_one() {
        let home = tempfile::tempdir().unwrap();
        let (old, new) = (home.path().join("old"), home.path().join("new"));
        write(&DataDir::open(&old).unwrap(), &[1, 2], json!("old"));
        write(&DataDir::open(&new).unwrap(), &[3], json!("new"));
        let data = DataDir::open(&old).unwrap();
        let (from, to) = (
            Paths::of(&DataDir::open(&new).unwrap(), "training_dataset").unwrap(),
            Paths::of(&data, "training_dataset").unwrap(),
        );
        fs::copy(&from.manifest, &to.next).unwrap();
        assert_eq!(read(&data), (batch(&[1, 2]), json!("old")));
        fs::copy(&from.data, &to.data).unwrap();
        assert_eq!(read(&data), (batch(&[3]), json!("new")));
        to.switch_manifest().unwrap();
        assert_eq!(read(&data), (batch(&[3]), json!("new")));
    }

    #[test]
    fn data_that_no_manifest_describes_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let data = DataDir::open(home.path()).unwrap();
        let path = write(&data, &[1, 2, 3], json!(null));
        let mut bytes = fs::read(&path).unwrap();
        bytes[10] ^= 1;
        fs::write(&path, bytes).unwrap();
        let error = read_dataset(&data, "training_dataset").unwrap_err();
        assert!(matches!(error, Error::TornPair { .. }), "{error}");
        assert!(read_dataset(&data, "../x").is_err());
    }
}
