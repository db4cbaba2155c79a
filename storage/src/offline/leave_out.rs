//! Rewrites published versions without entities that were erased. Each file is replaced whole, so
//! that whoever is reading one goes on with the old.

use std::fs::{self, File};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchReader};
use arrow::compute;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

use super::parquet_files::{Holds, read_batches, write_parquet};
use super::{FEATURES, MANIFEST, Manifest, OfflineStore, STATES, TableWriter, Version};
use crate::directory::BuilderLock;
use crate::publish::AtomicFile;
use crate::{Error, Result};

/// Who is left out of what was made while there were so many tombstones.
pub type IsOut<'a> = dyn Fn(&str, u64) -> bool + Sync + 'a;

impl OfflineStore {
    /// Rewrites the versions of a group whose key column has this name, without whoever is out of
    /// them, of so many tombstones. Returns the number of rows left out of each that has lost any.
    pub fn leave_out(
        &self,
        _lock: &BuilderLock,
        group: &str,
        key: &str,
        is_out: &IsOut<'_>,
        erasures: u64,
    ) -> Result<Vec<(String, u64)>> {
        let mut left_out = Vec::new();
        for name in self.versions(group)? {
            let version = self.version(group, &name)?;
            let known = version.manifest().erasures;
            if known < erasures && has_key(&version, key)? {
                let rows = version.leave_out(&|key| is_out(key, known), erasures)?;
                left_out.extend((rows > 0).then_some((name, rows)));
            }
        }
        Ok(left_out)
    }

    /// Brings what the versions of a group say of themselves up to date.
    pub fn amend(
        &self,
        _lock: &BuilderLock,
        group: &str,
        amend: &dyn Fn(&mut Manifest),
    ) -> Result<()> {
        for name in self.versions(group)? {
            let version = self.version(group, &name)?;
            let mut manifest = version.manifest().clone();
            amend(&mut manifest);
            if manifest != *version.manifest() {
                manifest.write(&version.path().join(MANIFEST))?;
            }
        }
        Ok(())
    }
}

/// Whether rows of a version are those of entities with this key column.
fn has_key(version: &Version, key: &str) -> Result<bool> {
    let path = version.features_path();
    let file = File::open(&path).map_err(Error::io("open", &path))?;
    let schema = read_batches(file, &path, None)?.schema();
    Ok(schema
        .fields()
        .first()
        .is_some_and(|held| held.name() == key))
}

impl Version {
    fn leave_out(&self, is_out: &dyn Fn(&str) -> bool, erasures: u64) -> Result<u64> {
        let states = self.rewrite_states(is_out)?;
        let features = self.rewrite_features(is_out)?;
        let mut manifest: Manifest = self.manifest().clone();
        manifest.rows = manifest.rows.saturating_sub(features);
        for (bytes, file) in [
            (&mut manifest.states_bytes, STATES),
            (&mut manifest.features_bytes, FEATURES),
        ] {
            let path = self.path().join(file);
            *bytes = fs::metadata(&path)
                .map_err(Error::io("look at", &path))?
                .len();
        }
        manifest.erasures = erasures;
        manifest.write(&self.path().join(MANIFEST))?;
        Ok(features.max(states))
    }

    fn rewrite_features(&self, is_out: &dyn Fn(&str) -> bool) -> Result<u64> {
        let path = self.features_path();
        let open = || File::open(&path).map_err(Error::io("open", &path));
        let name = read_batches(open()?, &path, None)?.schema();
        let name = name.fields().first().map(|field| field.name().clone());
        let name = name.unwrap_or_default();
        let mut found = 0;
        for batch in read_batches(open()?, &path, Some(&[&name]))? {
            let batch = batch.map_err(|error| Error::parquet("read", &path)(error.into()))?;
            found += kept(batch.column(0), is_out, &path)?.false_count() as u64;
        }
        if found == 0 {
            return Ok(0);
        }
        let batches = read_batches(open()?, &path, None)?;
        let mut table =
            TableWriter::begin(AtomicFile::create(path.clone())?, &path, batches.schema())?;
        for batch in batches {
            let batch = batch.map_err(|error| Error::parquet("read", &path)(error.into()))?;
            let kept = kept(batch.column(0), is_out, &path)?;
            table.write(&filtered(&batch, &kept, &path)?)?;
        }
        table.finish()?.commit()?;
        Ok(found)
    }

    fn rewrite_states(&self, is_out: &dyn Fn(&str) -> bool) -> Result<u64> {
        let path = self.path().join(STATES);
        let open = || File::open(&path).map_err(Error::io("open", &path));
        let mut found = 0;
        for batch in read_batches(open()?, &path, Some(&["key"]))? {
            let batch = batch.map_err(|error| Error::parquet("read", &path)(error.into()))?;
            found += kept(batch.column(0), is_out, &path)?.false_count() as u64;
        }
        if found == 0 {
            return Ok(0);
        }
        let batches = read_batches(open()?, &path, None)?;
        let file = AtomicFile::create(path.clone())?;
        let mut out = write_parquet(file, &path, batches.schema(), Holds::Opaque)?;
        for batch in batches {
            let batch = batch.map_err(|error| Error::parquet("read", &path)(error.into()))?;
            let kept = kept(batch.column(0), is_out, &path)?;
            out.write(&filtered(&batch, &kept, &path)?)
                .map_err(Error::parquet("write", &path))?;
        }
        let file = out.into_inner().map_err(Error::parquet("finish", &path))?;
        file.commit()?;
        Ok(found)
    }
}

/// Which rows stay, by their keys as text.
pub(crate) fn kept(
    keys: &ArrayRef,
    is_out: &dyn Fn(&str) -> bool,
    path: &std::path::Path,
) -> Result<BooleanArray> {
    let texts = match keys.data_type() {
        DataType::LargeBinary => compute::cast(keys, &DataType::LargeUtf8)
            .and_then(|texts| compute::cast(&texts, &DataType::Utf8)),
        _ => compute::cast(keys, &DataType::Utf8),
    };
    let texts = texts.map_err(|error: ArrowError| Error::parquet("read", path)(error.into()))?;
    let texts = texts.as_string::<i32>();
    let stays = |row| texts.is_null(row) || !is_out(texts.value(row));
    Ok((0..texts.len()).map(|row| Some(stays(row))).collect())
}

/// These rows.
pub(crate) fn filtered(
    batch: &RecordBatch,
    kept: &BooleanArray,
    path: &std::path::Path,
) -> Result<RecordBatch> {
    compute::filter_record_batch(batch, kept)
        .map_err(|error| Error::parquet("write", path)(error.into()))
}
