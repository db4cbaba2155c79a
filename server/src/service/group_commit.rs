//! What was checked goes into the log and the rows: append, one sync for everyone who waits, fold
//! in memory, acknowledge. No reader sees a record that a crash could take back; every reader sees
//! an acknowledged one. Called by `ingest`.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::sync::mpsc;

use granary_pipelines::{Event, Streamed, ValueWrite, fold_events, fold_writes};
use granary_registry::{EventTime, Value};
use granary_storage::{Kind, Log, MAX_PAYLOAD, Offset};

use super::Inner;
use super::answer::{Place, Receipt};
use super::error::ServiceError;
use super::ingest::Logged;
use super::rows::StagedRows;
use super::value_change::{Change, Computed, Outcome, ValueChange};

/// Memory that changed rows may take before writers wait for a flush.
pub(super) const MOST_STAGED: usize = 512 << 20;

/// What only one thread at a time may touch.
pub(super) struct Writer {
    /// The instant of the newest event logged.
    pub(super) newest: EventTime,
}

/// What a request wants logged.
pub(super) enum Records {
    /// Events of one source.
    Events(Vec<Event>),
    /// Values of entities.
    Writes(Vec<ValueWrite>),
    /// A value that must be worked out first.
    Computed(Box<Computed>),
}

/// What a request wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// How many there were.
    All,
    /// What became of each.
    Each,
}

/// A request that waits for its turn.
pub(super) struct Request {
    records: Records,
    payloads: Vec<Vec<u8>>,
    wanted: Wanted,
    answer: mpsc::Sender<Result<Written, ServiceError>>,
}

/// What became of a request's records, which are durable.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) folded: Result<Receipt, ServiceError>,
    /// What became of each, if that was wanted.
    pub(super) each: Vec<Logged>,
}

impl Records {
    /// Those of a change of values.
    pub(super) fn of_change(ValueChange(change): ValueChange) -> Records {
        match change {
            Change::Set(write) => Records::Writes(vec![write]),
            Change::Compute(computed) => Records::Computed(computed),
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Records::Events(_) => Kind::Event,
            Records::Writes(_) | Records::Computed(_) => Kind::Value,
        }
    }

    fn payloads(&self) -> Vec<Vec<u8>> {
        match self {
            Records::Events(events) => events.iter().map(Event::encode).collect(),
            Records::Writes(writes) => writes.iter().map(ValueWrite::encode).collect(),
            Records::Computed(_) => Vec::new(),
        }
    }
}

/// The refusal of a request that the writer left out.
pub(super) fn unwritten() -> ServiceError {
    ServiceError::Internal("the group of this request was not written".to_owned())
}

impl Inner {
    /// Queues records, with the bytes they are logged as unless those are their own, and waits
    /// until they are durable. The queue is as long as there are threads waiting here, and what
    /// they hold is bounded by their doors.
    pub(super) fn submit(
        &self,
        lists: Vec<(Records, Vec<Vec<u8>>)>,
        wanted: Wanted,
    ) -> Vec<Result<Written, ServiceError>> {
        let mut answers = Vec::with_capacity(lists.len());
        let mut requests = Vec::with_capacity(lists.len());
        for (records, mut payloads) in lists {
            let (answer, answered) = mpsc::channel();
            answers.push(answered);
            if payloads.is_empty() {
                payloads = records.payloads();
            }
            // Found out while appending, it would take the others of the group along.
            if let Some(index) = payloads.iter().position(|bytes| bytes.len() > MAX_PAYLOAD) {
                let field = format!("events[{index}]");
                let reason = format!("takes more than {MAX_PAYLOAD} bytes");
                let _ = answer.send(Err(ServiceError::BadInput { field, reason }));
                continue;
            }
            requests.push(Request {
                records,
                payloads,
                wanted,
                answer,
            });
        }
        lock(&self.waiting).extend(requests);
        // Whoever gets the writer first takes everyone's records along: the wait for a sync
        // is what gathers the next group.
        {
            let mut writer = lock(&self.writer);
            let group = std::mem::take(&mut *lock(&self.waiting));
            if !group.is_empty() {
                self.write_all(&mut writer, group);
            }
        }
        let wait =
            |answered: mpsc::Receiver<_>| answered.recv().unwrap_or_else(|_| Err(unwritten()));
        answers.into_iter().map(wait).collect()
    }

    /// Writes the requests in groups. One that is worked out must see all before it.
    fn write_all(&self, writer: &mut Writer, requests: Vec<Request>) {
        let mut group = Vec::with_capacity(requests.len());
        for mut request in requests {
            let computed = match request.records {
                Records::Computed(computed) => computed,
                records => {
                    request.records = records;
                    group.push(request);
                    continue;
                }
            };
            self.write_group(writer, std::mem::take(&mut group));
            match self.work_out(*computed) {
                Ok(Ok(write)) => {
                    request.records = Records::Writes(vec![write]);
                    request.payloads = request.records.payloads();
                    group.push(request);
                }
                Ok(Err(outcome)) => {
                    let _ = request.answer.send(Ok(Written {
                        folded: Ok(Receipt::default()),
                        each: vec![Logged::Values(outcome)],
                    }));
                }
                Err(error) => {
                    let _ = request.answer.send(Err(error));
                }
            }
        }
        self.write_group(writer, group);
        self.hold_back();
    }

    /// Appends every request's records, syncs once, folds them in the log's order, answers.
    fn write_group(&self, writer: &mut Writer, group: Vec<Request>) {
        if group.is_empty() {
            return;
        }
        let offsets = match append(&self.log, &group) {
            Ok(offsets) => offsets,
            Err(error) => {
                let reason = error.to_string();
                tracing::error!(error = %reason, "records were not logged");
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
            let written = match &request.records {
                Records::Events(events) => {
                    self.take_events(writer, events, &offsets, request.wanted)
                }
                Records::Writes(writes) => self.take_writes(writes, &offsets, request.wanted),
                Records::Computed(_) => continue, // worked out before
            };
            if let Some(&last) = offsets.last() {
                self.logged.fold(Offset(last));
            }
            // A client that went away needs no answer; its records are in the log.
            let _ = request.answer.send(Ok(written));
        }
        self.logged.fold(end);
    }

    fn take_events(
        &self,
        writer: &mut Writer,
        events: &[Event],
        positions: &[u64],
        wanted: Wanted,
    ) -> Written {
        let places = match wanted {
            Wanted::Each => self.places(writer, events, positions),
            Wanted::All => Vec::new(),
        };
        let folded = self.fold(events, positions).map(|streamed| {
            let counters = &self.counters;
            let accepted = events.len() as u64;
            counters.accepted.fetch_add(accepted, Ordering::Relaxed);
            counters
                .duplicates
                .fetch_add(streamed.duplicates, Ordering::Relaxed);
            counters.late.fetch_add(streamed.late, Ordering::Relaxed);
            Receipt {
                accepted,
                duplicates: streamed.duplicates,
                late: streamed.late,
            }
        });
        let each = places.into_iter().map(Logged::Event).collect();
        Written { folded, each }
    }

    fn take_writes(&self, writes: &[ValueWrite], positions: &[u64], wanted: Wanted) -> Written {
        let mut each = Vec::new();
        let folded = match wanted {
            Wanted::All => self.fold_writes(writes, positions),
            Wanted::Each => writes
                .iter()
                .zip(positions)
                .try_for_each(|(write, position)| {
                    let before = self.values_now(write)?;
                    let new = before.iter().filter(|value| value.is_null()).count() as u64;
                    let value = write.values.first().map(|(_, value)| value.clone());
                    each.push(Logged::Values(Outcome::Written { new, value }));
                    self.fold_writes(std::slice::from_ref(write), &[*position])
                }),
        };
        let accepted = writes.len() as u64;
        let folded = folded.map(|()| {
            self.counters.written.fetch_add(accepted, Ordering::Relaxed);
            Receipt {
                accepted,
                ..Receipt::default()
            }
        });
        Written { folded, each }
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

    /// The same for written values, which never move the clock.
    fn fold_writes(&self, writes: &[ValueWrite], positions: &[u64]) -> Result<(), ServiceError> {
        if let Some(generation) = self.generation() {
            let mut rows = StagedRows::new(&self.store, &generation);
            fold_writes(&generation.serving, writes, positions, &mut rows)?;
        }
        Ok(())
    }
}

/// One sync for all requests of a group. Gives back the positions of their records.
fn append(log: &Log, group: &[Request]) -> granary_storage::Result<Vec<Vec<u64>>> {
    let records = group.iter().flat_map(|request| {
        let kind = request.records.kind();
        let payloads = request.payloads.iter();
        payloads.map(move |payload| (kind, payload.as_slice()))
    });
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
