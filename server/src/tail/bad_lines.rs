//! Lines that are no events: written down with their place and reason, and told once a burst.
//! Called by `tail`, before it goes on behind them.

use std::io::Write;

use granary_storage::DataDir;
use serde::Serialize;

use super::lines::Refusal;
use crate::service::{Service, ServiceError};

/// The side file, within the directory of skipped rows.
const FILE: &str = "tails.jsonl";

/// Most of a line that is written down.
const SHOWN: usize = 64 << 10;

/// The bad lines of all tails.
pub(super) struct BadLines {
    service: Service,
    data: DataDir,
    pending: Vec<u8>,
}

/// A bad line and where it stood.
pub(super) struct BadLine<'a> {
    pub(super) source: &'a str,
    pub(super) file: &'a str,
    pub(super) inode: u64,
    /// Where it begins.
    pub(super) offset: u64,
    pub(super) refusal: &'a Refusal,
    pub(super) raw: &'a [u8],
}

#[derive(Serialize)]
struct SideLine<'a> {
    source: &'a str,
    file: &'a str,
    inode: u64,
    offset: u64,
    column: Option<&'a str>,
    reason: &'a str,
    raw: &'a str,
}

impl BadLines {
    pub(super) fn open(service: &Service, data: &DataDir) -> granary_storage::Result<BadLines> {
        data.bad_rows_log(FILE)?;
        Ok(BadLines {
            service: service.clone(),
            data: data.clone(),
            pending: Vec::new(),
        })
    }

    /// Notes a line; `keep` writes it.
    pub(super) fn note(&mut self, line: &BadLine<'_>) -> Result<(), ServiceError> {
        let raw = String::from_utf8_lossy(&line.raw[..line.raw.len().min(SHOWN)]);
        let side = SideLine {
            source: line.source,
            file: line.file,
            inode: line.inode,
            offset: line.offset,
            column: line.refusal.column.as_deref(),
            reason: &line.refusal.reason,
            raw: &raw,
        };
        serde_json::to_writer(&mut self.pending, &side).map_err(failed)?;
        self.pending.push(b'\n');
        Ok(())
    }

    /// Makes what was noted durable.
    pub(super) fn keep(&mut self) -> Result<(), ServiceError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let alone = self.service.skipping();
        // Opened anew: an erasure may have put another file in the place of the one before.
        let mut file = self.data.bad_rows_log(FILE)?;
        // One write, so that a crash leaves at most the last line unfinished.
        let written = file.write_all(&self.pending);
        written.and_then(|()| file.sync_data()).map_err(failed)?;
        drop(alone);

        self.forget();
        Ok(())
    }

    /// Drops what was noted: the lines are read again.
    pub(super) fn forget(&mut self) {
        self.pending = Vec::new();
    }
}

fn failed(error: impl std::fmt::Display) -> ServiceError {
    ServiceError::Internal(format!("write bad_rows/{FILE}: {error}"))
}
