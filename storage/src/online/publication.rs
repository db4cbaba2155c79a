//! Switches readers to a loaded generation. Called by push.

use std::sync::Arc;

use granary_registry::EventTime;
use redb::WriteTransaction;

use super::changes::Layer;
use super::flush::write_changes;
use super::generation::GenerationLoader;
use super::keys::{Collected, write_collected};
use super::stack::Stack;
use super::tables::{
    GenerationInfo, GenerationTables, Meta, Redb, Snapshot, read_meta, redb_error, write_meta,
};
use crate::Result;
use crate::log::Offset;

impl GenerationLoader<'_> {
    /// Switches readers to this generation, in one transaction, and deletes the old one. What
    /// was staged in the old one is dropped at the same instant: as with a flush, nobody may
    /// be between logging an event and staging its row, and this generation must be the log's
    /// effect up to `log_offset`. Changed plain keys are written along; `synced` is as with a
    /// flush.
    pub fn publish(
        mut self,
        log_offset: Offset,
        clock: EventTime,
        meta: &[u8],
        synced: impl FnOnce() -> Result<()>,
    ) -> Result<GenerationInfo> {
        self.settle_all()?;
        let store = self.store;
        let meta = Meta {
            generation: self.number,
            log_offset: log_offset.0,
            clock: clock.0,
            pushed: meta.to_vec(),
        };
        let _moving = store.lock_moving();
        store.freeze();
        let keys = store.space.collect();
        let snapshot = match synced().and_then(|()| self.switch(&meta, &keys)) {
            Ok(snapshot) => Arc::new(snapshot),
            Err(error) => {
                // It may have reached the disk all the same, and then it is what is served.
                let revived = store.revive_after(&error);
                let is_this = |snapshot: &Arc<Snapshot>| snapshot.meta.generation == self.number;
                let Some(snapshot) = revived.filter(is_this) else {
                    store.space.settled(&keys, false);
                    return Err(error);
                };
                snapshot
            }
        };
        let info = snapshot.info();
        // What was staged in the old generation is gone with it.
        store.replace_stack(|stack| {
            let stack = Stack {
                snapshot,
                resident: stack.resident.renewed(),
                frozen: Vec::new(),
                active: Layer::default(),
            };
            (stack, ())
        });
        store.space.settled(&keys, true);
        Ok(info.expect("a published generation has a number above 0"))
    }

    fn switch(&self, meta: &Meta, keys: &Collected) -> Result<Snapshot> {
        let store = self.store;
        let failed = || redb_error("publish to", &store.path);
        let transaction = store.database.begin_write().map_err(failed())?;
        let old = GenerationTables::of(read_meta(&transaction, &store.path)?.generation);
        self.write(&transaction, meta, keys, &old)
            .map_err(failed())?;
        transaction
            .commit()
            .map_err(|error| failed()(error.into()))?;
        Snapshot::take(&store.database, &store.path)
    }

    fn write(
        &self,
        transaction: &WriteTransaction,
        meta: &Meta,
        keys: &Collected,
        old: &GenerationTables,
    ) -> Redb<()> {
        self.names.write(transaction, |rows, vectors| {
            write_changes(rows, vectors, &self.pending)
        })?;
        if !keys.is_empty() {
            write_collected(transaction, keys)?;
        }
        old.delete(transaction)?;
        write_meta(transaction, meta)
    }
}
