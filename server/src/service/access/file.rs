//! The keys as they are kept: names, roles and hashes of secrets, which are shown once and are
//! long enough that a plain hash keeps them. Called by `access` and `granary keys`.

use std::fs;
use std::num::NonZeroU32;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use granary_storage::{read_if_there, write_atomic};
use serde::{Deserialize, Serialize};

use super::role::Roles;

/// Random bytes of a secret.
const SECRET_BYTES: usize = 32;

/// All keys.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyFile {
    keys: Vec<KeyRecord>,
}

/// One key.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRecord {
    /// Its name, which is no secret.
    pub name: String,
    /// What it allows.
    pub roles: Roles,
    /// The feature groups whose features it may read; if none is named, all that hold nothing
    /// personal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Requests a second that it may make; none is without bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<NonZeroU32>,
    /// blake3 of its secret.
    hash: String,
}

/// Why keys were not read, changed or written.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// Not a file of keys.
    #[error("{}: {reason}; repair it, or remove it and make new keys", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// By the disk.
    #[error(transparent)]
    Storage(#[from] granary_storage::Error),
    /// By the disk.
    #[error("protect {}: {source}", path.display())]
    Protect {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Such a name would be ambiguous.
    #[error("`{0}` is no name for a key: use letters, digits, `_`, `-` and `.`")]
    Name(String),
    /// There is one already.
    #[error("there is a key `{0}` already; remove it first, or choose another name")]
    Taken(String),
    /// There is none.
    #[error("there is no key `{0}`{nearest}", nearest = .1.as_ref().map_or_else(String::new, |it| format!("; did you mean `{it}`?")))]
    Absent(String, Option<String>),
    /// The operating system gave no random bytes.
    #[error("draw a secret: {0}")]
    Random(String),
}

impl KeyFile {
    /// The keys of a file; none if there is no such file.
    pub fn read(path: &Path) -> Result<KeyFile, KeyFileError> {
        let Some(bytes) = read_if_there(path)? else {
            return Ok(KeyFile::default());
        };
        let malformed = |reason: String| KeyFileError::Malformed {
            path: path.to_owned(),
            reason,
        };
        let keys: KeyFile =
            serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))?;
        for key in &keys.keys {
            if blake3::Hash::from_hex(&key.hash).is_err() {
                return Err(malformed(format!("the hash of key `{}` is none", key.name)));
            }
        }
        Ok(keys)
    }

    /// Replaces the file, which its owner alone may read.
    pub fn write(&self, path: &Path) -> Result<(), KeyFileError> {
        let text = serde_json::to_vec_pretty(self).expect("names and hashes are JSON");
        write_atomic(path, &text)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(|source| {
            KeyFileError::Protect {
                path: path.to_owned(),
                source,
            }
        })
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// All keys in the order in which they were made.
    pub fn keys(&self) -> &[KeyRecord] {
        &self.keys
    }

    /// The key of this name.
    pub fn get(&self, name: &str) -> Option<&KeyRecord> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// Makes a key; gives back its token, which nobody can find out again.
    pub fn add(
        &mut self,
        name: &str,
        roles: Roles,
        groups: Vec<String>,
        rate: Option<NonZeroU32>,
    ) -> Result<String, KeyFileError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if name.is_empty() || !name.chars().all(fits) {
            return Err(KeyFileError::Name(name.to_owned()));
        }
        if self.get(name).is_some() {
            return Err(KeyFileError::Taken(name.to_owned()));
        }
        let mut bytes = [0; SECRET_BYTES];
        getrandom::fill(&mut bytes).map_err(|error| KeyFileError::Random(error.to_string()))?;
        let secret = blake3::Hash::from_bytes(bytes).to_hex();
        self.keys.push(KeyRecord {
            name: name.to_owned(),
            roles,
            groups,
            rate,
            hash: blake3::hash(secret.as_bytes()).to_hex().to_string(),
        });
        Ok(format!("{name}.{secret}"))
    }

    /// Takes a key away.
    pub fn remove(&mut self, name: &str) -> Result<(), KeyFileError> {
        let before = self.keys.len();
        self.keys.retain(|key| key.name != name);
        if self.keys.len() == before {
            let names = self.keys.iter().map(|key| key.name.as_str());
            let nearest = granary_registry::nearest(name, names);
            return Err(KeyFileError::Absent(name.to_owned(), nearest));
        }
        Ok(())
    }
}

impl KeyRecord {
    /// Of its secret.
    pub(super) fn hash(&self) -> blake3::Hash {
        // Held against the form when it was read; made by us otherwise.
        blake3::Hash::from_hex(&self.hash).unwrap_or_else(|_| blake3::hash(&[]))
    }
}
