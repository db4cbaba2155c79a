//! `DELETE /entities/{id}`: one entity and all that there is of it, gone. Called by `routes`.

use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};

use super::error::ApiError;
use super::features::off_thread;
use super::guard::Erased;
use super::schema;
use crate::service::{ErasureReport, RowsOf, Service};

/// Erases an entity, which is not served from here on: what the log, versions, training sets and
/// raw files under the data directory have of it is rewritten before the answer. Events that come
/// later count, from nothing.
#[utoipa::path(
    delete,
    path = "/entities/{user_id}",
    tag = "operations",
    operation_id = "delete_entity",
    params(("user_id" = String, Path, description = "The entity's key")),
    responses(
        (status = 200, body = schema::Erasure),
        (status = 422, description = "The key cannot be one", body = schema::Refusal),
        (status = 503, description = "A build, a push or a backup is at work; nothing was done", body = schema::Refusal),
        (status = 507, description = "The disk is full; the entity is not served any more, send it again", body = schema::Refusal),
    ),
)]
pub(super) async fn delete(
    key: web::Path<String>,
    request: HttpRequest,
    service: web::Data<Service>,
) -> Result<HttpResponse, ApiError> {
    let report = off_thread(move || Ok::<_, ApiError>(service.erase(&key, &|_| {})?)).await?;
    request.extensions_mut().insert(Erased(report.hash.clone()));
    Ok(HttpResponse::Ok().json(shape(report)))
}

fn shape(report: ErasureReport) -> schema::Erasure {
    let files = report.finished.files;
    let rows = |all: Vec<RowsOf>| {
        let rows = all.into_iter();
        rows.map(|it| schema::ErasedRows {
            name: it.name,
            rows: it.rows,
        })
        .collect()
    };
    let backups = report.backups.into_iter();
    schema::Erasure {
        entity: report.entity,
        hash: report.hash,
        was_served: report.was_served,
        logged: report.finished.logged,
        lines: report.finished.lines,
        ingested: files.ingested,
        raw: rows(files.raw),
        versions: rows(files.versions),
        datasets: rows(files.datasets),
        outside: rows(files.outside),
        backups: backups.map(|path| path.display().to_string()).collect(),
        seconds: report.seconds,
    }
}
