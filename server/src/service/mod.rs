//! One function per use case. RESP and HTTP only translate; here it is decided. A command
//! without a running server opens the same service on the same files.

pub mod access; // who may do what
mod audit; // what was done by whom
mod backup; // everything in one file, while serving
mod answer; // what the use cases take and give back
mod cell; // JSON values by the registry's types
mod check; // the fields of a row -> an event that may be logged
mod clock; // where "now" comes from
mod definition; // the registry in force
mod erase; // an entity and all that there is of it, gone
mod error; // why a use case was refused
mod features; // reading features
mod flush; // changed rows to disk, in the background
mod generation; // what is served, with its folds compiled
mod ingest; // taking events and values in
mod group_commit; // log first, one sync for all, then the rows
mod writable; // what may be written of an entity
mod value_change; // writes that look at what stands there
pub mod keys; // plain keys, and who looks after them
mod json_event; // a JSON object -> the fields of a row
mod origins; // how far each tail has read
mod open; // from files to a service
mod predict; // churn probabilities
mod push; // offline versions become the generation served
mod rebuild; // a build and a push for a client, the registry read again
mod rows; // where events are folded into
mod sampling; // the serving log, while serving
mod served; // an answer that can be computed again
mod status; // for people and probes

pub use answer::{
    Catalog, CatalogFeature, CatalogFeatures, CatalogService, FeatureRow, GroupStatus, Lookup,
    ModelShape, ModelStatus, Origin, Place, Prediction, Receipt, Status, Subject,
};
pub use audit::{Act, AuditEntry, AuditLevel};
pub use backup::BackupReport;
pub use cell::{of_json, of_text, shown};
pub use check::{Checked, Fault, Gate};
pub use clock::WallClock;
pub use erase::{ErasureReport, Finished, RowsOf};
pub use error::ServiceError;
pub use features::{ReadMemory, Reader, Shown};
pub use flush::Flusher;
pub use generation::{GenerationMeta, LoadedVersion};
pub use ingest::{Logged, Submission};
pub use keys::{AppendFsync, KeyKeeper};
pub use open::{ServiceOptions, default_embedder};
pub use origins::Origins;
pub use predict::{LINEAGE_FILE, Lineage, METRICS_FILE, MODEL_FILE, REPORT_FILE};
pub use push::{PushReport, PushRequest};
pub use rebuild::Rebuilder;
pub use sampling::ServingLogThread;
pub use served::{Provenance, ServedReader, ServedRow};
pub use value_change::{Outcome, ValueChange};
pub use writable::{CheckedValues, ValueGate, WritableFeature};

use std::sync::atomic::{AtomicI64, AtomicU64};
use std::sync::{Arc, Mutex, OnceLock, RwLock};

use granary_pipelines::text::Embedder;
use granary_registry::{EventTime, Span};
use granary_storage::{DataDir, Log, OnlineStore, ServerLock, Tombstones, View};

use self::definition::Definition;
use self::generation::Generation;
use self::group_commit::{Request, Writer};
use self::keys::Policy;
use self::predict::LoadedModel;
use self::sampling::{Logged as LoggedUntil, Sampler};

/// The use cases over the open stores. Cheap to clone.
#[derive(Clone)]
pub struct Service {
    inner: Arc<Inner>,
}

struct Inner {
    data: DataDir,
    /// Held as long as the files are.
    _lock: ServerLock,
    /// The generation has the one it was built from.
    definition: RwLock<Arc<Definition>>,
    embedder: Arc<dyn Embedder>,
    store: OnlineStore,
    generation: RwLock<Option<Arc<Generation>>>,
    model: RwLock<Option<Arc<LoadedModel>>>,
    access: access::Access,
    audit: audit::Audit,
    /// Requests whose events wait to be logged.
    waiting: Mutex<Vec<Request>>,
    writer: Mutex<Writer>,
    log: Log,
    /// When writes of plain keys are acknowledged.
    policy: Policy,
    /// One microsecond past the newest event folded.
    data_clock: AtomicI64,
    wall: WallClock,
    /// How far ahead of the wall clock an event may be.
    max_future: Span,
    started: EventTime,
    generated: AtomicU64,
    counters: Counters,
    past: granary_pipelines::Lookup,
    /// How far the log is in the rows.
    logged: LoggedUntil,
    /// None unless answers are sampled.
    sampler: OnceLock<Sampler>,
    /// One push at a time.
    pushing: Mutex<()>,
    /// Held while the log must keep what the online store has by now.
    keeping_log: Mutex<()>,
    /// Who was erased, as the file says.
    erased: RwLock<Arc<Tombstones>>,
    /// Held while places of tails are kept.
    keeping_origins: Mutex<()>,
    /// Held while skipped rows are written down.
    skipping: Mutex<()>,
    /// None for a service without a server.
    rebuilder: OnceLock<Rebuilder>,
}

#[derive(Default)]
struct Counters {
    accepted: AtomicU64,
    duplicates: AtomicU64,
    late: AtomicU64,
    written: AtomicU64,
    tail_lines: AtomicU64,
    tail_bad_lines: AtomicU64,
}

impl Service {
    /// What is served at the moment.
    pub fn catalog(&self) -> Arc<Catalog> {
        match self.inner.generation() {
            Some(generation) => generation.catalog.clone(),
            None => Arc::new(Catalog::unloaded(&self.inner.definition().registry)),
        }
    }

    /// Who may do what.
    pub fn access(&self) -> &access::Access {
        &self.inner.access
    }

    /// The generation served and a view of its rows.
    fn current(&self) -> Result<(Arc<Generation>, View), ServiceError> {
        // A push may switch between the two reads; then both are read again.
        loop {
            let generation = self.inner.generation().ok_or(ServiceError::NothingLoaded)?;
            let view = self.inner.store.view();
            if view.generation() == generation.number {
                return Ok((generation, view));
            }
            std::thread::yield_now();
        }
    }
}

impl Inner {
    fn generation(&self) -> Option<Arc<Generation>> {
        self.generation
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }
}
