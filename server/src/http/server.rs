//! Runs HTTP until the stop signal, then finishes what is in flight. Called by `serve`, which
//! owns the listeners and the signal.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{App, HttpServer, web};
use tokio::sync::watch;

use super::guard::Reach;
use super::openapi::Text;
use super::routes;
use crate::doors::Limits;
use crate::monitor::Metrics;
use crate::service::Service;
use crate::tls::Tls;

/// How long a client may take to say what it wants, and to agree on TLS.
const OPENING: Duration = Duration::from_secs(10);

/// How the door is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Threads that answer.
    pub workers: usize,
    /// How long a stop waits for requests in flight.
    pub grace: Duration,
    /// How long an idle connection is kept for the next request.
    pub keep_alive: Duration,
    /// What clients may ask of it.
    pub limits: Limits,
    /// What it speaks, unless it speaks plainly.
    pub tls: Option<Tls>,
}

impl Default for Options {
    fn default() -> Self {
        let (grace, keep_alive) = (Duration::from_secs(10), Duration::from_secs(75));
        Options {
            workers: 1,
            grace,
            keep_alive,
            limits: Limits::default(),
            tls: None,
        }
    }
}

/// Serves HTTP until the signal turns true or its sender is gone; returns once every request
/// in flight is answered.
pub fn run(
    listeners: Vec<TcpListener>,
    service: &Service,
    metrics: &Arc<Metrics>,
    options: Options,
    stop: &watch::Receiver<bool>,
) -> io::Result<()> {
    let addresses = listeners.iter().map(TcpListener::local_addr);
    let addresses = addresses.collect::<io::Result<Vec<_>>>()?;
    let reach = Reach {
        is_loopback: addresses.iter().all(|address| address.ip().is_loopback()),
    };
    let workers = options.workers.max(1);
    let limits = options.limits;
    let state = State::new(service, metrics, reach, limits);
    let mut stop = stop.clone();
    actix_web::rt::System::new().block_on(async move {
        let mut server = HttpServer::new(move || {
            let state = state.clone();
            App::new().configure(move |config| state.configure(config))
        })
        .workers(workers)
        .max_connections(limits.connections.div_ceil(workers))
        .client_request_timeout(OPENING)
        .tls_handshake_timeout(OPENING)
        .keep_alive(options.keep_alive)
        .shutdown_timeout(options.grace.as_secs())
        .shutdown_signal(async move {
            // An error means that the sender is gone, and with it whoever could stop us later.
            let _ = stop.wait_for(|stop| *stop).await;
        });
        for listener in listeners {
            server = match &options.tls {
                Some(tls) => server.listen_rustls_0_23(listener, tls.config().as_ref().clone())?,
                None => server.listen(listener)?,
            };
        }
        server.run().await
    })
}

/// What every handler may ask for. Cheap to clone.
#[derive(Clone)]
pub(super) struct State {
    service: web::Data<Service>,
    metrics: web::Data<Metrics>,
    document: web::Data<Text>,
    reach: web::Data<Reach>,
    limits: Limits,
}

impl State {
    pub(super) fn new(
        service: &Service,
        metrics: &Arc<Metrics>,
        reach: Reach,
        limits: Limits,
    ) -> State {
        State {
            service: web::Data::new(service.clone()),
            metrics: web::Data::from(Arc::clone(metrics)),
            document: web::Data::new(Text::new()),
            reach: web::Data::new(reach),
            limits,
        }
    }

    /// Gives an app its state and its routes.
    pub(super) fn configure(&self, config: &mut web::ServiceConfig) {
        config
            .app_data(self.service.clone())
            .app_data(self.metrics.clone())
            .app_data(self.document.clone())
            .app_data(self.reach.clone());
        routes::configure(config, &self.metrics, self.limits.request);
    }
}
