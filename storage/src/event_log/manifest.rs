//! What counts of an event log: `manifest.json`. Filled by `granary ingest`.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::log::Offset;
use crate::offline::{InputFile, check_format};
use crate::publish::{read_if_there, write_atomic};
use crate::{Error, Result};

const FORMAT: u32 = 1;

/// The description of one source's event log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EventLogManifest {
    /// The format of the whole directory.
    pub format: u32,
    /// The source.
    pub source: String,
    /// Counts up with every change.
    pub number: u64,
    /// The column of entity keys that rows are numbered by.
    pub entity_key: String,
    /// The column of instants that rows are sorted by.
    pub event_time: String,
    /// The entities' keys.
    pub keys: KeysFile,
    /// Closed segments of the log are exported up to here.
    pub log_until: Offset,
    /// Everything that was ingested; a row knows its input by the place in this list.
    pub inputs: Vec<Ingested>,
    /// The parts that hold the rows.
    pub parts: Vec<EventPart>,
    /// The number of the next part.
    pub next_part: u64,
}

/// The file of entity keys, which only ever grows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeysFile {
    /// Its name.
    pub file: String,
    /// How many keys it holds.
    pub entities: u64,
    /// How many of its bytes count.
    pub bytes: u64,
    /// The hash of those bytes, in hex.
    pub blake3: String,
}

/// Something that was ingested.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ingested {
    /// What it was.
    pub from: IngestedFrom,
    /// Rows in it, copies included.
    pub rows: u64,
}

/// Where rows came from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IngestedFrom {
    /// A raw file.
    File(InputFile),
    /// The log's records from one offset up to another.
    Log {
        /// The first.
        from: Offset,
        /// One past the last.
        until: Offset,
    },
}

/// A file of rows sorted by entity, then by time, then in the order of the inputs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EventPart {
    /// Its name.
    pub file: String,
    /// Its size.
    pub bytes: u64,
    /// Its hash, in hex.
    pub blake3: String,
    /// Where its footer begins, and the checksum of that.
    pub footer: (u64, u32),
    /// Rows in it.
    pub rows: u64,
    /// Its first and last day, counted from 1970.
    pub days: (i64, i64),
    /// Its first and last instant, in UTC microseconds.
    pub instants: (i64, i64),
    /// The inputs that its rows are from.
    pub inputs: Vec<u32>,
    /// The first and last place in the log of those of its rows that are from there.
    pub positions: Option<(u64, u64)>,
    /// The source's columns in it.
    pub columns: Vec<EventColumn>,
}

/// A column of a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventColumn {
    /// Its name in the source.
    pub name: String,
    /// Its type, as the registry writes it.
    pub dtype: String,
}

impl EventLogManifest {
    /// One that holds nothing yet and takes the place of another, if there is one.
    pub fn anew(before: Option<&EventLogManifest>, key: &str, time: &str) -> EventLogManifest {
        let number = before.map_or(0, |before| before.number);
        EventLogManifest {
            number,
            entity_key: key.to_owned(),
            event_time: time.to_owned(),
            keys: KeysFile {
                file: format!("keys-{:06}", number + 1),
                blake3: blake3::hash(&[]).to_hex().to_string(),
                ..KeysFile::default()
            },
            next_part: before.map_or(1, |before| before.next_part),
            ..EventLogManifest::default()
        }
    }

    /// Rows of all parts.
    pub fn rows(&self) -> u64 {
        self.parts.iter().map(|part| part.rows).sum()
    }

    /// The raw files that were ingested, with their places among the inputs.
    pub fn raw_files(&self) -> impl Iterator<Item = (usize, &InputFile)> {
        let inputs = self.inputs.iter().enumerate();
        inputs.filter_map(|(number, input)| match &input.from {
            IngestedFrom::File(file) => Some((number, file)),
            IngestedFrom::Log { .. } => None,
        })
    }

    /// The names of all files that count.
    pub(super) fn files(&self) -> impl Iterator<Item = &str> {
        let parts = self.parts.iter().map(|part| part.file.as_str());
        parts.chain([self.keys.file.as_str()])
    }

    pub(super) fn read(path: &Path) -> Result<Option<EventLogManifest>> {
        let Some(bytes) = read_if_there(path)? else {
            return Ok(None);
        };
        check_format(path, &bytes, FORMAT)?;
        let manifest: EventLogManifest =
            serde_json::from_slice(&bytes).map_err(Error::json(path))?;
        let is_unknown = |input: &u32| *input as usize >= manifest.inputs.len();
        let mut inputs = manifest.parts.iter().flat_map(|part| &part.inputs);
        if inputs.any(is_unknown) {
            return Err(Error::TornPair {
                path: path.to_owned(),
                reason: "a part has rows of an input that it does not name".to_owned(),
            });
        }
        Ok(Some(manifest))
    }

    pub(super) fn write(&mut self, path: &Path) -> Result<()> {
        self.format = FORMAT;
        self.number += 1;
        let mut json = serde_json::to_vec_pretty(self).map_err(Error::json(path))?;
        json.push(b'\n');
        write_atomic(path, &json)
    }
}
