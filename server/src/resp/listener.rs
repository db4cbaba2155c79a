//! Accepts RESP clients, at most so many, until the stop signal; then lets them finish.
//! Called by `serve`, which owns the listener and the signal.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tracing::{debug, error, warn};

use super::connection::serve;
use super::{Peer, Server, Session};
use crate::doors::Limits;
use crate::monitor::Metrics;
use crate::service::Service;
use crate::tls::Tls;

/// How long a client may take to agree on TLS.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How the door is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Threads, each with connections of its own.
    pub threads: usize,
    /// What clients may ask of it.
    pub limits: Limits,
    /// What it speaks, unless it speaks plainly.
    pub tls: Option<Tls>,
    /// How long clients that do not read their replies may delay a stop.
    pub grace: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            threads: 1,
            limits: Limits::default(),
            tls: None,
            grace: Duration::from_secs(5),
        }
    }
}

/// Serves RESP until the signal turns true or its sender is gone; returns once every
/// connection has ended.
pub fn run(
    listener: std::net::TcpListener,
    service: &Service,
    metrics: Arc<Metrics>,
    options: &Options,
    stop: &watch::Receiver<bool>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let port = listener.local_addr()?.port();
    let server = Arc::new(Server::new(metrics, port, options.limits));
    let mut doors = Vec::new();
    for _ in 1..options.threads.max(1) {
        doors.push(listener.try_clone()?);
    }
    doors.push(listener);
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for (number, listener) in doors.into_iter().enumerate() {
            let door = Door {
                service: service.clone(),
                server: Arc::clone(&server),
                grace: options.grace,
                tls: options.tls.as_ref().map(|tls| tls.config().into()),
                stop: stop.clone(),
            };
            let thread = std::thread::Builder::new().name(format!("resp-{number}"));
            threads.push(thread.spawn_scoped(scope, move || door.run(listener))?);
        }
        let ended = threads.into_iter().map(|thread| {
            thread
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("a RESP thread panicked")))
        });
        ended.collect::<Vec<_>>().into_iter().collect()
    })
}

/// Waits until the server is to stop.
pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, and with it whoever could stop us later.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// One thread's share of the work.
struct Door {
    service: Service,
    server: Arc<Server>,
    grace: Duration,
    tls: Option<TlsAcceptor>,
    stop: watch::Receiver<bool>,
}

impl Door {
    fn run(self, listener: std::net::TcpListener) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener)?;
            self.accept(listener).await;
            Ok(())
        })
    }

    async fn accept(mut self, listener: TcpListener) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => self.admit(stream, &mut connections),
                    Err(error) => {
                        // Out of file handles, mostly: let some connections end.
                        warn!(%error, "failed to accept a RESP client");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                },
                Some(ended) = connections.join_next() => report(ended),
                () = stopped(&mut self.stop) => break,
            }
            // Gives the other threads a chance at a burst of clients.
            tokio::task::yield_now().await;
        }
        drop(listener);
        let all = async {
            while let Some(ended) = connections.join_next().await {
                report(ended);
            }
        };
        if tokio::time::timeout(self.grace, all).await.is_err() {
            warn!(
                clients = connections.len(),
                "closed RESP clients that did not read their replies"
            );
        }
    }

    fn admit(&self, stream: TcpStream, connections: &mut JoinSet<io::Result<()>>) {
        let ends = stream.peer_addr().and_then(|remote| {
            stream.set_nodelay(true)?;
            Ok(Peer {
                remote,
                local: stream.local_addr()?,
            })
        });
        let peer = match ends {
            Ok(peer) => peer,
            // The client has gone already.
            Err(error) => return debug!(%error, "lost a RESP client while accepting it"),
        };
        match self.server.admit(peer) {
            Some(session) => {
                let (service, stop) = (self.service.clone(), self.stop.clone());
                match self.tls.clone() {
                    None => connections.spawn(serve(stream, service, session, stop)),
                    Some(tls) => connections.spawn(secured(tls, stream, service, session, stop)),
                };
            }
            None => turn_away(stream),
        }
    }
}

/// Serves a client that speaks TLS.
async fn secured(
    tls: TlsAcceptor,
    stream: TcpStream,
    service: Service,
    session: Session,
    stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let stream = tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await??;
    serve(stream, service, session, stop).await
}

/// The socket is new, so its buffer takes the line; whether the client reads it is its affair.
fn turn_away(stream: TcpStream) {
    let said = stream
        .into_std()
        .and_then(|mut stream| stream.write_all(b"-ERR max number of clients reached\r\n"));
    if let Err(error) = said {
        debug!(%error, "turned a RESP client away without a word");
    }
}

fn report(ended: Result<io::Result<()>, tokio::task::JoinError>) {
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "a RESP client went away"),
        Err(error) => error!(%error, "serving a RESP client failed"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpStream;

    use super::*;
    use crate::testing::empty_service;

    fn with_server(
        options: &Options,
        talk: impl FnOnce(std::net::SocketAddr, &watch::Sender<bool>),
    ) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (stopper, stop) = watch::channel(false);
        std::thread::scope(|scope| {
            let server =
                scope.spawn(|| run(listener, &empty_service(), Arc::default(), options, &stop));
            talk(address, &stopper);
            stopper.send_replace(true);
            server.join().unwrap().unwrap();
        });
    }

    fn heard(stream: &mut TcpStream, length: usize) -> String {
        let mut bytes = vec![0; length];
        stream.read_exact(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn serves_refuses_and_stops() {
        let options = Options {
            threads: 2,
            limits: Limits {
                connections: 2,
                ..Limits::default()
            },
            ..Options::default()
        };
        with_server(&options, |address, stopper| {
            let mut first = TcpStream::connect(address).unwrap();
            first.write_all(b"PING\r\nECHO hi\r\n").unwrap();
            assert_eq!(heard(&mut first, 15), "+PONG\r\n$2\r\nhi\r\n");
            let mut second = TcpStream::connect(address).unwrap();
            second.write_all(b"CLIENT ID\r\n").unwrap();
            assert_eq!(heard(&mut second, 4), ":2\r\n");
            let mut third = String::new();
            TcpStream::connect(address)
                .unwrap()
                .read_to_string(&mut third)
                .unwrap();
            assert_eq!(third, "-ERR max number of clients reached\r\n");
            stopper.send_replace(true);
            let mut rest = String::new();
            first.read_to_string(&mut rest).unwrap();
            second.read_to_string(&mut rest).unwrap();
            assert_eq!(rest, "");
        });
    }

    #[test]
    fn a_goodbye_closes_the_connection() {
        with_server(&Options::default(), |address, _| {
            let mut client = TcpStream::connect(address).unwrap();
            client.write_all(b"QUIT\r\n").unwrap();
            let mut all = String::new();
            client.read_to_string(&mut all).unwrap();
            assert_eq!(all, "+OK\r\n");
        });
    }
}
