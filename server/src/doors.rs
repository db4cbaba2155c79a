//! Both doors at once, over one service and one set of counters. Called by the `serve` and
//! `up` commands, and by the benches.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use tokio::sync::watch;

use crate::monitor::Metrics;
use crate::service::Service;
use crate::{http, resp};

/// Serves until the signal turns true, then finishes what is in flight in both.
pub fn serve(
    service: &Service,
    http: TcpListener,
    resp: Option<TcpListener>,
    threads: usize,
    stop: &watch::Receiver<bool>,
) -> io::Result<()> {
    let metrics = Arc::new(Metrics::new());
    // Either door that fails closes the other too.
    let (close, closed) = watch::channel(false);
    std::thread::scope(|scope| {
        let resp = resp.map(|listener| {
            let (metrics, closed) = (metrics.clone(), closed.clone());
            let options = resp::listener::Options {
                threads,
                ..Default::default()
            };
            scope.spawn(move || resp::listener::run(listener, service, metrics, options, &closed))
        });
        scope.spawn({
            let (mut stop, close) = (stop.clone(), close.clone());
            let mut closed = closed.clone();
            move || forward(&mut stop, &close, &mut closed)
        });
        let options = http::server::Options {
            workers: threads,
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
