//! Taking events and written values in, from whichever door: checked, then handed to
//! `group_commit`. All or nothing: a bad row refuses the request.

use granary_pipelines::source::{IpcError, ipc_rows};
use granary_pipelines::{Event, Origin, ValueWrite};
use granary_storage::Offset;
use serde_json::value::RawValue;

use super::Service;
use super::answer::{Place, Receipt};
use super::check::{Checked, Gate};
use super::error::ServiceError;
use super::group_commit::{Records, Wanted, Written, lock, unwritten};
use super::value_change::{Outcome, ValueChange};
use super::writable::CheckedValues;

/// One of a client's writes, each with an answer of its own.
#[derive(Debug)]
pub enum Submission {
    /// An event.
    Event(Checked),
    /// A change of values.
    Values(ValueChange),
}

/// What became of one that is durable.
#[derive(Clone, Debug, PartialEq)]
pub enum Logged {
    /// Where an event stands.
    Event(Place),
    /// What a change of values did.
    Values(Outcome),
}

impl Service {
    /// Logs events, given as JSON objects, folds them in, and returns once they are durable.
    /// All or nothing: a bad event refuses the request. Blocks for a disk sync.
    pub fn ingest(
        &self,
        source: Option<&str>,
        events: &[&RawValue],
    ) -> Result<Receipt, ServiceError> {
        let gate = self.gate(source)?;
        let check =
            |(index, event): (usize, &&RawValue)| gate.json(event).map_err(|fault| fault.at(index));
        let events = events.iter().enumerate().map(check);
        self.ingest_checked(events.collect::<Result<_, _>>()?)
    }

    /// The same for the rows of an Arrow IPC stream or file.
    pub fn ingest_ipc(
        &self,
        source: Option<&str>,
        bytes: Vec<u8>,
    ) -> Result<Receipt, ServiceError> {
        let gate = self.gate(source)?;
        let definition = self.inner.definition();
        let source = definition.registry.source(gate.source());
        let source = source.ok_or_else(|| {
            ServiceError::Busy("the registry has just changed; send the events again".to_owned())
        })?;
        let rows = ipc_rows(bytes, source).map_err(|error| refuse_ipc(&gate, &error))?;
        let check = |(index, row)| gate.finish(row).map_err(|fault| fault.at(index));
        let events = rows.into_iter().enumerate().map(check);
        self.ingest_checked(events.collect::<Result<_, _>>()?)
    }

    /// Each by itself, with one sync for all that need none of the others. Blocks for it.
    pub fn submit_each(&self, submissions: Vec<Submission>) -> Vec<Result<Logged, ServiceError>> {
        let mut counts = Vec::new();
        let mut lists: Vec<(Records, Vec<Vec<u8>>)> = Vec::new();
        for submission in submissions {
            match (submission, lists.last_mut()) {
                // Events of one source in a row are one request.
                (Submission::Event(Checked(event)), Some((Records::Events(run), _)))
                    if run[0].source == event.source =>
                {
                    run.push(event);
                    *counts.last_mut().unwrap_or(&mut 0) += 1;
                    continue;
                }
                (Submission::Event(Checked(event)), _) => {
                    lists.push((Records::Events(vec![event]), Vec::new()));
                }
                (Submission::Values(change), _) => {
                    lists.push((Records::of_change(change), Vec::new()));
                }
            }
            counts.push(1);
        }
        let written = self.inner.submit(lists, Wanted::Each);
        let each = written.into_iter().zip(counts).flat_map(|(run, count)| {
            match run.and_then(|written| written.folded.map(|_| written.each)) {
                Ok(each) => each.into_iter().map(Ok).collect::<Vec<_>>(),
                Err(error) if count == 1 => vec![Err(error)],
                Err(error) => (0..count).map(|_| Err(error.again())).collect(),
            }
        });
        each.collect()
    }

    /// Logs values of entities, takes them in, and returns once they are durable. Blocks for a
    /// disk sync.
    pub fn write_values(&self, writes: Vec<CheckedValues>) -> Result<u64, ServiceError> {
        let writes: Vec<ValueWrite> = writes
            .into_iter()
            .map(|CheckedValues(write)| write)
            .collect();
        if writes.is_empty() {
            return Ok(0);
        }
        let written = self.one(Records::Writes(writes), Vec::new())?;
        written.folded.map(|receipt| receipt.accepted)
    }

    /// Events of one source, each with the place in the file that it was read from. On an
    /// error none was logged.
    pub fn ingest_from(&self, events: Vec<(Checked, Origin)>) -> Result<(), ServiceError> {
        let payload = |(Checked(event), origin): &(Checked, Origin)| event.encode_from(origin);
        let payloads = events.iter().map(payload).collect();
        let events = events.into_iter().map(|(Checked(event), _)| event);
        let written = self.one(Records::Events(events.collect()), payloads)?;
        if let Err(error) = written.folded {
            tracing::error!(%error, "events are logged, and will count after the next push");
        }
        Ok(())
    }

    fn ingest_checked(&self, events: Vec<Checked>) -> Result<Receipt, ServiceError> {
        if events.is_empty() {
            return Ok(Receipt::default());
        }
        let events: Vec<Event> = events.into_iter().map(|Checked(event)| event).collect();
        self.one(Records::Events(events), Vec::new())?.folded
    }

    fn one(&self, records: Records, payloads: Vec<Vec<u8>>) -> Result<Written, ServiceError> {
        let mut written = self.inner.submit(vec![(records, payloads)], Wanted::All);
        written.pop().unwrap_or_else(|| Err(unwritten()))
    }

    /// Seals the log's segment: everything before the offset is in closed ones.
    pub fn close_segment(&self) -> Result<Offset, ServiceError> {
        Ok(self.inner.log.close_segment()?)
    }

    /// The end of what the rows include: nothing is between log and rows, and a reader of the
    /// log finds all of it.
    pub(super) fn log_end(&self) -> Offset {
        let _writer = lock(&self.inner.writer);
        self.inner.log.written()
    }
}

fn refuse_ipc(gate: &Gate, error: &IpcError) -> ServiceError {
    let field = match error {
        IpcError::Malformed(_) | IpcError::TooMuch(_) => "body".to_owned(),
        IpcError::UnknownColumn { column } => return gate.unknown(column).into(),
        IpcError::Twice { column } | IpcError::ColumnType { column, .. } => column.clone(),
        IpcError::Cell { row, column, .. } => format!("events[{row}].{column}"),
    };
    ServiceError::BadInput {
        field,
        reason: error.to_string(),
    }
}
