//! `POST /push`: the columns of a frame to events of the source that the push source names, or to
//! values if it holds those. Called by `routes`.

use std::time::Instant;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json};

use super::error::FeastError;
use super::frame::{CREATED, EVENT_TIMESTAMP, Frame};
use super::schema;
use super::write::{log, values};
use crate::http::body::body;
use crate::http::features::off_thread;
use crate::http::guard;
use crate::http::input::{BODY_LIMIT, BODY_ROOM};
use crate::monitor::Metrics;
use crate::service::{Gate, Service, ServiceError, ValueGate};

const PUSH: &str = "/push";

/// Rows of a push source, in Feast's dialect: events of the source of that name, or its values.
#[utoipa::path(
    post,
    path = "/push",
    tag = "feast",
    operation_id = "push",
    request_body = schema::FeastPush,
    responses(
        (status = 200, description = "The rows are durable and folded in; the body is empty"),
        (status = 413, description = "The body is too long", body = String, content_type = "application/json"),
        (status = 422, description = "No such push source, or a row is wrong; none was taken", body = schema::FeastUnprocessable),
        (status = 503, description = "Nothing is loaded yet, or the server is busy", body = String, content_type = "application/json"),
    ),
)]
pub(in crate::http) async fn push(
    request: HttpRequest,
    payload: web::Payload,
    service: web::Data<Service>,
    metrics: web::Data<Metrics>,
) -> Result<HttpResponse, FeastError> {
    let began = Instant::now();
    let taken = take(&request, payload, service, &metrics).await;
    metrics.feast.request(PUSH, began, taken.is_ok(), None);
    taken.map(|()| HttpResponse::Ok().finish())
}

async fn take(
    request: &HttpRequest,
    payload: web::Payload,
    service: web::Data<Service>,
    metrics: &Metrics,
) -> Result<(), FeastError> {
    let body = body(request, payload, BODY_LIMIT, &BODY_ROOM).await?;
    let pushed: Json = serde_json::from_slice(&body)?;
    let pushed = serde_json::from_value::<Pushed>(pushed)
        .map_err(|error| FeastError::wrong(&[], error.to_string()))?;
    if !["online", "offline", "online_and_offline"].contains(&&*pushed.to) {
        let said = format!(
            "`{}` is none of online, offline, online_and_offline",
            pushed.to
        );
        return Err(FeastError::wrong(&["to"], said));
    }
    let name = pushed.push_source_name;
    let frame = Frame::read(pushed.df)?;
    if let Some(gate) = service.stream(&name) {
        let source = gate.source().to_owned();
        let events = events(frame, &gate)?;
        off_thread(move || {
            let events: Vec<&RawValue> = events.iter().map(|event| &**event).collect();
            Ok(service.ingest(Some(gate.source()), &events)?)
        })
        .await?;
        metrics.feast.push(&source, &pushed.to);
        return Ok(());
    }
    let gate = service.value_gate()?;
    if !gate.has_values_of(&name) {
        return Err(not_found(&name, &service, &gate));
    }
    let sight = guard::sight(request, &service.catalog());
    let features = |column: &str| {
        let features = gate.features_of_column(&name, column);
        if features.is_empty() {
            return Err(ServiceError::BadInput {
                field: column.to_owned(),
                reason: format!("is no column of source `{name}` that a value is read from"),
            });
        }
        Ok(features.into_iter().map(|feature| feature.name).collect())
    };
    let values = values(&gate, frame, features)?;
    log(service, values, &sight).await?;
    metrics.feast.push(&name, &pushed.to);
    Ok(())
}

fn not_found(name: &str, service: &Service, gate: &ValueGate) -> FeastError {
    let mut known = service.streams();
    known.extend(gate.sources().iter().map(ToString::to_string));
    let known = known.join("', '");
    FeastError::Raised {
        status: StatusCode::UNPROCESSABLE_ENTITY,
        class: "PushSourceNotFoundException",
        message: format!("Unable to find push source '{name}'; those there are: '{known}'."),
    }
}

/// What a client sends; what else it says changes nothing here.
#[derive(serde::Deserialize)]
struct Pushed {
    push_source_name: String,
    df: Map<String, Json>,
    /// Whatever it says, rows are logged, which is the offline store, and folded in.
    #[serde(default = "online")]
    to: String,
}

fn online() -> String {
    "online".to_owned()
}

/// The rows of a frame, without what is null.
fn events(frame: Frame, gate: &Gate) -> Result<Vec<Box<RawValue>>, FeastError> {
    let Frame { columns, rows } = frame;
    // Unless the source has such columns, these are Feast's own.
    let is_own = |name: &str| !gate.has_column(name);
    let named = columns
        .into_iter()
        .filter_map(|(name, values)| match &*name {
            EVENT_TIMESTAMP if is_own(&name) => Some((gate.time().to_owned(), values)),
            _ if CREATED.contains(&&*name) && is_own(&name) => None,
            _ => Some((name, values)),
        });
    let columns: Vec<(String, Vec<Json>)> = named.collect();
    let row = |at: usize| {
        let cells = columns
            .iter()
            .map(|(name, values)| (name.clone(), values[at].clone()));
        let present: Map<String, Json> = cells.filter(|(_, value)| !value.is_null()).collect();
        Ok(serde_json::value::to_raw_value(&present)?)
    };
    (0..rows).map(row).collect()
}
