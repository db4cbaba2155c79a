//! JSON lines in files of bounded size, of which the oldest are dropped: sampled answers, and what
//! was done by whom. Written by the server, read by `verify` and by people; what a line says is
//! the server's business.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::publish::{create_directory, entries, read_if_there, write_atomic};
use crate::{Error, Result};

/// More than any file may have.
const BROKEN: u64 = u64::MAX;

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub struct LineLogOptions {
    /// A file is ended once it is this long.
    pub file_bytes: u64,
    /// The newest so many files are kept.
    pub files: usize,
}

impl Default for LineLogOptions {
    fn default() -> Self {
        LineLogOptions {
            file_bytes: 16 << 20,
            files: 16,
        }
    }
}

/// Appends lines.
#[derive(Debug)]
pub struct LineLog {
    directory: PathBuf,
    options: LineLogOptions,
    path: PathBuf,
    file: BufWriter<File>,
    bytes: u64,
}

impl LineLog {
    /// Begins a new file, so that a line torn by a crash stays the last of its own.
    pub fn open(directory: PathBuf, options: LineLogOptions) -> Result<LineLog> {
        create_directory(&directory)?;
        let (path, file) = begin(&directory)?;
        Ok(LineLog {
            directory,
            options,
            path,
            file,
            bytes: 0,
        })
    }

    /// Appends a line, which has no line breaks. It is in the file after a flush.
    pub fn append(&mut self, line: &str) -> Result<()> {
        if self.bytes >= self.options.file_bytes {
            self.rotate()?;
        }
        let written = self.file.write_all(line.as_bytes());
        let written = written.and_then(|()| self.file.write_all(b"\n"));
        self.done(written)?;
        self.bytes = self.bytes.saturating_add(line.len() as u64 + 1);
        Ok(())
    }

    /// Hands everything to the operating system. Nothing is synced: after a crash of the
    /// machine the last lines may be missing.
    pub fn flush(&mut self) -> Result<()> {
        let flushed = self.file.flush();
        self.done(flushed)
    }

    /// Begins another file: those before may be rewritten from then on.
    pub fn end_file(&mut self) -> Result<()> {
        self.rotate()
    }

    /// After a failure the file may end in a part of a line, so the next line begins another.
    fn done(&mut self, outcome: io::Result<()>) -> Result<()> {
        if outcome.is_err() {
            self.bytes = BROKEN;
        }
        outcome.map_err(Error::io("write", &self.path))
    }

    fn rotate(&mut self) -> Result<()> {
        if self.bytes != BROKEN {
            self.flush()?;
        }
        (self.path, self.file) = begin(&self.directory)?;
        self.bytes = 0;
        let files = files(&self.directory)?;
        let dropped = files.len().saturating_sub(self.options.files.max(1));
        for path in &files[..dropped] {
            fs::remove_file(path).map_err(Error::io("remove", path))?;
        }
        Ok(())
    }
}

/// Calls `each` with every whole line, oldest first, and where it stands: the file, and the
/// number of the line in it.
pub fn read_lines<E: From<Error>>(
    directory: &Path,
    mut each: impl FnMut(&Path, u64, &str) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    for path in files(directory)? {
        let file = File::open(&path).map_err(Error::io("open", &path))?;
        let mut reader = BufReader::new(file);
        let mut line = String::new();
        for number in 1.. {
            line.clear();
            let read = reader.read_line(&mut line);
            read.map_err(Error::io("read", &path))?;
            // The end, or a line that is still being written or was torn by a crash.
            let Some(whole) = line.strip_suffix('\n') else {
                break;
            };
            each(&path, number, whole)?;
        }
    }
    Ok(())
}

/// Rewrites files without some of their lines, and gives back how many those were. A file that a
/// writer has open must not have any: it stays as it is.
pub fn leave_out_lines(directory: &Path, is_out: impl Fn(&str) -> bool) -> Result<u64> {
    let mut left_out = 0;
    for path in files(directory)? {
        left_out += leave_out_of_file(&path, &is_out)?;
    }
    Ok(left_out)
}

/// The same of one file of lines.
pub fn leave_out_of_file(path: &Path, is_out: impl Fn(&str) -> bool) -> Result<u64> {
    let Some(bytes) = read_if_there(path)? else {
        return Ok(0);
    };
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    let is_kept = |line: &&[u8]| !is_out(String::from_utf8_lossy(line).trim_end());
    let kept: Vec<&[u8]> = lines.clone().filter(is_kept).collect();
    let left_out = lines.count() - kept.len();
    if left_out > 0 {
        write_atomic(path, &kept.concat())?;
    }
    Ok(left_out as u64)
}

/// The files, oldest first.
fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = entries(directory)?;
    files.retain(|path| number(path).is_some());
    Ok(files)
}

fn number(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    name.strip_suffix(".jsonl")?.parse().ok()
}

fn begin(directory: &Path) -> Result<(PathBuf, BufWriter<File>)> {
    let newest = files(directory)?.pop();
    let next = newest
        .as_deref()
        .and_then(number)
        .map_or(1, |held| held + 1);
    let path = directory.join(format!("{next:012}.jsonl"));
    let file = File::create_new(&path).map_err(Error::io("create", &path))?;
    Ok((path, BufWriter::new(file)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(directory: &Path) -> Vec<String> {
        let mut lines = Vec::new();
        let read = read_lines::<Error>(directory, |_, _, line| {
            lines.push(line.to_owned());
            Ok(())
        });
        read.unwrap();
        lines
    }

    #[test]
    fn the_newest_files_stay_and_come_back_in_order() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("serving_log");
        assert!(lines(&directory).is_empty(), "there need not be one");
        let options = LineLogOptions {
            file_bytes: 40,
            files: 3,
        };
        let mut log = LineLog::open(directory.clone(), options).unwrap();
        let all: Vec<String> = (0..100).map(|n| format!("{{\"answer\":{n:03}}}")).collect();
        for line in &all {
            log.append(line).unwrap();
        }
        log.flush().unwrap();
        assert_eq!(files(&directory).unwrap().len(), 3);
        let kept = lines(&directory);
        assert!((6..=9).contains(&kept.len()), "{}", kept.len());
        assert_eq!(kept, all[all.len() - kept.len()..]);
    }

    #[test]
    fn a_torn_line_is_left_out_and_the_next_writer_begins_a_file() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().to_owned();
        let open = || LineLog::open(directory.clone(), LineLogOptions::default()).unwrap();
        let mut log = open();
        log.append("one").unwrap();
        log.flush().unwrap();
        let path = log.path.clone();
        drop(log);
        let mut torn = fs::read(&path).unwrap();
        torn.extend_from_slice(b"tw");
        fs::write(&path, torn).unwrap();
        let mut log = open();
        log.append("three").unwrap();
        log.flush().unwrap();
        assert_eq!(lines(&directory), ["one", "three"]);
    }
}
