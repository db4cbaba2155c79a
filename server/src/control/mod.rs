//! How commands talk to a running server: JSON lines over a Unix socket in the data
//! directory, readable by its owner alone. One request a connection; the server prints
//! progress until it is done.

mod client; // the side of the command
mod listener; // the side of the server
mod verify; // answers for a verification

pub use client::{Connection, connect};
pub use listener::{ControlListener, get, predict};
pub use verify::{Moment, keys, moment, served};

use std::path::PathBuf;

use granary_registry::EventTime;
use serde::{Deserialize, Serialize};

use crate::service::PushRequest;

/// What a command asks of the server.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Load the newest versions.
    Push(PushRequest),
    /// Close the log's segment, so that a build can read all of it.
    CloseSegment,
    /// Serve the newest version of the model.
    ReloadModel,
    /// Let in whoever shows one of the keys of now.
    ReloadKeys,
    /// One entity's features.
    Get {
        /// Its key.
        key: String,
        /// Names; none means all.
        features: Vec<String>,
        /// Microseconds; none means now.
        as_of: Option<i64>,
    },
    /// One entity's churn probability.
    Predict {
        /// Its key.
        key: String,
    },
    /// Erase an entity.
    DeleteEntity {
        /// Its key.
        key: String,
    },
    /// Write everything into one file.
    Backup {
        /// The file, by its absolute path.
        file: PathBuf,
    },
    /// Why it is not ready; nothing if it is.
    Ready,
    /// What is now, and how far the log reaches.
    Moment,
    /// Keys of entities in order.
    Keys {
        /// Those after this one.
        after: Option<String>,
        /// At most so many.
        limit: usize,
    },
    /// Answers as lines of the serving log.
    Served {
        /// Keys, each with instants in microseconds; none means now.
        entities: Vec<(String, Vec<Option<i64>>)>,
    },
}

/// A line of the server's answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Line {
    /// A stage begins.
    Begin {
        /// What it works on.
        what: String,
        /// Rows ahead, where known.
        rows: Option<u64>,
    },
    /// So many more rows are done.
    Rows {
        /// How many.
        rows: u64,
    },
    /// The last line: what came of it.
    Done {
        /// In the shape of the command.
        result: serde_json::Value,
    },
    /// The last line: why nothing came of it.
    Failed {
        /// For the person at the terminal.
        message: String,
    },
}

/// An optional instant as the protocol carries it.
pub fn instant(micros: Option<i64>) -> Option<EventTime> {
    micros.map(EventTime)
}
