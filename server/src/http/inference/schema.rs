//! The shapes of the Open Inference Protocol. Called by `inference` and the OpenAPI document.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use utoipa::ToSchema;

/// Who serves.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ServerMetadata {
    /// `granary`
    pub name: &'static str,
    /// Of the program.
    pub version: &'static str,
    /// None.
    pub extensions: Vec<String>,
}

/// Whether the process answers.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Live {
    /// It does.
    pub live: bool,
}

/// Whether a model is ready.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct InferenceReady {
    /// As the text of the protocol calls it.
    pub live: bool,
    /// As its servers call it.
    pub ready: bool,
}

/// Whether one model is ready.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ModelReady {
    /// Its name.
    pub name: String,
    /// It is.
    pub ready: bool,
}

/// What a model takes and gives.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ModelMetadata {
    /// Its name.
    pub name: String,
    /// The version that serves.
    pub versions: Vec<String>,
    /// Its algorithm.
    pub platform: String,
    /// The join key, and each of its features; any of them may be left out.
    pub inputs: Vec<TensorForm>,
    /// What it gives.
    pub outputs: Vec<TensorForm>,
}

/// Name and form of a tensor.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct TensorForm {
    /// Its name.
    pub name: String,
    /// `BOOL`, `INT64`, `FP64`, `BYTES` …
    pub datatype: String,
    /// −1 for any number.
    pub shape: Vec<i64>,
}

impl TensorForm {
    pub(super) fn of(name: &str, datatype: &str, shape: &[i64]) -> TensorForm {
        TensorForm {
            name: name.to_owned(),
            datatype: datatype.to_owned(),
            shape: shape.to_vec(),
        }
    }
}

/// Tensors to predict for.
#[derive(Deserialize, ToSchema)]
pub(in crate::http) struct InferRequest {
    /// Comes back with the answer.
    #[serde(default)]
    pub id: Option<String>,
    /// One a column.
    pub inputs: Vec<Input>,
    /// All if left out.
    #[serde(default)]
    pub outputs: Vec<OutputRequest>,
}

/// A tensor.
#[derive(Deserialize, ToSchema)]
pub(in crate::http) struct Input {
    /// The join key or a feature; of a tensor of all features, anything.
    #[schema(example = "user_id")]
    pub name: String,
    /// Rows first.
    #[schema(example = json!([1]))]
    pub shape: Vec<usize>,
    /// `BYTES` for the join key.
    #[schema(example = "BYTES")]
    pub datatype: String,
    /// Flat or nested.
    #[schema(value_type = Vec<Object>, example = json!(["u000042"]))]
    pub data: Json,
}

/// An output that is wanted.
#[derive(Deserialize, ToSchema)]
pub(in crate::http) struct OutputRequest {
    /// `probability` or `decision`
    #[schema(example = "probability")]
    pub name: String,
}

/// The predictions.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct InferResponse {
    /// The model's name.
    pub model_name: String,
    /// The model's version.
    pub model_version: String,
    /// Of the request, if it had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// In the order asked for.
    pub outputs: Vec<Output>,
}

/// A tensor of predictions.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Output {
    /// `probability` or `decision`
    pub name: String,
    /// `FP64` or `BOOL`
    pub datatype: String,
    /// One number: how many.
    pub shape: Vec<usize>,
    /// In the order of the rows.
    #[schema(value_type = Vec<Object>)]
    pub data: Vec<Json>,
}

/// Why a request was refused.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct InferenceRefusal {
    /// For people.
    pub error: String,
}
