//! Rewrites training sets without entities that were erased, with their manifests.

use arrow::array::RecordBatchReader;
use serde_json::{Value as Json, json};

use super::{Dataset, DatasetName, DatasetWriter, KIND, Paths, versions};
use crate::directory::{BuilderLock, DataDir};
use crate::names::check_name;
use crate::offline::{IsOut, filtered, kept, read_batches};
use crate::publish::entries;
use crate::versions::versioned_names;
use crate::{Error, Result};

/// What a manifest calls the number of tombstones that its set knows.
const ERASURES: &str = "erasures";

impl Dataset {
    /// How many tombstones there were when a set was made or last rewritten, by what its manifest
    /// says of it.
    pub fn erasures(manifest: &Json) -> u64 {
        manifest.get(ERASURES).and_then(Json::as_u64).unwrap_or(0)
    }

    /// Every set there is.
    pub fn all(directory: &DataDir) -> Result<Vec<DatasetName>> {
        let home = directory.materialized_store();
        let mut names = Vec::new();
        for path in entries(&home)? {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            let is_data = path.extension().is_some_and(|ending| ending == "parquet");
            if is_data && check_name(KIND, &stem).is_ok() {
                names.push(DatasetName {
                    name: stem.into_owned(),
                    version: None,
                });
            }
        }
        for name in versioned_names(&home)? {
            for version in versions(directory, &name)?.names()? {
                names.push(DatasetName {
                    name: name.clone(),
                    version: Some(version),
                });
            }
        }
        Ok(names)
    }

    /// Rewrites all sets that have this key column without whoever is out of them, of so many
    /// tombstones. Returns the number of rows left out of each that has lost any.
    pub fn leave_out(
        directory: &DataDir,
        lock: &BuilderLock,
        key: &str,
        is_out: &IsOut<'_>,
        erasures: u64,
    ) -> Result<Vec<(DatasetName, u64)>> {
        let mut left_out = Vec::new();
        for name in Dataset::all(directory)? {
            let rows = rewrite(directory, lock, &name, key, is_out, erasures)?;
            if rows > 0 {
                left_out.push((name, rows));
            }
        }
        Ok(left_out)
    }
}

fn rewrite(
    directory: &DataDir,
    lock: &BuilderLock,
    name: &DatasetName,
    key: &str,
    is_out: &IsOut<'_>,
    erasures: u64,
) -> Result<u64> {
    let paths = Paths::of(directory, name)?;
    let Some((file, envelope)) = paths.open()? else {
        return Ok(0);
    };
    let known = Dataset::erasures(&envelope.dataset);
    let batches = read_batches(file, &paths.data, None)?;
    let schema = batches.schema();
    let Ok(column) = schema.index_of(key) else {
        return Ok(0);
    };
    let is_out = |key: &str| is_out(key, known);
    let mut writer = DatasetWriter::replace(directory, lock, name, schema)?;
    let mut left_out = 0;
    for batch in batches {
        let batch = batch.map_err(|error| Error::parquet("read", &paths.data)(error.into()))?;
        let kept = kept(batch.column(column), &is_out, &paths.data)?;
        left_out += kept.false_count() as u64;
        writer.write(&filtered(&batch, &kept, &paths.data)?)?;
    }
    if left_out > 0 {
        let mut manifest = envelope.dataset;
        if let Json::Object(fields) = &mut manifest {
            fields.insert(ERASURES.to_owned(), json!(erasures));
        }
        writer.finish()?.publish(manifest)?;
    }
    Ok(left_out)
}
