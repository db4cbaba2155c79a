//! The command's side of the control socket.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;

use granary_pipelines::Progress;
use granary_storage::DataDir;
use serde::de::DeserializeOwned;

use super::{Line, Request};

/// A connection to the server that owns a data directory.
pub struct Connection {
    stream: UnixStream,
}

/// Connects, if a server is running on this data directory. A socket that nobody listens on
/// was left behind by a server that was killed.
pub fn connect(data: &DataDir) -> anyhow::Result<Option<Connection>> {
    match UnixStream::connect(data.socket()) {
        Ok(stream) => Ok(Some(Connection { stream })),
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::ConnectionRefused
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(anyhow::anyhow!(
            "connect to {}: {error}",
            data.socket().display()
        )),
    }
}

impl Connection {
    /// Asks, passes progress on, and gives back the result.
    pub fn ask<T: DeserializeOwned>(
        mut self,
        request: &Request,
        progress: &dyn Fn(Progress<'_>),
    ) -> anyhow::Result<T> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        self.stream.write_all(&line)?;
        for line in BufReader::new(&self.stream).lines() {
            match serde_json::from_str(&line?)? {
                Line::Begin { what, rows } => progress(Progress::Begin { what: &what, rows }),
                Line::Rows { rows } => progress(Progress::Rows(rows)),
                Line::Done { result } => return Ok(serde_json::from_value(result)?),
                Line::Failed { message } => anyhow::bail!("{message}"),
            }
        }
        anyhow::bail!("the server ended before it answered; see its output")
    }
}
