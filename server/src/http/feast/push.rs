//! `POST /push`: the columns of a frame to events of the source that the push source names. Called
//! by `routes`.

use std::time::Instant;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json};

use super::error::FeastError;
use super::schema;
use crate::http::body::body;
use crate::http::features::off_thread;
use crate::http::input::{BODY_LIMIT, BODY_ROOM};
use crate::monitor::Metrics;
use crate::service::{Gate, Service};

const PUSH: &str = "/push";

/// The column of instants in every frame of Feast's.
const EVENT_TIMESTAMP: &str = "event_timestamp";

/// The columns with which Feast's client says when a row was made; the log knows that itself.
const CREATED: [&str; 2] = ["created", "created_timestamp"];

/// Rows of a push source, in Feast's dialect: events of the source of that name.
#[utoipa::path(
    post,
    path = "/push",
    tag = "feast",
    operation_id = "push",
    request_body = schema::FeastPush,
    responses(
        (status = 200, description = "The events are durable and folded in; the body is empty"),
        (status = 413, description = "The body is too long", body = String),
        (status = 422, description = "No such push source, or an event is wrong; none was taken", body = schema::FeastRefusal),
        (status = 503, description = "Nothing is loaded yet, or the server is busy", body = String),
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
    let Some(gate) = service.stream(&pushed.push_source_name) else {
        let known = service.streams().join("', '");
        let name = &pushed.push_source_name;
        return Err(FeastError::Raised {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            class: "PushSourceNotFoundException",
            message: format!(
                "Unable to find push source '{name}'; those that take events: '{known}'."
            ),
        });
    };
    if !["online", "offline", "online_and_offline"].contains(&&*pushed.to) {
        let said = format!(
            "`{}` is none of online, offline, online_and_offline",
            pushed.to
        );
        return Err(FeastError::wrong(&["to"], said));
    }
    let source = gate.source().to_owned();
    let events = events(pushed.df, &gate)?;
    off_thread(move || {
        let events: Vec<&RawValue> = events.iter().map(|event| &**event).collect();
        Ok(service.ingest(Some(gate.source()), &events)?)
    })
    .await?;
    metrics.feast.push(&source, &pushed.to);
    Ok(())
}

/// What a client sends; what else it says changes nothing here.
#[derive(serde::Deserialize)]
struct Pushed {
    push_source_name: String,
    df: Map<String, Json>,
    /// Whatever it says, events are logged, which is the offline store, and folded in.
    #[serde(default = "online")]
    to: String,
}

fn online() -> String {
    "online".to_owned()
}

/// The rows of a frame, without what is null.
fn events(df: Map<String, Json>, gate: &Gate) -> Result<Vec<Box<RawValue>>, FeastError> {
    let mut columns = Vec::with_capacity(df.len());
    for (name, values) in df {
        let Json::Array(values) = values else {
            return Err(FeastError::wrong(
                &["df", &name],
                "Input should be a valid list",
            ));
        };
        // Unless the source has such columns, these are Feast's own.
        let name = match &*name {
            EVENT_TIMESTAMP if !gate.has_column(&name) => gate.time().to_owned(),
            _ if CREATED.contains(&&*name) && !gate.has_column(&name) => continue,
            _ => name,
        };
        columns.push((name, values));
    }
    let rows = columns.first().map_or(0, |(_, values)| values.len());
    if let Some((name, values)) = columns.iter().find(|(_, values)| values.len() != rows) {
        let said = format!("has {} rows, the first column has {rows}", values.len());
        return Err(FeastError::wrong(&["df", name], said));
    }
    let row = |at: usize| {
        let cells = columns
            .iter()
            .map(|(name, values)| (name.clone(), values[at].clone()));
        let present: Map<String, Json> = cells.filter(|(_, value)| !value.is_null()).collect();
        Ok(serde_json::value::to_raw_value(&present)?)
    };
    (0..rows).map(row).collect()
}
