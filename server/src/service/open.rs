//! From files to a service: opens the stores, compiles the generation's folds, and folds in
//! what the log has beyond the last flush. After a crash nothing acknowledged is missing.

use std::sync::atomic::{AtomicI64, AtomicU64};
use std::sync::{Arc, Mutex, OnceLock, RwLock};

use granary_pipelines::catch_up;
use granary_pipelines::text::{Embedder, HashedNgrams};
use granary_registry::{EventTime, Registry, Span};
use granary_storage::{
    DataDir, Kind, Log, LogOptions, LogReader, Offset, OnlineOptions, OnlineStore, Replayed,
    Tombstones,
};

use super::access::Access;
use super::audit::Audit;
use super::clock::WallClock;
use super::definition::Definition;
use super::error::ServiceError;
use super::generation::{Generation, GenerationMeta};
use super::group_commit::Writer;
use super::keys::{AppendFsync, Policy};
use super::rows::StagedRows;
use super::sampling::Logged;
use super::{Counters, Inner, Service};

/// How a service is opened.
#[derive(Clone, Copy, Debug)]
pub struct ServiceOptions {
    /// The clock of the wall.
    pub wall: WallClock,
    /// How far ahead of it an event may be.
    pub max_future: Span,
    /// Memory for pages of the online store.
    pub cache_bytes: usize,
    /// Memory for rows that the store has as well.
    pub rows_bytes: usize,
    /// Memory for plain keys that the store has as well.
    pub keys_bytes: usize,
    /// When writes of plain keys are acknowledged.
    pub append_fsync: AppendFsync,
}

impl Default for ServiceOptions {
    fn default() -> Self {
        ServiceOptions {
            wall: WallClock::System,
            max_future: Span(5 * Span::MINUTE.0),
            cache_bytes: 8 << 20,
            rows_bytes: 256 << 20,
            keys_bytes: 256 << 20,
            append_fsync: AppendFsync::default(),
        }
    }
}

/// The embedder that this binary has.
pub fn default_embedder() -> Arc<dyn Embedder> {
    Arc::new(HashedNgrams)
}

impl Service {
    /// Opens everything under a data directory; fails if a server has it open.
    pub fn open(
        data: DataDir,
        registry_text: &str,
        registry: Registry,
        options: ServiceOptions,
    ) -> Result<Service, ServiceError> {
        let lock = data.lock_server()?;
        let embedder = default_embedder();
        let store = OnlineStore::open(
            data.online_store(),
            OnlineOptions {
                cache_bytes: options.cache_bytes,
                rows_bytes: options.rows_bytes,
                keys_bytes: options.keys_bytes,
            },
        )?;
        let log = Log::open(data.log(), LogOptions::default())?;
        if let Some(torn) = log.torn_tail() {
            tracing::warn!(
                ?torn,
                "the log ended in a torn record, which was never acknowledged"
            );
        }
        let info = store.generation().filter(|info| info.number > 0);
        let generation = match &info {
            Some(info) => {
                let meta = GenerationMeta::from_bytes(&info.meta)?;
                Some(Arc::new(Generation::open(info.number, meta, &embedder)?))
            }
            None => None,
        };
        let clock = info.as_ref().map_or(EventTime(0), |info| info.clock);
        let flushed = store.view().log_offset();
        let definition = Definition {
            text: registry_text.to_owned(),
            registry,
        };
        let inner = Inner {
            _lock: lock,
            definition: RwLock::new(Arc::new(definition)),
            embedder,
            store,
            generation: RwLock::new(generation),
            model: RwLock::new(None),
            access: Access::open(data.api_keys())?,
            audit: Audit::default(),
            waiting: Mutex::new(Vec::new()),
            writer: Mutex::new(Writer { newest: clock }),
            log,
            policy: Policy::new(options.append_fsync),
            data_clock: AtomicI64::new(clock.0),
            wall: options.wall,
            max_future: options.max_future,
            started: options.wall.now(),
            generated: AtomicU64::new(0),
            counters: Counters::default(),
            past: granary_pipelines::Lookup::default(),
            logged: Logged::default(),
            sampler: OnceLock::new(),
            pushing: Mutex::new(()),
            keeping_log: Mutex::new(()),
            erased: RwLock::new(Arc::new(Tombstones::read(&data)?)),
            keeping_origins: Mutex::new(()),
            skipping: Mutex::new(()),
            rebuilder: OnceLock::new(),
            data,
        };
        inner.remove_erased_rows(flushed)?;
        inner.replay(flushed)?;
        let service = Service {
            inner: Arc::new(inner),
        };
        service.reload_model();
        Ok(service)
    }
}

impl Inner {
    /// Applies what became of plain keys after the last flush.
    fn replay_keys(&self, flushed: Offset, end: Offset) -> Result<(), ServiceError> {
        let log = LogReader::open(self.data.log());
        let mut records = log.read_from(flushed.max(log.first()?), Some(end))?;
        let mut replayed = Replayed::default();
        let mut turn = self.store.turn(&self.log, 0);
        while let Some(record) = records.next_record()? {
            if record.kind == Kind::Plain {
                turn.replay(&mut replayed, record.payload)?;
            }
        }
        Ok(())
    }

    /// Folds in what was acknowledged after the last flush: exactly once, because the offset
    /// was stored together with the rows.
    fn replay(&self, flushed: Offset) -> Result<(), ServiceError> {
        let end = self.log.end();
        self.logged.fold(end);
        self.replay_keys(flushed, end)?;
        let Some(generation) = self.generation() else {
            return Ok(());
        };
        let log = LogReader::open(self.data.log());
        let mut rows = StagedRows::new(&self.store, &generation);
        let streamed = catch_up(
            &generation.serving,
            &log,
            (flushed.max(log.first()?), end),
            &self.erased(),
            &mut rows,
        )?;
        if let Some(newest) = streamed.newest {
            self.advance_clock(EventTime(newest.saturating_add(1)));
            let mut writer = super::group_commit::lock(&self.writer);
            writer.newest = writer.newest.max(EventTime(newest));
        }
        let events = streamed.folded + streamed.late + streamed.duplicates;
        if events + streamed.written > 0 {
            let (events, writes) = (streamed.folded, streamed.written);
            tracing::info!(events, writes, "replayed the tail of the log");
        }
        Ok(())
    }
}
