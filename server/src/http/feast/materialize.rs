//! `POST /materialize` and `POST /materialize-incremental`: a build and a push. Features are folds
//! over whole histories that go on from the version before, so both do the same, and the window of
//! time that Feast's clients name needs no more than to be one. Called by `routes`.

use std::time::Instant;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use granary_registry::EventTime;
use serde_json::{Value as Json, json};

use super::error::FeastError;
use super::schema;
use crate::http::body::body;
use crate::http::error::ApiError;
use crate::http::features::off_thread;
use crate::http::input::{BODY_LIMIT, BODY_ROOM};
use crate::monitor::Metrics;
use crate::service::{Service, ServiceError};

const MATERIALIZE: &str = "/materialize";
const INCREMENTAL: &str = "/materialize-incremental";

/// Builds feature views anew and serves them, in Feast's dialect.
#[utoipa::path(
    post,
    path = "/materialize",
    tag = "feast",
    operation_id = "materialize",
    params(schema::MaterializeQuery),
    request_body = schema::FeastMaterialize,
    responses(
        (status = 200, description = "Built, pushed and served; the body is `null`"),
        (status = 202, description = "Begun, as `async=true` asks for", body = schema::Materializing),
        (status = 404, description = "No such feature view", body = String, content_type = "application/json"),
        (status = 409, description = "Another build is running; `force=true` waits for it", body = schema::Materializing),
        (status = 422, description = "A field is wrong, or the build failed: its message says why", body = schema::FeastUnprocessable),
    ),
)]
pub(in crate::http) async fn materialize(
    request: HttpRequest,
    payload: web::Payload,
    service: web::Data<Service>,
    metrics: web::Data<Metrics>,
) -> Result<HttpResponse, FeastError> {
    let began = Instant::now();
    let place = (MATERIALIZE, ["start_ts", "end_ts"].as_slice());
    let done = run(&request, payload, place, service, metrics.clone()).await;
    metrics
        .feast
        .request(MATERIALIZE, began, done.is_ok(), None);
    done
}

/// The same up to an instant, going on from what was built before.
#[utoipa::path(
    post,
    path = "/materialize-incremental",
    tag = "feast",
    operation_id = "materialize_incremental",
    params(schema::MaterializeQuery),
    request_body = schema::FeastMaterialize,
    responses(
        (status = 200, description = "Built, pushed and served; the body is `null`"),
        (status = 202, description = "Begun, as `async=true` asks for", body = schema::Materializing),
        (status = 404, description = "No such feature view", body = String, content_type = "application/json"),
        (status = 409, description = "Another build is running; `force=true` waits for it", body = schema::Materializing),
        (status = 422, description = "A field is wrong, or the build failed: its message says why", body = schema::FeastUnprocessable),
    ),
)]
pub(in crate::http) async fn incremental(
    request: HttpRequest,
    payload: web::Payload,
    service: web::Data<Service>,
    metrics: web::Data<Metrics>,
) -> Result<HttpResponse, FeastError> {
    let began = Instant::now();
    let place = (INCREMENTAL, ["end_ts"].as_slice());
    let done = run(&request, payload, place, service, metrics.clone()).await;
    metrics
        .feast
        .request(INCREMENTAL, began, done.is_ok(), None);
    done
}

/// How a client wants it done.
#[derive(Clone, Copy, serde::Deserialize)]
pub(in crate::http) struct Query {
    /// Answer at once.
    #[serde(default, rename = "async")]
    is_async: bool,
    /// Wait for a build that is running.
    #[serde(default)]
    force: bool,
}

/// What a client sends; what else it says changes nothing here.
#[derive(serde::Deserialize)]
struct Asked {
    start_ts: Option<String>,
    end_ts: Option<String>,
    feature_views: Option<Vec<String>>,
    #[serde(default)]
    disable_event_timestamp: bool,
}

async fn run(
    request: &HttpRequest,
    payload: web::Payload,
    (_, fields): (&str, &[&'static str]),
    service: web::Data<Service>,
    metrics: web::Data<Metrics>,
) -> Result<HttpResponse, FeastError> {
    let query = web::Query::<Query>::from_query(request.query_string());
    let query = *query.map_err(|error| FeastError::in_query(error.to_string()))?;
    let body = body(request, payload, BODY_LIMIT, &BODY_ROOM).await?;
    let asked: Json = serde_json::from_slice(&body)?;
    let asked = serde_json::from_value::<Asked>(asked)
        .map_err(|error| FeastError::wrong(&[], error.to_string()))?;
    check_window(&asked, fields)?;
    let views = views(&asked, &service)?;
    let groups = asked.feature_views.clone().unwrap_or_default();
    let told = views.clone();
    let work = move || {
        let began = Instant::now();
        let built = service.rebuild(&groups, query.force);
        let is_refused = matches!(&built, Err(ServiceError::Busy(_)));
        if !is_refused {
            let took = began.elapsed();
            metrics.feast.materialized(&views, built.is_ok(), took);
        }
        if let Err(error) = &built {
            tracing::warn!(%error, "a build that a client asked for failed");
        }
        built
    };
    if query.is_async {
        std::thread::spawn(work);
        let body = json!({"status": "accepted", "feature_views": told});
        return Ok(HttpResponse::Accepted().json(body));
    }
    match off_thread(move || Ok(work()?)).await {
        Ok(_) => Ok(HttpResponse::Ok().json(Json::Null)),
        Err(ApiError::Service(ServiceError::Busy(reason))) => {
            let body = json!({"error": reason, "feature_views": told});
            Ok(HttpResponse::build(StatusCode::CONFLICT).json(body))
        }
        Err(ApiError::Service(ServiceError::BadInput { field, reason })) => {
            Err(FeastError::wrong(&[], format!("{field}: {reason}")))
        }
        Err(error) => Err(error.into()),
    }
}

/// The window must be one, though a fold needs none.
fn check_window(asked: &Asked, fields: &[&'static str]) -> Result<(), FeastError> {
    let mut instants = Vec::new();
    for &field in fields {
        let given = match field {
            "start_ts" => &asked.start_ts,
            _ => &asked.end_ts,
        };
        let Some(text) = given else {
            if asked.disable_event_timestamp {
                continue;
            }
            return Err(FeastError::missing(&[field]));
        };
        let instant = EventTime::parse(text);
        instants.push(instant.map_err(|error| FeastError::wrong(&[field], error.to_string()))?);
    }
    if !instants.is_sorted() {
        return Err(FeastError::wrong(&["end_ts"], "lies before start_ts"));
    }
    Ok(())
}

/// The names of what is built.
fn views(asked: &Asked, service: &Service) -> Result<Vec<String>, FeastError> {
    let known = service.groups();
    let Some(views) = &asked.feature_views else {
        return Ok(known);
    };
    if let Some(view) = views.iter().find(|view| !known.contains(view)) {
        let message = format!("Feature view {view} does not exist");
        return Err(FeastError::not_found(
            "FeatureViewNotFoundException",
            message,
        ));
    }
    Ok(views.clone())
}
