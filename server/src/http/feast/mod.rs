//! The routes of a Feast feature server, so that its clients read from here unchanged. Called by
//! `routes`.

mod answer; // columns of values, statuses and instants
mod error; // refusals in the forms that Feast's client reads
mod request; // what a client asks for
mod materialize; // a build and a push
mod frame; // the columns of a frame
mod push; // columns of a frame -> events, or values
mod write; // columns of a frame -> values
pub(super) mod schema; // the shapes, for the OpenAPI document

pub(super) use materialize::{__path_incremental, __path_materialize, incremental, materialize};
pub(super) use push::{__path_push, push};
pub(super) use write::{__path_write, write};

use std::time::Instant;

use actix_web::{HttpRequest, HttpResponse, web};

use self::answer::Answer;
use self::error::FeastError;
use self::request::Asked;
use super::body::body;
use super::error::ApiError;
use super::features::off_thread;
use super::guard;
use super::input::{BODY_LIMIT, BODY_ROOM};
use super::json::ok;
use crate::monitor::Metrics;
use crate::service::Service;

const ONLINE: &str = "/get-online-features";

/// Cells of an answer, entities times features, that take long enough for another thread.
const INLINE_CELLS: usize = 1 << 14;

/// Features of many entities as columns, in Feast's dialect.
#[utoipa::path(
    post,
    path = "/get-online-features",
    tag = "feast",
    operation_id = "get_online_features",
    request_body = schema::OnlineFeaturesRequest,
    responses(
        (status = 200, description = "A column for the join key and for each feature, in the order asked for", body = schema::OnlineFeatures),
        (status = 404, description = "No such feature view, feature or feature service: a JSON text that holds an object with `class` and `message`", body = String, content_type = "application/json"),
        (status = 413, description = "The body is too long", body = String, content_type = "application/json"),
        (status = 422, description = "A field is missing or has the wrong form", body = schema::FeastUnprocessable),
        (status = 503, description = "Nothing is loaded yet", body = String, content_type = "application/json"),
    ),
)]
pub(super) async fn online_features(
    request: HttpRequest,
    payload: web::Payload,
    service: web::Data<Service>,
    metrics: web::Data<Metrics>,
) -> Result<HttpResponse, FeastError> {
    let began = Instant::now();
    let mut counts = None;
    let answered = answer(&request, payload, service, &metrics, &mut counts).await;
    metrics
        .feast
        .request(ONLINE, began, answered.is_ok(), counts);
    Ok(ok(answered?))
}

/// The answer as JSON; `counts` becomes how many features of how many views were asked for.
async fn answer(
    request: &HttpRequest,
    payload: web::Payload,
    service: web::Data<Service>,
    metrics: &web::Data<Metrics>,
    counts: &mut Option<(usize, usize)>,
) -> Result<Vec<u8>, FeastError> {
    let body = body(request, payload, BODY_LIMIT, &BODY_ROOM).await?;
    let catalog = service.catalog();
    let asked = Asked::read(&serde_json::from_slice(&body)?, &catalog)?;
    *counts = Some((asked.features.len(), asked.views(&catalog).len()));
    guard::sight(request, &catalog).check(&asked.features, &catalog)?;
    let is_long = asked.keys.len() * asked.features.len() > INLINE_CELLS;
    let metrics = metrics.clone();
    let read = move || {
        let began = Instant::now();
        let answer = service.reading(|reader| Answer::read(&asked, &catalog, reader))?;
        metrics.feast.online(asked.keys.len(), began.elapsed());
        answer.count(&asked, &catalog, &metrics.feast);
        Ok::<_, ApiError>(answer.into_json(&asked, &catalog))
    };
    Ok(if is_long {
        off_thread(read).await?
    } else {
        read()?
    })
}
