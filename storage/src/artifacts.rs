//! Trained models as versioned directories of small files. Called by training, which writes
//! them, and by the server, which reads and promotes them.

use std::fs;
use std::path::PathBuf;

use crate::directory::{BuilderLock, DataDir};
use crate::names::check_name;
use crate::publish::entries;
use crate::versions::{Staged, Versions, versioned_names};
use crate::{Error, Result};

/// All models of a data directory.
#[derive(Clone, Debug)]
pub struct Artifacts {
    root: PathBuf,
}

/// A model version under construction; nothing stays of it unless it is published.
#[derive(Debug)]
pub struct ArtifactWriter {
    staged: Staged,
}

impl Artifacts {
    /// The models of this data directory.
    pub fn new(data: &DataDir) -> Artifacts {
        Artifacts {
            root: data.models(),
        }
    }

    /// Begins the next version of a model. The lock proves that nobody else does.
    pub fn begin(&self, _lock: &BuilderLock, name: &str) -> Result<ArtifactWriter> {
        Ok(ArtifactWriter {
            staged: self.of(name)?.stage()?,
        })
    }

    /// The names of all models.
    pub fn names(&self) -> Result<Vec<String>> {
        versioned_names(&self.root)
    }

    /// The versions of a model, oldest first.
    pub fn versions(&self, name: &str) -> Result<Vec<String>> {
        self.of(name)?.names()
    }

    /// The version of a model that serves; none if there is no such model.
    pub fn current(&self, name: &str) -> Result<Option<String>> {
        self.of(name)?.current()
    }

    /// Makes a version the one that serves.
    pub fn promote(&self, name: &str, version: &str) -> Result<()> {
        self.of(name)?.promote(version)
    }

    /// The bytes of one file of a version.
    pub fn read(&self, name: &str, version: &str, file: &str) -> Result<Vec<u8>> {
        check_name("file", file)?;
        let path = self.of(name)?.path(version)?.join(file);
        fs::read(&path).map_err(Error::io("read", &path))
    }

    /// The names of the files of a version.
    pub fn files(&self, name: &str, version: &str) -> Result<Vec<String>> {
        let paths = entries(&self.of(name)?.path(version)?)?;
        let name_of = |path: &PathBuf| {
            path.file_name()
                .map(|name| name.to_string_lossy().into_owned())
        };
        Ok(paths.iter().filter_map(name_of).collect())
    }

    /// Where a version lies, to be told to people.
    pub fn path(&self, name: &str, version: &str) -> Result<PathBuf> {
        self.of(name)?.path(version)
    }

    fn of(&self, name: &str) -> Result<Versions> {
        Versions::new("model", &self.root, name)
    }
}

impl ArtifactWriter {
    /// The version it will be.
    pub fn version(&self) -> &str {
        self.staged.name()
    }

    /// Writes one file.
    pub fn file(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        check_name("file", name)?;
        let path = self.staged.path().join(name);
        fs::write(&path, bytes).map_err(Error::io("write", &path))
    }

    /// Makes the version appear and serve, whole. Returns its name.
    pub fn publish(self) -> Result<String> {
        let version = self.staged.name().to_owned();
        self.staged.publish()?;
        Ok(version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_written_published_read_and_rolled_back() {
        let home = tempfile::tempdir().unwrap();
        let data = DataDir::open(home.path()).unwrap();
        let lock = data.lock_builder().unwrap();
        let models = Artifacts::new(&data);
        for bytes in [b"one", b"two"] {
            let mut writer = models.begin(&lock, "churn").unwrap();
            writer.file("model", bytes).unwrap();
            writer.file("metrics.json", b"{}").unwrap();
            assert_eq!(writer.version().to_owned(), writer.publish().unwrap());
        }
        assert_eq!(models.names().unwrap(), ["churn"]);
        assert_eq!(models.versions("churn").unwrap(), ["v000001", "v000002"]);
        assert_eq!(models.current("churn").unwrap().as_deref(), Some("v000002"));
        assert_eq!(models.read("churn", "v000002", "model").unwrap(), b"two");
        assert_eq!(
            models.files("churn", "v000001").unwrap(),
            ["metrics.json", "model"]
        );
        models.promote("churn", "v000001").unwrap();
        assert_eq!(models.current("churn").unwrap().as_deref(), Some("v000001"));
        assert_eq!(models.current("other").unwrap(), None);
        assert!(models.read("churn", "v000001", "../../CURRENT").is_err());
        assert!(models.path("churn", "v000003").is_err());
    }

    #[test]
    fn an_unpublished_version_leaves_nothing() {
        let home = tempfile::tempdir().unwrap();
        let data = DataDir::open(home.path()).unwrap();
        let lock = data.lock_builder().unwrap();
        let models = Artifacts::new(&data);
        let mut writer = models.begin(&lock, "churn").unwrap();
        writer.file("model", b"half").unwrap();
        drop(writer);
        assert!(models.versions("churn").unwrap().is_empty());
        assert!(models.current("churn").unwrap().is_none());
    }
}
