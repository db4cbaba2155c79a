//! Keys in order, over memory and redb. Called by views.

use std::ops::Bound;

use redb::OwnedAccessGuard;

use super::changes::{Changes, Staged};
use super::tables::{Bin, Redb, StoredTable};

const CHUNK: usize = 256; // staged changes are looked up at most this many at a time

/// The first `limit` keys after `after`, each with what is made of its value. `layers` are
/// newest first.
pub(super) fn scan<V: Staged, T>(
    layers: Vec<&Changes<V>>,
    table: Option<&StoredTable>,
    after: Option<&[u8]>,
    limit: usize,
    of_staged: impl Fn(V) -> T,
    of_stored: impl Fn(OwnedAccessGuard<Bin>) -> T,
) -> Redb<Vec<(Vec<u8>, T)>> {
    let mut found = Vec::new();
    let from = after.map_or(Bound::Unbounded, Bound::Excluded);
    let mut stored = table
        .map(|table| table.range_owned::<&[u8]>((from, Bound::Unbounded)))
        .transpose()?;
    let mut next_stored = stored.as_mut().and_then(Iterator::next).transpose()?;
    let mut staged = StagedKeys::after(layers, after, limit).peekable();
    while found.len() < limit {
        let stored_first = match (&next_stored, staged.peek()) {
            (Some((key, _)), Some((other, _))) => key.value() < other.as_ref(),
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (None, None) => break,
        };
        if !stored_first {
            let Some((key, change)) = staged.next() else {
                break;
            };
            if next_stored
                .as_ref()
                .is_some_and(|(stored, _)| stored.value() == key.as_ref())
            {
                next_stored = stored.as_mut().and_then(Iterator::next).transpose()?;
            }
            found.extend(change.map(|value| (key.into_vec(), of_staged(value))));
            continue;
        }
        let next = stored.as_mut().and_then(Iterator::next).transpose()?;
        if let Some((key, value)) = std::mem::replace(&mut next_stored, next) {
            found.push((key.value().to_vec(), of_stored(value)));
        }
    }
    Ok(found)
}

/// The staged changes by key, the newest of each, fetched in chunks.
struct StagedKeys<'a, V> {
    layers: Vec<&'a Changes<V>>,
    chunk: std::vec::IntoIter<Change<V>>,
    last: Option<Box<[u8]>>, // the last key of the chunk
    size: usize,
}

type Change<V> = (Box<[u8]>, Option<V>);

impl<'a, V: Staged> StagedKeys<'a, V> {
    fn after(layers: Vec<&'a Changes<V>>, after: Option<&[u8]>, limit: usize) -> StagedKeys<'a, V> {
        let size = limit.clamp(1, CHUNK);
        StagedKeys {
            layers,
            chunk: Vec::new().into_iter(),
            last: after.map(Into::into),
            size,
        }
    }

    /// The next chunk: every shard of every layer gives its first keys, so the first of all
    /// are among them.
    fn fetch(&mut self) {
        let mut changes: Vec<(Box<[u8]>, usize, Option<V>)> = Vec::new();
        for (depth, layer) in self.layers.iter().enumerate() {
            layer.after(self.last.as_deref(), self.size, |key, value| {
                changes.push((key.into(), depth, value.cloned()));
            });
        }
        changes.sort_unstable_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
        changes.dedup_by(|later, first| later.0 == first.0);
        changes.truncate(self.size);
        if let Some((key, ..)) = changes.last() {
            self.last = Some(key.clone());
        }
        let chunk: Vec<Change<V>> = changes
            .into_iter()
            .map(|(key, _, value)| (key, value))
            .collect();
        self.chunk = chunk.into_iter();
    }
}

impl<V: Staged> Iterator for StagedKeys<'_, V> {
    type Item = Change<V>;

    fn next(&mut self) -> Option<Change<V>> {
        if self.chunk.as_slice().is_empty() {
            self.fetch();
        }
        self.chunk.next()
    }
}
