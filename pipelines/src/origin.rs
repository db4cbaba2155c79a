//! Where a logged event came from, if it was read from a file that grows. It stands in the
//! event's own record, so that the event and the place behind it become durable together and
//! no line is ever taken twice. Written by `Event::encode_from`, found again by a tail's start.

use std::collections::BTreeMap;
use std::sync::Arc;

use granary_storage::{Kind, LogReader, Offset};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::event::{self, EVENT_FROM_FORMAT};
use crate::fold::{Bytes, DecodeError, Sink};

/// The place in a file behind the line that an event came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Name of the tail that read it.
    pub tail: Arc<str>,
    /// Which file it was.
    pub file: FileMark,
    /// Where the next line begins.
    pub next: u64,
}

/// What a file is known by again: paths change hands when files are rotated, inodes when they
/// are copied, and both stay when a file is emptied and written anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMark {
    /// The number of its inode.
    pub inode: u64,
    /// How many of its first bytes are hashed.
    pub head: u64,
    /// Their hash.
    pub hash: u64,
}

impl Origin {
    /// The bytes within an event's record.
    pub(crate) fn encode(&self, out: &mut Sink) {
        out.text(self.tail.as_bytes());
        out.unsigned(self.file.inode);
        out.unsigned(self.file.head);
        out.unsigned(self.file.hash);
        out.unsigned(self.next);
    }

    fn decode(bytes: &[u8]) -> Result<Origin, DecodeError> {
        let mut bytes = Bytes::new(bytes, None);
        let tail = String::from_utf8_lossy(bytes.text()?).into();
        let file = FileMark {
            inode: bytes.unsigned()?,
            head: bytes.unsigned()?,
            hash: bytes.unsigned()?,
        };
        let next = bytes.unsigned()?;
        Ok(Origin { tail, file, next })
    }
}

/// The newest origin of every tail between two offsets, added to those found so far.
pub fn newest_origins(
    log: &LogReader,
    from: Offset,
    until: Offset,
    found: &mut BTreeMap<Arc<str>, Origin>,
) -> Result<(), Error> {
    if from >= until {
        return Ok(());
    }
    let mut records = log.read_from(from, Some(until))?;
    while let Some(record) = records.next_record()? {
        if record.kind != Kind::Event || record.payload.first() != Some(&EVENT_FROM_FORMAT) {
            continue;
        }
        let origin = event::split(record.payload)
            .and_then(|parts| parts.origin.map(Origin::decode).transpose())
            .map_err(|source| Error::LoggedEvent {
                offset: record.offset.0,
                source,
            })?;
        if let Some(origin) = origin {
            found.insert(origin.tail.clone(), origin);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use granary_registry::Value;
    use granary_storage::{Log, LogOptions};
    use proptest::prelude::*;

    use super::*;
    use crate::Event;

    fn event(number: u64) -> Event {
        let fields = vec![("n".into(), Value::Int(number as i64))];
        Event {
            source: "events".into(),
            fields,
        }
    }

    fn origin() -> impl Strategy<Value = Origin> {
        let file = (any::<u64>(), any::<u64>(), any::<u64>());
        ("[a-c]", file, any::<u64>()).prop_map(|(tail, (inode, head, hash), next)| Origin {
            tail: tail.into(),
            file: FileMark { inode, head, hash },
            next,
        })
    }

    proptest! {
        #[test]
        fn the_newest_of_each_tail_is_found_and_events_are_what_they_were(
            records in prop::collection::vec(prop::option::of(origin()), 0..20),
            start in 0usize..20,
        ) {
            let home = tempfile::tempdir().unwrap();
            let log = Log::open(home.path(), LogOptions { segment_bytes: 200 }).unwrap();
            let (mut wanted, mut from) = (BTreeMap::new(), None);
            for (number, origin) in records.iter().enumerate() {
                let bytes = match origin {
                    Some(origin) => event(number as u64).encode_from(origin),
                    None => event(number as u64).encode(),
                };
                prop_assert_eq!(Event::decode(&bytes).unwrap(), event(number as u64));
                let offset = log.append(Kind::Event, &bytes).unwrap();
                if number >= start {
                    from.get_or_insert(offset);
                    if let Some(origin) = origin {
                        wanted.insert(origin.tail.clone(), origin.clone());
                    }
                }
            }
            let end = log.sync().unwrap();
            let mut found = BTreeMap::new();
            let reader = LogReader::open(home.path());
            newest_origins(&reader, from.unwrap_or(end), end, &mut found).unwrap();
            prop_assert_eq!(found, wanted);
        }
    }
}
