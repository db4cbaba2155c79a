//! `POST /write-to-online-store`, and what `POST /push` does for a source of values: the columns of
//! a frame to written values. Called by `routes` and `push`.

use std::sync::Arc;
use std::time::Instant;

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Map, Value as Json};

use super::error::FeastError;
use super::frame::Frame;
use super::schema;
use crate::http::body::body;
use crate::http::features::off_thread;
use crate::http::guard;
use crate::http::input::{BODY_LIMIT, BODY_ROOM};
use crate::monitor::Metrics;
use crate::service::access::Sight;
use crate::service::{CheckedValues, Service, ServiceError, ValueGate};

const WRITE: &str = "/write-to-online-store";

/// Values of a feature group, in Feast's dialect: one row for each entity.
#[utoipa::path(
    post,
    path = "/write-to-online-store",
    tag = "feast",
    operation_id = "write_to_online_store",
    request_body = schema::FeastWrite,
    responses(
        (status = 200, description = "The values are durable and served; the body is `null`"),
        (status = 404, description = "No such feature view", body = String, content_type = "application/json"),
        (status = 413, description = "The body is too long", body = String, content_type = "application/json"),
        (status = 422, description = "A column is no value of the feature view, or a value is wrong; none was taken", body = schema::FeastUnprocessable),
        (status = 503, description = "The server is busy", body = String, content_type = "application/json"),
    ),
)]
pub(in crate::http) async fn write(
    request: HttpRequest,
    payload: web::Payload,
    service: web::Data<Service>,
    metrics: web::Data<Metrics>,
) -> Result<HttpResponse, FeastError> {
    let began = Instant::now();
    let taken = take(&request, payload, service).await;
    metrics.feast.request(WRITE, began, taken.is_ok(), None);
    taken.map(|()| HttpResponse::Ok().json(Json::Null))
}

async fn take(
    request: &HttpRequest,
    payload: web::Payload,
    service: web::Data<Service>,
) -> Result<(), FeastError> {
    let body = body(request, payload, BODY_LIMIT, &BODY_ROOM).await?;
    let written: Json = serde_json::from_slice(&body)?;
    let written = serde_json::from_value::<Written>(written)
        .map_err(|error| FeastError::wrong(&[], error.to_string()))?;
    let gate = service.value_gate()?;
    let view = written.feature_view_name;
    if !gate.has_group(&view) {
        return Err(FeastError::not_found(
            "FeatureViewNotFoundException",
            format!("Feature view {view} does not exist"),
        ));
    }
    let catalog = service.catalog();
    let sight = guard::sight(request, &catalog);
    let feature = |name: &str| Ok(vec![gate.feature(&view, name)?.name]);
    let values = values(&gate, Frame::read(written.df)?, feature)?;
    log(service, values, &sight).await
}

/// What a client sends; what else it says changes nothing here.
#[derive(serde::Deserialize)]
struct Written {
    feature_view_name: String,
    df: Map<String, Json>,
}

/// The rows of a frame as written values; `features` names those that a column is for.
pub(super) fn values(
    gate: &ValueGate,
    mut frame: Frame,
    features: impl Fn(&str) -> Result<Vec<Arc<str>>, ServiceError>,
) -> Result<Vec<CheckedValues>, FeastError> {
    let times = frame.take_times()?;
    let keys = frame.take(gate.key());
    let keys = keys.ok_or_else(|| FeastError::missing(&["df", gate.key()]))?;
    let mut columns = Vec::with_capacity(frame.columns.len());
    for (name, values) in &frame.columns {
        for feature in features(name)? {
            columns.push((feature, values));
        }
    }
    if columns.is_empty() {
        let said = "has no column of a feature; add one for each value to be written";
        return Err(FeastError::wrong(&["df"], said));
    }
    let mut rows = Vec::with_capacity(frame.rows);
    for (at, (key, time)) in keys.iter().zip(times).enumerate() {
        let cells = columns.iter().map(|(name, values)| (name, &values[at]));
        rows.push(
            gate.json(key, time, cells)
                .map_err(|error| in_row(at, error))?,
        );
    }
    Ok(rows)
}

/// Logs written values, if whoever asks may see their features.
pub(super) async fn log(
    service: web::Data<Service>,
    values: Vec<CheckedValues>,
    sight: &Sight,
) -> Result<(), FeastError> {
    if let Some(first) = values.first() {
        let catalog = service.catalog();
        let features = first.features();
        let features: Vec<usize> = features
            .filter_map(|name| catalog.features.position(&**name))
            .collect();
        sight.check(&features, &catalog)?;
    }
    off_thread(move || Ok(service.write_values(values)?)).await?;
    Ok(())
}

fn in_row(row: usize, error: ServiceError) -> FeastError {
    match error {
        ServiceError::BadInput { field, reason } => {
            FeastError::wrong(&["df", &field], format!("row {row}: {field} {reason}"))
        }
        other => other.into(),
    }
}
