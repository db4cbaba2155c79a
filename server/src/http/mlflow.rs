//! The routes of an MLflow scoring server, so that its clients predict here unchanged. Called by
//! `routes`.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, ResponseError, web};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use utoipa::ToSchema;

use super::body::body;
use super::error::ApiError;
use super::features::off_thread;
use super::input::{BODY_LIMIT, BODY_ROOM};
use super::subjects::{INLINE_SUBJECTS, Table, predictions};
use crate::service::{Service, ServiceError};

/// Churn probabilities for a table: of the join key, of features, or both (those sent win).
#[utoipa::path(
    post, path = "/invocations", tag = "mlflow", operation_id = "invocations",
    request_body(
        content((Invocation = "application/json"), (String = "text/csv")),
        description = "One of the four forms of a table, or CSV with a header",
    ),
    responses(
        (status = 200, body = Predictions),
        (status = 400, description = "The table is wrong", body = MlflowRefusal),
        (status = 404, description = "No such entity", body = MlflowRefusal),
        (status = 413, description = "The body is too long", body = MlflowRefusal),
        (status = 415, description = "The content type is not taken", body = MlflowRefusal),
        (status = 503, description = "No model is promoted, or it does not fit what is served", body = MlflowRefusal),
    ),
)]
pub(super) async fn invocations(
    request: HttpRequest,
    payload: web::Payload,
    service: web::Data<Service>,
) -> Result<HttpResponse, MlflowError> {
    let form = Form::of(&request)?;
    let body = body(&request, payload, BODY_LIMIT, &BODY_ROOM).await?;
    let table = match form {
        Form::Csv => of_csv(&body)?,
        Form::Json => {
            let sent: Invocation = serde_json::from_slice(&body).map_err(|error| {
                MlflowError::bad(format!("the body is no table to predict for: {error}"))
            })?;
            let names = || {
                let shape = service.model_shape()?;
                Ok(shape
                    .features
                    .iter()
                    .map(|(name, _)| name.to_string())
                    .collect())
            };
            sent.table(names)?
        }
    };
    let subjects = table.subjects(&service.catalog())?;
    let found = if subjects.len() <= INLINE_SUBJECTS {
        predictions(&service, &subjects)?
    } else {
        off_thread(move || predictions(&service, &subjects)).await?
    };
    let predictions = found.iter().map(|prediction| prediction.probability);
    Ok(HttpResponse::Ok().json(Predictions {
        predictions: predictions.collect(),
    }))
}

/// Whether the process answers.
#[utoipa::path(
    get, path = "/ping", tag = "mlflow", operation_id = "ping",
    responses((status = 200, body = String, content_type = "text/plain")),
)]
pub(super) async fn ping() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain").body("\n")
}

/// The program's version.
#[utoipa::path(
    get, path = "/version", tag = "mlflow", operation_id = "version",
    responses((status = 200, body = String, content_type = "text/plain")),
)]
pub(super) async fn version() -> HttpResponse {
    let version = env!("CARGO_PKG_VERSION");
    HttpResponse::Ok().content_type("text/plain").body(version)
}

/// A table in one of the forms that MLflow's clients send.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Invocation {
    /// Names once, then rows of values.
    dataframe_split: Option<Split>,
    /// Rows as objects.
    #[schema(value_type = Option<Vec<Object>>)]
    dataframe_records: Option<Vec<Map<String, Json>>>,
    /// Rows as objects, or as values in the order of the model's features.
    #[schema(value_type = Option<Vec<Object>>)]
    instances: Option<Vec<Json>>,
    /// Columns by name, or rows as `instances` has them.
    #[schema(value_type = Option<Object>)]
    inputs: Option<Json>,
    /// Taken and not used: the model has none.
    #[schema(value_type = Option<Object>)]
    #[expect(dead_code, reason = "clients send it")]
    params: Option<Json>,
}

/// Names once, then rows.
#[derive(Deserialize, ToSchema)]
pub(super) struct Split {
    /// Names of the columns.
    #[schema(example = json!(["user_id"]))]
    columns: Vec<String>,
    /// Rows of values.
    #[schema(value_type = Vec<Vec<Object>>, example = json!([["u000042"]]))]
    data: Vec<Vec<Json>>,
}

/// In the order of the rows.
#[derive(Serialize, ToSchema)]
pub(super) struct Predictions {
    /// Probabilities of churning.
    predictions: Vec<f64>,
}

/// Why a request was refused.
#[derive(Serialize, ToSchema)]
pub(super) struct MlflowRefusal {
    /// `BAD_REQUEST` …
    error_code: &'static str,
    /// For people.
    message: String,
}

impl Invocation {
    /// Its columns; `names` are those of the model's features, for rows without.
    fn table(
        self,
        names: impl Fn() -> Result<Vec<String>, ServiceError>,
    ) -> Result<Table, MlflowError> {
        let forms = [
            self.dataframe_split.is_some(),
            self.dataframe_records.is_some(),
            self.instances.is_some(),
            self.inputs.is_some(),
        ];
        if forms.iter().filter(|is_there| **is_there).count() != 1 {
            return Err(MlflowError::bad(
                "send exactly one of dataframe_split, dataframe_records, instances, inputs",
            ));
        }
        if let Some(Split { columns, data }) = self.dataframe_split {
            return of_rows(columns, data);
        }
        if let Some(records) = self.dataframe_records {
            return of_records(records);
        }
        match (self.instances, self.inputs) {
            (_, Some(Json::Object(columns))) => of_columns(columns),
            (Some(rows), _) | (_, Some(Json::Array(rows))) => of_instances(rows, names),
            _ => Err(MlflowError::bad(
                "`inputs` wants an object of columns or an array of rows",
            )),
        }
    }
}

fn of_rows(columns: Vec<String>, rows: Vec<Vec<Json>>) -> Result<Table, MlflowError> {
    let width = columns.len();
    let mut columns: Vec<(String, Vec<Json>)> = columns
        .into_iter()
        .map(|name| (name, Vec::with_capacity(rows.len())))
        .collect();
    for (row, cells) in rows.into_iter().enumerate() {
        if cells.len() != width {
            let found = cells.len();
            return Err(MlflowError::bad(format!(
                "row {row} has {found} values, there are {width} columns"
            )));
        }
        for ((_, values), cell) in columns.iter_mut().zip(cells) {
            values.push(cell);
        }
    }
    Ok(Table::of(columns))
}

/// Rows as objects; what one does not have is null.
fn of_records(records: Vec<Map<String, Json>>) -> Result<Table, MlflowError> {
    let mut names: Vec<String> = Vec::new();
    for name in records.iter().flat_map(Map::keys) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    let row = |mut record: Map<String, Json>| {
        let cells = names
            .iter()
            .map(|name| record.remove(name).unwrap_or_default());
        cells.collect::<Vec<Json>>()
    };
    let rows = records.into_iter().map(row).collect();
    of_rows(names.clone(), rows)
}

fn of_columns(columns: Map<String, Json>) -> Result<Table, MlflowError> {
    let column = |(name, values): (String, Json)| match values {
        Json::Array(values) => Ok((name, values)),
        _ => Err(MlflowError::bad(format!("inputs.{name} wants an array"))),
    };
    let columns = columns.into_iter().map(column);
    Ok(Table::of(columns.collect::<Result<_, _>>()?))
}

fn of_instances(
    rows: Vec<Json>,
    names: impl Fn() -> Result<Vec<String>, ServiceError>,
) -> Result<Table, MlflowError> {
    if rows.iter().all(Json::is_object) {
        let record = |row| match row {
            Json::Object(record) => record,
            _ => Map::new(),
        };
        return of_records(rows.into_iter().map(record).collect());
    }
    let values = |(at, row)| match row {
        Json::Array(values) => Ok(values),
        _ => Err(MlflowError::bad(format!(
            "row {at} is neither an object nor an array"
        ))),
    };
    let rows = rows.into_iter().enumerate().map(values);
    of_rows(names()?, rows.collect::<Result<_, _>>()?)
}

/// CSV with a header. Cells are read by the types of their columns, so that a key of digits and an
/// `e` is no number; empty ones are null.
fn of_csv(body: &[u8]) -> Result<Table, MlflowError> {
    let wrong = |error: csv::Error| MlflowError::bad(format!("the body is no CSV: {error}"));
    let mut reader = csv::Reader::from_reader(body);
    let names = reader.headers().map_err(wrong)?.iter().map(str::to_owned);
    let names = names.collect();
    let cell = |text: &str| match text {
        "" => Json::Null,
        text => text.into(),
    };
    let mut rows = Vec::new();
    for record in reader.records() {
        rows.push(record.map_err(wrong)?.iter().map(cell).collect());
    }
    Ok(Table {
        is_text: true,
        ..of_rows(names, rows)?
    })
}

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    Csv,
}

impl Form {
    fn of(request: &HttpRequest) -> Result<Form, MlflowError> {
        let header = request.headers().get(CONTENT_TYPE);
        let header = header
            .and_then(|header| header.to_str().ok())
            .unwrap_or("application/json");
        let mut parts = header.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        for parameter in parts {
            let charset = parameter.to_ascii_lowercase();
            if let Some(charset) = charset.strip_prefix("charset=")
                && charset.trim_matches('"') != "utf-8"
            {
                return Err(MlflowError::media(format!(
                    "the charset is {charset}, wants utf-8"
                )));
            }
        }
        match &*kind {
            // The second is what curl says of any body.
            "application/json" | "application/x-www-form-urlencoded" => Ok(Form::Json),
            "text/csv" => Ok(Form::Csv),
            other => Err(MlflowError::media(format!(
                "{other} is not taken; send application/json or text/csv"
            ))),
        }
    }
}

/// Why a request was refused.
#[derive(Debug)]
pub(super) enum MlflowError {
    /// By this dialect.
    Here(StatusCode, String),
    /// As everywhere else.
    Other(ApiError),
}

impl MlflowError {
    fn bad(said: impl Into<String>) -> MlflowError {
        MlflowError::Here(StatusCode::BAD_REQUEST, said.into())
    }

    fn media(said: String) -> MlflowError {
        MlflowError::Here(StatusCode::UNSUPPORTED_MEDIA_TYPE, said)
    }
}

impl fmt::Display for MlflowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MlflowError::Here(_, said) => f.write_str(said),
            MlflowError::Other(error) => error.fmt(f),
        }
    }
}

impl ResponseError for MlflowError {
    fn status_code(&self) -> StatusCode {
        match self {
            MlflowError::Here(status, _) => *status,
            MlflowError::Other(error) => match error.status_code() {
                StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
                status => status,
            },
        }
    }

    fn error_response(&self) -> HttpResponse {
        if let MlflowError::Other(error) = self {
            error.report();
        }
        let status = self.status_code();
        HttpResponseBuilder::new(status).json(MlflowRefusal {
            error_code: match status {
                StatusCode::NOT_FOUND => "RESOURCE_DOES_NOT_EXIST",
                status if status.is_server_error() => "INTERNAL_ERROR",
                _ => "BAD_REQUEST",
            },
            message: self.to_string(),
        })
    }
}

impl From<ApiError> for MlflowError {
    fn from(error: ApiError) -> MlflowError {
        MlflowError::Other(error)
    }
}

impl From<ServiceError> for MlflowError {
    fn from(error: ServiceError) -> MlflowError {
        MlflowError::Other(error.into())
    }
}
