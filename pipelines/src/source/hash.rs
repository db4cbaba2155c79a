//! What tells that an input file has changed: its size and time, and the blake3 of its bytes.
//! Called by `files` for what a manifest says of the inputs.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use blake3::Hasher;
use blake3::hazmat::{
    ChainingValue, HasherExt, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root,
};
use granary_storage::InputFile;

/// Bytes that one task hashes: a power of two, as subtrees of blake3 are.
const TASK: u64 = 4 << 20;
/// Bytes that are read at a time: they are still in the nearest cache when they are hashed.
const BLOCK: usize = 128 << 10;

/// One input file as a manifest records it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileHash {
    /// Relative to the data directory if the file lies below it.
    pub path: PathBuf,
    /// By what a change is noticed without reading it.
    pub state: FileState,
    /// Of its bytes as they are on disk.
    pub blake3: blake3::Hash,
}

/// Size and time of a file: as long as both are the same, so are its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileState {
    /// Its size.
    pub bytes: u64,
    /// When it was last changed, in nanoseconds since 1970; 0 if that is not known.
    pub modified: i64,
}

impl FileState {
    /// Of a file as it is now.
    pub fn of(path: &Path) -> io::Result<FileState> {
        let metadata = fs::metadata(path)?;
        let since_epoch = metadata.modified()?.duration_since(UNIX_EPOCH);
        let nanos = since_epoch.map_or(0, |since| since.as_nanos());
        Ok(FileState {
            bytes: metadata.len(),
            modified: i64::try_from(nanos).unwrap_or(0),
        })
    }
}

impl FileHash {
    /// Of a file as it is now, which manifests call by another path.
    pub fn of(file: &Path, path: PathBuf) -> io::Result<FileHash> {
        Ok(FileHash {
            path,
            state: FileState::of(file)?,
            blake3: blake3_of(file)?,
        })
    }

    /// As a manifest describes it; none if the hash in there does not read.
    pub fn recorded(file: &InputFile) -> Option<FileHash> {
        Some(FileHash {
            path: PathBuf::from(&file.path),
            state: FileState {
                bytes: file.bytes,
                modified: file.modified,
            },
            blake3: blake3::Hash::from_hex(&file.blake3).ok()?,
        })
    }
}

/// The blake3 of the bytes that a file has now, read and hashed in parallel.
pub(super) fn blake3_of(path: &Path) -> io::Result<blake3::Hash> {
    let file = File::open(path)?;
    let bytes = file.metadata()?.len();
    if bytes <= TASK {
        return Ok(hashed(&file, 0, bytes)?.finalize());
    }
    let (left, right) = halves(&file, 0, bytes)?;
    Ok(merge_subtrees_root(&left, &right, Mode::Hash))
}

fn subtree(file: &File, start: u64, bytes: u64) -> io::Result<ChainingValue> {
    if bytes <= TASK {
        return Ok(hashed(file, start, bytes)?.finalize_non_root());
    }
    let (left, right) = halves(file, start, bytes)?;
    Ok(merge_subtrees_non_root(&left, &right, Mode::Hash))
}

fn halves(file: &File, start: u64, bytes: u64) -> io::Result<(ChainingValue, ChainingValue)> {
    let middle = left_subtree_len(bytes);
    let (left, right) = rayon::join(
        || subtree(file, start, middle),
        || subtree(file, start + middle, bytes - middle),
    );
    Ok((left?, right?))
}

fn hashed(file: &File, start: u64, bytes: u64) -> io::Result<Hasher> {
    let mut hasher = Hasher::new();
    hasher.set_input_offset(start);
    let mut block = vec![0; BLOCK.min(bytes as usize)];
    let mut at = start;
    while at < start + bytes {
        let rest = (start + bytes - at).min(BLOCK as u64) as usize;
        file.read_exact_at(&mut block[..rest], at)?;
        hasher.update(&block[..rest]);
        at += rest as u64;
    }
    Ok(hasher)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sizes around those of a chunk, a block and a task, and a tree that leans.
    #[test]
    fn hashed_in_parallel_it_is_the_hash_of_the_whole() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("file");
        let whole: Vec<u8> = (0..13 << 20).map(|i: u32| (i * 7 % 251) as u8).collect();
        let task = TASK as usize;
        for bytes in [
            0,
            1,
            1024,
            1025,
            BLOCK,
            BLOCK + 1,
            task - 1,
            task,
            task + 1,
            whole.len(),
        ] {
            fs::write(&path, &whole[..bytes]).unwrap();
            assert_eq!(
                blake3_of(&path).unwrap(),
                blake3::hash(&whole[..bytes]),
                "{bytes}"
            );
        }
    }
}
