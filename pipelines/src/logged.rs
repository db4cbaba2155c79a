//! The records of the log that features are made of, in its order. Called by whoever folds or
//! exports them; records of other kinds are passed over.

use std::borrow::Cow;

use granary_registry::Entity;
use granary_storage::{Kind, LogReader, Offset};

use crate::error::Error;
use crate::event::Event;
use crate::fold::DecodeError;
use crate::stream::key_bytes;
use crate::value_write::ValueWrite;

/// A record of the log that features are made of.
#[derive(Clone, Debug)]
pub(crate) enum Logged {
    /// A row of a source.
    Event(Event),
    /// Values of an entity.
    Write(ValueWrite),
}

impl Logged {
    /// The key of the entity of this kind that it is about.
    pub(crate) fn key_of(&self, entity: &Entity) -> Option<Cow<'_, [u8]>> {
        match self {
            Logged::Event(event) => key_bytes(event.field(&entity.key)),
            Logged::Write(write) if *write.entity == *entity.name => key_bytes(&write.key),
            Logged::Write(_) => None,
        }
    }

    /// The record of such a kind; none of one that features are not made of.
    pub(crate) fn decode(kind: Kind, payload: &[u8]) -> Result<Option<Logged>, DecodeError> {
        Ok(match kind {
            Kind::Event => Some(Logged::Event(Event::decode(payload)?)),
            Kind::Value => Some(Logged::Write(ValueWrite::decode(payload)?)),
            Kind::Plain => None,
        })
    }
}

/// Calls `each` with every event between two offsets and where it stands.
pub fn replay(
    log: &LogReader,
    from: Offset,
    until: Offset,
    mut each: impl FnMut(Offset, Event) -> Result<(), Error>,
) -> Result<(), Error> {
    let is_event = |kind: Kind, _| kind == Kind::Event;
    replay_kinds(log, from, until, is_event, |offset, logged| match logged {
        Logged::Event(event) => each(offset, event),
        Logged::Write(_) => Ok(()),
    })
}

/// The same for written values too.
pub(crate) fn replay_all(
    log: &LogReader,
    from: Offset,
    until: Offset,
    each: impl FnMut(Offset, Logged) -> Result<(), Error>,
) -> Result<(), Error> {
    replay_kinds(log, from, until, |_, _| true, each)
}

/// The same with the events from a later offset on alone: those before were read elsewhere.
pub(crate) fn replay_beside(
    log: &LogReader,
    from: Offset,
    events_from: Offset,
    until: Offset,
    each: impl FnMut(Offset, Logged) -> Result<(), Error>,
) -> Result<(), Error> {
    let is_wanted = |kind: Kind, offset| kind != Kind::Event || offset >= events_from;
    replay_kinds(log, from, until, is_wanted, each)
}

fn replay_kinds(
    log: &LogReader,
    from: Offset,
    until: Offset,
    is_wanted: impl Fn(Kind, Offset) -> bool,
    mut each: impl FnMut(Offset, Logged) -> Result<(), Error>,
) -> Result<(), Error> {
    if from >= until {
        return Ok(());
    }
    let mut records = log.read_from(from, Some(until))?;
    while let Some(record) = records.next_record()? {
        if !is_wanted(record.kind, record.offset) {
            continue;
        }
        let damaged = |source| Error::LoggedEvent {
            offset: record.offset.0,
            source,
        };
        if let Some(logged) = Logged::decode(record.kind, record.payload).map_err(damaged)? {
            each(record.offset, logged)?;
        }
    }
    Ok(())
}
