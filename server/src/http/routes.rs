//! Every route on one screen. Called by `server`, once for each worker.

use std::time::Instant;

use actix_web::dev::{HttpServiceFactory, Service as _};
use actix_web::{HttpRequest, Resource, web};

use super::error::ApiError;
use super::{events, feast, features, health, inference, mlflow, openapi, predict, status};
use crate::monitor::Metrics;
use crate::ui;

/// For the answer to a path that is not there.
const ROUTES: [&str; 24] = [
    "GET /",
    "GET /features/{user_id}",
    "GET /features/{user_id}/{feature}",
    "POST /features",
    "POST /predict",
    "POST /events",
    "POST /get-online-features",
    "POST /push",
    "GET /v2",
    "GET /v2/health/live",
    "GET /v2/health/ready",
    "GET /v2/models/{model}",
    "GET /v2/models/{model}/ready",
    "POST /v2/models/{model}/infer",
    "POST /invocations",
    "GET /ping",
    "GET /version",
    "GET /status",
    "GET /health",
    "GET /ready",
    "GET /metrics",
    "GET /openapi.json",
    "GET /docs",
    "GET /assets/{file}",
];

/// Lays out the routes, each with its counters.
pub(super) fn configure(config: &mut web::ServiceConfig, metrics: &Metrics) {
    config.app_data(
        web::PathConfig::default()
            .error_handler(|error, _| ApiError::field("path", error.to_string()).into()),
    );
    let get = |path: &'static str, route: fn() -> actix_web::Route| {
        // HEAD is GET without the body, which actix leaves out by itself.
        let head = route().method(actix_web::http::Method::HEAD);
        let get = route().method(actix_web::http::Method::GET);
        counted(
            path,
            web::resource(path).route(get).route(head),
            "GET, HEAD",
            metrics,
        )
    };
    config
        .service(get("/", || web::route().to(ui::page)))
        .service(get("/assets/{file}", || web::route().to(asset)))
        .service(get("/features/{user_id}", || {
            web::route().to(features::entity)
        }))
        .service(get("/features/{user_id}/{feature}", || {
            web::route().to(features::feature)
        }))
        .service(get("/status", || web::route().to(status::status)))
        .service(get("/health", || web::route().to(health::health)))
        .service(get("/ready", || web::route().to(health::ready)))
        .service(get("/metrics", || web::route().to(health::metrics)))
        .service(get("/openapi.json", || web::route().to(openapi::json)))
        .service(get("/docs", || web::route().to(openapi::docs)))
        .service(get("/v2", || web::route().to(inference::server)))
        .service(get("/v2/health/live", || web::route().to(inference::live)))
        .service(get("/v2/health/ready", || {
            web::route().to(inference::ready)
        }))
        .service(get("/v2/models/{model}", || {
            web::route().to(inference::model)
        }))
        .service(get("/v2/models/{model}/ready", || {
            web::route().to(inference::model_ready)
        }))
        .service(get("/v2/models/{model}/versions/{version}", || {
            web::route().to(inference::model_version)
        }))
        .service(get("/v2/models/{model}/versions/{version}/ready", || {
            web::route().to(inference::version_ready)
        }))
        .service(get("/ping", || web::route().to(mlflow::ping)))
        .service(get("/version", || web::route().to(mlflow::version)));
    let post = |path: &'static str, route: actix_web::Route| {
        let route = route.method(actix_web::http::Method::POST);
        counted(path, web::resource(path).route(route), "POST", metrics)
    };
    config
        .service(post("/features", web::route().to(features::many)))
        .service(post("/predict", web::route().to(predict::predict)))
        .service(post("/events", web::route().to(events::send)))
        .service(post(
            "/get-online-features",
            web::route().to(feast::online_features),
        ))
        .service(post("/push", web::route().to(feast::push)))
        .service(post(
            "/v2/models/{model}/infer",
            web::route().to(inference::infer),
        ))
        .service(post(
            "/v2/models/{model}/versions/{version}/infer",
            web::route().to(inference::infer_version),
        ))
        .service(post("/invocations", web::route().to(mlflow::invocations)))
        .service(openapi::swagger())
        .default_service(web::to(nothing_here));
}

/// Adds what every resource has: an answer to other methods, and counters.
fn counted(
    template: &str,
    resource: Resource,
    allow: &'static str,
    metrics: &Metrics,
) -> impl HttpServiceFactory + use<> + 'static {
    let route = metrics.route(template);
    let refuse = move |request: HttpRequest| async move {
        let method = request.method().to_string();
        Err::<actix_web::HttpResponse, _>(ApiError::Method { method, allow })
    };
    resource
        .default_service(web::to(refuse))
        .wrap_fn(move |request, next| {
            let started = Instant::now();
            let route = route.clone();
            let answer = next.call(request);
            async move {
                let answer = answer.await?;
                route.observe(answer.status().as_u16(), started.elapsed());
                Ok(answer)
            }
        })
}

async fn asset(
    name: web::Path<String>,
    request: HttpRequest,
) -> Result<actix_web::HttpResponse, ApiError> {
    match ui::asset(&name) {
        Some(file) => Ok(file),
        None => nothing_here(request).await,
    }
}

async fn nothing_here(request: HttpRequest) -> Result<actix_web::HttpResponse, ApiError> {
    Err(ApiError::NoRoute {
        path: request.path().to_owned(),
        routes: ROUTES.to_vec(),
    })
}
