//! Both doors at once, over one service and one set of counters. Called by the `serve` and
//! `up` commands, and by the benches.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::monitor::Metrics;
use crate::service::Service;
use crate::tls::Tls;
use crate::{http, resp};

/// What is opened to clients, and how wide.
#[derive(Debug)]
pub struct Doors {
    /// Where HTTP is.
    pub http: TcpListener,
    /// Where RESP is, if it is.
    pub resp: Option<TcpListener>,
    /// Threads of each door.
    pub threads: usize,
    /// What both speak, unless they speak plainly.
    pub tls: Option<Tls>,
    /// What clients may ask of both.
    pub limits: Limits,
}

/// What clients may ask of a door.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections of each door at once.
    pub connections: usize,
    /// How long a client may neither go on with a request that it began nor take a reply.
    pub stall: Duration,
    /// How long a request over HTTP may take.
    pub request: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 10_000,
            stall: Duration::from_secs(30),
            request: Duration::from_mins(1),
        }
    }
}

/// Serves until the signal turns true, then finishes what is in flight in both.
pub fn serve(service: &Service, doors: Doors, stop: &watch::Receiver<bool>) -> io::Result<()> {
    let metrics = Arc::new(Metrics::new(resp::command_names()));
    let Doors {
        http,
        resp,
        threads,
        tls,
        limits,
    } = doors;
    for listener in std::iter::once(&http).chain(&resp) {
        bound_stall(listener, limits.stall)?;
    }
    // Either door that fails closes the other too.
    let (close, closed) = watch::channel(false);
    std::thread::scope(|scope| {
        let resp = resp.map(|listener| {
            let (metrics, closed) = (metrics.clone(), closed.clone());
            let options = resp::listener::Options {
                threads,
                limits,
                tls: tls.clone(),
                ..Default::default()
            };
            scope.spawn(move || resp::listener::run(listener, service, metrics, &options, &closed))
        });
        scope.spawn({
            let (mut stop, close) = (stop.clone(), close.clone());
            let mut closed = closed.clone();
            move || forward(&mut stop, &close, &mut closed)
        });
        let options = http::server::Options {
            workers: threads,
            limits,
            tls,
            ..Default::default()
        };
        let outcome = http::server::run(vec![http], service, &metrics, options, &closed);
        let _ = close.send(true);
        let resp = resp.map(std::thread::ScopedJoinHandle::join);
        outcome.and(match resp {
            Some(Ok(outcome)) => outcome,
            Some(Err(_)) => Err(io::Error::other("a RESP thread panicked")),
            None => Ok(()),
        })
    })
}

/// Lets the system end a connection whose other end takes nothing of what was sent for so long,
/// even if it goes on saying that it is there. What is accepted has it from its listener, whatever
/// is spoken over it.
fn bound_stall(listener: &TcpListener, limit: Duration) -> io::Result<()> {
    socket2::SockRef::from(listener).set_tcp_user_timeout(Some(limit))
}

/// Passes the caller's signal on, until the doors are closed anyway.
fn forward(
    stop: &mut watch::Receiver<bool>,
    close: &watch::Sender<bool>,
    closed: &mut watch::Receiver<bool>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let Ok(runtime) = runtime else {
        tracing::error!("no runtime for the stop signal");
        return;
    };
    runtime.block_on(async {
        tokio::select! {
            // An error means that the sender is gone, and with it whoever could stop us.
            _ = stop.wait_for(|stop| *stop) => {}
            _ = closed.wait_for(|closed| *closed) => {}
        }
    });
    let _ = close.send(true);
}
