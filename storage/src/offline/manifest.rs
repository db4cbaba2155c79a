//! What a version says of itself: `manifest.json`. Filled by builds, read by push,
//! materialization and `offline show`.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::log::Offset;
use crate::publish::write_atomic;
use crate::{Error, Result};

const FORMAT: u32 = 2;

/// The description of a version. The writer fills `format`, `group`, `version`,
/// `rows`, `features_bytes` and `states_bytes` itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The format of the whole version directory.
    pub format: u32,
    /// The feature group.
    pub group: String,
    /// The version's name.
    pub version: String,
    /// Fingerprint of the group's definition, in hex.
    pub fingerprint: String,
    /// Fingerprint of the whole registry, in hex.
    pub registry_fingerprint: String,
    /// The files that were read.
    pub inputs: Vec<InputFile>,
    /// Equal for equal inputs: by it a stage is skipped.
    pub inputs_fingerprint: String,
    /// The log was included up to here.
    pub log_offset: Offset,
    /// The instant at which the features were finalized, in UTC microseconds.
    pub as_of: i64,
    /// The newest event time included, in UTC microseconds.
    pub watermark: Option<i64>,
    /// How many entities.
    pub rows: u64,
    /// How many rows of the source are folded in, copies left out.
    #[serde(default)]
    pub events: u64,
    /// How many copies were left out.
    #[serde(default)]
    pub copies: u64,
    /// The format of the encoded states.
    #[serde(default)]
    pub state_format: u8,
    /// The version whose states this one went on from, if it did not begin anew.
    #[serde(default)]
    pub base: Option<String>,
    /// The size of the states' file.
    pub states_bytes: u64,
    /// The size of the features' file.
    pub features_bytes: u64,
    /// What the columns hold.
    pub columns: Vec<ColumnStatistics>,
    /// Which expectations held.
    pub expectations: Vec<ExpectationOutcome>,
    /// How long the build took.
    pub duration_ms: u64,
    /// The text embedder used, if any.
    pub embedder: Option<String>,
    /// How many tombstones it leaves out what they stand for.
    #[serde(default)]
    pub erasures: u64,
    /// Anything a reader should know, such as a count that became approximate.
    pub notes: Vec<String>,
}

/// A file that a build read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputFile {
    /// Where it lay.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// When it was last changed, in nanoseconds since 1970; 0 if that is not known.
    #[serde(default)]
    pub modified: i64,
    /// Its hash, in hex.
    pub blake3: String,
}

/// What a column holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ColumnStatistics {
    /// The feature.
    pub name: String,
    /// Its type, as the registry writes it.
    pub dtype: String,
    /// How many nulls.
    pub nulls: u64,
    /// The smallest value, null if there is none.
    pub min: Json,
    /// The largest value, null if there is none.
    pub max: Json,
    /// The mean of a numeric column.
    pub mean: Option<f64>,
    /// How many different values, if counted.
    pub distinct: Option<u64>,
    /// How many elements the vectors have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dimension: Option<usize>,
}

/// Whether an expectation held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpectationOutcome {
    /// The feature.
    pub feature: String,
    /// The rule, as the registry writes it.
    pub rule: String,
    /// `error` or `warn`.
    pub severity: String,
    /// Whether it held.
    pub passed: bool,
    /// What was found.
    pub detail: String,
}

impl Manifest {
    pub(super) fn read(path: &Path) -> Result<Manifest> {
        let bytes = fs::read(path).map_err(Error::io("read", path))?;
        check_format(path, &bytes, FORMAT)?;
        serde_json::from_slice(&bytes).map_err(Error::json(path))
    }

    pub(super) fn write(mut self, path: &Path) -> Result<()> {
        self.format = FORMAT;
        let mut json = serde_json::to_vec_pretty(&self).map_err(Error::json(path))?;
        json.push(b'\n');
        write_atomic(path, &json)
    }
}

/// Refuses a JSON file whose `format` is newer than `known`, before anything else of it is
/// looked at.
pub(crate) fn check_format(path: &Path, json: &[u8], known: u32) -> Result<()> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let Format { format: found } = serde_json::from_slice(json).map_err(Error::json(path))?;
    if found > known {
        return Err(Error::Format {
            path: path.to_owned(),
            found,
            known,
        });
    }
    Ok(())
}
