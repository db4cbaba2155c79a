//! A data directory in one file, and back: a tar compressed by zstd, so that other programs can
//! look into it, whose last entry says what must have been in it. Called by `granary backup` and
//! `granary restore`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::directory::{DataDir, ERASED};
use crate::log::{Offset, segment_base};
use crate::publish::{
    AtomicFile, create_directory, entries, read_if_there, sync_directory, write_atomic,
};
use crate::tombstones::Tombstones;
use crate::{Error, Result};

const FORMAT: u32 = 1;

/// The last entry of a backup.
const MANIFEST: &str = "BACKUP.json";

/// Where a restore gathers files until all of them are known to be whole.
const RESTORING: &str = ".restoring";

/// Keys and people are in it: its owner's alone.
const PRIVATE: u32 = 0o600;

/// Fast, and small enough: most of it is compressed already.
const LEVEL: i32 = 1;

/// What a backup holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BackupManifest {
    /// Of the file.
    pub format: u32,
    /// When it was made, in UTC microseconds.
    pub created: i64,
    /// The log is in it up to here.
    pub log_offset: u64,
    /// Its files.
    pub files: Vec<BackedUpFile>,
}

/// One file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackedUpFile {
    /// Below the data directory, with `/` between its parts.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Its hash, in hex.
    pub blake3: String,
}

impl BackupManifest {
    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

/// Writes everything under a data directory into one file, with `online` in the place of the
/// online store and the log's segments before an offset. The file appears whole or not at all.
pub fn back_up(
    data: &DataDir,
    online: &Path,
    log_until: Offset,
    to: &Path,
    created: i64,
) -> Result<BackupManifest> {
    let file = AtomicFile::create(to.to_owned())?;
    let failed = || Error::io("write", to);
    file.protect(PRIVATE)?;
    let encoder = zstd::Encoder::new(file, LEVEL).map_err(failed())?;
    let mut tar = tar::Builder::new(encoder);
    let mut manifest = BackupManifest {
        format: FORMAT,
        created,
        log_offset: log_until.0,
        files: Vec::new(),
    };
    let leave_out = |path: &Path| is_left_out(data, path, log_until) || path == to;
    let mut files = Vec::new();
    gather(data.root(), &leave_out, &mut files)?;
    files.push((data.online_store(), online.to_owned()));
    for (name, path) in files {
        let below = name.strip_prefix(data.root()).unwrap_or(&name);
        if let Some(file) = add(&mut tar, below, &path)? {
            manifest.files.push(file);
        }
    }
    let text = serde_json::to_vec_pretty(&manifest).expect("names and numbers are JSON");
    let mut header = header(text.len() as u64);
    tar.append_data(&mut header, MANIFEST, &text[..])
        .map_err(failed())?;
    let encoder = tar.into_inner().map_err(failed())?;
    let file = encoder.finish().map_err(failed())?;
    file.commit()?;
    Ok(manifest)
}

/// A backup that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupMade {
    /// The file, by its absolute path.
    pub file: PathBuf,
    /// When it was made, in UTC microseconds.
    pub created: i64,
}

/// Writes down that a backup was made: an erasure cannot reach into it, but can name it.
pub fn note_backup(data: &DataDir, made: &BackupMade) -> Result<()> {
    let path = data.backups();
    let mut lines = read_if_there(&path)?.unwrap_or_default();
    serde_json::to_writer(&mut lines, made).map_err(Error::json(&path))?;
    lines.push(b'\n');
    write_atomic(&path, &lines)
}

/// The backups that were made and are still where they were put.
pub fn backups_made(data: &DataDir) -> Result<Vec<BackupMade>> {
    let path = data.backups();
    let lines = read_if_there(&path)?.unwrap_or_default();
    let made = serde_json::Deserializer::from_slice(&lines).into_iter();
    let made: serde_json::Result<Vec<BackupMade>> = made.collect();
    let mut made = made.map_err(Error::json(&path))?;
    made.retain(|made| made.file.exists());
    Ok(made)
}

/// Puts a backup into a directory in which there is nothing: all of it, or nothing if a byte of it
/// is not what it was. Who was `erased` since it was made is erased in it.
pub fn restore(from: &Path, into: &Path, erased: Option<&Tombstones>) -> Result<BackupManifest> {
    create_directory(into)?;
    let staging = into.join(RESTORING);
    if staging.exists() {
        fs::remove_dir_all(&staging).map_err(Error::io("remove", &staging))?;
    }
    if let Some(found) = entries(into)?.first() {
        return Err(Error::NotEmpty {
            path: into.to_owned(),
            found: found.clone(),
        });
    }
    create_directory(&staging)?;
    let manifest = extract(from, &staging)?;
    if let Some(erased) = erased {
        take_over(from, &staging, erased, Offset(manifest.log_offset))?;
    }
    // The directory of what is not yet in place keeps the data from being opened half restored.
    for path in entries(&staging)? {
        let name = path.file_name().unwrap_or_default();
        fs::rename(&path, into.join(name)).map_err(Error::io("rename", &path))?;
    }
    sync_directory(into)?;
    fs::remove_dir(&staging).map_err(Error::io("remove", &staging))?;
    sync_directory(into)?;
    Ok(manifest)
}

/// Adds tombstones to those of a backup.
fn take_over(from: &Path, staging: &Path, erased: &Tombstones, log_end: Offset) -> Result<()> {
    let path = staging.join(ERASED);
    let mut tombstones = Tombstones::read_file(&path)?;
    if tombstones.take_over(erased, log_end).is_none() {
        return Err(Error::Backup {
            path: from.to_owned(),
            reason: "the erasures given are those of another data directory".to_owned(),
        });
    }
    tombstones.write_file(&path)
}

/// Refuses a directory whose restore was cut short.
pub(crate) fn check_whole(root: &Path) -> Result<()> {
    if root.join(RESTORING).exists() {
        return Err(Error::HalfRestored {
            path: root.to_owned(),
        });
    }
    Ok(())
}

/// Files that are a running server's own, are written anew, or are put in by the caller.
fn is_left_out(data: &DataDir, path: &Path, log_until: Offset) -> bool {
    if let Some(base) = segment_base(path).filter(|_| path.starts_with(data.log())) {
        return base >= log_until.0;
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_online = path.parent() == Some(data.root()) && name.starts_with("online.redb");
    let is_hidden = name.starts_with('.');
    let is_lock = path.extension().is_some_and(|it| it == "lock");
    let is_own = [data.socket(), data.serving(), data.backups()].contains(&path.to_owned());
    is_own || is_online || is_hidden || is_lock
}

/// The files below a directory, in order of their names.
fn gather(
    directory: &Path,
    leave_out: &dyn Fn(&Path) -> bool,
    files: &mut Vec<(PathBuf, PathBuf)>,
) -> Result<()> {
    for path in entries(directory)? {
        if leave_out(&path) {
            continue;
        }
        if path.is_dir() {
            gather(&path, leave_out, files)?;
        } else if path.is_file() {
            files.push((path.clone(), path));
        }
    }
    Ok(())
}

/// Adds a file, as long as it is now: what is appended meanwhile is left out. None if it is gone.
fn add(
    tar: &mut tar::Builder<impl Write>,
    name: &Path,
    path: &Path,
) -> Result<Option<BackedUpFile>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("open", path)(error)),
    };
    let failed = || Error::io("read", path);
    let bytes = file.metadata().map_err(failed())?.len();
    let mut hashed = Hashed::new(BufReader::new(file).take(bytes));
    tar.append_data(&mut header(bytes), name, &mut hashed)
        .map_err(failed())?;
    Ok(Some(BackedUpFile {
        path: portable(name),
        bytes,
        blake3: hashed.hasher.finalize().to_hex().to_string(),
    }))
}

fn header(bytes: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes);
    header.set_mode(PRIVATE);
    header
}

/// Writes the files of a backup below a directory, each held against the manifest.
fn extract(from: &Path, into: &Path) -> Result<BackupManifest> {
    let damaged = |reason: String| Error::Backup {
        path: from.to_owned(),
        reason,
    };
    let unreadable = |error: io::Error| damaged(error.to_string());
    let file = File::open(from).map_err(Error::io("open", from))?;
    let decoder = zstd::Decoder::new(file).map_err(unreadable)?;
    let mut tar = tar::Archive::new(decoder);
    let mut found = Vec::new();
    let mut manifest = None;
    for entry in tar.entries().map_err(unreadable)? {
        let mut entry = entry.map_err(unreadable)?;
        let name = entry.path().map_err(unreadable)?.into_owned();
        if name == Path::new(MANIFEST) {
            let mut text = Vec::new();
            entry.read_to_end(&mut text).map_err(unreadable)?;
            manifest = Some(serde_json::from_slice::<BackupManifest>(&text));
            continue;
        }
        if !name
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
        {
            return Err(damaged(format!("`{}` leads elsewhere", name.display())));
        }
        let path = into.join(&name);
        create_directory(path.parent().unwrap_or(into))?;
        let mut hashed = Hashed::new(&mut entry);
        let out = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(PRIVATE)
            .open(&path);
        let mut out = out.map_err(Error::io("create", &path))?;
        let bytes = io::copy(&mut hashed, &mut out).map_err(unreadable)?;
        out.sync_all().map_err(Error::io("sync", &path))?;
        found.push(BackedUpFile {
            path: portable(&name),
            bytes,
            blake3: hashed.hasher.finalize().to_hex().to_string(),
        });
    }
    let manifest = manifest.ok_or_else(|| damaged("its end is missing".to_owned()))?;
    let manifest = manifest.map_err(|error| damaged(error.to_string()))?;
    if manifest.format != FORMAT {
        return Err(Error::Format {
            path: from.to_owned(),
            found: manifest.format,
            known: FORMAT,
        });
    }
    if let Some(file) = manifest.files.iter().find(|file| !found.contains(file)) {
        return Err(damaged(format!("`{}` is not what was written", file.path)));
    }
    if found.len() != manifest.files.len() {
        return Err(damaged(
            "there are files in it that were not written".to_owned(),
        ));
    }
    sync_tree(into)?;
    Ok(manifest)
}

fn sync_tree(directory: &Path) -> Result<()> {
    for path in entries(directory)?.iter().filter(|path| path.is_dir()) {
        sync_tree(path)?;
    }
    sync_directory(directory)
}

fn portable(path: &Path) -> String {
    let parts = path
        .components()
        .map(|part| part.as_os_str().to_string_lossy());
    parts.collect::<Vec<_>>().join("/")
}

/// Hashes what is read.
struct Hashed<R> {
    inner: R,
    hasher: blake3::Hasher,
}

impl<R> Hashed<R> {
    fn new(inner: R) -> Hashed<R> {
        Hashed {
            inner,
            hasher: blake3::Hasher::new(),
        }
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use proptest::prelude::*;

    use super::*;

    fn directory(files: &[(&str, &[u8])]) -> (tempfile::TempDir, DataDir) {
        let home = tempfile::tempdir().unwrap();
        let data = DataDir::open(home.path().join("data")).unwrap();
        for (name, bytes) in files {
            let path = data.root().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        (home, data)
    }

    fn backed_up(home: &Path, data: &DataDir) -> PathBuf {
        let online = home.join("copy");
        fs::write(&online, b"rows").unwrap();
        let to = home.join("backup");
        back_up(data, &online, Offset(100), &to, 7).unwrap();
        to
    }

    #[test]
    fn what_belongs_to_the_data_comes_back_and_nothing_else() {
        let (home, data) = directory(&[
            ("raw/user_table.csv", b"user_id"),
            ("log/00000000000000000000.log", b"old"),
            ("log/00000000000000000100.log", b"active"),
            ("models/churn/v000001/model", &[7; 10_000]),
            ("online.redb", b"changing"),
            ("server.lock", b"1"),
            ("serving.json", b"{}"),
            ("raw/.half.tmp", b"x"),
            ("empty", b""),
        ]);
        let backup = backed_up(home.path(), &data);
        let into = home.path().join("restored");
        let manifest = restore(&backup, &into, None).unwrap();
        let names: Vec<&str> = manifest.files.iter().map(|file| &*file.path).collect();
        let wanted = [
            "empty",
            "log/00000000000000000000.log",
            "models/churn/v000001/model",
            "raw/user_table.csv",
            "online.redb",
        ];
        assert_eq!(names, wanted);
        assert_eq!(fs::read(into.join("online.redb")).unwrap(), b"rows");
        assert_eq!(
            fs::read(into.join("raw/user_table.csv")).unwrap(),
            b"user_id"
        );
        assert!(!into.join(RESTORING).exists());
        for path in [backup.clone(), into.join("online.redb")] {
            let mode = fs::metadata(path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, PRIVATE);
        }
        let again = restore(&backup, &into, None).unwrap_err();
        assert!(matches!(again, Error::NotEmpty { .. }), "{again}");
    }

    #[test]
    fn a_restore_that_was_cut_short_is_not_opened() {
        let (_home, data) = directory(&[(".restoring/half", b"x")]);
        let error = DataDir::open(data.root()).unwrap_err();
        assert!(error.to_string().contains("granary restore"), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn a_changed_or_missing_byte_restores_nothing(at in any::<prop::sample::Index>(), bit in 0..8u8, cut: bool) {
            let (home, data) = directory(&[("raw/a", b"one"), ("raw/b", &[3; 5000])]);
            let backup = backed_up(home.path(), &data);
            let mut bytes = fs::read(&backup).unwrap();
            let at = at.index(bytes.len());
            if cut {
                bytes.truncate(at);
            } else {
                bytes[at] ^= 1 << bit;
            }
            fs::write(&backup, bytes).unwrap();
            let into = home.path().join("restored");
            // A bit that means nothing, such as one of a reserved field, may change.
            if let Ok(manifest) = restore(&backup, &into, None) {
                prop_assert!(!cut);
                prop_assert_eq!(manifest.files.len(), 3);
                prop_assert_eq!(fs::read(into.join("raw/b")).unwrap(), vec![3; 5000]);
            } else {
                prop_assert!(!into.join("raw").exists());
            }
        }
    }
}
