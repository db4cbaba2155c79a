//! One tailed file: its lines to events and bad lines, with their places. Called by `tail`.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use granary_pipelines::{FileMark, Origin};

use super::TailSpec;
use super::bad_lines::{BadLine, BadLines};
use super::follow::{Follower, Found, HEAD, LONGEST};
use super::lines::{self, Form, Refusal};
use crate::service::{Checked, Origins, Service, ServiceError};

/// A file and the source of its lines.
pub(super) struct Tail {
    pub(super) name: Arc<str>,
    source: String,
    pub(super) path: String,
    form: Form,
    pub(super) follower: Follower,
    /// A chunk that was not taken, though its bad lines are written down.
    pub(super) told: Option<Range<u64>>,
    /// Bad lines in a row, and failures in a row, are told once.
    pub(super) bad_burst: bool,
    pub(super) failing: bool,
}

/// What a chunk holds.
pub(super) struct Chunk {
    pub(super) events: Vec<(Checked, Origin)>,
    pub(super) lines: u64,
    pub(super) bad: u64,
    pub(super) first_bad: Option<Refusal>,
}

impl Tail {
    pub(super) fn new(spec: &TailSpec, origins: &Origins) -> Tail {
        let path = spec.path.display().to_string();
        let name: Arc<str> = format!("{}={path}", spec.source).into();
        let csv = Path::new(&path)
            .extension()
            .is_some_and(|ending| ending == "csv");
        let resume = origins.get(&name);
        let resume = resume.map(|origin| (origin.file, origin.next));
        Tail {
            follower: Follower::new(spec.path.clone(), resume),
            form: if csv { Form::Csv } else { Form::Json },
            source: spec.source.clone(),
            name,
            path,
            told: None,
            bad_burst: false,
            failing: false,
        }
    }

    /// Looks for whole lines, which then stand in the buffer.
    pub(super) fn look(&mut self, buffer: &mut Vec<u8>) -> Result<Found, ServiceError> {
        let found = self.follower.look(buffer);
        found.map_err(|error| ServiceError::Internal(format!("read {}: {error}", self.path)))
    }

    /// The events of a chunk; what is none is noted among the bad lines.
    pub(super) fn read(
        &self,
        service: &Service,
        buffer: &[u8],
        found: &Found,
        bad: &mut BadLines,
    ) -> Result<Chunk, ServiceError> {
        let gate = service.gate(Some(&self.source))?;
        let whole = self.follower.mark(u64::MAX);
        let mut chunk = Chunk {
            events: Vec::new(),
            lines: 0,
            bad: 0,
            first_bad: None,
        };
        let first = self.follower.offset();
        let mut begin = 0;
        if self.follower.is_within_line() {
            begin = memchr::memchr(b'\n', buffer).map_or(buffer.len(), |end| end + 1);
        }
        while begin < buffer.len() {
            let end = memchr::memchr(b'\n', &buffer[begin..]);
            let end = end.map_or(buffer.len(), |end| begin + end);
            let line = &buffer[begin..end];
            let offset = first + begin as u64;
            begin = end + 1;
            let header = self.form == Form::Csv && offset == 0;
            if header || line.trim_ascii().is_empty() {
                continue;
            }
            chunk.lines += 1;
            let event = match found {
                Found::TooLong => Err(Refusal::line(format!("longer than {LONGEST} bytes"))),
                _ => lines::event(self.form, self.follower.first_line(), line, &gate),
            };
            match event {
                Ok(event) => {
                    let next = first + begin.min(buffer.len()) as u64;
                    chunk.events.push((event, self.origin(next, whole)));
                }
                Err(refusal) => {
                    if !self.is_told(offset) {
                        bad.note(&BadLine {
                            source: &self.source,
                            file: &self.path,
                            inode: whole.inode,
                            offset,
                            refusal: &refusal,
                            raw: line,
                        })?;
                    }
                    chunk.bad += 1;
                    chunk.first_bad.get_or_insert(refusal);
                }
            }
        }
        Ok(chunk)
    }

    /// Whether a bad line at an offset is written down since an attempt that failed.
    fn is_told(&self, offset: u64) -> bool {
        let begin = self.follower.offset();
        let told = self.told.as_ref().filter(|told| told.start == begin);
        told.is_some_and(|told| told.contains(&offset))
    }

    /// What the log shall say of a line that ends before `next`; `whole` is the file's mark
    /// once its head is read.
    fn origin(&self, next: u64, whole: FileMark) -> Origin {
        let file = if next < HEAD as u64 {
            self.follower.mark(next)
        } else {
            whole
        };
        Origin {
            tail: self.name.clone(),
            file,
            next,
        }
    }
}
