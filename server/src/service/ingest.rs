//! Taking events in, log first: append, one sync for a group, fold in memory, acknowledge.
//! No reader sees an event that a crash could take back; every reader sees an acknowledged one.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::sync::mpsc;

use granary_pipelines::{Event, Streamed, fold_events};
use granary_registry::{EventTime, Registry, Source, Value};
use granary_storage::{Kind, Log, Offset};

use super::answer::Receipt;
use super::error::ServiceError;
use super::rows::StagedRows;
use super::{Inner, JsonObject, Service, cell};

/// Memory that changed rows may take before writers wait for a flush.
const MOST_STAGED: usize = 128 << 20;

/// What only one thread at a time may touch.
pub(super) struct Writer {
    pub(super) log: Log,
}

/// Events of one request, waiting for their turn.
pub(super) struct Request {
    source: String,
    events: Vec<Event>,
    payloads: Vec<Vec<u8>>,
    answer: mpsc::Sender<Result<Receipt, ServiceError>>,
}

impl Service {
    /// Logs events, folds them in, and returns once they are durable. All or nothing: a bad
    /// event refuses the request. Blocks for a disk sync.
    pub fn ingest(
        &self,
        source: Option<&str>,
        events: &[JsonObject],
    ) -> Result<Receipt, ServiceError> {
        let definition = self.inner.definition();
        let registry = &definition.registry;
        let source = event_source(registry, source)?;
        let entity = registry.entity(&source.entity);
        let key = entity.map_or("", |entity| entity.key.as_str());
        let limit = self.newest_allowed();
        let mut checked = Vec::with_capacity(events.len());
        for (index, event) in events.iter().enumerate() {
            checked.push(self.check_event(source, key, index, event, limit)?);
        }
        if checked.is_empty() {
            return Ok(Receipt::default());
        }
        let (answer, answered) = mpsc::channel();
        let payloads = checked.iter().map(Event::encode).collect();
        let request = Request {
            source: source.name.clone(),
            events: checked,
            payloads,
            answer,
        };
        lock(&self.inner.waiting).push(request);
        // Whoever gets the writer first takes everyone's events along: the wait for a sync
        // is what gathers the next group.
        {
            let mut writer = lock(&self.inner.writer);
            let group = std::mem::take(&mut *lock(&self.inner.waiting));
            if !group.is_empty() {
                self.inner.write_group(&mut writer, group);
            }
        }
        answered.recv().unwrap_or_else(|_| {
            Err(ServiceError::Internal(
                "the group of this request was not written".to_owned(),
            ))
        })
    }

    /// The instant past which an event is refused as coming from the future.
    fn newest_allowed(&self) -> EventTime {
        EventTime(
            self.inner
                .wall
                .now()
                .0
                .saturating_add(self.inner.max_future.0),
        )
    }

    fn check_event(
        &self,
        source: &Source,
        key: &str,
        index: usize,
        event: &JsonObject,
        limit: EventTime,
    ) -> Result<Event, ServiceError> {
        let wrong = |field: &str, reason: String| ServiceError::BadInput {
            field: format!("events[{index}].{field}"),
            reason,
        };
        let mut fields = Vec::with_capacity(event.len());
        for (name, value) in event {
            let column = source.columns.iter().find(|column| column.name == *name);
            let column = column.ok_or_else(|| {
                let names: Vec<&str> = source
                    .columns
                    .iter()
                    .map(|column| column.name.as_str())
                    .collect();
                let names = names.join(", ");
                wrong(
                    name,
                    format!(
                        "is no column of source `{}`, which has {names}",
                        source.name
                    ),
                )
            })?;
            let value = cell::of_json(value, column.dtype).map_err(|reason| wrong(name, reason))?;
            if !value.is_null() {
                fields.push((name.clone(), value));
            }
        }
        let time_column = source.event_time.as_deref().unwrap_or_default();
        let mut event = Event {
            source: source.name.clone(),
            fields,
        };
        match event.field(time_column) {
            Value::Timestamp(time) if *time > limit => {
                return Err(ServiceError::FutureEvent { index, time: *time });
            }
            Value::Timestamp(_) => {}
            _ => event
                .fields
                .push((time_column.to_owned(), Value::Timestamp(self.now()))),
        }
        if granary_pipelines::key_bytes(event.field(key)).is_none() {
            return Err(wrong(
                key,
                "is missing; every event needs its entity's key".to_owned(),
            ));
        }
        if let Some(id) = &source.id
            && event.field(id).is_null()
        {
            event.fields.push((id.clone(), self.generated_id()));
        }
        Ok(event)
    }

    /// An id for an event that came without one: no two are alike, so none is a copy.
    fn generated_id(&self) -> Value {
        let number = self.inner.generated.fetch_add(1, Ordering::Relaxed);
        Value::Text(format!("granary-{}-{number}", self.inner.started.0).into())
    }

    /// Seals the log's segment: everything before the offset is in closed ones.
    pub fn close_segment(&self) -> Result<Offset, ServiceError> {
        Ok(lock(&self.inner.writer).log.close_segment()?)
    }

    /// Reads the log's end and the newest rows as one: nothing is between log and rows.
    pub(super) fn log_end(&self) -> Offset {
        lock(&self.inner.writer).log.end()
    }
}

impl Inner {
    /// Appends every request's events, syncs once, folds them in the log's order, answers.
    fn write_group(&self, writer: &mut Writer, group: Vec<Request>) {
        let logged = append(&mut writer.log, &group);
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
        let end = writer.log.end();
        self.logged.append(end);
        for (request, offsets) in group.into_iter().zip(offsets) {
            let folded = self.fold(&request.source, &request.events, &offsets);
            let answer = folded.map(|streamed| {
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
            let _ = request.answer.send(answer);
        }
        self.logged.fold(end);
        self.hold_back(writer);
    }

    /// A flush that lags holds writers back: past the bound they wait for one of their own.
    fn hold_back(&self, writer: &Writer) {
        if self.store.staged_bytes() > MOST_STAGED {
            let flush = self.store.begin_flush(writer.log.end(), self.data_clock());
            if let Err(error) = flush.commit() {
                tracing::error!(%error, "changed rows were not flushed; they are in the log");
            }
        }
    }

    /// Folds logged events into the rows that are served. Before the first push there are
    /// none; the events then count from the next build on.
    fn fold(
        &self,
        source: &str,
        events: &[Event],
        positions: &[u64],
    ) -> Result<Streamed, ServiceError> {
        let Some(generation) = self.generation() else {
            return Ok(Streamed::default());
        };
        let mut rows = StagedRows {
            store: &self.store,
            generation: generation.number,
        };
        let streamed = fold_events(&generation.serving, source, events, positions, &mut rows)?;
        if let Some(newest) = streamed.newest {
            self.advance_clock(EventTime(newest.saturating_add(1)));
        }
        Ok(streamed)
    }
}

/// The source that a request names, or the only one there is to name.
fn event_source<'a>(
    registry: &'a Registry,
    name: Option<&str>,
) -> Result<&'a Source, ServiceError> {
    let takes_events = |source: &&Source| {
        source.event_time.is_some()
            && registry
                .groups
                .iter()
                .any(|group| group.source == source.name)
    };
    let known = || {
        let names: Vec<&str> = registry
            .sources
            .iter()
            .filter(takes_events)
            .map(|source| source.name.as_str())
            .collect();
        names.join("`, `")
    };
    let found = match name {
        Some(name) => registry.source(name).filter(takes_events),
        None => registry.sources.iter().find(takes_events),
    };
    found.ok_or_else(|| ServiceError::BadInput {
        field: "source".to_owned(),
        reason: format!(
            "`{}` takes no events; those that do: `{}`",
            name.unwrap_or("(none given)"),
            known()
        ),
    })
}

/// One sync for all requests of a group. Gives back the positions of their events.
fn append(log: &mut Log, group: &[Request]) -> granary_storage::Result<Vec<Vec<u64>>> {
    let mut positions = Vec::with_capacity(group.len());
    for request in group {
        let of_request: granary_storage::Result<Vec<u64>> = request
            .payloads
            .iter()
            .map(|payload| Ok(log.append(Kind::Event, payload)?.0 + 1))
            .collect();
        positions.push(of_request?);
    }
    log.sync()?;
    Ok(positions)
}

/// A lock whose holder panicked still guards whole data: every change is made in one step.
pub(super) fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
