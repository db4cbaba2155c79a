//! Appends to the log, syncs, closes segments and drops old ones. Called by the one process
//! that holds the server's lock.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::format::{MAX_PAYLOAD, RECORD_HEADER, SEGMENT_HEADER, encode_record};
use super::reader::{Verdict, judge};
use super::segments::{self, Cursor, Step};
use super::{Kind, Offset};
use crate::publish::{create_directory, remove_leftovers, sync_directory};
use crate::{Error, Result};

const BUFFER_BYTES: usize = 4 << 20; // unwritten records beyond this are written, not yet synced

/// How a log is kept.
#[derive(Clone, Copy, Debug)]
pub struct LogOptions {
    /// A segment that has reached this size is followed by another.
    pub segment_bytes: u64,
}

impl Default for LogOptions {
    fn default() -> LogOptions {
        LogOptions {
            segment_bytes: 64 << 20,
        }
    }
}

/// What a crash left unfinished at the end of the log; nothing of it was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The segment that was cut.
    pub file: PathBuf,
    /// Its length now.
    pub position: u64,
    /// How many bytes were cut off.
    pub bytes: u64,
}

/// The writing end of a log, shared by threads. Appending waits for no sync.
#[derive(Debug)]
pub struct Log {
    directory: PathBuf,
    options: LogOptions,
    tail: Mutex<Tail>,
    /// Held by the one thread that syncs; taken before `tail`.
    syncing: Mutex<()>,
    synced: AtomicU64,
    /// Whether the tail is anything but well: looked at before every change of a plain key.
    is_ill: Arc<AtomicBool>,
    torn: Option<TornTail>,
}

/// The segment being written, and what is still to be written to it.
#[derive(Debug)]
struct Tail {
    path: PathBuf,
    file: Arc<File>,
    base: u64,
    end: u64,
    buffer: Vec<u8>, // appended, not yet written
    health: Health,
    is_ill: Arc<AtomicBool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Well,
    /// A write failed and was undone; what was appended waits for one that succeeds.
    Stalled,
    /// A write failed and could not be undone, or a sync failed: what is on disk is unknown.
    Poisoned,
}

impl Log {
    /// Opens the log, creating it if need be, and finds its end. An unfinished record at the
    /// very end is cut off; any other damage is an error.
    pub fn open(directory: impl Into<PathBuf>, options: LogOptions) -> Result<Log> {
        let directory = directory.into();
        create_directory(&directory)?;
        remove_leftovers(&directory)?;
        let mut bases = segments::bases(&directory)?;
        check_chain(&directory, &bases)?;
        if bases.is_empty() {
            segments::create(&directory, 0)?;
            bases.push(0);
        }
        let base = bases.last().copied().unwrap_or(0);
        let (end, torn) = recover(&directory, base)?;
        let path = segments::path_of(&directory, base);
        let file = append_to(&path)?;
        // What an earlier process wrote without syncing counts as synced from here on.
        file.sync_all().map_err(Error::io("sync", &path))?;
        let is_ill = Arc::new(AtomicBool::new(false));
        let tail = Tail {
            is_ill: Arc::clone(&is_ill),
            path,
            file: Arc::new(file),
            base,
            end,
            buffer: Vec::new(),
            health: Health::Well,
        };
        Ok(Log {
            directory,
            options,
            tail: Mutex::new(tail),
            syncing: Mutex::new(()),
            synced: AtomicU64::new(end),
            is_ill,
            torn,
        })
    }

    /// What was cut off when the log was opened.
    pub fn torn_tail(&self) -> Option<&TornTail> {
        self.torn.as_ref()
    }

    /// The end of what was appended; a reader may not see all of it yet.
    pub fn end(&self) -> Offset {
        Offset(self.tail().end)
    }

    /// The end of what a reader of the files finds, which is all that was appended unless the
    /// disk refuses it.
    pub fn written(&self) -> Offset {
        let mut tail = self.tail();
        if tail.health != Health::Poisoned && tail.write().is_err() {
            tracing::debug!("the end of the log waits for room on the disk");
        }
        Offset(tail.end - tail.buffer.len() as u64)
    }

    /// The end of what a crash cannot take back.
    pub fn synced(&self) -> Offset {
        Offset(self.synced.load(Ordering::Acquire))
    }

    /// An error if nothing can be appended at the moment. After a full disk this tries again
    /// to write what waits.
    pub fn ready(&self) -> Result<()> {
        if !self.is_ill.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut tail = self.tail();
        match tail.health {
            Health::Well => Ok(()),
            Health::Stalled => tail.write(),
            Health::Poisoned => Err(self.poisoned()),
        }
    }

    /// Appends a record in memory and returns where it begins. Nothing may be acknowledged
    /// before the next [`write`](Log::write) or [`sync`](Log::sync).
    pub fn append(&self, kind: Kind, payload: &[u8]) -> Result<Offset> {
        let mut tail = self.tail();
        self.refuse_if_poisoned(&tail)?;
        self.make_room(&mut tail)?;
        let offset = self.encode(&mut tail, kind, payload)?;
        if tail.buffer.len() >= BUFFER_BYTES {
            tail.write()?;
        }
        Ok(offset)
    }

    /// Appends all of the records or, if they cannot be written, none. Returns where each
    /// begins.
    pub fn append_all<'r>(
        &self,
        records: impl IntoIterator<Item = (Kind, &'r [u8])>,
    ) -> Result<Vec<Offset>> {
        let mut tail = self.tail();
        self.refuse_if_poisoned(&tail)?;
        tail.write()?;
        self.make_room(&mut tail)?;
        let before = tail.end;
        let appended = self.write_all(&mut tail, records);
        if appended.is_err() {
            tail.cut(before);
        }
        appended
    }

    fn write_all<'r>(
        &self,
        tail: &mut Tail,
        records: impl IntoIterator<Item = (Kind, &'r [u8])>,
    ) -> Result<Vec<Offset>> {
        let mut offsets = Vec::new();
        for (kind, payload) in records {
            offsets.push(self.encode(tail, kind, payload)?);
            if tail.buffer.len() >= BUFFER_BYTES {
                tail.write()?;
            }
        }
        tail.write()?;
        Ok(offsets)
    }

    fn encode(&self, tail: &mut Tail, kind: Kind, payload: &[u8]) -> Result<Offset> {
        if payload.len() > MAX_PAYLOAD {
            return Err(Error::RecordTooLarge {
                bytes: payload.len(),
                limit: MAX_PAYLOAD,
            });
        }
        let offset = tail.end;
        let unsynced = u32::try_from(offset - self.synced().0).unwrap_or(u32::MAX);
        encode_record(&mut tail.buffer, offset, unsynced, kind, payload);
        tail.end += (RECORD_HEADER + payload.len()) as u64;
        Ok(Offset(offset))
    }

    /// Hands everything appended to the operating system: it outlives this process, not a
    /// power failure. After an error the records wait for the next call.
    pub fn write(&self) -> Result<Offset> {
        let mut tail = self.tail();
        self.refuse_if_poisoned(&tail)?;
        tail.write()?;
        Ok(Offset(tail.end))
    }

    /// Makes everything appended durable, with one sync, and returns its end.
    pub fn sync(&self) -> Result<Offset> {
        let _alone = lock(&self.syncing);
        let (file, path, end) = {
            let mut tail = self.tail();
            self.refuse_if_poisoned(&tail)?;
            tail.write()?;
            (Arc::clone(&tail.file), tail.path.clone(), tail.end)
        };
        if self.synced().0 < end {
            // Others append meanwhile. A segment that ends meanwhile is synced by whoever ends it.
            if let Err(error) = file.sync_data() {
                self.tail().turn(Health::Poisoned);
                return Err(Error::io("sync", &path)(error));
            }
            self.synced.fetch_max(end, Ordering::AcqRel);
        }
        Ok(Offset(end))
    }

    /// Syncs and begins another segment, unless the current one is empty. Everything before
    /// the returned offset lies in closed segments.
    pub fn close_segment(&self) -> Result<Offset> {
        let mut tail = self.tail();
        self.refuse_if_poisoned(&tail)?;
        self.begin_segment(&mut tail)?;
        Ok(Offset(tail.end))
    }

    /// Ends a segment that is long enough. Not within a group, which must stay in one file to
    /// be undone.
    fn make_room(&self, tail: &mut Tail) -> Result<()> {
        if tail.end - tail.base >= self.options.segment_bytes {
            self.begin_segment(tail)?;
        }
        Ok(())
    }

    fn begin_segment(&self, tail: &mut Tail) -> Result<()> {
        tail.write()?;
        if self.synced().0 < tail.end {
            let synced = tail.file.sync_data();
            if let Err(error) = synced {
                tail.turn(Health::Poisoned);
                return Err(Error::io("sync", &tail.path)(error));
            }
            self.synced.fetch_max(tail.end, Ordering::AcqRel);
        }
        if tail.end > tail.base {
            segments::create(&self.directory, tail.end)?;
            let path = segments::path_of(&self.directory, tail.end);
            tail.file = Arc::new(append_to(&path)?);
            tail.path = path;
            tail.base = tail.end;
        }
        Ok(())
    }

    /// How many bytes the segments take on disk.
    pub fn bytes(&self) -> Result<u64> {
        segments::bases(&self.directory)?
            .into_iter()
            .try_fold(0, |sum, base| {
                let path = segments::path_of(&self.directory, base);
                Ok(sum + SEGMENT_HEADER as u64 + segments::record_bytes(&path)?)
            })
    }

    /// Removes the closed segments that lie wholly below an offset; the current one stays.
    /// Returns how many were removed.
    pub fn drop_before(&self, offset: Offset) -> Result<usize> {
        let _alone = lock(&self.syncing);
        let bases = segments::bases(&self.directory)?;
        let below: Vec<u64> = bases
            .windows(2)
            .filter(|pair| pair[1] <= offset.0)
            .map(|pair| pair[0])
            .collect();
        // Oldest first, so that a crash leaves no gap.
        for base in &below {
            let path = segments::path_of(&self.directory, *base);
            fs::remove_file(&path).map_err(Error::io("remove", &path))?;
        }
        if !below.is_empty() {
            sync_directory(&self.directory)?;
        }
        Ok(below.len())
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    fn tail(&self) -> MutexGuard<'_, Tail> {
        lock(&self.tail)
    }

    fn refuse_if_poisoned(&self, tail: &Tail) -> Result<()> {
        match tail.health {
            Health::Poisoned => Err(self.poisoned()),
            Health::Well | Health::Stalled => Ok(()),
        }
    }

    fn poisoned(&self) -> Error {
        Error::LogPoisoned {
            directory: self.directory.clone(),
        }
    }

    #[cfg(test)]
    pub(super) fn replace_file(&self, file: File) {
        self.tail().file = Arc::new(file);
    }
}

impl Tail {
    fn write(&mut self) -> Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.file.as_ref().write_all(&self.buffer) {
            self.cut_file(self.end - self.buffer.len() as u64);
            return Err(Error::io("write", &self.path)(error));
        }
        self.buffer.clear();
        self.turn(Health::Well);
        Ok(())
    }

    /// Undoes appending: nothing after the offset was acknowledged.
    fn cut(&mut self, end: u64) {
        self.buffer.clear();
        self.end = end;
        self.cut_file(end);
        if self.health == Health::Stalled {
            self.turn(Health::Well);
        }
    }

    /// Takes half a write off the file. A file that cannot even be cut is in an unknown state,
    /// and only reading it again can tell, which is what opening the log does.
    fn cut_file(&mut self, end: u64) {
        let cut = self
            .file
            .set_len(SEGMENT_HEADER as u64 + end.saturating_sub(self.base));
        self.turn(match cut {
            Ok(()) if self.health != Health::Poisoned => Health::Stalled,
            _ => Health::Poisoned,
        });
    }

    fn turn(&mut self, health: Health) {
        self.health = health;
        self.is_ill.store(health != Health::Well, Ordering::Release);
    }
}

/// A lock whose holder panicked still guards a whole tail: records are encoded in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn append_to(path: &Path) -> Result<File> {
    OpenOptions::new()
        .append(true)
        .open(path)
        .map_err(Error::io("open", path))
}

/// Every segment must end where the next begins.
fn check_chain(directory: &Path, bases: &[u64]) -> Result<()> {
    for pair in bases.windows(2) {
        let cursor = Cursor::open(directory, pair[0], pair[0])?;
        // Where one with gaps ends, its reader finds out.
        let path = segments::path_of(directory, pair[0]);
        if !cursor.has_gaps() && pair[0] + segments::record_bytes(&path)? != pair[1] {
            return Err(cursor.corrupt("it does not end where the next segment begins"));
        }
    }
    Ok(())
}

/// Reads the last segment through and cuts off what a crash left unfinished.
fn recover(directory: &Path, base: u64) -> Result<(u64, Option<TornTail>)> {
    let mut cursor = Cursor::open(directory, base, base)?;
    while let Step::Record(_) = cursor.step()? {}
    let path = segments::path_of(directory, base);
    let length = SEGMENT_HEADER as u64 + segments::record_bytes(&path)?;
    let position = cursor.position();
    if length == position {
        return Ok((cursor.offset(), None));
    }
    match judge(directory, &mut cursor, None)? {
        Verdict::Whole => return Err(cursor.corrupt("another process is writing it")),
        Verdict::Torn => {}
    }
    let file = OpenOptions::new()
        .write(true)
        .open(&path)
        .map_err(Error::io("open", &path))?;
    file.set_len(position)
        .and_then(|()| file.sync_all())
        .map_err(Error::io("truncate", &path))?;
    let torn = TornTail {
        file: path,
        position,
        bytes: length - position,
    };
    tracing::warn!(file = %torn.file.display(), position, bytes = torn.bytes, "cut an unfinished record off the log");
    Ok((cursor.offset(), Some(torn)))
}
