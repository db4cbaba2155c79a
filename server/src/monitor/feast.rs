//! What a Feast feature server counts, under its names, so that its dashboards go on working;
//! with buckets for answers that take microseconds. Called by the routes of `http::feast`.

use std::time::{Duration, Instant};

use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry,
};

use super::metrics::{BUCKETS, VALID};

/// Ends of the bins that Feast puts the number of features into.
const FEATURE_BINS: [usize; 3] = [10, 50, 200];

const ENTITIES: [f64; 9] = [1.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0];

const MATERIALIZATION: [f64; 8] = [0.1, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0, 3600.0];

/// The counters.
#[derive(Debug)]
pub struct FeastMetrics {
    requests: IntCounterVec,
    latency: HistogramVec,
    online_requests: IntCounter,
    entities: Histogram,
    statuses: IntCounterVec,
    reads: Histogram,
    pushes: IntCounterVec,
    materializations: IntCounterVec,
    materialization: HistogramVec,
}

impl FeastMetrics {
    pub(super) fn new(registry: &Registry) -> FeastMetrics {
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let counters = IntCounterVec::new(Opts::new(name, help), labels).expect(VALID);
            register(registry, counters)
        };
        let histogram = |name: &str, help: &str, buckets: &[f64]| {
            let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
            register(registry, Histogram::with_opts(options).expect(VALID))
        };
        let latency = HistogramOpts::new(
            "feast_feature_server_request_latency_seconds",
            "Latency of requests in Feast's dialect in seconds.",
        );
        let latency = latency.buckets(BUCKETS.to_vec());
        let labels = ["endpoint", "feature_count", "feature_view_count"];
        let building = HistogramOpts::new(
            "feast_materialization_duration_seconds",
            "Duration of the materialization of a feature view in seconds.",
        );
        let building = building.buckets(MATERIALIZATION.to_vec());
        let online = IntCounter::new(
            "feast_online_features_request_total",
            "Online feature retrieval requests.",
        );
        FeastMetrics {
            requests: counters(
                "feast_feature_server_request_total",
                "Requests in Feast's dialect.",
                &["endpoint", "status"],
            ),
            latency: register(registry, HistogramVec::new(latency, &labels).expect(VALID)),
            online_requests: register(registry, online.expect(VALID)),
            entities: histogram(
                "feast_online_features_entity_count",
                "Entity rows of an online feature request.",
                &ENTITIES,
            ),
            statuses: counters(
                "feast_online_features_status_total",
                "Feature values by retrieval status and feature view.",
                &["feature_view", "status"],
            ),
            reads: histogram(
                "feast_feature_server_online_store_read_duration_seconds",
                "Duration of the online store read phase in seconds.",
                &BUCKETS,
            ),
            pushes: counters(
                "feast_push_request_total",
                "Push requests.",
                &["push_source", "mode"],
            ),
            materializations: counters(
                "feast_materialization_result_total",
                "Materializations by feature view and result.",
                &["feature_view", "status"],
            ),
            materialization: register(
                registry,
                HistogramVec::new(building, &["feature_view"]).expect(VALID),
            ),
        }
    }

    /// Counts a request that was answered or refused; with how many features and feature views,
    /// if it came so far.
    pub fn request(
        &self,
        endpoint: &str,
        began: Instant,
        is_answered: bool,
        counts: Option<(usize, usize)>,
    ) {
        let status = if is_answered { "success" } else { "error" };
        self.requests.with_label_values(&[endpoint, status]).inc();
        let (features, views) = match counts {
            Some((features, views)) => (bin(features), views.to_string()),
            None => (String::new(), String::new()),
        };
        let latency =
            self.latency
                .with_label_values(&[endpoint, features.as_str(), views.as_str()]);
        latency.observe(began.elapsed().as_secs_f64());
    }

    /// Counts a retrieval of so many entities.
    pub fn online(&self, entities: usize, took: Duration) {
        self.online_requests.inc();
        self.entities.observe(entities as f64);
        self.reads.observe(took.as_secs_f64());
    }

    /// Counts values of a feature view by their status.
    pub fn status(&self, view: &str, status: &str, count: u64) {
        let counter = self.statuses.with_label_values(&[view, status]);
        counter.inc_by(count);
    }

    /// Counts a build of these feature views together.
    pub fn materialized(&self, views: &[String], is_done: bool, took: Duration) {
        let status = if is_done { "success" } else { "failure" };
        for view in views {
            let counter = self.materializations.with_label_values(&[&**view, status]);
            counter.inc();
            let duration = self.materialization.with_label_values(&[&**view]);
            duration.observe(took.as_secs_f64());
        }
    }

    /// Counts a push that was taken.
    pub fn push(&self, source: &str, mode: &str) {
        self.pushes.with_label_values(&[source, mode]).inc();
    }
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> C {
    registry.register(Box::new(collector.clone())).expect(VALID);
    collector
}

/// `11-50`, `201+`
fn bin(count: usize) -> String {
    let mut lower = 1;
    for upper in FEATURE_BINS {
        if count <= upper {
            return match count {
                0 => "0".to_owned(),
                _ => format!("{lower}-{upper}"),
            };
        }
        lower = upper + 1;
    }
    format!("{lower}+")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_are_those_of_feast() {
        let bins = [0, 1, 10, 11, 50, 200, 201].map(bin);
        let wanted = ["0", "1-10", "1-10", "11-50", "11-50", "51-200", "201+"];
        assert_eq!(bins, wanted);
    }
}
