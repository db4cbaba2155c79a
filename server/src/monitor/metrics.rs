//! Counters and latencies of both doors. Handles are taken once, when routes are built, so
//! that a request only adds to atomics.

use std::time::Duration;

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    TextEncoder,
};

use super::commands::CommandMetrics;
use super::feast::FeastMetrics;
use super::process::write_process;
use super::status::write_status;
use crate::service::Status;

/// Upper ends of the latency buckets in seconds: online reads take tens of microseconds,
/// answers from the log up to seconds.
pub(super) const BUCKETS: [f64; 16] = [
    50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 500e-3,
    1.0, 2.5, 10.0,
];

/// Classes of statuses, the label's only values.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Everything counted since the start. Shared by both doors.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    http_requests: IntCounterVec,
    http_latency: HistogramVec,
    /// Of Feast's dialect.
    pub feast: FeastMetrics,
    /// How long RESP commands took.
    pub commands: CommandMetrics,
    /// RESP connections at the moment.
    pub resp_clients: IntGauge,
    /// RESP connections accepted.
    pub resp_connections: IntCounter,
    /// RESP connections refused because there were too many.
    pub resp_rejected: IntCounter,
    /// RESP commands answered.
    pub resp_commands: IntCounter,
    /// Of these, answered with an error.
    pub resp_errors: IntCounter,
    /// Bytes read from RESP clients.
    pub resp_read: IntCounter,
    /// Bytes written to RESP clients.
    pub resp_written: IntCounter,
}

/// The counters of one route.
#[derive(Clone, Debug)]
pub struct RouteMetrics {
    by_class: [IntCounter; CLASSES.len()],
    latency: Histogram,
}

impl Metrics {
    /// Begins to count anew what RESP clients do.
    pub fn reset_resp(&self) {
        for counter in [
            &self.resp_connections,
            &self.resp_rejected,
            &self.resp_commands,
            &self.resp_errors,
            &self.resp_read,
            &self.resp_written,
        ] {
            counter.reset();
        }
        self.commands.reset();
    }

    /// All at zero; the commands of RESP are counted by their places.
    pub fn new(commands: Vec<&'static str>) -> Metrics {
        let registry = Registry::new();
        let requests = Opts::new("granary_http_requests_total", "HTTP requests answered.");
        let http_requests = IntCounterVec::new(requests, &["route", "status"]).expect(VALID);
        let latency = HistogramOpts::new(
            "granary_http_request_duration_seconds",
            "Time from the request's head to the answer's.",
        );
        let latency = latency.buckets(BUCKETS.to_vec());
        let http_latency = HistogramVec::new(latency, &["route"]).expect(VALID);
        registry
            .register(Box::new(http_requests.clone()))
            .expect(VALID);
        registry
            .register(Box::new(http_latency.clone()))
            .expect(VALID);
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help).expect(VALID);
            registry.register(Box::new(counter.clone())).expect(VALID);
            counter
        };
        let resp_clients =
            IntGauge::new("granary_resp_clients", "RESP connections at the moment.").expect(VALID);
        registry
            .register(Box::new(resp_clients.clone()))
            .expect(VALID);
        Metrics {
            feast: FeastMetrics::new(&registry),
            commands: CommandMetrics::new(commands),
            resp_clients,
            resp_connections: counter(
                "granary_resp_connections_total",
                "RESP connections accepted.",
            ),
            resp_rejected: counter(
                "granary_resp_rejected_connections_total",
                "RESP connections refused because there were too many.",
            ),
            resp_commands: counter("granary_resp_commands_total", "RESP commands answered."),
            resp_errors: counter(
                "granary_resp_errors_total",
                "RESP commands answered with an error.",
            ),
            resp_read: counter("granary_resp_read_bytes_total", "Bytes from RESP clients."),
            resp_written: counter("granary_resp_written_bytes_total", "Bytes to RESP clients."),
            http_requests,
            http_latency,
            registry,
        }
    }

    /// The counters of a route, by its template: `/features/{user_id}`.
    pub fn route(&self, template: &str) -> RouteMetrics {
        RouteMetrics {
            by_class: CLASSES.map(|class| self.http_requests.with_label_values(&[template, class])),
            latency: self.http_latency.with_label_values(&[template]),
        }
    }

    /// The Prometheus text of all counters and of the service's status.
    pub fn render(&self, status: &Status) -> String {
        let mut out = String::with_capacity(16 * 1024);
        TextEncoder::new()
            .encode_utf8(&self.registry.gather(), &mut out)
            .expect("the names above are valid");
        let written = self.commands.write(&mut out);
        written
            .and_then(|()| write_status(&mut out, status))
            .and_then(|()| write_process(&mut out))
            .expect("a String takes every text");
        out
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics::new(Vec::new())
    }
}

pub(super) const VALID: &str = "the names above are valid and each is there once";

impl RouteMetrics {
    /// Counts one answer.
    pub fn observe(&self, status: u16, took: Duration) {
        if let Some(counter) = self.by_class.get(usize::from(status / 100).wrapping_sub(1)) {
            counter.inc();
        }
        self.latency.observe(took.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_route_and_class() {
        let metrics = Metrics::default();
        let route = metrics.route("/features/{user_id}");
        route.observe(200, Duration::from_micros(60));
        metrics
            .route("/features/{user_id}")
            .observe(404, Duration::from_micros(40));
        route.observe(999, Duration::ZERO);
        let text = metrics.render(&Status::default());
        for line in [
            r#"granary_http_requests_total{route="/features/{user_id}",status="2xx"} 1"#,
            r#"granary_http_requests_total{route="/features/{user_id}",status="4xx"} 1"#,
            r#"granary_http_request_duration_seconds_bucket{route="/features/{user_id}",le="0.00005"} 2"#,
            r#"granary_http_request_duration_seconds_count{route="/features/{user_id}"} 3"#,
            "granary_resp_clients 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
