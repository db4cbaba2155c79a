//! Files that appear whole or not at all: written to the side, synced, renamed. Called by
//! everything in this crate that replaces a file.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Error, Result};

const BUFFER_BYTES: usize = 256 << 10;

/// A file under construction. [`commit`](AtomicFile::commit) makes it appear under its name,
/// replacing what was there; dropped without, it leaves nothing behind.
#[derive(Debug)]
pub struct AtomicFile {
    path: PathBuf,
    temporary: PathBuf,
    file: Option<BufWriter<File>>, // none once committed
}

impl AtomicFile {
    pub(crate) fn create(path: PathBuf) -> Result<AtomicFile> {
        let temporary = temporary_beside(&path);
        let file = File::create(&temporary).map_err(Error::io("create", &temporary))?;
        let file = Some(BufWriter::with_capacity(BUFFER_BYTES, file));
        Ok(AtomicFile {
            path,
            temporary,
            file,
        })
    }

    /// Where the file will appear.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Sets who may read it.
    pub(crate) fn protect(&self, mode: u32) -> Result<()> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let set = file
            .get_ref()
            .set_permissions(fs::Permissions::from_mode(mode));
        set.map_err(Error::io("protect", &self.path))
    }

    /// Writes out, syncs, renames, and syncs the directory: on return the file is there to stay.
    pub fn commit(mut self) -> Result<()> {
        let Some(file) = self.file.take() else {
            return Ok(());
        };
        self.put_in_place(file).inspect_err(|_| {
            // The first error is the one to report; the temporary file is swept up later.
            let _ = fs::remove_file(&self.temporary);
        })
    }

    fn put_in_place(&self, file: BufWriter<File>) -> Result<()> {
        let file = file
            .into_inner()
            .map_err(|error| Error::io("write", &self.temporary)(error.into_error()))?;
        file.sync_all()
            .map_err(Error::io("sync", &self.temporary))?;
        fs::rename(&self.temporary, &self.path).map_err(Error::io("rename", &self.temporary))?;
        sync_parent(&self.path)
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.file {
            Some(file) => file.write(bytes),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // Nothing to be done about a failure here; the builder's lock sweeps leftovers.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// Replaces the file by these bytes, whole or not at all.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = AtomicFile::create(path.to_owned())?;
    file.write_all(bytes).map_err(Error::io("write", path))?;
    file.commit()
}

/// What `write_atomic` wrote; none if there is no such file.
pub fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

/// Creates a directory, and those above it, so that they survive a crash.
pub(crate) fn create_directory(directory: &Path) -> Result<()> {
    if directory.as_os_str().is_empty() || directory.is_dir() {
        return Ok(());
    }
    let parent = directory.parent().unwrap_or(Path::new(""));
    create_directory(parent)?;
    match fs::create_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        created => created.map_err(Error::io("create", directory)),
    }?;
    sync_directory(parent)
}

/// Makes names created, renamed or removed in a directory survive a crash.
pub(crate) fn sync_directory(directory: &Path) -> Result<()> {
    // The parent of a bare relative name is the empty path.
    let directory = if directory.as_os_str().is_empty() {
        Path::new(".")
    } else {
        directory
    };
    File::open(directory)
        .and_then(|opened| opened.sync_all())
        .map_err(Error::io("sync directory", directory))
}

/// Syncs every file of a directory, and the directory.
pub(crate) fn sync_contents(directory: &Path) -> Result<()> {
    for path in entries(directory)? {
        File::open(&path)
            .and_then(|file| file.sync_all())
            .map_err(Error::io("sync", &path))?;
    }
    sync_directory(directory)
}

/// The paths in a directory, in name order; none if there is no such directory.
pub(crate) fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    let listed = match fs::read_dir(directory) {
        Ok(listed) => listed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("list", directory)(error)),
    };
    let mut paths = listed
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<PathBuf>>>()
        .map_err(Error::io("list", directory))?;
    paths.sort();
    Ok(paths)
}

/// Removes the temporary files that killed writers left in a directory.
pub(crate) fn remove_leftovers(directory: &Path) -> Result<()> {
    for path in entries(directory)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') && name.ends_with(".tmp") {
            fs::remove_file(&path).map_err(Error::io("remove", &path))?;
        }
    }
    Ok(())
}

fn sync_parent(path: &Path) -> Result<()> {
    path.parent().map_or(Ok(()), sync_directory)
}

/// A hidden name in the same directory, unique among the processes and threads that may
/// replace the same file at the same time.
fn temporary_beside(path: &Path) -> PathBuf {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    path.with_file_name(format!(".{name}.{}-{count}.tmp", std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_at_commit_and_not_before() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a.txt");
        write_atomic(&path, b"old").unwrap();
        let mut file = AtomicFile::create(path.clone()).unwrap();
        file.write_all(b"new").unwrap();
        file.flush().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        file.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(entries(home.path()).unwrap(), vec![path]);
    }

    #[test]
    fn a_dropped_file_leaves_nothing_and_a_killed_writer_is_swept_up() {
        let home = tempfile::tempdir().unwrap();
        let mut file = AtomicFile::create(home.path().join("a.txt")).unwrap();
        file.write_all(b"half").unwrap();
        drop(file);
        assert!(entries(home.path()).unwrap().is_empty());

        let killed = AtomicFile::create(home.path().join("b.txt")).unwrap();
        std::mem::forget(killed);
        fs::write(home.path().join("kept.tmp"), b"").unwrap();
        remove_leftovers(home.path()).unwrap();
        assert_eq!(
            entries(home.path()).unwrap(),
            vec![home.path().join("kept.tmp")]
        );
    }

    #[test]
    fn errors_name_the_path() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("missing").join("a.txt");
        let error = write_atomic(&path, b"").unwrap_err().to_string();
        assert!(error.contains("missing"), "{error}");
    }
}
