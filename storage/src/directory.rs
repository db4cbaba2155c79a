//! The data directory: where everything lies, and who may write it. Called by every crate
//! that needs a path or a lock; nobody else spells these names.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::backup::check_whole;
use crate::names::check_name;
use crate::publish::{AtomicFile, create_directory, remove_leftovers};
use crate::{Error, Result};

/// The file of tombstones.
pub(crate) const ERASED: &str = "erased.json";

/// The one directory under which everything is written.
#[derive(Clone, Debug)]
pub struct DataDir {
    root: PathBuf,
}

/// Held by the one process that may build, materialize, train or write raw tables.
#[derive(Debug)]
pub struct BuilderLock {
    _file: File, // closing it releases the lock
}

/// Held by the one process that owns the online store and the log.
#[derive(Debug)]
pub struct ServerLock {
    _file: File,
}

impl DataDir {
    /// Opens the directory, creating it if need be.
    pub fn open(root: impl Into<PathBuf>) -> Result<DataDir> {
        let root = root.into();
        create_directory(&root)?;
        check_whole(&root)?;
        Ok(DataDir { root })
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The raw tables.
    pub fn raw(&self) -> PathBuf {
        self.root.join("raw")
    }

    /// The offline store: `<group>/<version>/` below.
    pub fn offline_store(&self) -> PathBuf {
        self.root.join("offline_store")
    }

    /// Sources in our own layout: `<source>/` below.
    pub fn event_log(&self) -> PathBuf {
        self.root.join("event_log")
    }

    /// The training sets.
    pub fn materialized_store(&self) -> PathBuf {
        self.root.join("materialized_store")
    }

    /// The online store's file.
    pub fn online_store(&self) -> PathBuf {
        self.root.join("online.redb")
    }

    /// The log's segments.
    pub fn log(&self) -> PathBuf {
        self.root.join("log")
    }

    /// Sampled answers of the server, as JSON lines.
    pub fn serving_log(&self) -> PathBuf {
        self.root.join("serving_log")
    }

    /// What was done by whom, as JSON lines.
    pub fn audit_log(&self) -> PathBuf {
        self.root.join("audit_log")
    }

    /// The trained models: `<name>/<version>/` below.
    pub fn models(&self) -> PathBuf {
        self.root.join("models")
    }

    /// Input rows that were skipped, with their reasons.
    pub fn bad_rows(&self) -> PathBuf {
        self.root.join("bad_rows")
    }

    /// How far tails had read at an offset of the log.
    pub fn tails(&self) -> PathBuf {
        self.root.join("tails.json")
    }

    /// The API keys, as hashes.
    pub fn api_keys(&self) -> PathBuf {
        self.root.join("keys.json")
    }

    /// Who was erased, as keyed hashes.
    pub fn erased(&self) -> PathBuf {
        self.root.join(ERASED)
    }

    /// The backups that were made, wherever they lie.
    pub fn backups(&self) -> PathBuf {
        self.root.join("backups.jsonl")
    }

    /// The socket on which a running server takes commands.
    pub fn socket(&self) -> PathBuf {
        self.root.join("granary.sock")
    }

    /// The addresses of the running server.
    pub fn serving(&self) -> PathBuf {
        self.root.join("serving.json")
    }

    /// Takes the builder's lock and sweeps up what killed builders left.
    pub fn lock_builder(&self) -> Result<BuilderLock> {
        let file = self.lock("builder", "builder.lock")?;
        for directory in [self.raw(), self.materialized_store(), self.bad_rows()] {
            remove_leftovers(&directory)?;
        }
        Ok(BuilderLock { _file: file })
    }

    /// Takes the server's lock.
    pub fn lock_server(&self) -> Result<ServerLock> {
        Ok(ServerLock {
            _file: self.lock("server", "server.lock")?,
        })
    }

    /// A new raw table, such as `event_logs.parquet`; it appears when committed.
    pub fn raw_writer(&self, name: &str) -> Result<AtomicFile> {
        writer_in(&self.raw(), "raw table", name)
    }

    /// What replaces a file below the directory when committed, open to whom that is.
    pub fn rewriter(&self, path: &Path) -> Result<AtomicFile> {
        let mode = fs::metadata(path)
            .map_err(Error::io("look at", path))?
            .permissions()
            .mode();
        let file = AtomicFile::create(path.to_owned())?;
        file.protect(mode)?;
        Ok(file)
    }

    /// A new side file of skipped rows; it appears when committed.
    pub fn bad_rows_writer(&self, name: &str) -> Result<AtomicFile> {
        writer_in(&self.bad_rows(), "bad rows", name)
    }

    /// A side file of skipped rows that grows, created if need be.
    pub fn bad_rows_log(&self, name: &str) -> Result<File> {
        check_name("bad rows", name)?;
        create_directory(&self.bad_rows())?;
        let path = self.bad_rows().join(name);
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(Error::io("open", &path))
    }

    /// The lock is the operating system's, on a file that stays: it ends with its process,
    /// however that ends. The pid in it is only there to be told to people.
    fn lock(&self, role: &'static str, name: &str) -> Result<File> {
        let path = self.root.join(name);
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(Error::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = fs::read_to_string(&path)
                    .ok()
                    .and_then(|text| text.trim().parse().ok());
                return Err(Error::Locked { role, path, holder });
            }
            Err(TryLockError::Error(error)) => return Err(Error::io("lock", &path)(error)),
        }
        file.set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(Error::io("write", &path))?;
        Ok(file)
    }
}

fn writer_in(directory: &Path, kind: &'static str, name: &str) -> Result<AtomicFile> {
    check_name(kind, name)?;
    create_directory(directory)?;
    AtomicFile::create(directory.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_told_the_first_ones_pid_and_gets_the_lock_after_it() {
        let home = tempfile::tempdir().unwrap();
        let data = DataDir::open(home.path().join("new").join("data")).unwrap();
        let builder = data.lock_builder().unwrap();
        let _server = data.lock_server().unwrap();
        let error = data.lock_builder().unwrap_err();
        assert!(
            matches!(error, Error::Locked { holder: Some(pid), .. } if pid == std::process::id())
        );
        assert!(error.to_string().contains("stop it"), "{error}");
        drop(builder);
        data.lock_builder().unwrap();
    }

    #[test]
    fn raw_tables_appear_when_committed_and_names_stay_inside() {
        let home = tempfile::tempdir().unwrap();
        let data = DataDir::open(home.path()).unwrap();
        let mut file = data.raw_writer("user_table.csv").unwrap();
        file.write_all(b"user_id\n").unwrap();
        assert!(!data.raw().join("user_table.csv").exists());
        file.commit().unwrap();
        assert_eq!(
            fs::read(data.raw().join("user_table.csv")).unwrap(),
            b"user_id\n"
        );
        assert!(data.raw_writer("../user_table.csv").is_err());
        assert!(data.bad_rows_writer("a/b").is_err());
    }

    #[test]
    fn the_builders_lock_sweeps_up_after_a_killed_builder() {
        let home = tempfile::tempdir().unwrap();
        let data = DataDir::open(home.path()).unwrap();
        std::mem::forget(data.raw_writer("user_table.csv").unwrap());
        assert_eq!(fs::read_dir(data.raw()).unwrap().count(), 1);
        let _lock = data.lock_builder().unwrap();
        assert_eq!(fs::read_dir(data.raw()).unwrap().count(), 0);
    }
}
