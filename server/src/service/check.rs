//! What a source takes: the fields of a row, from whichever door they came, to an event that
//! may be logged. One rule for all doors. Called by `ingest`.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use granary_pipelines::{Event, key_bytes};
use granary_registry::{DType, EventTime, Registry, Source, Value, nearest};
use serde_json::value::RawValue;

use super::definition::Definition;
use super::error::ServiceError;
use super::{Service, cell, json_event};

/// The name under which RESP clients mean the first event source of the registry.
const ANY_EVENTS: &str = "events";

/// What one source takes, with all that its events share. Made once for a request.
pub struct Gate {
    service: Service,
    source: Arc<str>,
    columns: Vec<(Arc<str>, DType)>,
    key: Arc<str>,
    time: Arc<str>,
    id: Option<Arc<str>>,
    /// The instant past which an event is refused as coming from the future.
    limit: EventTime,
}

/// An event that may be logged.
#[derive(Debug)]
pub struct Checked(pub(crate) Event);

/// What is wrong with one event; the caller says which one it was.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// A field, or the lack of one.
    Field {
        /// Its name.
        name: String,
        /// What was wrong and what to do.
        reason: String,
    },
    /// The event lies too far ahead of the clock.
    Future {
        /// The column of the event time.
        name: String,
        /// Its instant.
        time: EventTime,
    },
}

impl Fault {
    pub(super) fn field(name: &str, reason: impl Into<String>) -> Fault {
        Fault::Field {
            name: name.to_owned(),
            reason: reason.into(),
        }
    }

    /// The refusal of a request with many events.
    pub fn at(self, index: usize) -> ServiceError {
        match self {
            Fault::Field { name, reason } => ServiceError::BadInput {
                field: format!("events[{index}].{name}"),
                reason,
            },
            Fault::Future { time, .. } => ServiceError::FutureEvent { index, time },
        }
    }

    /// The field and what is wrong with it.
    pub fn parts(self) -> (String, String) {
        match self {
            Fault::Field { name, reason } => (name, reason),
            Fault::Future { name, time } => {
                let reason = format!("{time} is further ahead of the clock than max_future allows");
                (name, reason)
            }
        }
    }
}

/// The refusal of the only event of a request.
impl From<Fault> for ServiceError {
    fn from(fault: Fault) -> ServiceError {
        let (field, reason) = fault.parts();
        ServiceError::BadInput { field, reason }
    }
}

impl Service {
    /// The gate of a source; without a name, of the first that takes events.
    pub fn gate(&self, name: Option<&str>) -> Result<Gate, ServiceError> {
        let definition = self.inner.definition();
        let source = event_source(&definition.registry, name)?;
        Ok(Gate::new(self, &definition, source))
    }

    /// The gate of a stream as RESP clients name it: a source, or `events` for the first one.
    /// None if there is no such stream.
    pub fn stream(&self, name: &str) -> Option<Gate> {
        let definition = self.inner.definition();
        let registry = &definition.registry;
        let known = event_source(registry, Some(name));
        let source = match known {
            Err(_) if name == ANY_EVENTS => event_source(registry, None),
            known => known,
        };
        Some(Gate::new(self, &definition, source.ok()?))
    }

    /// The names of the streams there are.
    pub fn streams(&self) -> Vec<String> {
        let definition = self.inner.definition();
        let sources = event_sources(&definition.registry);
        let mut names = vec![ANY_EVENTS.to_owned()];
        names.extend(sources.map(|source| source.name.clone()));
        names.dedup();
        names
    }
}

impl Gate {
    fn new(service: &Service, definition: &Definition, source: &Source) -> Gate {
        let entity = definition.registry.entity(&source.entity);
        let column =
            |column: &granary_registry::Column| (column.name.as_str().into(), column.dtype);
        let now = service.inner.wall.now().0;
        Gate {
            service: service.clone(),
            source: source.name.as_str().into(),
            columns: source.columns.iter().map(column).collect(),
            key: entity.map_or("", |entity| entity.key.as_str()).into(),
            time: source.event_time.as_deref().unwrap_or_default().into(),
            id: source.id.as_deref().map(Arc::from),
            limit: EventTime(now.saturating_add(service.inner.max_future.0)),
        }
    }

    /// Name of the source.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The column of its event time.
    pub fn time(&self) -> &str {
        &self.time
    }

    /// Whether the source has a column of this name.
    pub fn has_column(&self, name: &str) -> bool {
        self.columns.iter().any(|(held, _)| **held == *name)
    }

    /// An event from the text of a JSON object.
    pub fn json(&self, object: &RawValue) -> Result<Checked, Fault> {
        self.finish(json_event::fields(self, object)?)
    }

    /// An event from names and texts.
    pub fn text<'a>(
        &self,
        pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Result<Checked, Fault> {
        let mut fields: Vec<(Arc<str>, Value)> = Vec::with_capacity(self.columns.len() + 2);
        for (name, text) in pairs {
            let (name, dtype) = self.column(&String::from_utf8_lossy(name), fields.len())?;
            is_new(&name, &fields)?;
            let value = cell::of_text(text, dtype).map_err(|reason| Fault::field(&name, reason))?;
            if !value.is_null() {
                fields.push((name, value));
            }
        }
        self.finish(fields)
    }

    /// What every event must have: an instant that is not in the future, its entity's key, and
    /// an id where its source has one.
    pub(super) fn finish(&self, fields: Vec<(Arc<str>, Value)>) -> Result<Checked, Fault> {
        let mut event = Event {
            source: self.source.clone(),
            fields,
        };
        match event.field(&self.time) {
            Value::Timestamp(time) if *time > self.limit => {
                return Err(Fault::Future {
                    name: self.time.to_string(),
                    time: *time,
                });
            }
            Value::Timestamp(_) => {}
            _ => {
                let now = Value::Timestamp(self.service.now());
                event.fields.push((self.time.clone(), now));
            }
        }
        if key_bytes(event.field(&self.key)).is_none() {
            let reason = "is missing; every event needs its entity's key";
            return Err(Fault::field(&self.key, reason));
        }
        if let Some(id) = &self.id
            && event.field(id).is_null()
        {
            event.fields.push((id.clone(), self.service.generated_id()));
        }
        Ok(Checked(event))
    }

    /// How many columns the source has.
    pub(super) fn width(&self) -> usize {
        self.columns.len()
    }

    /// The column of this name and its type. It is looked for first where it would be if fields
    /// came in the order of the columns.
    pub(super) fn column(&self, name: &str, place: usize) -> Result<(Arc<str>, DType), Fault> {
        let is_it = |(held, _): &&(Arc<str>, DType)| **held == *name;
        let guess = self.columns.get(place).filter(is_it);
        let found = guess.or_else(|| self.columns.iter().find(is_it));
        found.cloned().ok_or_else(|| self.unknown(name))
    }

    /// The refusal of a column that the source does not have.
    pub(super) fn unknown(&self, name: &str) -> Fault {
        let names = || self.columns.iter().map(|(name, _)| &**name);
        let all = names().collect::<Vec<_>>().join(", ");
        let meant = nearest(name, names());
        let meant = meant.map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
        let source = &self.source;
        Fault::field(
            name,
            format!("is no column of source `{source}`, which has {all}{meant}"),
        )
    }
}

impl Service {
    /// An id for an event that came without one: no two are alike, so none is a copy.
    fn generated_id(&self) -> Value {
        let number = self.inner.generated.fetch_add(1, Ordering::Relaxed);
        Value::Text(format!("granary-{}-{number}", self.inner.started.0).into())
    }
}

/// Refuses a field that the event has already; names are those of the gate's columns.
pub(super) fn is_new(name: &Arc<str>, fields: &[(Arc<str>, Value)]) -> Result<(), Fault> {
    if fields.iter().any(|(held, _)| Arc::ptr_eq(held, name)) {
        return Err(Fault::field(name, "is there twice"));
    }
    Ok(())
}

/// The sources whose rows are events that some group folds.
fn event_sources(registry: &Registry) -> impl Iterator<Item = &Source> {
    registry.sources.iter().filter(|source| {
        let folded = |group: &granary_registry::FeatureGroup| group.source == source.name;
        source.event_time.is_some() && registry.groups.iter().any(folded)
    })
}

/// The source that a request names, or the only one there is to name.
fn event_source<'a>(
    registry: &'a Registry,
    name: Option<&str>,
) -> Result<&'a Source, ServiceError> {
    let found = event_sources(registry).find(|source| name.is_none_or(|name| source.name == name));
    found.ok_or_else(|| {
        let known: Vec<&str> = event_sources(registry)
            .map(|source| source.name.as_str())
            .collect();
        ServiceError::BadInput {
            field: "source".to_owned(),
            reason: format!(
                "`{}` takes no events; those that do: `{}`",
                name.unwrap_or("(none given)"),
                known.join("`, `")
            ),
        }
    })
}
