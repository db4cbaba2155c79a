//! Taking events in, log first: append, one sync for a group, fold in memory, acknowledge.
//! No reader sees an event that a crash could take back; every reader sees an acknowledged one.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::sync::mpsc;

use granary_pipelines::source::{IpcError, ipc_rows};
use granary_pipelines::{Event, Origin, Streamed, fold_events};
use granary_registry::{EventTime, Value};
use granary_storage::{Kind, Log, MAX_PAYLOAD, Offset};
use serde_json::value::RawValue;

use super::answer::{Place, Receipt};
use super::check::{Checked, Gate};
use super::error::ServiceError;
use super::rows::StagedRows;
use super::{Inner, Service};

/// Memory that changed rows may take before writers wait for a flush.
pub(super) const MOST_STAGED: usize = 512 << 20;

/// What only one thread at a time may touch.
pub(super) struct Writer {
    /// The instant of the newest event logged.
    pub(super) newest: EventTime,
}

/// Events of one source, waiting for their turn.
pub(super) struct Request {
    events: Vec<Event>,
    payloads: Vec<Vec<u8>>,
    wants_places: bool,
    answer: mpsc::Sender<Result<Written, ServiceError>>,
}

/// What became of a request's events, which are durable.
#[derive(Debug)]
pub(super) struct Written {
    folded: Result<Receipt, ServiceError>,
    /// Of each event, if they were wanted.
    places: Vec<Place>,
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

    /// Each of the events by itself, with one sync for all. Blocks for it.
    pub fn ingest_each(&self, events: Vec<Checked>) -> Vec<Result<Place, ServiceError>> {
        let mut counts = Vec::new();
        let mut waiting = Vec::new();
        let mut events = events.into_iter().map(|Checked(event)| event).peekable();
        while let Some(first) = events.next() {
            let source = first.source.clone();
            let mut run = vec![first];
            while let Some(event) = events.next_if(|event| event.source == source) {
                run.push(event);
            }
            counts.push(run.len());
            let payloads = run.iter().map(Event::encode).collect();
            waiting.push((run, payloads));
        }
        let written = self.inner.submit(waiting, true);
        let each = written.into_iter().zip(counts).flat_map(|(run, count)| {
            let places = run.and_then(|written| written.folded.map(|_| written.places));
            match places {
                Ok(places) => places.into_iter().map(Ok).collect::<Vec<_>>(),
                Err(error) => (0..count).map(|_| Err(error.again())).collect(),
            }
        });
        each.collect()
    }

    /// Events of one source, each with the place in the file that it was read from. On an
    /// error none was logged.
    pub fn ingest_from(&self, events: Vec<(Checked, Origin)>) -> Result<(), ServiceError> {
        let payload = |(Checked(event), origin): &(Checked, Origin)| event.encode_from(origin);
        let payloads = events.iter().map(payload).collect();
        let events = events.into_iter().map(|(Checked(event), _)| event);
        let mut written = self.inner.submit(vec![(events.collect(), payloads)], false);
        let written = written.pop().unwrap_or_else(|| Err(unwritten()))?;
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
        let payloads = events.iter().map(Event::encode).collect();
        let mut written = self.inner.submit(vec![(events, payloads)], false);
        let written = written.pop().unwrap_or_else(|| Err(unwritten()));
        written.and_then(|written| written.folded)
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

fn unwritten() -> ServiceError {
    ServiceError::Internal("the group of this request was not written".to_owned())
}

impl Inner {
    /// Queues events with the bytes they are logged as, and waits until they are durable. Each
    /// list has one source. The queue is as long as there are threads waiting here, and what
    /// they hold is bounded by their doors.
    pub(super) fn submit(
        &self,
        lists: Vec<(Vec<Event>, Vec<Vec<u8>>)>,
        wants_places: bool,
    ) -> Vec<Result<Written, ServiceError>> {
        let mut answers = Vec::with_capacity(lists.len());
        let mut requests = Vec::with_capacity(lists.len());
        for (events, payloads) in lists {
            let (answer, answered) = mpsc::channel();
            answers.push(answered);
            // Found out while appending, it would take the others of the group along.
            if let Some(index) = payloads.iter().position(|bytes| bytes.len() > MAX_PAYLOAD) {
                let field = format!("events[{index}]");
                let reason = format!("takes more than {MAX_PAYLOAD} bytes");
                let _ = answer.send(Err(ServiceError::BadInput { field, reason }));
                continue;
            }
            requests.push(Request {
                events,
                payloads,
                wants_places,
                answer,
            });
        }
        lock(&self.waiting).extend(requests);
        // Whoever gets the writer first takes everyone's events along: the wait for a sync
        // is what gathers the next group.
        {
            let mut writer = lock(&self.writer);
            let group = std::mem::take(&mut *lock(&self.waiting));
            if !group.is_empty() {
                self.write_group(&mut writer, group);
            }
        }
        let wait =
            |answered: mpsc::Receiver<_>| answered.recv().unwrap_or_else(|_| Err(unwritten()));
        answers.into_iter().map(wait).collect()
    }

    /// Appends every request's events, syncs once, folds them in the log's order, answers.
    fn write_group(&self, writer: &mut Writer, group: Vec<Request>) {
        let logged = append(&self.log, &group);
        let offsets = match logged {
            Ok(offsets) => offsets,
            Err(error) => {
                let reason = error.to_string();
                tracing::error!(error = %reason, "events were not logged");
                for request in group {
                    let _ = request
                        .answer
                        .send(Err(ServiceError::Internal(reason.clone())));
                }
                return;
            }
        };
        let end = self.log.end();
        self.logged.append(end);
        for (request, offsets) in group.into_iter().zip(offsets) {
            let places = match request.wants_places {
                true => self.places(writer, &request.events, &offsets),
                false => Vec::new(),
            };
            let folded = self.fold(&request.events, &offsets);
            let folded = folded.map(|streamed| {
                let accepted = request.events.len() as u64;
                self.counters
                    .accepted
                    .fetch_add(accepted, Ordering::Relaxed);
                self.counters
                    .duplicates
                    .fetch_add(streamed.duplicates, Ordering::Relaxed);
                self.counters
                    .late
                    .fetch_add(streamed.late, Ordering::Relaxed);
                Receipt {
                    accepted,
                    duplicates: streamed.duplicates,
                    late: streamed.late,
                }
            });
            if let Some(&last) = offsets.last() {
                self.logged.fold(Offset(last));
            }
            // A client that went away needs no answer; its events are in the log.
            let _ = request.answer.send(Ok(Written { folded, places }));
        }
        self.logged.fold(end);
        self.hold_back();
    }

    /// The places of logged events, whose positions are one past their offsets.
    fn places(&self, writer: &mut Writer, events: &[Event], positions: &[u64]) -> Vec<Place> {
        let definition = self.definition();
        let source = events
            .first()
            .and_then(|event| definition.registry.source(&event.source));
        let time = source.and_then(|source| source.event_time.as_deref());
        let place = |(event, position): (&Event, &u64)| {
            if let Value::Timestamp(time) = event.field(time.unwrap_or_default()) {
                writer.newest = writer.newest.max(*time);
            }
            Place {
                millis: u64::try_from(writer.newest.0 / 1_000).unwrap_or(0),
                offset: position - 1,
            }
        };
        events.iter().zip(positions).map(place).collect()
    }

    /// A flush that lags holds writers back: past the bound they wait for it, and then for one
    /// of their own.
    pub(super) fn hold_back(&self) {
        if self.store.staged_bytes() > MOST_STAGED {
            self.store.await_flush();
        }
        if self.store.staged_bytes() > MOST_STAGED {
            let flush = self
                .store
                .begin_flush(self.log.written(), self.data_clock());
            if let Err(error) = flush.commit(|| self.log.sync().map(|_| ())) {
                tracing::error!(%error, "changed rows were not flushed; they are in the log");
            }
        }
    }

    /// Takes logged events into the rows that are served. Before the first push there are
    /// none; the events then count from the next build on.
    fn fold(&self, events: &[Event], positions: &[u64]) -> Result<Streamed, ServiceError> {
        let (Some(generation), Some(first)) = (self.generation(), events.first()) else {
            return Ok(Streamed::default());
        };
        let mut rows = StagedRows::new(&self.store, &generation);
        let streamed = fold_events(
            &generation.serving,
            &first.source,
            events,
            positions,
            &mut rows,
        )?;
        if let Some(newest) = streamed.newest {
            self.advance_clock(EventTime(newest.saturating_add(1)));
        }
        Ok(streamed)
    }
}

/// One sync for all requests of a group. Gives back the positions of their events.
fn append(log: &Log, group: &[Request]) -> granary_storage::Result<Vec<Vec<u64>>> {
    let payloads = group.iter().flat_map(|request| &request.payloads);
    let records = payloads.map(|payload| (Kind::Event, payload.as_slice()));
    let mut offsets = log.append_all(records)?.into_iter();
    log.sync()?;
    let mut positions = |request: &Request| {
        let offsets = offsets.by_ref().take(request.payloads.len());
        offsets.map(|offset| offset.0 + 1).collect()
    };
    Ok(group.iter().map(&mut positions).collect())
}

/// A lock whose holder panicked still guards whole data: every change is made in one step.
pub(super) fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
