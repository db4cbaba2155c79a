//! One file that grows, followed over rotations: whole lines only, each with the place behind
//! it. Called by `tail` with the place where it went on before; knows nothing of events.
//!
//! A file that was renamed is read to its end before the new one under its name is begun. One
//! that was copied and emptied is looked for under the names beside it, for the lines that
//! were written between the last look and the emptying.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use granary_pipelines::FileMark;

/// Bytes read at once, unless a line is longer.
const CHUNK: usize = 1 << 20;

/// Longest line; what is longer is passed over.
pub(super) const LONGEST: usize = 16 << 20;

/// First bytes by which a file is known again.
pub(super) const HEAD: usize = 4096;

/// Looks at a renamed file without finding more, after which its writer has let go of it.
const QUIET: u32 = 5;

/// A file being followed.
pub(super) struct Follower {
    path: PathBuf,
    /// Where to go on once the file is found.
    resume: Option<(FileMark, u64)>,
    open: Option<Open>,
    chunk: usize,
}

/// What the next bytes of a file are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing yet.
    Nothing,
    /// Whole lines, in the buffer.
    Lines,
    /// A line that is longer than the longest, of which the buffer has the beginning.
    TooLong,
}

struct Open {
    file: File,
    inode: u64,
    /// Where the next line begins.
    at: u64,
    /// The file's first bytes, as far as they were read.
    head: Vec<u8>,
    /// Its length when it was last looked at.
    length: u64,
    /// Whether it stands under its path no longer, and for how many looks.
    quiet: u32,
    /// Whether the rest of a line that was too long comes next.
    skipping: bool,
}

impl Follower {
    /// Follows a path, which need not exist yet, from where it was left.
    pub(super) fn new(path: PathBuf, resume: Option<(FileMark, u64)>) -> Follower {
        Follower {
            path,
            resume,
            open: None,
            chunk: CHUNK,
        }
    }

    /// Looks for whole lines behind those that were taken, and puts them into the buffer. Asked
    /// again without [`Follower::take`], it finds them again.
    pub(super) fn look(&mut self, buffer: &mut Vec<u8>) -> io::Result<Found> {
        buffer.clear();
        if self.open.is_none() {
            self.open = self.find()?;
        }
        let Some(open) = &mut self.open else {
            return Ok(Found::Nothing);
        };
        if !open.is_what_it_was()? {
            self.resume = Some((open.mark(u64::MAX), open.at));
            self.open = None;
            return Ok(Found::Nothing);
        }
        open.fill(buffer, self.chunk)?;
        if let Some(end) = memchr::memrchr(b'\n', buffer) {
            buffer.truncate(end + 1);
            open.quiet = 0;
            return Ok(Found::Lines);
        }
        if buffer.len() == self.chunk {
            if self.chunk < LONGEST {
                self.chunk *= 2;
                return self.look(buffer);
            }
            return Ok(Found::TooLong);
        }
        self.leave_if_renamed(buffer)
    }

    /// Passes over the first bytes of what was found. After a line that is too long, its rest
    /// comes next.
    pub(super) fn take(&mut self, bytes: usize, found: &Found) {
        if let Some(open) = &mut self.open {
            open.at += bytes as u64;
            open.skipping = *found == Found::TooLong;
        }
        self.chunk = CHUNK;
    }

    /// Whether what was found begins with the rest of a line that was too long.
    pub(super) fn is_within_line(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.skipping)
    }

    /// The offset at which the buffer begins.
    pub(super) fn offset(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.at)
    }

    /// What the open file is known by, given the place that was reached in it.
    pub(super) fn mark(&self, next: u64) -> FileMark {
        let open = self.open.as_ref();
        open.map_or(FileMark::default(), |open| open.mark(next))
    }

    /// The first bytes of the open file, up to the first line break if it is among them.
    pub(super) fn first_line(&self) -> &[u8] {
        let head = self.open.as_ref().map_or(&[][..], |open| &open.head);
        memchr::memchr(b'\n', head).map_or(head, |end| &head[..end])
    }

    /// At the end of a file that another one has taken the path of: a last line may lack its
    /// line break, and then the other file is begun.
    fn leave_if_renamed(&mut self, buffer: &[u8]) -> io::Result<Found> {
        let Some(open) = &mut self.open else {
            return Ok(Found::Nothing);
        };
        match std::fs::metadata(&self.path) {
            Ok(other) if other.ino() != open.inode => {}
            Ok(_) => return Ok(Found::Nothing),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
            Err(error) => return Err(error),
        }
        open.quiet += 1;
        if open.quiet < QUIET {
            return Ok(Found::Nothing);
        }
        if !buffer.is_empty() {
            return Ok(Found::Lines);
        }
        self.open = Open::from_start(&self.path)?;
        Ok(Found::Nothing)
    }

    /// The file to go on with.
    fn find(&mut self) -> io::Result<Option<Open>> {
        let Some((mark, next)) = self.resume else {
            return Open::from_start(&self.path);
        };
        let present = Open::resumed(&self.path, mark, next)?;
        let same = |open: &Open| open.inode == mark.inode;
        let found = match present.filter(same) {
            Some(open) => Some(open),
            None => match self.beside(mark, next)? {
                Some(open) => Some(open),
                // A copy under the old name: restored, or moved to another disk.
                None => Open::resumed(&self.path, mark, next)?,
            },
        };
        let found = match found {
            Some(open) => Some(open),
            None => Open::from_start(&self.path)?.inspect(|_| {
                tracing::warn!(
                    path = %self.path.display(),
                    offset = next,
                    "the file that was followed is gone; the one in its place is read from its start"
                );
            }),
        };
        if found.is_some() {
            self.resume = None;
        }
        Ok(found)
    }

    /// A file that was rotated away keeps the beginning of its name, and lies beside the new one.
    fn beside(&self, mark: FileMark, next: u64) -> io::Result<Option<Open>> {
        let (Some(directory), Some(name)) = (self.path.parent(), self.path.file_name()) else {
            return Ok(None);
        };
        let entries = match std::fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let stem = Path::new(name).file_stem().unwrap_or(name);
        let stem = stem.to_string_lossy().into_owned();
        let mut copy = None;
        for entry in entries {
            let path = entry?.path();
            let other = path.file_name().unwrap_or_default().to_string_lossy();
            if path == self.path || !other.starts_with(&stem) || !path.is_file() {
                continue;
            }
            match Open::resumed(&path, mark, next)? {
                Some(open) if open.inode == mark.inode => return Ok(Some(open)),
                Some(open) => copy = Some(open),
                None => {}
            }
        }
        Ok(copy)
    }
}

impl Open {
    fn from_start(path: &Path) -> io::Result<Option<Open>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let inode = file.metadata()?.ino();
        Ok(Some(Open {
            file,
            inode,
            at: 0,
            head: Vec::new(),
            length: 0,
            quiet: 0,
            skipping: false,
        }))
    }

    /// The file at a path, if it is the marked one or a copy of it and reaches to `next`.
    fn resumed(path: &Path, mark: FileMark, next: u64) -> io::Result<Option<Open>> {
        let Some(mut open) = Open::from_start(path)? else {
            return Ok(None);
        };
        open.length = open.file.metadata()?.len();
        open.head = vec![0; (mark.head as usize).min(HEAD)];
        let there = open.length >= next && open.file.read_exact_at(&mut open.head, 0).is_ok();
        open.at = next;
        Ok((there && hash(&open.head) == mark.hash).then_some(open))
    }

    /// Whether the file still begins as it did and reaches as far: it may have been emptied,
    /// and may have grown again since.
    fn is_what_it_was(&mut self) -> io::Result<bool> {
        let length = self.file.metadata()?.len();
        if length < self.at {
            return Ok(false);
        }
        if !self.head.is_empty() {
            let mut head = vec![0; self.head.len()];
            if self.file.read_exact_at(&mut head, 0).is_err() || head != self.head {
                return Ok(false);
            }
        }
        self.length = length;
        Ok(true)
    }

    /// Reads what stands behind `at`, at most a chunk.
    fn fill(&mut self, buffer: &mut Vec<u8>, chunk: usize) -> io::Result<()> {
        let length = (self.length - self.at).min(chunk as u64) as usize;
        buffer.resize(length, 0);
        let mut filled = 0;
        while filled < length {
            match self
                .file
                .read_at(&mut buffer[filled..], self.at + filled as u64)
            {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        buffer.truncate(filled);
        let known = self.head.len();
        if known < HEAD && self.at as usize <= known {
            let from = known - self.at as usize;
            let until = (HEAD - self.at as usize).min(filled);
            self.head
                .extend_from_slice(buffer.get(from..until).unwrap_or_default());
        }
        Ok(())
    }

    /// The mark of a place: of the bytes before it, which do not change any more.
    fn mark(&self, next: u64) -> FileMark {
        let head = self.head.len().min(next as usize);
        FileMark {
            inode: self.inode,
            head: head as u64,
            hash: hash(&self.head[..head]),
        }
    }
}

fn hash(head: &[u8]) -> u64 {
    let hash = blake3::hash(head);
    let first = hash.as_bytes().first_chunk().copied();
    u64::from_le_bytes(first.unwrap_or_default())
}
