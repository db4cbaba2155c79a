//! Events of one client that came together: each is checked when it is read, all are logged
//! with one sync, and each gets its own answer. Filled by `connection`.

use super::Reply;
use super::command::StreamCommand;
use super::execute::refuse;
use crate::service::{Checked, Gate, Service};

/// Most events of a batch, so that a long pipeline is answered on its way.
const MOST_EVENTS: usize = 1024;

/// Most bytes of their requests, of which each becomes a few in memory.
const MOST_BYTES: usize = 1 << 20;

/// Longest event. Its record in the log is at most twice as long, which is within a record's
/// bound.
const LONGEST: usize = 16 << 20;

/// Events that wait to be logged.
#[derive(Default)]
pub(super) struct Batch {
    /// The gate of the stream that the latest event went to.
    gate: Option<(Vec<u8>, Gate)>,
    events: Vec<Checked>,
    /// In the order of the requests; none where the answer is that of the next event.
    answers: Vec<Option<Reply>>,
    bytes: usize,
}

impl Batch {
    /// Checks an event, whose request has this length, and takes it or its refusal in.
    pub(super) fn add(&mut self, command: &StreamCommand<'_>, length: usize, service: &Service) {
        self.bytes += length;
        let answer = match self.check(command, length, service) {
            Ok(event) => {
                self.events.push(event);
                None
            }
            Err(refusal) => Some(refusal),
        };
        self.answers.push(answer);
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }

    /// Whether it should be logged before more is taken in.
    pub(super) fn is_full(&self) -> bool {
        self.answers.len() >= MOST_EVENTS || self.bytes >= MOST_BYTES
    }

    /// Logs all events and answers every request. Blocks for a disk sync.
    pub(super) fn log(self, service: &Service) -> Vec<Reply> {
        let mut logged = service.ingest_each(self.events).into_iter();
        let mut answer = || match logged.next() {
            Some(Ok(place)) => Reply::Text(place.to_string()),
            Some(Err(error)) => refuse(&error),
            None => Reply::Error("ERR the event was not logged; send it again".to_owned()),
        };
        let answers = self.answers.into_iter();
        answers
            .map(|held| held.unwrap_or_else(&mut answer))
            .collect()
    }

    fn check(
        &mut self,
        command: &StreamCommand<'_>,
        length: usize,
        service: &Service,
    ) -> Result<Checked, Reply> {
        if length > LONGEST {
            let message = format!("ERR an event may have {LONGEST} bytes, this one has {length}");
            return Err(Reply::Error(message));
        }
        let gate = match &self.gate {
            Some((key, gate)) if key == command.key => gate,
            _ => {
                let gate = open(command, service)?;
                &self.gate.insert((command.key.to_vec(), gate)).1
            }
        };
        gate.text(command.pairs())
            .map_err(|fault| refuse(&fault.into()))
    }
}

fn open(command: &StreamCommand<'_>, service: &Service) -> Result<Gate, Reply> {
    let name = String::from_utf8_lossy(command.key);
    service.stream(&name).ok_or_else(|| {
        if command.no_create {
            return Reply::Null;
        }
        let known = service.streams().join("`, `");
        Reply::Error(format!(
            "ERR there is no stream `{name}`; events go to `{known}`"
        ))
    })
}
