//! Switches readers to a loaded generation. Called by push.

use std::sync::Arc;

use granary_registry::EventTime;
use redb::WriteTransaction;

use super::changes::Layer;
use super::flush::{write_changes, write_plain};
use super::generation::GenerationLoader;
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
    /// effect up to `log_offset`. Staged plain keys stay, and are written along.
    pub fn publish(
        mut self,
        log_offset: Offset,
        clock: EventTime,
        meta: &[u8],
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
        let frozen = store.stack().frozen.clone();
        let snapshot = Arc::new(self.switch(&meta, &frozen)?);
        let info = snapshot.info();
        store.replace_stack(|stack| (after(stack, snapshot, frozen.len()), ()));
        Ok(info.expect("a published generation has a number above 0"))
    }

    fn switch(&self, meta: &Meta, frozen: &[Layer]) -> Result<Snapshot> {
        let store = self.store;
        let failed = || redb_error("publish to", &store.path);
        let transaction = store
            .database
            .begin_write()
            .map_err(|error| failed()(error.into()))?;
        let old = GenerationTables::of(read_meta(&transaction, &store.path)?.generation);
        self.write(&transaction, meta, frozen, &old)
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
        frozen: &[Layer],
        old: &GenerationTables,
    ) -> Redb<()> {
        self.names.write(transaction, |rows, vectors| {
            write_changes(rows, vectors, &self.pending)
        })?;
        for layer in frozen {
            write_plain(transaction, layer)?;
        }
        old.delete(transaction)?;
        write_meta(transaction, meta)
    }
}

/// The stack once `written` layers are on disk: those begun since keep their plain keys, while
/// their rows belong to the generation that is gone.
fn after(stack: &Stack, snapshot: Arc<Snapshot>, written: usize) -> Stack {
    let plain_of = |layer: &Layer| Layer {
        plain: Arc::clone(&layer.plain),
        ..Layer::default()
    };
    let frozen = stack.frozen[written..].iter().map(plain_of).collect();
    Stack {
        snapshot,
        frozen,
        active: plain_of(&stack.active),
    }
}
