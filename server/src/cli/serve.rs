//! `granary serve`: both front doors over the online store, until told to stop.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use granary_registry::Span;
use granary_storage::write_atomic;
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::context::{Common, Context};
use super::show;
use crate::control::ControlListener;
use crate::service::access::Access;
use crate::service::{
    Act, AppendFsync, AuditEntry, AuditLevel, Flusher, KeyKeeper, Service, ServiceOptions,
    ServingLogThread,
};
use crate::tail::{TailSpec, Tailer};
use crate::{Limits, Tls};

/// Serve features and predictions over HTTP and RESP
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  granary serve
  granary serve --serving-log 0.01                       every hundredth answer, for `granary verify`
  granary serve --http 127.0.0.1:0 --resp 127.0.0.1:0   free ports, written to <data-dir>/serving.json
  granary serve --tail event_logs=/var/log/shop/events.jsonl   takes every line that is added")]
pub(super) struct Args {
    #[command(flatten)]
    pub doors: Doors,
}

/// Where a server listens.
#[derive(clap::Args, Debug, Clone)]
pub(super) struct Doors {
    /// Address of HTTP; port 0 picks a free one
    #[arg(
        long,
        env = "GRANARY_HTTP",
        default_value = "127.0.0.1:8000",
        value_name = "ADDR:PORT"
    )]
    pub http: SocketAddr,
    /// Address of RESP, for Redis clients; port 0 picks a free one
    #[arg(
        long,
        env = "GRANARY_RESP",
        default_value = "127.0.0.1:6379",
        value_name = "ADDR:PORT"
    )]
    pub resp: SocketAddr,
    /// Serve other machines without API keys: whoever reaches the port may do everything
    #[arg(long, env = "GRANARY_INSECURE_NO_AUTH")]
    pub insecure_no_auth: bool,
    /// Certificate chain in PEM, the server's own first: both doors then speak TLS alone. Read
    /// again on SIGHUP
    #[arg(
        long,
        env = "GRANARY_TLS_CERT",
        value_name = "FILE",
        requires = "tls_key"
    )]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's private key in PEM
    #[arg(
        long,
        env = "GRANARY_TLS_KEY",
        value_name = "FILE",
        requires = "tls_cert"
    )]
    pub tls_key: Option<PathBuf>,
    /// Connections of each door at once
    #[arg(
        long,
        env = "GRANARY_MAX_CONNECTIONS",
        default_value_t = 10_000,
        value_name = "N"
    )]
    pub max_connections: usize,
    /// How long a client may neither go on with a request that it began nor take a reply
    #[arg(long, env = "GRANARY_STALL_TIMEOUT", default_value = "30s", value_name = "SPAN", value_parser = span)]
    pub stall_timeout: Span,
    /// How long a request over HTTP may take
    #[arg(long, env = "GRANARY_REQUEST_TIMEOUT", default_value = "1m", value_name = "SPAN", value_parser = span)]
    pub request_timeout: Span,
    /// What the audit log keeps: off, acts (refusals, and what administrators do) or writes (those
    /// too). Writes once there are API keys, else acts
    #[arg(long, env = "GRANARY_AUDIT_LOG", value_name = "WHAT", value_parser = audit_level)]
    pub audit_log: Option<AuditLevel>,
    /// Serve HTTP alone
    #[arg(long, env = "GRANARY_NO_RESP")]
    pub no_resp: bool,
    /// Follow a file of events as it grows: JSON lines, or CSV with a header; may be repeated
    #[arg(long, env = "GRANARY_TAIL", value_name = "SOURCE=PATH", value_delimiter = ',', value_parser = TailSpec::parse)]
    pub tail: Vec<TailSpec>,
    /// How far ahead of the clock an event may be
    #[arg(long, env = "GRANARY_MAX_FUTURE", default_value = "5m", value_name = "SPAN", value_parser = span)]
    pub max_future: Span,
    /// The share of answers kept in the serving log, 0 to 1, for `granary verify`
    #[arg(
        long,
        env = "GRANARY_SERVING_LOG",
        default_value_t = 0.0,
        value_name = "SHARE",
        value_parser = share
    )]
    pub serving_log: f64,
    /// Memory for pages of the online store, in megabytes
    #[arg(long, env = "GRANARY_CACHE_MB", default_value_t = 8, value_name = "MB")]
    pub cache_mb: usize,
    /// Memory for rows of features that are kept ready beside the store, in megabytes
    #[arg(
        long,
        env = "GRANARY_ROWS_CACHE_MB",
        default_value_t = 256,
        value_name = "MB"
    )]
    pub rows_cache_mb: usize,
    /// Memory for plain keys that are kept ready beside the store, in megabytes
    #[arg(
        long,
        env = "GRANARY_KEYS_CACHE_MB",
        default_value_t = 256,
        value_name = "MB"
    )]
    pub keys_cache_mb: usize,
    /// When a write of a plain key is acknowledged: always (synced first), everysec, no.
    /// Events and features are always synced first
    #[arg(
        long,
        env = "GRANARY_APPENDFSYNC",
        default_value = "everysec",
        value_name = "WHEN",
        value_parser = append_fsync
    )]
    pub appendfsync: AppendFsync,
}

fn span(text: &str) -> Result<Span, String> {
    Span::parse(text).map_err(|error| error.to_string())
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok();
    let share = share.filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "it must be a number from 0 (none) to 1 (all)".to_owned())
}

fn audit_level(text: &str) -> Result<AuditLevel, String> {
    AuditLevel::named(text).ok_or_else(|| "it must be off, acts or writes".to_owned())
}

fn append_fsync(text: &str) -> Result<AppendFsync, String> {
    AppendFsync::parse(text).ok_or_else(|| "it must be always, everysec or no".to_owned())
}

impl Doors {
    /// How the service behind the doors is opened.
    pub(super) fn options(&self) -> ServiceOptions {
        ServiceOptions {
            max_future: self.max_future,
            cache_bytes: self.cache_mb << 20,
            rows_bytes: self.rows_cache_mb << 20,
            keys_bytes: self.keys_cache_mb << 20,
            append_fsync: self.appendfsync,
            ..ServiceOptions::default()
        }
    }

    /// Refuses to open a door to other machines through which anybody could come.
    pub(super) fn check(&self, context: &Context) -> anyhow::Result<()> {
        let resp = Some(self.resp).filter(|_| !self.no_resp);
        let mut open = std::iter::once(self.http).chain(resp);
        let Some(address) = open.find(|address| !address.ip().is_loopback()) else {
            return Ok(());
        };
        if self.insecure_no_auth || Access::open(context.data.api_keys())?.is_required() {
            return Ok(());
        }
        bail!(
            "{address} can be reached from other machines, and there is no API key: make one with `granary keys add <name> --role read,write,predict`, or let everybody in with --insecure-no-auth"
        )
    }
}

/// The sockets, bound but not yet served.
pub(super) struct Bound {
    http: TcpListener,
    resp: Option<TcpListener>,
    tails: Vec<TailSpec>,
    tls: Option<Tls>,
    limits: Limits,
}

/// Runs it.
pub(super) fn run(common: &Common, args: &Args) -> anyhow::Result<()> {
    let context = common.open()?;
    args.doors.check(&context)?;
    let bound = bind(&args.doors)?;
    let service = context.service(args.doors.options())?;
    service.set_rebuilder(common.rebuilder()?);
    service.set_audit(args.doors.audit_log);
    serve(&context, &service, bound, args.doors.serving_log, |bound| {
        let secure = bound.secure();
        let (project, http) = (&context.registry.project, bound.http_addr()?);
        show::say(&format!(
            "granary serves {project} on http{secure}://{http}"
        ));
        if let Some(resp) = bound.resp_addr()? {
            show::say(&format!("and on redis{secure}://{resp}"));
        }
        Ok(())
    })
}

/// Binds the sockets; a taken port is an error that says what to do.
pub(super) fn bind(doors: &Doors) -> anyhow::Result<Bound> {
    let http = listen("HTTP", "--http", doors.http)?;
    let resp = if doors.no_resp {
        None
    } else {
        Some(listen("RESP", "--resp", doors.resp)?)
    };
    let tls = match (&doors.tls_cert, &doors.tls_key) {
        (Some(certificate), Some(key)) => Some(Tls::open(certificate, key)?),
        _ => None,
    };
    let time = |span: Span| Duration::from_micros(span.0.max(0) as u64);
    Ok(Bound {
        http,
        resp,
        tails: doors.tail.clone(),
        tls,
        limits: Limits {
            connections: doors.max_connections.max(1),
            stall: time(doors.stall_timeout),
            request: time(doors.request_timeout),
        },
    })
}

fn listen(door: &str, flag: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    match TcpListener::bind(address) {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => bail!(
            "port {} for {door} is taken, perhaps by another granary{}; stop it, or choose another with `{flag} {}:0`",
            address.port(),
            if door == "RESP" { " or a Redis" } else { "" },
            address.ip(),
        ),
        Err(error) => {
            bail!("listen on {address} for {door}: {error}; choose another with `{flag}`")
        }
    }
}

impl Bound {
    /// Where HTTP is.
    pub(super) fn http_addr(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.http.local_addr()?)
    }

    /// The end of a scheme: `https`, `rediss`.
    pub(super) fn secure(&self) -> &'static str {
        if self.tls.is_some() { "s" } else { "" }
    }

    /// Where RESP is, if it is.
    pub(super) fn resp_addr(&self) -> anyhow::Result<Option<SocketAddr>> {
        Ok(self
            .resp
            .as_ref()
            .map(TcpListener::local_addr)
            .transpose()?)
    }
}

/// Serves until SIGTERM or SIGINT: then requests in flight are finished, changed rows
/// flushed, and the socket files taken away.
pub(super) fn serve(
    context: &Context,
    service: &Service,
    bound: Bound,
    serving_log: f64,
    ready: impl FnOnce(&Bound) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let flusher = Flusher::start(service)?;
    let keeper = KeyKeeper::start(service)?;
    let sampled = ServingLogThread::start(service, serving_log)?;
    let tailer = Tailer::start(service, &context.data, &bound.tails)?;
    let control = ControlListener::start(&context.data, service)?;
    let serving = json!({
        "pid": std::process::id(),
        "http": bound.http_addr()?.to_string(),
        "resp": bound.resp_addr()?.map(|address| address.to_string()),
        "tls": bound.tls.is_some(),
    });
    write_atomic(
        &context.data.serving(),
        &serde_json::to_vec_pretty(&serving)?,
    )?;
    ready(&bound)?;
    finish_erasures(service);
    let outcome = run_doors(service, bound);
    drop(control);
    drop(tailer);
    drop(sampled);
    drop(keeper);
    drop(flusher);
    // Left behind, it would send clients to a port that nobody listens on.
    let _ = std::fs::remove_file(context.data.serving());
    outcome
}

/// What an erasure that was cut short has left is rewritten while serving.
fn finish_erasures(service: &Service) {
    let service = service.clone();
    std::thread::spawn(move || match service.finish_erasures() {
        Ok(None) => {}
        Ok(Some(_)) => tracing::info!("finished erasures that were cut short"),
        Err(error) => tracing::error!(
            %error,
            "erasures are not finished; nobody who was erased is served, and the next start tries again"
        ),
    });
}

/// Serves until SIGTERM or SIGINT.
fn run_doors(service: &Service, bound: Bound) -> anyhow::Result<()> {
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let (stop, stopped) = watch::channel(false);
    let signals = signals()?;
    // Ends with the process, if the doors end by themselves.
    let (listening, tls) = (service.clone(), bound.tls.clone());
    std::thread::spawn(move || {
        if let Err(error) = wait_for(&signals, &listening, tls.as_ref()) {
            tracing::error!(%error, "signals are not heard");
        }
        let _ = stop.send(true);
    });
    let doors = crate::Doors {
        http: bound.http,
        resp: bound.resp,
        threads,
        tls: bound.tls,
        limits: bound.limits,
    };
    Ok(crate::serve(service, doors, &stopped)?)
}

/// A runtime that hears signals; made before the doors open, so that none is missed.
fn signals() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
}

/// Until SIGTERM or SIGINT. On SIGHUP API keys, registry and certificate are read again.
fn wait_for(runtime: &Runtime, service: &Service, tls: Option<&Tls>) -> io::Result<()> {
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hangup = signal(SignalKind::hangup())?;
        loop {
            tokio::select! {
                _ = terminate.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
                _ = hangup.recv() => reload(service, tls),
            }
        }
    })
}

/// What cannot be read stays as it was.
fn reload(service: &Service, tls: Option<&Tls>) {
    service.audit(AuditEntry {
        act: Act::Admin,
        door: "signal",
        peer: None,
        key: None,
        what: "reload",
        request: None,
        entity: None,
        outcome: "begun",
    });
    match tls.map(Tls::reload) {
        None => {}
        Some(Ok(())) => tracing::info!("read the certificate again"),
        Some(Err(error)) => tracing::error!(%error, "the certificate stays as it was"),
    }
    match service.access().reload() {
        Ok(()) => tracing::info!("read the API keys again"),
        Err(error) => tracing::error!(%error, "the API keys stay as they were"),
    }
    match service.reload_registry() {
        Ok(true) => tracing::info!("read the registry again; GET /ready says what is due"),
        Ok(false) => tracing::info!("the registry is as it was"),
        Err(error) => tracing::error!(%error, "the registry stays as it was"),
    }
}
