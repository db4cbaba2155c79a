//! The routes of the Open Inference Protocol, version 2, so that clients of KServe and Triton
//! predict here unchanged. Called by `routes`.

mod error; // refusals as the protocol has them
pub(super) mod schema; // the shapes
mod tensor; // tensors -> columns

use actix_web::{HttpRequest, HttpResponse, web};
use granary_registry::DType;
use serde_json::json;

pub(super) use self::error::InferenceError;
use self::schema::{InferRequest, InferResponse, ModelMetadata, Output, TensorForm};
use super::body::body;
use super::error::ApiError;
use super::features::off_thread;
use super::input::{BODY_LIMIT, BODY_ROOM, key_name};
use super::subjects::{INLINE_SUBJECTS, predictions};
use crate::service::{Catalog, ModelShape, Service};

/// What a client may ask for, and in which type it is told.
const OUTPUTS: [(&str, &str); 2] = [("probability", "FP64"), ("decision", "BOOL")];

/// Says that the body has binary parts behind its JSON.
const BINARY: &str = "inference-header-content-length";

/// Who serves here.
#[utoipa::path(
    get, path = "/v2", tag = "inference", operation_id = "v2_server",
    responses((status = 200, body = schema::ServerMetadata)),
)]
pub(super) async fn server() -> HttpResponse {
    HttpResponse::Ok().json(schema::ServerMetadata {
        name: "granary",
        version: env!("CARGO_PKG_VERSION"),
        extensions: Vec::new(),
    })
}

/// Whether the process answers.
#[utoipa::path(
    get, path = "/v2/health/live", tag = "inference", operation_id = "v2_live",
    responses((status = 200, body = schema::Live)),
)]
pub(super) async fn live() -> HttpResponse {
    HttpResponse::Ok().json(schema::Live { live: true })
}

/// Whether a model is ready to predict.
#[utoipa::path(
    get, path = "/v2/health/ready", tag = "inference", operation_id = "v2_ready",
    responses(
        (status = 200, body = schema::InferenceReady),
        (status = 503, description = "No model is promoted, or nothing is loaded", body = schema::InferenceReady),
    ),
)]
pub(super) async fn ready(service: web::Data<Service>) -> HttpResponse {
    let ready = service.model_shape().is_ok();
    let mut response = if ready {
        HttpResponse::Ok()
    } else {
        HttpResponse::ServiceUnavailable()
    };
    response.json(schema::InferenceReady { live: true, ready })
}

/// What a model takes and gives.
#[utoipa::path(
    get, path = "/v2/models/{model}", tag = "inference", operation_id = "v2_model",
    params(("model" = String, Path, description = "Name of the model")),
    responses(
        (status = 200, body = ModelMetadata),
        (status = 404, description = "No such model", body = schema::InferenceRefusal),
        (status = 503, description = "No model is promoted", body = schema::InferenceRefusal),
    ),
)]
pub(super) async fn model(
    path: web::Path<String>,
    service: web::Data<Service>,
) -> Result<HttpResponse, InferenceError> {
    metadata(&service, &path, None)
}

/// The same of one version.
pub(super) async fn model_version(
    path: web::Path<(String, String)>,
    service: web::Data<Service>,
) -> Result<HttpResponse, InferenceError> {
    metadata(&service, &path.0, Some(&path.1))
}

/// Whether a model is ready.
#[utoipa::path(
    get, path = "/v2/models/{model}/ready", tag = "inference", operation_id = "v2_model_ready",
    params(("model" = String, Path, description = "Name of the model")),
    responses(
        (status = 200, body = schema::ModelReady),
        (status = 404, description = "No such model", body = schema::InferenceRefusal),
        (status = 503, description = "No model is promoted", body = schema::InferenceRefusal),
    ),
)]
pub(super) async fn model_ready(
    path: web::Path<String>,
    service: web::Data<Service>,
) -> Result<HttpResponse, InferenceError> {
    let shape = shape(&service, &path, None)?;
    Ok(HttpResponse::Ok().json(json!({"name": shape.name, "ready": true})))
}

/// The same of one version.
pub(super) async fn version_ready(
    path: web::Path<(String, String)>,
    service: web::Data<Service>,
) -> Result<HttpResponse, InferenceError> {
    let shape = shape(&service, &path.0, Some(&path.1))?;
    Ok(HttpResponse::Ok().json(json!({"name": shape.name, "ready": true})))
}

/// Predictions for tensors: one of the join key, whose features are looked up, one for each
/// feature, or both (those sent win).
#[utoipa::path(
    post, path = "/v2/models/{model}/infer", tag = "inference", operation_id = "v2_infer",
    params(("model" = String, Path, description = "Name of the model")),
    request_body = InferRequest,
    responses(
        (status = 200, body = InferResponse),
        (status = 400, description = "A tensor is wrong", body = schema::InferenceRefusal),
        (status = 404, description = "No such model, or no such entity", body = schema::InferenceRefusal),
        (status = 413, description = "The body is too long", body = schema::InferenceRefusal),
        (status = 503, description = "No model is promoted, or it does not fit what is served", body = schema::InferenceRefusal),
    ),
)]
pub(super) async fn infer(
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    service: web::Data<Service>,
) -> Result<HttpResponse, InferenceError> {
    inferred(&path, None, &request, payload, service).await
}

/// The same of one version.
pub(super) async fn infer_version(
    path: web::Path<(String, String)>,
    request: HttpRequest,
    payload: web::Payload,
    service: web::Data<Service>,
) -> Result<HttpResponse, InferenceError> {
    inferred(&path.0, Some(&path.1), &request, payload, service).await
}

async fn inferred(
    name: &str,
    version: Option<&str>,
    request: &HttpRequest,
    payload: web::Payload,
    service: web::Data<Service>,
) -> Result<HttpResponse, InferenceError> {
    let shape = shape(&service, name, version)?;
    if request.headers().contains_key(BINARY) {
        let said = "binary tensors are not taken; send `data` as JSON";
        return Err(InferenceError::bad(said));
    }
    let body = body(request, payload, BODY_LIMIT, &BODY_ROOM).await?;
    let asked: InferRequest = serde_json::from_slice(&body)?;
    let wanted = wanted(&asked)?;
    let catalog = service.catalog();
    let table = tensor::table(asked.inputs, &shape, key_name(&catalog))?;
    let subjects = table.subjects(&catalog)?;
    let found = if subjects.len() <= INLINE_SUBJECTS {
        predictions(&service, &subjects)?
    } else {
        off_thread(move || predictions(&service, &subjects)).await?
    };
    let output = |(name, datatype): &(&'static str, &'static str)| Output {
        name: (*name).to_owned(),
        datatype: (*datatype).to_owned(),
        shape: vec![found.len()],
        data: match *name {
            "decision" => found.iter().map(|it| it.decision.into()).collect(),
            _ => found.iter().map(|it| it.probability.into()).collect(),
        },
    };
    Ok(HttpResponse::Ok().json(InferResponse {
        model_name: shape.name,
        model_version: shape.version,
        id: asked.id,
        outputs: wanted.iter().map(output).collect(),
    }))
}

/// The outputs asked for, or all.
fn wanted(asked: &InferRequest) -> Result<Vec<(&'static str, &'static str)>, InferenceError> {
    if asked.outputs.is_empty() {
        return Ok(OUTPUTS.to_vec());
    }
    let find = |asked: &schema::OutputRequest| {
        let found = OUTPUTS.iter().find(|(name, _)| *name == asked.name);
        found.copied().ok_or_else(|| {
            let name = &asked.name;
            InferenceError::bad(format!(
                "there is no output `{name}`; there are probability, decision"
            ))
        })
    };
    asked.outputs.iter().map(find).collect()
}

/// The model of this name and version.
fn shape(
    service: &Service,
    name: &str,
    version: Option<&str>,
) -> Result<ModelShape, InferenceError> {
    let shape = service.model_shape()?;
    if shape.name != name || version.is_some_and(|version| version != shape.version) {
        let version = version.map_or_else(String::new, |version| format!(" {version}"));
        return Err(InferenceError::not_found(format!(
            "there is no model {name}{version}; there is {} {}",
            shape.name, shape.version
        )));
    }
    Ok(shape)
}

fn metadata(
    service: &Service,
    name: &str,
    version: Option<&str>,
) -> Result<HttpResponse, InferenceError> {
    let shape = shape(service, name, version)?;
    let catalog = service.catalog();
    Ok(HttpResponse::Ok().json(ModelMetadata {
        inputs: inputs(&shape, &catalog),
        outputs: OUTPUTS
            .iter()
            .map(|(name, datatype)| TensorForm::of(name, datatype, &[-1]))
            .collect(),
        name: shape.name,
        versions: vec![shape.version],
        platform: format!("granary_{}", shape.algorithm),
    }))
}

fn inputs(shape: &ModelShape, catalog: &Catalog) -> Vec<TensorForm> {
    let key = TensorForm::of(key_name(catalog), "BYTES", &[-1]);
    let feature = |(name, dtype): &(std::sync::Arc<str>, DType)| {
        let dimensions: &[i64] = if *dtype == DType::Vector {
            &[-1, -1]
        } else {
            &[-1]
        };
        TensorForm::of(name, tensor::datatype(*dtype), dimensions)
    };
    std::iter::once(key)
        .chain(shape.features.iter().map(feature))
        .collect()
}

impl From<ApiError> for InferenceError {
    fn from(error: ApiError) -> InferenceError {
        InferenceError::Other(error)
    }
}
