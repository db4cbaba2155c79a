//! Events and written values of one client that came together: each is checked when it is read,
//! all are logged with one sync, and each gets its own answer. Filled by `connection`.

use std::sync::Arc;

use super::Reply;
use super::command::hash_write::HashChange;
use super::command::{HashWrite, StreamCommand};
use super::execute::{refuse, values};
use crate::service::access::Sight;
use crate::service::{Catalog, Checked, Gate, Logged, Service, Submission, ValueGate};

/// Most requests of a batch, so that a long pipeline is answered on its way.
const MOST_EVENTS: usize = 1024;

/// Most bytes of their requests, of which each becomes a few in memory.
const MOST_BYTES: usize = 1 << 20;

/// Longest event. Its record in the log is at most twice as long, which is within a record's
/// bound.
const LONGEST: usize = 16 << 20;

/// What waits to be logged.
#[derive(Default)]
pub(super) struct Batch {
    /// The gate of the stream that the latest event went to.
    gate: Option<(Vec<u8>, Gate)>,
    /// The gate of written values.
    values: Option<ValueGate>,
    submissions: Vec<Submission>,
    /// In the order of the requests.
    answers: Vec<Answer>,
    bytes: usize,
}

/// Where the answer to a request comes from.
enum Answer {
    /// It was refused.
    Refused(Reply),
    /// From the next event that was logged.
    Place,
    /// From the next change of values.
    Values(values::Form),
}

impl Batch {
    /// Checks an event, whose request has this length, and takes it or its refusal in.
    pub(super) fn add(&mut self, command: &StreamCommand<'_>, length: usize, service: &Service) {
        self.bytes += length;
        let answer = match self.check(command, length, service) {
            Ok(event) => {
                self.submissions.push(Submission::Event(event));
                Answer::Place
            }
            Err(refusal) => Answer::Refused(refusal),
        };
        self.answers.push(answer);
    }

    /// The same for a change of an entity's values; `sight` is what its client may see.
    pub(super) fn add_values(
        &mut self,
        command: &HashWrite<'_>,
        length: usize,
        (service, catalog): (&Service, &Catalog),
        sight: Option<&Arc<Sight>>,
    ) {
        self.bytes += length;
        let answer = match self.check_values(command, length, (service, catalog), sight) {
            Ok((change, form)) => {
                self.submissions.push(change);
                Answer::Values(form)
            }
            Err(refusal) => Answer::Refused(refusal),
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

    /// Logs everything and answers every request. Blocks for a disk sync.
    pub(super) fn log(self, service: &Service) -> Vec<Reply> {
        let mut logged = service.submit_each(self.submissions).into_iter();
        let mut answer = |form: Option<values::Form>| match logged.next() {
            Some(Ok(Logged::Event(place))) => Reply::Text(place.to_string()),
            Some(Ok(Logged::Values(outcome))) => match form {
                Some(form) => values::reply(form, outcome),
                None => Reply::Null,
            },
            Some(Err(error)) => refuse(&error),
            None => Reply::Error("ERR the request was not logged; send it again".to_owned()),
        };
        let answers = self.answers.into_iter();
        answers
            .map(|held| match held {
                Answer::Refused(reply) => reply,
                Answer::Place => answer(None),
                Answer::Values(form) => answer(Some(form)),
            })
            .collect()
    }

    fn check(
        &mut self,
        command: &StreamCommand<'_>,
        length: usize,
        service: &Service,
    ) -> Result<Checked, Reply> {
        check_length(length)?;
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

    fn check_values(
        &mut self,
        command: &HashWrite<'_>,
        length: usize,
        (service, catalog): (&Service, &Catalog),
        sight: Option<&Arc<Sight>>,
    ) -> Result<(Submission, values::Form), Reply> {
        check_length(length)?;
        let gate = match &mut self.values {
            Some(gate) => gate,
            none => none.insert(service.value_gate().map_err(|error| refuse(&error))?),
        };
        let (change, form) = values::change(command, gate, catalog, sight)?;
        Ok((Submission::Values(change), form))
    }
}

/// Whether a change of a hash is one that entities' values can take; others are refused
/// elsewhere.
pub(super) fn is_of_values(change: &HashChange<'_>) -> bool {
    matches!(
        change,
        HashChange::Set { .. }
            | HashChange::SetNew { .. }
            | HashChange::Add { .. }
            | HashChange::AddFloat { .. }
    )
}

fn check_length(length: usize) -> Result<(), Reply> {
    if length <= LONGEST {
        return Ok(());
    }
    let message = format!("ERR a write may have {LONGEST} bytes, this one has {length}");
    Err(Reply::Error(message))
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
