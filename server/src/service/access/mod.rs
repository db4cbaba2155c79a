//! Who may do what: API keys with roles, the same for both doors. Without any key everybody may
//! do everything, which is for a machine of one's own.

mod file; // the keys as they are kept
mod rate; // how often a key may ask
mod role; // what a key allows
mod sight; // which features a key may see

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

pub use file::{KeyFile, KeyFileError, KeyRecord};
pub use role::{Role, Roles};
pub use sight::Sight;

use rate::Rate;

/// The keys in force.
#[derive(Debug)]
pub struct Access {
    path: PathBuf,
    keys: RwLock<Arc<Keys>>,
    /// Grows whenever keys change, so that connections ask again who they are.
    epoch: AtomicU64,
    /// Once there was a key, nobody comes in without one: the last key's removal opens nothing.
    required: AtomicBool,
}

/// The keys of the file, and what each may still ask for.
#[derive(Debug, Default)]
struct Keys {
    file: KeyFile,
    rates: HashMap<String, Rate>,
}

/// Whoever showed a key.
#[derive(Clone, Debug)]
pub struct Identity {
    name: Arc<str>,
    hash: blake3::Hash,
    roles: Roles,
    groups: Arc<[String]>,
    rate: Option<Rate>,
}

/// Why something may not be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// No key was shown, or none that is known.
    Unknown,
    /// The key does not have the role.
    Lacks {
        /// Name of the key.
        name: Arc<str>,
        /// What it would need.
        role: Role,
    },
    /// The key asks more often than it may.
    TooMany {
        /// Name of the key.
        name: Arc<str>,
        /// Requests a second that it has.
        rate: u32,
        /// When it may ask again.
        wait: Duration,
    },
}

impl Access {
    /// The keys of a file, which need not be there.
    pub fn open(path: PathBuf) -> Result<Access, KeyFileError> {
        let keys = KeyFile::read(&path)?;
        Ok(Access {
            required: AtomicBool::new(!keys.is_empty()),
            epoch: AtomicU64::new(0),
            keys: RwLock::new(Arc::new(Keys::of(keys, &Keys::default()))),
            path,
        })
    }

    /// Reads the file again; on an error the keys stay as they were.
    pub fn reload(&self) -> Result<(), KeyFileError> {
        let keys = KeyFile::read(&self.path)?;
        if !keys.is_empty() {
            self.required.store(true, Ordering::Release);
        }
        let mut held = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        *held = Arc::new(Keys::of(keys, &held));
        drop(held);
        self.epoch.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// Whether a key must be shown.
    pub fn is_required(&self) -> bool {
        self.required.load(Ordering::Acquire)
    }

    /// Differs from before if keys have changed since.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Who shows a token, `name.secret`. Over RESP the name may come apart from it.
    pub fn identify(&self, name: Option<&str>, token: &str) -> Option<Identity> {
        let (named, secret) = token.rsplit_once('.').unwrap_or(("", token));
        let name = name.unwrap_or(named);
        if !named.is_empty() && named != name {
            return None;
        }
        let keys = self.keys();
        let key = keys.file.get(name)?;
        // Equality of hashes takes as long whatever the first difference.
        (blake3::hash(secret.as_bytes()) == key.hash()).then(|| keys.identity(key))
    }

    /// The same identity by the keys of now; none if its key is gone or another.
    pub fn renewed(&self, identity: &Identity) -> Option<Identity> {
        let keys = self.keys();
        let key = keys.file.get(&identity.name)?;
        (key.hash() == identity.hash).then(|| keys.identity(key))
    }

    /// Whether a role may be exercised by whoever this is, now.
    pub fn allows(&self, identity: Option<&Identity>, role: Role) -> Result<(), Denied> {
        match identity {
            _ if !self.is_required() => Ok(()),
            None => Err(Denied::Unknown),
            Some(identity) if identity.roles.has(role) => identity.ask(),
            Some(identity) => Err(Denied::Lacks {
                name: Arc::clone(&identity.name),
                role,
            }),
        }
    }

    /// Whether whoever this is may come in at all.
    pub fn admits(&self, identity: Option<&Identity>) -> Result<(), Denied> {
        if self.is_required() && identity.is_none() {
            return Err(Denied::Unknown);
        }
        Ok(())
    }

    fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Keys {
    /// Those of a file; a rate that stays goes on where it was.
    fn of(file: KeyFile, before: &Keys) -> Keys {
        let rated = file.keys().iter().filter_map(|key| Some((key, key.rate?)));
        let rates = rated.map(|(key, rate)| {
            let held = before
                .rates
                .get(&key.name)
                .filter(|held| held.per_second == rate);
            (
                key.name.clone(),
                held.cloned().unwrap_or_else(|| Rate::new(rate)),
            )
        });
        Keys {
            rates: rates.collect(),
            file,
        }
    }

    fn identity(&self, key: &KeyRecord) -> Identity {
        Identity {
            rate: self.rates.get(&key.name).cloned(),
            ..Identity::of(key)
        }
    }
}

impl Identity {
    fn of(key: &KeyRecord) -> Identity {
        Identity {
            name: key.name.as_str().into(),
            hash: key.hash(),
            roles: key.roles,
            groups: key.groups.as_slice().into(),
            rate: None,
        }
    }

    /// Name of the key.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Counts a request.
    fn ask(&self) -> Result<(), Denied> {
        let Some(rate) = &self.rate else {
            return Ok(());
        };
        rate.take().map_err(|wait| Denied::TooMany {
            name: Arc::clone(&self.name),
            rate: rate.per_second.get(),
            wait,
        })
    }

    /// Whether it may read the features of a group.
    fn sees(&self, group: &str, is_pii: bool) -> bool {
        if self.groups.is_empty() {
            return !is_pii;
        }
        self.groups.iter().any(|named| named == group)
    }
}

impl std::fmt::Display for Denied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Denied::Unknown => f.write_str("an API key is needed, and none that is known was sent"),
            Denied::Lacks { name, role } => {
                write!(f, "key `{name}` does not have the role `{role}`")
            }
            Denied::TooMany { name, rate, wait } => {
                let millis = wait.as_millis().max(1);
                write!(
                    f,
                    "key `{name}` may ask {rate} times a second; ask again in {millis} ms"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(dir: &tempfile::TempDir) -> (Access, String) {
        let path = dir.path().join("keys.json");
        let mut keys = KeyFile::default();
        let token = keys
            .add("svc.a", Roles::of(&[Role::Read]), Vec::new(), None)
            .unwrap();
        keys.write(&path).unwrap();
        (Access::open(path).unwrap(), token)
    }

    #[test]
    fn a_key_is_known_by_its_token_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let (access, token) = access(&dir);
        let secret = token.rsplit_once('.').unwrap().1;
        assert!(access.identify(None, &token).is_some());
        assert!(access.identify(Some("svc.a"), &token).is_some());
        assert!(access.identify(Some("svc.a"), secret).is_some());
        for (name, token) in [
            (None, secret),
            (Some("svc"), secret),
            (Some("svc"), token.as_str()),
            (None, "svc.a."),
            (None, ""),
            (Some("svc.a"), ""),
        ] {
            assert!(access.identify(name, token).is_none(), "{name:?} {token}");
        }
    }

    #[test]
    fn roles_are_needed_once_there_is_a_key() {
        let dir = tempfile::tempdir().unwrap();
        let open = Access::open(dir.path().join("none.json")).unwrap();
        assert_eq!(open.allows(None, Role::Admin), Ok(()));
        let (access, token) = access(&dir);
        let identity = access.identify(None, &token).unwrap();
        assert_eq!(access.allows(None, Role::Read), Err(Denied::Unknown));
        assert_eq!(access.allows(Some(&identity), Role::Read), Ok(()));
        let denied = access.allows(Some(&identity), Role::Write).unwrap_err();
        assert_eq!(
            denied.to_string(),
            "key `svc.a` does not have the role `write`"
        );
    }

    #[test]
    fn a_key_that_is_gone_lets_nobody_in_and_opens_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (access, token) = access(&dir);
        let identity = access.identify(None, &token).unwrap();
        let before = access.epoch();
        let mut keys = KeyFile::read(&access.path).unwrap();
        keys.remove("svc.a").unwrap();
        keys.write(&access.path).unwrap();
        access.reload().unwrap();
        assert_ne!(access.epoch(), before);
        assert!(access.identify(None, &token).is_none());
        assert!(access.renewed(&identity).is_none());
        assert_eq!(access.allows(None, Role::Read), Err(Denied::Unknown));
        // Another key of the same name is another.
        keys.add("svc.a", Roles::of(&[Role::Read]), Vec::new(), None)
            .unwrap();
        keys.write(&access.path).unwrap();
        access.reload().unwrap();
        assert!(access.renewed(&identity).is_none());
    }

    #[test]
    fn a_broken_file_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (access, token) = access(&dir);
        std::fs::write(&access.path, "{").unwrap();
        let error = access.reload().unwrap_err().to_string();
        assert!(error.contains("keys.json"), "{error}");
        assert!(access.identify(None, &token).is_some());
    }
}
