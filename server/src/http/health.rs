//! `/health`, `/ready` and `/metrics`: what probes ask. Called by `routes`.

use actix_web::{HttpResponse, web};

use super::schema;
use crate::monitor::Metrics;
use crate::service::Service;

/// Whether the process answers.
#[utoipa::path(
    get,
    path = "/health",
    tag = "operations",
    operation_id = "health",
    responses((status = 200, body = schema::Health)),
)]
pub(super) async fn health() -> HttpResponse {
    HttpResponse::Ok().json(schema::Health { status: "ok" })
}

/// Whether features are loaded.
#[utoipa::path(
    get,
    path = "/ready",
    tag = "operations",
    operation_id = "ready",
    responses(
        (status = 200, body = schema::Ready),
        (status = 503, description = "Not yet; `notes` say why", body = schema::Ready),
    ),
)]
pub(super) async fn ready(service: web::Data<Service>) -> HttpResponse {
    let status = service.status();
    let mut response = if status.ready {
        HttpResponse::Ok()
    } else {
        HttpResponse::ServiceUnavailable()
    };
    response.json(schema::Ready {
        ready: status.ready,
        notes: status.notes,
    })
}

/// Counters, latencies and the state of the store, as Prometheus text.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operations",
    operation_id = "metrics",
    responses((status = 200, body = String, content_type = "text/plain")),
)]
pub(super) async fn metrics(
    service: web::Data<Service>,
    metrics: web::Data<Metrics>,
) -> HttpResponse {
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    HttpResponse::Ok()
        .content_type(kind)
        .body(metrics.render(&service.status()))
}
