//! Opening the online store, staging changes, and the stack of layers that readers see.
//! Called by the server's ingest and by the command line.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use redb::{Builder, Database, StorageBackend};

use super::changes::{Layer, Row, Vectors};
use super::keys::{Keyspace, Value, decode};
use super::resident::Resident;
use super::revival::Mortal;
use super::stack::{Stack, exists};
use super::tables::{GenerationInfo, Snapshot, prepare, redb_error};
use super::view::View;
use super::waiting::{Merge, Waited};
use crate::publish::sync_directory;
use crate::{Error, Result};

/// How the online store is opened.
#[derive(Clone, Copy, Debug)]
pub struct OnlineOptions {
    /// How much memory redb may use for pages.
    pub cache_bytes: usize,
    /// How much memory rows may use that redb has as well.
    pub rows_bytes: usize,
    /// How much memory plain keys may use that redb has as well.
    pub keys_bytes: usize,
}

impl Default for OnlineOptions {
    fn default() -> OnlineOptions {
        OnlineOptions {
            cache_bytes: 8 << 20,
            rows_bytes: 256 << 20,
            keys_bytes: 256 << 20,
        }
    }
}

/// The online store: entity rows, their vectors, and plain keys. Shared between threads.
pub struct OnlineStore {
    pub(super) path: PathBuf,
    pub(super) database: Mortal,
    pub(super) space: Keyspace,
    stack: RwLock<Arc<Stack>>,
    /// Held from the transaction that moves layers to disk until readers have its snapshot.
    pub(super) moving: Mutex<()>,
    pub(super) loading: AtomicBool,
}

impl OnlineStore {
    /// Opens the store, creating it if need be.
    pub fn open(path: impl Into<PathBuf>, options: OnlineOptions) -> Result<OnlineStore> {
        let path = path.into();
        if !path.exists() {
            create(&path)?;
        }
        let file = path.clone();
        let open = move || builder(options).open(&file);
        Self::over(path, Box::new(open), options)
    }

    /// Opens the store over other bytes than a file's, for tests of crashes.
    pub fn open_with_backend(
        backend: impl StorageBackend + Clone + 'static,
        options: OnlineOptions,
    ) -> Result<OnlineStore> {
        let open = move || builder(options).create_with_backend(backend.clone());
        Self::over(PathBuf::from("(backend)"), Box::new(open), options)
    }

    /// What is served, as of the last flush or publication; none before the first.
    pub fn generation(&self) -> Option<GenerationInfo> {
        self.stack().snapshot.info()
    }

    /// A consistent reader. Cheap; hold it for one request, for as long as it lives redb
    /// cannot reuse the pages that it sees.
    pub fn view(&self) -> View {
        View::of(Arc::clone(&self.stack()))
    }

    /// Puts the row of an entity, computed from a view of `generation`, in memory, where
    /// readers see it at once. `vectors` of none leaves those it had.
    pub fn stage(
        &self,
        generation: u64,
        key: &[u8],
        row: &[u8],
        vectors: Option<&[u8]>,
    ) -> Result<()> {
        let vectors = vectors.map_or(Vectors::Below, |vectors| Vectors::Some(vectors.into()));
        self.stage_row(generation, key, Some(Row::new(row.into(), vectors)))
    }

    /// Shows the row of an entity, empty if it has none, and the changes that wait for it to
    /// `take`, which may add to them. Whoever reads the row gets it with the changes folded
    /// in by `merge`.
    pub fn stage_change<T>(
        &self,
        generation: u64,
        key: &[u8],
        merge: &Arc<dyn Merge>,
        take: impl FnOnce(&[u8], &mut Vec<u8>) -> T,
    ) -> Result<T> {
        let stack = self.stack();
        serves(&stack, generation)?;
        let rows = &stack.active.rows;
        let Waited { answer, is_full } = rows.wait(key, merge, || stack.row_below(key), take)?;
        if is_full {
            stack.settle(key, 0, &stack.active)?;
        }
        Ok(answer)
    }

    /// Removes the row of an entity, with its vectors.
    pub fn stage_removal(&self, generation: u64, key: &[u8]) -> Result<()> {
        self.stage_row(generation, key, None)
    }

    /// How much memory the staged changes take, roughly, those being flushed included.
    pub fn staged_bytes(&self) -> usize {
        let stack = self.stack();
        let rows = stack.active.bytes() + stack.frozen.iter().map(Layer::bytes).sum::<usize>();
        rows + self.space.dirty_bytes()
    }

    /// Whether a flush has nothing to write.
    pub fn is_clean(&self) -> bool {
        let stack = self.stack();
        let mut layers = stack.layers();
        // A database that could not be opened again is tried by the next flush.
        self.database.is_alive()
            && self.space.is_clean()
            && layers.all(|layer| layer.rows.is_empty())
    }

    /// What redb has of a plain key, and when that expires.
    pub(super) fn stored_value(&self, key: &[u8]) -> Result<Option<(Value, i64)>> {
        if !self.space.stored_counts() {
            return Ok(None);
        }
        let stack = self.stack();
        let Some(bytes) = stack.stored(Some(&stack.snapshot.plain), key)? else {
            return Ok(None);
        };
        let found = decode(&bytes);
        found.map(Some).ok_or_else(|| Error::OnlineState {
            path: self.path.clone(),
            reason: "a plain key holds what is no value",
        })
    }

    /// The stack as it is now.
    pub(super) fn stack(&self) -> RwLockReadGuard<'_, Arc<Stack>> {
        self.stack.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the stack, between two steps of any reader or writer.
    pub(super) fn replace_stack<T>(&self, change: impl FnOnce(&Stack) -> (Stack, T)) -> T {
        let mut stack = self.stack.write().unwrap_or_else(PoisonError::into_inner);
        let (changed, result) = change(&stack);
        *stack = Arc::new(changed);
        result
    }

    /// Ends the active layer and begins another; returns the ended one.
    pub(super) fn freeze(&self) -> Layer {
        self.replace_stack(|stack| {
            let mut frozen = stack.frozen.clone();
            frozen.push(stack.active.clone());
            let changed = Stack {
                snapshot: Arc::clone(&stack.snapshot),
                resident: stack.resident.clone(),
                frozen,
                active: Layer::default(),
            };
            (changed, stack.active.clone())
        })
    }

    pub(super) fn lock_moving(&self) -> MutexGuard<'_, ()> {
        self.moving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stage_row(&self, generation: u64, key: &[u8], row: Option<Row>) -> Result<()> {
        let stack = self.stack();
        serves(&stack, generation)?;
        // What waits may hold the vectors that this row leaves as they are.
        stack.settle(key, 0, &stack.active)?;
        let below = || {
            let layers = stack.layers().skip(1).map(|layer| &*layer.rows);
            exists(layers, stack.snapshot.rows.as_ref(), key)
        };
        stack
            .active
            .rows
            .put(key, row, || below().map_err(redb_error("read", &self.path)))
    }

    fn over(
        path: PathBuf,
        open: Box<dyn Fn() -> std::result::Result<Database, redb::DatabaseError> + Send + Sync>,
        options: OnlineOptions,
    ) -> Result<OnlineStore> {
        let database = open().map_err(|error| redb_error("open", &path)(error.into()))?;
        let database = Mortal::new(database, open);
        prepare(&database, &path)?;
        let snapshot = Arc::new(Snapshot::take(&database, &path)?);
        let space = Keyspace::new(
            snapshot.plain_count,
            snapshot.waking_count,
            options.keys_bytes,
        );
        let stack = Stack {
            snapshot,
            resident: Resident::new(options.rows_bytes),
            frozen: Vec::new(),
            active: Layer::default(),
        };
        Ok(OnlineStore {
            path,
            database,
            space,
            stack: RwLock::new(Arc::new(stack)),
            moving: Mutex::new(()),
            loading: AtomicBool::new(false),
        })
    }

    /// An error of redb, told with the file.
    pub(super) fn failed(&self, operation: &'static str, error: redb::Error) -> Error {
        redb_error(operation, &self.path)(error)
    }

    /// The file, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl fmt::Debug for OnlineStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnlineStore")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// Rows of another generation than the one served have nowhere to go.
fn serves(stack: &Stack, staged: u64) -> Result<()> {
    let serving = stack.snapshot.meta.generation;
    if staged != serving || staged == 0 {
        return Err(Error::GenerationChanged { staged, serving });
    }
    Ok(())
}

/// An empty database appears whole: redb cannot open one whose creation was cut short.
fn create(path: &Path) -> Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".creating");
    let unfinished = PathBuf::from(unfinished);
    if unfinished.exists() {
        fs::remove_file(&unfinished).map_err(Error::io("remove", &unfinished))?;
    }
    let created = Database::create(&unfinished).and_then(Database::close);
    created.map_err(|error| redb_error("create", path)(error.into()))?;
    fs::rename(&unfinished, path).map_err(Error::io("rename", &unfinished))?;
    path.parent().map_or(Ok(()), sync_directory)
}

pub(super) fn builder(options: OnlineOptions) -> Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(options.cache_bytes);
    builder
}
