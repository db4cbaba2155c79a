//! Entity keys by number: one after another in a file that only grows, each behind its length
//! as four bytes, little-endian. What stands behind the bytes that the manifest counts was left
//! by a crash, and is overwritten.

use std::fs::{self, OpenOptions};
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

use super::manifest::KeysFile;
use crate::publish::sync_directory;
use crate::{Error, Result};

/// The keys of all entities that were ever met; their places are their numbers.
#[derive(Debug, Default)]
pub struct EntityKeys {
    text: String,
    ends: Vec<usize>,
}

impl EntityKeys {
    pub(super) fn read(path: &Path, file: &KeysFile) -> Result<EntityKeys> {
        if file.entities == 0 {
            return Ok(EntityKeys::default());
        }
        let torn = |reason: &str| Error::TornPair {
            path: path.to_owned(),
            reason: reason.to_owned(),
        };
        let mut bytes = fs::read(path).map_err(Error::io("read", path))?;
        if (bytes.len() as u64) < file.bytes {
            return Err(torn("it is cut off"));
        }
        bytes.truncate(file.bytes as usize);
        if *blake3::hash(&bytes).to_hex() != *file.blake3 {
            return Err(torn("its hash is another"));
        }
        EntityKeys::parse(&bytes)
            .filter(|keys| keys.len() as u64 == file.entities)
            .ok_or_else(|| torn("its keys do not read"))
    }

    fn parse(mut bytes: &[u8]) -> Option<EntityKeys> {
        let mut keys = EntityKeys::default();
        while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
            let length = u32::from_le_bytes(*length) as usize;
            let (key, rest) = rest.split_at_checked(length)?;
            keys.text.push_str(std::str::from_utf8(key).ok()?);
            keys.ends.push(keys.text.len());
            bytes = rest;
        }
        bytes.is_empty().then_some(keys)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The key of this number, which there must be.
    pub fn get(&self, number: usize) -> &str {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[number]]
    }

    /// All keys, by their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|number| self.get(number))
    }
}

/// Writes keys behind those that count, and gives back what counts then.
pub(super) fn append<'k>(
    path: &Path,
    before: &KeysFile,
    keys: impl Iterator<Item = &'k str>,
) -> Result<KeysFile> {
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(Error::io("open", path))?;
    let failed = || Error::io("write", path);
    file.set_len(before.bytes).map_err(failed())?;
    file.seek(SeekFrom::Start(before.bytes)).map_err(failed())?;
    let mut writer = BufWriter::new(file);
    let mut after = before.clone();
    for key in keys {
        let length = key.len() as u32;
        let written = writer.write_all(&length.to_le_bytes());
        written
            .and_then(|()| writer.write_all(key.as_bytes()))
            .map_err(failed())?;
        after.entities += 1;
        after.bytes += 4 + u64::from(length);
    }
    let file = writer
        .into_inner()
        .map_err(|error| Error::io("write", path)(error.into_error()))?;
    file.sync_all().map_err(Error::io("sync", path))?;
    path.parent().map_or(Ok(()), sync_directory)?;
    let bytes = fs::read(path).map_err(Error::io("read", path))?;
    after.blake3 = blake3::hash(&bytes).to_hex().to_string();
    Ok(after)
}
