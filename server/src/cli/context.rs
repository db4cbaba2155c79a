//! What every subcommand begins with: where the data lie, which registry, how many threads.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use bytesize::ByteSize;
use granary_pipelines::source::BadRows;
use granary_pipelines::text::Embedder;
use granary_pipelines::{Error, Job, KnownFiles, Progress};
use granary_registry::{Clock, EventTime, Registry};
use granary_storage::{DataDir, Log, LogOptions, Offset, Tombstones};
use sysinfo::System;

use crate::control::{self, Request};
use crate::service::{Rebuilder, Service, ServiceOptions, WallClock, default_embedder};

/// Flags of every subcommand.
#[derive(clap::Args, Debug, Clone)]
pub struct Common {
    /// Directory of everything the program reads and writes
    #[arg(
        long,
        global = true,
        env = "GRANARY_DATA_DIR",
        default_value = "data",
        value_name = "DIR"
    )]
    pub data_dir: PathBuf,
    /// The feature definitions
    #[arg(
        long,
        global = true,
        env = "GRANARY_REGISTRY",
        default_value = "registry.yaml",
        value_name = "FILE"
    )]
    pub registry: PathBuf,
    /// Threads of the jobs; one per core if absent
    #[arg(long, global = true, env = "GRANARY_THREADS", value_name = "N")]
    pub threads: Option<usize>,
    /// Memory that builds and ingests keep to, such as 2GB; beyond it rows go to disk. 80 % of
    /// the machine's if absent
    #[arg(long, global = true, env = "GRANARY_MEMORY_LIMIT", value_name = "SIZE")]
    pub memory_limit: Option<ByteSize>,
    /// Machine-readable results instead of tables
    #[arg(long, global = true)]
    pub json: bool,
}

/// An opened data directory with its checked registry.
pub struct Context {
    /// The data directory.
    pub data: DataDir,
    /// The checked registry.
    pub registry: Registry,
    /// Its text.
    pub registry_text: String,
    /// Turns text into vectors.
    pub embedder: Arc<dyn Embedder>,
    /// Who was erased; read by the first job, which has the builder's lock by then.
    erased: OnceLock<Tombstones>,
    /// What was found out of the source files.
    pub known: KnownFiles,
    /// Bytes that a command keeps to.
    pub memory: u64,
}

impl Common {
    /// Reads the registry and opens the data directory.
    pub fn open(&self) -> anyhow::Result<Context> {
        let (registry, registry_text) = self.read_registry()?;
        let data = DataDir::open(&self.data_dir)?;
        Ok(Context {
            memory: self.memory(),
            ..Context::of(data, registry, registry_text)
        })
    }

    /// How a server builds what clients ask for: by this program, with the flags given to it.
    pub(super) fn rebuilder(&self) -> anyhow::Result<Rebuilder> {
        let mut flags: Vec<OsString> = Vec::new();
        if let Some(threads) = self.threads {
            flags.extend(["--threads".into(), threads.to_string().into()]);
        }
        if let Some(limit) = self.memory_limit {
            let bytes = format!("{}B", limit.0);
            flags.extend(["--memory-limit".into(), bytes.into()]);
        }
        let registry = std::path::absolute(&self.registry)?;
        Ok(Rebuilder::new(std::env::current_exe()?, registry, flags))
    }

    /// Bytes that the command keeps to.
    pub(super) fn memory(&self) -> u64 {
        self.memory_limit.map_or_else(most_memory, |size| size.0)
    }

    /// Reads the registry alone.
    pub fn read_registry(&self) -> anyhow::Result<(Registry, String)> {
        read_registry(&self.registry)
    }
}

/// Reads and checks a registry file; all its problems come at once.
pub(super) fn read_registry(path: &std::path::Path) -> anyhow::Result<(Registry, String)> {
    let text = fs::read_to_string(path)
        .with_context(|| format!("read {}: name the registry with --registry", path.display()))?;
    let registry = Registry::parse(&text)
        .map_err(|problems| anyhow::anyhow!("{}", problems.in_file(&path.display().to_string())))?;
    Ok((registry, text))
}

impl Context {
    /// Over a registry that was read before.
    pub(super) fn of(data: DataDir, registry: Registry, registry_text: String) -> Context {
        Context {
            data,
            registry,
            registry_text,
            embedder: default_embedder(),
            erased: OnceLock::new(),
            known: KnownFiles::default(),
            memory: most_memory(),
        }
    }

    /// A job over this directory, reading the log up to an offset.
    pub fn job<'a>(
        &'a self,
        log_until: Offset,
        bad_rows: &'a BadRows,
        progress: &'a (dyn Fn(Progress<'_>) + Sync),
    ) -> anyhow::Result<Job<'a>> {
        Ok(Job {
            erased: self.erased()?,
            registry: &self.registry,
            data: &self.data,
            log_until,
            embedder: self.embedder.clone(),
            bad_rows,
            known: &self.known,
            memory: usize::try_from(self.memory / 2).unwrap_or(usize::MAX),
            progress,
        })
    }

    fn erased(&self) -> anyhow::Result<&Tombstones> {
        if let Some(erased) = self.erased.get() {
            return Ok(erased);
        }
        let erased = Tombstones::read(&self.data)?;
        Ok(self.erased.get_or_init(|| erased))
    }

    /// Seals the log's segment, through the server if one is running, and gives back the
    /// offset before which a build reads everything.
    pub fn close_log(&self) -> anyhow::Result<Offset> {
        if let Some(server) = control::connect(&self.data)? {
            return Ok(Offset(server.ask::<u64>(&Request::CloseSegment, &|_| {})?));
        }
        let _lock = self.data.lock_server()?;
        Ok(Log::open(self.data.log(), LogOptions::default())?.close_segment()?)
    }

    /// The instant that features are finalized at: the machine's clock or the data's.
    pub fn as_of(&self, job: &Job<'_>) -> Result<EventTime, Error> {
        Ok(match self.registry.clock {
            Clock::Wall => WallClock::System.now(),
            Clock::Data => job.data_clock()?.unwrap_or(EventTime(0)),
        })
    }

    /// Opens the stores themselves: for commands without a running server.
    pub fn service(&self, options: ServiceOptions) -> anyhow::Result<Service> {
        let data = self.data.clone();
        Ok(Service::open(
            data,
            &self.registry_text,
            self.registry.clone(),
            options,
        )?)
    }
}

/// What a command may take of the machine's memory, or of what its container has.
fn most_memory() -> u64 {
    let Ok(mut system) = System::new() else {
        return u64::MAX;
    };
    system.refresh_memory();
    let limits = system.cgroup_limits();
    match limits.map_or(system.total_memory(), |limits| limits.total_memory) {
        0 => u64::MAX,
        total => total / 5 * 4,
    }
}

/// Sizes the pool that jobs run on, if the command line says how.
pub(super) fn start_threads(threads: Option<usize>) -> anyhow::Result<()> {
    let Some(threads) = threads else {
        return Ok(());
    };
    let builder = rayon::ThreadPoolBuilder::new().num_threads(threads);
    builder
        .build_global()
        .context("start the threads of the jobs")
}
