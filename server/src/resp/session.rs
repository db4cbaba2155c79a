//! What a connection and the server remember between commands. Made by `listener`, used by
//! `execute`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::service::access::{Identity, Sight};
use crate::service::keys::Watcher;
use crate::service::{Act, AuditEntry, Catalog, Service};

use super::cursor::Cursors;
use super::execute::features::Named;
use super::slowlog::SlowLog;
use super::{Arguments, Protocol, Reply};
use crate::doors::Limits;
use crate::monitor::Metrics;

/// What all connections share.
#[derive(Debug)]
pub struct Server {
    /// Counters, also of HTTP.
    pub metrics: Arc<Metrics>,
    /// The port of the listener.
    pub port: u16,
    /// What clients may ask of it.
    pub limits: Limits,
    /// Bytes of unfinished requests of all clients.
    pub(super) unfinished: AtomicUsize,
    pub(super) started: Instant,
    /// Tells one run of the server from another.
    pub(super) run: u64,
    pub(super) cursors: Cursors,
    pub(super) slow: SlowLog,
    clients: Mutex<BTreeMap<u64, Arc<Client>>>,
    next_client: AtomicU64,
}

/// One connection as `CLIENT LIST` shows it.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) id: u64,
    pub(super) peer: Peer,
    pub(super) connected: Instant,
    pub(super) names: Mutex<Names>,
    pub(super) resp3: AtomicBool,
    /// Milliseconds from `connected` to the latest command.
    pub(super) active_ms: AtomicU64,
    /// Told to go by another.
    pub(super) killed: tokio::sync::Notify,
}

/// The two ends of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// The client's end.
    pub remote: SocketAddr,
    /// Ours.
    pub local: SocketAddr,
}

/// What a client calls itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    pub(super) name: String,
    pub(super) library: String,
    pub(super) library_version: String,
}

/// One connection's memory.
#[derive(Debug)]
pub struct Session {
    /// How replies are written.
    pub protocol: Protocol,
    /// Whether to close once the reply is out.
    pub closing: bool,
    pub(super) server: Arc<Server>,
    pub(super) client: Arc<Client>,
    /// What came since `MULTI`.
    pub(super) queue: Option<Queue>,
    /// Tells of changes of the keys watched.
    pub(super) watcher: Watcher,
    /// Keys watched, whether each was there, and a hash of its row of features.
    pub(super) watched: Vec<(Box<[u8]>, bool, Option<u64>)>,
    /// Replies that the client wants to hear.
    pub(super) hears: Hears,
    pub(super) named: Named,
    /// Who is connected, once a key was shown.
    pub(super) login: Option<Login>,
    /// Writes that the audit log does not have yet: commands with their numbers.
    written: Vec<(&'static str, u64)>,
}

/// Who showed a key, and when.
#[derive(Clone, Debug)]
pub(super) struct Login {
    /// Of the keys by which they are known.
    pub(super) epoch: u64,
    pub(super) identity: Identity,
    /// What they may see of a generation.
    sight: Option<(u64, Arc<Sight>)>,
}

impl Login {
    pub(super) fn new(epoch: u64, identity: Identity) -> Login {
        Login {
            epoch,
            identity,
            sight: None,
        }
    }
}

/// Which replies a client wants to hear, by `CLIENT REPLY`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Hears {
    #[default]
    All,
    /// All but the next.
    SkipNext,
    /// All but this one.
    SkipThis,
    Nothing,
}

/// The requests of a transaction.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) requests: Vec<Request>,
    /// Whether one could not be queued.
    pub(super) is_broken: bool,
    /// What they take.
    pub(super) bytes: usize,
}

/// A request kept for later.
#[derive(Debug)]
pub(super) struct Request {
    bytes: Vec<u8>,
    ends: Vec<(usize, usize)>,
}

/// A request in words, cut to a readable length.
fn spoken(arguments: Arguments<'_>) -> String {
    const WORDS: usize = 4;
    let words = arguments.from(0).take(WORDS);
    let words = words.map(|word| String::from_utf8_lossy(word).into_owned());
    words.collect::<Vec<_>>().join(" ")
}

impl Request {
    pub(super) fn of(arguments: Arguments<'_>) -> Request {
        let mut request = Request {
            bytes: Vec::new(),
            ends: Vec::with_capacity(arguments.len()),
        };
        for argument in arguments.from(0) {
            let start = request.bytes.len();
            request.bytes.extend_from_slice(argument);
            request.ends.push((start, request.bytes.len()));
        }
        request
    }

    /// How many bytes it takes.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() + self.ends.len() * size_of::<(usize, usize)>()
    }

    pub(super) fn arguments(&self) -> Arguments<'_> {
        Arguments::new(&self.bytes, &self.ends)
    }
}

impl Server {
    /// Nothing connected yet.
    pub fn new(metrics: Arc<Metrics>, port: u16, limits: Limits) -> Server {
        let since_1970 = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let micros = since_1970.as_micros() as u64;
        Server {
            metrics,
            port,
            limits,
            unfinished: AtomicUsize::new(0),
            started: Instant::now(),
            run: micros,
            cursors: Cursors::starting_at(micros),
            slow: SlowLog::default(),
            clients: Mutex::default(),
            next_client: AtomicU64::new(1),
        }
    }

    /// Admits a connection; none if there are too many.
    pub fn admit(self: &Arc<Self>, peer: Peer) -> Option<Session> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if clients.len() >= self.limits.connections {
            self.metrics.resp_rejected.inc();
            return None;
        }
        let client = Arc::new(Client {
            id: self.next_client.fetch_add(1, Ordering::Relaxed),
            peer,
            connected: Instant::now(),
            names: Mutex::default(),
            resp3: AtomicBool::new(false),
            active_ms: AtomicU64::new(0),
            killed: tokio::sync::Notify::new(),
        });
        clients.insert(client.id, Arc::clone(&client));
        self.metrics.resp_connections.inc();
        self.metrics.resp_clients.inc();
        let server = Arc::clone(self);
        Some(Session {
            protocol: Protocol::Resp2,
            closing: false,
            server,
            client,
            queue: None,
            watcher: Watcher::default(),
            watched: Vec::new(),
            hears: Hears::All,
            named: Named::default(),
            login: None,
            written: Vec::new(),
        })
    }

    /// Every connection, by id.
    pub(super) fn clients(&self) -> Vec<Arc<Client>> {
        let clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.values().cloned().collect()
    }
}

impl Session {
    /// Switches the form of replies.
    pub(super) fn speak(&mut self, protocol: Protocol) {
        self.protocol = protocol;
        self.client
            .resp3
            .store(protocol == Protocol::Resp3, Ordering::Relaxed);
    }

    /// Whether the client wants to hear the reply that stands in the writer now.
    pub(super) fn is_heard(&mut self) -> bool {
        match self.hears {
            Hears::All => true,
            Hears::Nothing => false,
            Hears::SkipNext => {
                self.hears = Hears::SkipThis;
                false
            }
            Hears::SkipThis => {
                self.hears = Hears::All;
                false
            }
        }
    }

    /// Which features may be seen; none means all.
    pub(super) fn sight(&mut self, catalog: &Catalog) -> Option<Arc<Sight>> {
        let login = self.login.as_mut()?;
        let is_known = |(of, _): &(u64, Arc<Sight>)| *of == catalog.generation;
        if !login.sight.as_ref().is_some_and(is_known) {
            let sight = Sight::of(Some(&login.identity), catalog);
            login.sight = Some((catalog.generation, Arc::new(sight)));
        }
        login.sight.as_ref().map(|(_, sight)| Arc::clone(sight))
    }

    /// Counts a command that writes, if such are written down.
    pub(super) fn note(&mut self, command: &'static str, service: &Service) {
        if !service.audits(Act::Write) {
            return;
        }
        match self.written.iter_mut().find(|(name, _)| *name == command) {
            Some((_, count)) => *count += 1,
            None => self.written.push((command, 1)),
        }
    }

    /// Writes down what was counted: one line for all that came together.
    pub(super) fn note_writes(&mut self, service: &Service) {
        if self.written.is_empty() {
            return;
        }
        let written = self.written.drain(..);
        let written = written.map(|(name, count)| format!("{name} {count}"));
        let what = written.collect::<Vec<_>>().join(", ");
        self.audit(service, Act::Write, &what, "answered");
    }

    /// Writes down a command that administrators alone may do.
    pub(super) fn note_admin(&self, service: &Service, arguments: Arguments<'_>) {
        if service.audits(Act::Admin) {
            self.audit(service, Act::Admin, &spoken(arguments), "done");
        }
    }

    /// Writes down a refusal.
    pub(super) fn note_denied(&self, service: &Service, reply: &Reply, arguments: Arguments<'_>) {
        if service.audits(Act::Denied)
            && let Reply::Error(reason) = reply
        {
            let name = arguments.get(0).unwrap_or_default();
            let name = String::from_utf8_lossy(name).to_lowercase();
            self.audit(service, Act::Denied, &name, reason);
        }
    }

    /// Writes down that somebody could not log in.
    pub(super) fn note_stranger(&self, service: &Service, name: Option<&str>) {
        let what = format!("auth as {}", name.unwrap_or("default"));
        self.audit(service, Act::Denied, &what, "no such key");
    }

    fn audit(&self, service: &Service, act: Act, what: &str, outcome: &str) {
        let login = self.login.as_ref();
        service.audit(AuditEntry {
            act,
            door: "resp",
            peer: Some(self.client.peer.remote),
            key: login.map(|login| login.identity.name()),
            what,
            request: None,
            entity: None,
            outcome,
        });
    }

    /// Notes that the client is alive.
    pub(super) fn touch(&self) {
        let age = self.client.connected.elapsed().as_millis() as u64;
        self.client.active_ms.store(age, Ordering::Relaxed);
    }
}

impl Client {
    /// A copy of what it calls itself.
    pub(super) fn names(&self) -> Names {
        self.names
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Changes what it calls itself.
    pub(super) fn rename(&self, change: impl FnOnce(&mut Names)) {
        change(&mut self.names.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let mut clients = self
            .server
            .clients
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        clients.remove(&self.client.id);
        self.server.metrics.resp_clients.dec();
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::resp) fn server(max_clients: usize) -> Arc<Server> {
        let limits = Limits {
            connections: max_clients,
            ..Limits::default()
        };
        Arc::new(Server::new(Arc::default(), 6379, limits))
    }

    pub(in crate::resp) fn peer() -> Peer {
        Peer {
            remote: SocketAddr::from(([127, 0, 0, 1], 50_000)),
            local: SocketAddr::from(([127, 0, 0, 1], 6379)),
        }
    }

    #[test]
    fn places_are_freed_when_a_session_ends() {
        let server = server(2);
        let first = server.admit(peer()).unwrap();
        let second = server.admit(peer()).unwrap();
        assert_ne!(first.client.id, second.client.id);
        assert!(server.admit(peer()).is_none());
        drop(first);
        assert!(server.admit(peer()).is_some());
        assert_eq!(server.clients().len(), 1);
        assert_eq!(server.metrics.resp_rejected.get(), 1);
        assert_eq!(server.metrics.resp_clients.get(), 1);
    }
}
