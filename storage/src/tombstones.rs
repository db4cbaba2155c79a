//! Who was erased: `erased.json`. A tombstone comes first and stays for good; whoever reads what
//! was there before, the log, files, versions, a backup, leaves the entity out by it.
//!
//! It does not name the entity: it keeps a hash under a secret of the file, so that what is
//! written about an erasure elsewhere says nothing to whoever does not have the file.

use std::collections::HashMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::directory::DataDir;
use crate::log::Offset;
use crate::offline::check_format;
use crate::publish::{AtomicFile, read_if_there};
use crate::{Error, Result};

const FORMAT: u32 = 1;

/// Random bytes of a secret.
pub const SECRET_BYTES: usize = 32;

/// With its secret, hashes tell whose they are.
const PRIVATE: u32 = 0o600;

/// One erasure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// Keyed hash of the kind of entity and its key, in hex.
    pub hash: String,
    /// What the log has of the entity before this is gone; what comes later counts.
    pub log_until: Offset,
    /// Rows of files up to this instant are gone, in UTC microseconds; so are those without one.
    pub instant: i64,
    /// When it was asked for, in UTC microseconds.
    pub created: i64,
    /// Whether everything under the data directory was rewritten.
    pub is_done: bool,
}

/// All erasures, in their order.
#[derive(Clone, Debug, Default)]
pub struct Tombstones {
    secret: [u8; SECRET_BYTES],
    list: Vec<Tombstone>,
    /// The newest of each entity, by its hash.
    newest: HashMap<[u8; 32], usize>,
}

/// The file.
#[derive(Serialize, Deserialize)]
struct Stored {
    format: u32,
    secret: String,
    erasures: Vec<Tombstone>,
}

impl Tombstone {
    /// Whether a row counts all the same: the entity came back. `position` is one past its offset
    /// in the log, 0 for a row of a file; `time` its instant, the smallest if it has none.
    pub fn admits(&self, position: u64, time: i64) -> bool {
        match position {
            0 => time > self.instant,
            position => position > self.log_until.0,
        }
    }
}

impl Tombstones {
    /// Of a data directory; none if nobody was erased.
    pub fn read(data: &DataDir) -> Result<Tombstones> {
        Tombstones::read_file(&data.erased())
    }

    /// Of a file.
    pub fn read_file(path: &Path) -> Result<Tombstones> {
        let Some(bytes) = read_if_there(path)? else {
            return Ok(Tombstones::default());
        };
        check_format(path, &bytes, FORMAT)?;
        let stored: Stored = serde_json::from_slice(&bytes).map_err(Error::json(path))?;
        let secret = blake3::Hash::from_hex(&stored.secret).map_err(|_| Error::TornPair {
            path: path.to_owned(),
            reason: "its secret does not read; put it back from a backup".to_owned(),
        })?;
        Ok(Tombstones::of(*secret.as_bytes(), stored.erasures))
    }

    /// Writes them, whole or not at all.
    pub fn write(&self, data: &DataDir) -> Result<()> {
        self.write_file(&data.erased())
    }

    pub(crate) fn write_file(&self, path: &Path) -> Result<()> {
        let stored = Stored {
            format: FORMAT,
            secret: blake3::Hash::from_bytes(self.secret).to_hex().to_string(),
            erasures: self.list.clone(),
        };
        let file = AtomicFile::create(path.to_owned())?;
        file.protect(PRIVATE)?;
        let mut file = std::io::BufWriter::new(file);
        serde_json::to_writer_pretty(&mut file, &stored).map_err(Error::json(path))?;
        let file = file
            .into_inner()
            .map_err(|error| Error::io("write", path)(error.into_error()))?;
        file.commit()
    }

    /// Whether nobody was erased.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many there are. Their numbers never change, so that whatever was made while there were
    /// so many is known to leave out those.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// All of them, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Tombstone> {
        self.list.iter()
    }

    /// The newest of an entity, with its number.
    pub fn find(&self, entity: &str, key: &str) -> Option<(usize, &Tombstone)> {
        if self.list.is_empty() {
            return None;
        }
        let number = *self.newest.get(self.digest(entity, key).as_bytes())?;
        Some((number, &self.list[number]))
    }

    /// Whether an entity is to be left out of what was made while there were so many.
    pub fn is_out(&self, entity: &str, key: &str, known: u64) -> bool {
        let found = || self.find(entity, key);
        known < self.len() as u64 && found().is_some_and(|(number, _)| number as u64 >= known)
    }

    /// The tombstone of an entity whose traces are still to be rewritten.
    pub fn pending(&self, entity: &str, key: &str) -> Option<&Tombstone> {
        let (_, found) = self.find(entity, key)?;
        (!found.is_done).then_some(found)
    }

    /// The keyed hash by which an entity is named.
    pub fn hash(&self, entity: &str, key: &str) -> String {
        self.digest(entity, key).to_hex().to_string()
    }

    fn digest(&self, entity: &str, key: &str) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.secret);
        hasher.update(entity.as_bytes());
        hasher.update(&[0]);
        hasher.update(key.as_bytes());
        hasher.finalize()
    }

    /// Takes this secret if nobody was erased so far.
    pub fn seal(&mut self, secret: [u8; SECRET_BYTES]) {
        if self.list.is_empty() {
            self.secret = secret;
        }
    }

    /// Adds one.
    pub fn push(&mut self, tombstone: Tombstone) {
        if let Ok(hash) = blake3::Hash::from_hex(&tombstone.hash) {
            self.newest.insert(*hash.as_bytes(), self.list.len());
        }
        self.list.push(tombstone);
    }

    /// All that there are now have been rewritten.
    pub fn finish(&mut self) {
        for tombstone in &mut self.list {
            tombstone.is_done = true;
        }
    }

    /// Takes over those that another file has beyond these: erasures after a backup was made,
    /// whose log ends at an offset. Gives back how many, or none if the other is of another data
    /// directory.
    pub fn take_over(&mut self, other: &Tombstones, log_end: Offset) -> Option<usize> {
        if self.list.is_empty() {
            self.secret = other.secret;
        }
        let is_known = |(held, there): (&Tombstone, &Tombstone)| held.hash == there.hash;
        let common = self.list.len().min(other.list.len());
        if self.secret != other.secret || !self.list.iter().zip(&other.list).all(is_known) {
            return None;
        }
        for tombstone in &other.list[common..] {
            self.push(Tombstone {
                log_until: tombstone.log_until.min(log_end),
                is_done: false,
                ..tombstone.clone()
            });
        }
        Some(other.list.len() - common)
    }

    fn of(secret: [u8; SECRET_BYTES], list: Vec<Tombstone>) -> Tombstones {
        let mut tombstones = Tombstones {
            secret,
            ..Tombstones::default()
        };
        for tombstone in list {
            tombstones.push(tombstone);
        }
        tombstones
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn erased(tombstones: &mut Tombstones, key: &str, log_until: u64) {
        tombstones.push(Tombstone {
            hash: tombstones.hash("user", key),
            log_until: Offset(log_until),
            instant: 1_000,
            created: 1_000,
            is_done: true,
        });
    }

    #[test]
    fn they_come_back_from_their_file_which_names_nobody() {
        let home = tempfile::tempdir().unwrap();
        let data = DataDir::open(home.path()).unwrap();
        assert!(Tombstones::read(&data).unwrap().is_empty());
        let mut tombstones = Tombstones::default();
        tombstones.seal([7; SECRET_BYTES]);
        erased(&mut tombstones, "anna", 10);
        erased(&mut tombstones, "berta", 20);
        tombstones.seal([8; SECRET_BYTES]);
        erased(&mut tombstones, "anna", 30);
        tombstones.write(&data).unwrap();
        let text = std::fs::read_to_string(data.erased()).unwrap();
        assert!(!text.contains("anna"), "{text}");
        let back = Tombstones::read(&data).unwrap();
        assert_eq!(back.len(), 3);
        let (number, anna) = back.find("user", "anna").unwrap();
        assert_eq!((number, anna.log_until), (2, Offset(30)));
        assert!(back.find("product", "anna").is_none());
        assert!(back.is_out("user", "berta", 1) && !back.is_out("user", "berta", 2));
    }

    #[test]
    fn whoever_comes_back_counts_from_then_on() {
        let mut tombstones = Tombstones::default();
        erased(&mut tombstones, "anna", 10);
        let (_, anna) = tombstones.find("user", "anna").unwrap();
        assert!(!anna.admits(10, 5_000) && anna.admits(11, 0));
        assert!(!anna.admits(0, 1_000) && anna.admits(0, 1_001));
        assert!(!anna.admits(0, i64::MIN), "a row without an instant");
    }

    #[test]
    fn a_restore_takes_over_what_was_erased_after_the_backup() {
        let mut then = Tombstones::default();
        then.seal([7; SECRET_BYTES]);
        erased(&mut then, "anna", 10);
        let mut now = then.clone();
        erased(&mut now, "berta", 90);
        assert_eq!(then.take_over(&now, Offset(50)), Some(1));
        let (_, berta) = then.find("user", "berta").unwrap();
        assert_eq!((berta.log_until, berta.is_done), (Offset(50), false));
        assert_eq!(then.take_over(&now, Offset(50)), Some(0));
        let mut other = Tombstones::default();
        other.seal([8; SECRET_BYTES]);
        erased(&mut other, "anna", 10);
        assert_eq!(other.take_over(&now, Offset(50)), None);
        let mut nobody = Tombstones::default();
        assert_eq!(nobody.take_over(&now, Offset(5)), Some(2));
        assert!(nobody.find("user", "anna").is_some());
    }
}
