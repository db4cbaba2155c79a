//! Every route on one screen. Called by `server`, once for each worker.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::dev::{HttpServiceFactory, Service as _};
use actix_web::http::Method;
use actix_web::{HttpRequest, Resource, ResponseError, Route, web};
use tracing::Instrument;

use super::error::ApiError;
use super::guard::{self, Need};
use super::trace::Traced;
use super::{
    entities, events, feast, features, health, inference, mlflow, openapi, predict, status,
};
use crate::monitor::Metrics;
use crate::service::access::Role;
use crate::ui;

/// For the answer to a path that is not there.
const ROUTES: [&str; 28] = [
    "GET /",
    "GET /features/{user_id}",
    "GET /features/{user_id}/{feature}",
    "POST /features",
    "POST /predict",
    "POST /events",
    "DELETE /entities/{user_id}",
    "POST /get-online-features",
    "POST /push",
    "POST /write-to-online-store",
    "POST /materialize",
    "POST /materialize-incremental",
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

const READ: Need = Need::Role(Role::Read);
const WRITE: Need = Need::Role(Role::Write);
const ADMIN: Need = Need::Role(Role::Admin);
const PREDICT: Need = Need::Role(Role::Predict);

/// Lays out the routes, each with its counters and with what it asks of whoever comes.
pub(super) fn configure(config: &mut web::ServiceConfig, metrics: &Metrics, limit: Duration) {
    config.app_data(
        web::PathConfig::default()
            .error_handler(|error, _| ApiError::field("path", error.to_string()).into()),
    );
    let mut routes = Routes {
        config,
        metrics,
        limit: Some(limit),
    };
    own(&mut routes);
    feast(&mut routes);
    inference(&mut routes);
    mlflow(&mut routes);
    config
        .service(openapi::swagger())
        .default_service(web::to(nothing_here));
}

fn own(routes: &mut Routes<'_>) {
    let to = web::route;
    routes.get("/", READ, || to().to(ui::page));
    routes.get("/assets/{file}", READ, || to().to(asset));
    routes.get("/features/{user_id}", READ, || to().to(features::entity));
    let feature = || to().to(features::feature);
    routes.get("/features/{user_id}/{feature}", READ, feature);
    routes.get("/status", READ, || to().to(status::status));
    routes.get("/health", Need::Nothing, || to().to(health::health));
    routes.get("/ready", Need::Nothing, || to().to(health::ready));
    routes.get("/metrics", READ, || to().to(health::metrics));
    routes.get("/openapi.json", READ, || to().to(openapi::json));
    routes.get("/docs", READ, || to().to(openapi::docs));
    routes.post("/features", READ, to().to(features::many));
    routes.post("/predict", PREDICT, to().to(predict::predict));
    routes.post("/events", WRITE, to().to(events::send));
    // As long as it takes to rewrite everything.
    let limit = routes.limit.take();
    routes.delete("/entities/{user_id}", ADMIN, to().to(entities::delete));
    routes.limit = limit;
}

fn feast(routes: &mut Routes<'_>) {
    let to = web::route;
    let online = to().to(feast::online_features);
    routes.post("/get-online-features", READ, online);
    routes.post("/push", WRITE, to().to(feast::push));
    let write = to().to(feast::write);
    routes.post("/write-to-online-store", WRITE, write);
    // A build takes as long as it takes.
    let limit = routes.limit.take();
    routes.post("/materialize", ADMIN, to().to(feast::materialize));
    let incremental = to().to(feast::incremental);
    routes.post("/materialize-incremental", ADMIN, incremental);
    routes.limit = limit;
}

fn inference(routes: &mut Routes<'_>) {
    let to = web::route;
    routes.get("/v2", PREDICT, || to().to(inference::server));
    routes.get("/v2/health/live", Need::Nothing, || {
        to().to(inference::live)
    });
    let ready = || to().to(inference::ready);
    routes.get("/v2/health/ready", Need::Nothing, ready);
    let model = "/v2/models/{model}";
    routes.get(model, PREDICT, || to().to(inference::model));
    let ready = || to().to(inference::model_ready);
    routes.get(&format!("{model}/ready"), PREDICT, ready);
    let infer = to().to(inference::infer);
    routes.post(&format!("{model}/infer"), PREDICT, infer);
    let version = "/v2/models/{model}/versions/{version}";
    routes.get(version, PREDICT, || to().to(inference::model_version));
    let ready = || to().to(inference::version_ready);
    routes.get(&format!("{version}/ready"), PREDICT, ready);
    let infer = to().to(inference::infer_version);
    routes.post(&format!("{version}/infer"), PREDICT, infer);
}

fn mlflow(routes: &mut Routes<'_>) {
    let to = web::route;
    routes.post("/invocations", PREDICT, to().to(mlflow::invocations));
    routes.get("/ping", Need::Nothing, || to().to(mlflow::ping));
    routes.get("/version", Need::Nothing, || to().to(mlflow::version));
}

/// Where routes are added.
struct Routes<'a> {
    config: &'a mut web::ServiceConfig,
    metrics: &'a Metrics,
    /// How long a request may take.
    limit: Option<Duration>,
}

impl Routes<'_> {
    fn get(&mut self, path: &str, need: Need, route: impl Fn() -> Route) {
        // HEAD is GET without the body, which actix leaves out by itself.
        let head = route().method(Method::HEAD);
        let get = route().method(Method::GET);
        let resource = web::resource(path).route(get).route(head);
        self.add(path, resource, "GET, HEAD", need);
    }

    fn post(&mut self, path: &str, need: Need, route: Route) {
        let resource = web::resource(path).route(route.method(Method::POST));
        self.add(path, resource, "POST", need);
    }

    fn delete(&mut self, path: &str, need: Need, route: Route) {
        let resource = web::resource(path).route(route.method(Method::DELETE));
        self.add(path, resource, "DELETE", need);
    }

    fn add(&mut self, path: &str, resource: Resource, allow: &'static str, need: Need) {
        let rules = Rules {
            allow,
            need,
            limit: self.limit,
        };
        let counted = counted(path, resource, rules, self.metrics);
        self.config.service(counted);
    }
}

/// What is asked of the requests of a resource.
#[derive(Clone, Copy)]
struct Rules {
    /// Its methods.
    allow: &'static str,
    need: Need,
    limit: Option<Duration>,
}

/// Adds what every resource has: an answer to other methods, a bound on time, and counters.
fn counted(
    template: &str,
    resource: Resource,
    rules: Rules,
    metrics: &Metrics,
) -> impl HttpServiceFactory + use<> + 'static {
    let route = metrics.route(template);
    let Rules { allow, need, limit } = rules;
    let template: Arc<str> = Arc::from(template);
    let refuse = move |request: HttpRequest| async move {
        let method = request.method().to_string();
        Err::<actix_web::HttpResponse, _>(ApiError::Method { method, allow })
    };
    resource
        .default_service(web::to(refuse))
        .wrap_fn(move |request, next| {
            let started = Instant::now();
            let route = route.clone();
            let traced = Traced::of(&request, &template);
            let span = traced.span.clone();
            let answer = match guard::check(&request, need) {
                Ok(()) => Ok(span.in_scope(|| next.call(request))),
                Err(refusal) => Err(request.into_response(refusal.error_response())),
            };
            let answered = async move {
                let mut answer = match answer {
                    Ok(answer) => within(limit, answer).await?,
                    Err(refusal) => refusal,
                };
                let took = started.elapsed();
                route.observe(answer.status().as_u16(), took);
                guard::audit(answer.request(), traced.id(), need, answer.status());
                traced.answered(&mut answer, took);
                Ok(answer)
            };
            answered.instrument(span)
        })
}

/// The answer, if it comes in time: a body that is sent too slowly, or too much work.
async fn within<T>(
    limit: Option<Duration>,
    answer: impl Future<Output = Result<T, actix_web::Error>>,
) -> Result<T, actix_web::Error> {
    let Some(limit) = limit else {
        return answer.await;
    };
    match tokio::time::timeout(limit, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(ApiError::Slow { limit }.into()),
    }
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
