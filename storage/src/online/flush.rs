//! Moves changed rows to redb, in one transaction with the log offset that they include.
//! Called by ingest, in the background.
//!
//! It takes two steps. [`OnlineStore::begin_flush`] is instant: it ends the active layer, so
//! the caller can hold off ingest for just that long and name an offset that fits the layer
//! exactly. [`Flush::commit`] does the work while staging goes on in the next layer.

use std::sync::Arc;

use granary_registry::EventTime;
use redb::WriteTransaction;

use super::changes::{Changes, Layer, Row, Vectors};
use super::keys::{Collected, write_collected};
use super::stack::Stack;
use super::store::OnlineStore;
use super::tables::{
    GenerationTables, Meta, Redb, Snapshot, Table, read_meta, redb_error, write_meta,
};
use crate::log::Offset;
use crate::{Error, Result};

/// Changes on their way to disk. Dropped without a commit, they stay in memory and go with
/// the next flush.
#[must_use = "the changes reach the disk at commit"]
pub struct Flush<'a> {
    store: &'a OnlineStore,
    layer: Layer,
    log_offset: Offset,
    clock: EventTime,
}

impl OnlineStore {
    /// Ends the active layer. What is staged up to now must be exactly the log's effect up to
    /// `log_offset`: no other thread may be between logging an event and staging its row.
    pub fn begin_flush(&self, log_offset: Offset, clock: EventTime) -> Flush<'_> {
        Flush {
            store: self,
            layer: self.freeze(),
            log_offset,
            clock,
        }
    }

    /// Waits for the flush that is being committed, if one is.
    pub fn await_flush(&self) {
        drop(self.lock_moving());
    }

    /// Both steps at once, where nobody stages meanwhile.
    pub fn flush(&self, log_offset: Offset, clock: EventTime) -> Result<()> {
        self.begin_flush(log_offset, clock).commit(|| Ok(()))
    }
}

impl Flush<'_> {
    /// Writes the layer, and older ones whose flush failed, durably, with the plain keys that
    /// changed. Does nothing if a later flush, or the publication of another generation, has
    /// taken care of them. Plain keys may be ahead of the log offset; `synced` is to make
    /// durable what was logged so far, so that a replay from the offset finds all of it.
    pub fn commit(self, synced: impl FnOnce() -> Result<()>) -> Result<()> {
        let store = self.store;
        let _moving = store.lock_moving();
        let stack = Arc::clone(&store.stack());
        let Some(position) = stack.frozen.iter().position(|layer| layer.is(&self.layer)) else {
            return Ok(());
        };
        let moved = position + 1;
        stack.settle_frozen(moved);
        let keys = store.space.collect();
        let generation = stack.snapshot.meta.generation;
        let written = synced().and_then(|()| self.write(&stack.frozen[..moved], &keys, generation));
        let snapshot = match written {
            Ok(snapshot) => Arc::new(snapshot),
            Err(error) => {
                store.space.settled(&keys, false);
                store.revive_after(&error);
                return Err(error);
            }
        };
        let resident = stack.resident.with(&stack.frozen[..moved]);
        store.replace_stack(|stack| {
            // Newer layers may have been frozen meanwhile, but only this thread removes any.
            let frozen = stack.frozen[moved..].to_vec();
            (
                Stack {
                    snapshot,
                    resident,
                    frozen,
                    active: stack.active.clone(),
                },
                (),
            )
        });
        store.space.settled(&keys, true);
        Ok(())
    }

    fn write(&self, layers: &[Layer], keys: &Collected, generation: u64) -> Result<Snapshot> {
        let store = self.store;
        let failed = || redb_error("flush to", &store.path);
        let transaction = store.database.begin_write().map_err(failed())?;
        let mut meta = read_meta(&transaction, &store.path)?;
        if meta.generation != generation {
            // A publication reached the disk and then failed: these rows have nowhere to go.
            return Err(Error::GenerationChanged {
                staged: generation,
                serving: meta.generation,
            });
        }
        meta.log_offset = self.log_offset.0;
        meta.clock = self.clock.0;
        write_layers(&transaction, layers, keys, &meta).map_err(failed())?;
        transaction
            .commit()
            .map_err(|error| failed()(error.into()))?;
        Snapshot::take(&store.database, &store.path)
    }
}

fn write_layers(
    transaction: &WriteTransaction,
    layers: &[Layer],
    keys: &Collected,
    meta: &Meta,
) -> Redb<()> {
    let names = GenerationTables::of(meta.generation);
    for layer in layers {
        // Without a generation there are neither rows nor tables for them.
        if !layer.rows.is_empty() {
            names.write(transaction, |rows, vectors| {
                write_changes(rows, vectors, &layer.rows)
            })?;
        }
    }
    if !keys.is_empty() {
        write_collected(transaction, keys)?;
    }
    write_meta(transaction, meta)
}

/// Applies changes to the tables of their generation.
pub(super) fn write_changes(
    rows: &mut Table<'_>,
    vectors: &mut Table<'_>,
    changes: &Changes<Row>,
) -> Redb<()> {
    changes.in_order(|key, change| write_change(rows, vectors, key, change))
}

/// Applies the change of one row.
fn write_change(
    rows: &mut Table<'_>,
    vectors: &mut Table<'_>,
    key: &[u8],
    change: Option<&Row>,
) -> Redb<()> {
    match change {
        Some(row) => rows.insert(key, &*row.bytes)?,
        None => rows.remove(key)?,
    };
    match change.map_or(&Vectors::None, |row| &row.vectors) {
        Vectors::Below => None,
        Vectors::None => vectors.remove(key)?,
        Vectors::Some(bytes) => vectors.insert(key, &**bytes)?,
    };
    Ok(())
}
