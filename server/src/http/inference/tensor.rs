//! Tensors to columns: one each for the join key and the features, or one of all features, row
//! by row. Called by `inference`.

use granary_registry::DType;
use serde_json::Value as Json;

use super::error::InferenceError;
use super::schema::Input;
use crate::http::subjects::Table;
use crate::service::ModelShape;

/// The types there are; what is sent as JSON need not be told apart further.
const DATATYPES: [&str; 13] = [
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16",
    "FP32", "FP64", "BYTES",
];

/// The type of a feature's tensor.
pub(super) fn datatype(dtype: DType) -> &'static str {
    match dtype {
        DType::Int => "INT64",
        DType::Float => "FP64",
        DType::Bool => "BOOL",
        DType::Vector => "FP32",
        DType::Text | DType::Categorical | DType::Timestamp => "BYTES",
    }
}

/// The columns of a request.
pub(super) fn table(
    inputs: Vec<Input>,
    shape: &ModelShape,
    key: &str,
) -> Result<Table, InferenceError> {
    if inputs.is_empty() {
        return Err(InferenceError::bad("`inputs` is empty"));
    }
    let is_known =
        |name: &str| name == key || shape.features.iter().any(|(held, _)| **held == *name);
    if let [only] = &inputs[..]
        && !is_known(&only.name)
        && only.shape.len() == 2
    {
        return spread(only, shape);
    }
    let columns = inputs
        .into_iter()
        .map(|input| Ok((input.name.clone(), rows(&input)?)));
    let columns = columns.collect::<Result<_, InferenceError>>()?;
    Ok(Table::of(columns))
}

/// A tensor of all features: a column for each, in the order of the model.
fn spread(input: &Input, shape: &ModelShape) -> Result<Table, InferenceError> {
    let name = &input.name;
    let scalar = |dtype: DType| matches!(dtype, DType::Int | DType::Float | DType::Bool);
    if let Some((other, dtype)) = shape.features.iter().find(|(_, dtype)| !scalar(*dtype)) {
        return Err(InferenceError::bad(format!(
            "tensor `{name}` is to hold all features, but `{other}` is {dtype}, no number; send a tensor for each feature"
        )));
    }
    let width = shape.features.len();
    if input.shape[1] != width {
        return Err(InferenceError::bad(format!(
            "tensor `{name}` has {} columns, the model takes {width} features",
            input.shape[1]
        )));
    }
    let cells = flat(input)?;
    let column = |(at, (name, dtype)): (usize, &(std::sync::Arc<str>, DType))| {
        let values = cells.iter().skip(at).step_by(width);
        let value = |cell: &&Json| match (dtype, cell.as_f64()) {
            (DType::Bool, Some(x)) => Json::from(x != 0.0),
            _ => (*cell).clone(),
        };
        (name.to_string(), values.map(|cell| value(&cell)).collect())
    };
    let features = shape.features.iter().enumerate();
    Ok(Table::of(features.map(column).collect()))
}

/// The rows of a tensor: values, or arrays where it has more dimensions.
fn rows(input: &Input) -> Result<Vec<Json>, InferenceError> {
    let cells = flat(input)?;
    let width: usize = input.shape[1..].iter().product();
    // `[n, 1]` is how many clients write a column.
    if input.shape.len() == 1 || (input.shape.len() == 2 && width == 1) {
        return Ok(cells);
    }
    Ok(cells
        .chunks(width.max(1))
        .map(|row| row.to_vec().into())
        .collect())
}

/// All elements of a tensor, row by row.
fn flat(input: &Input) -> Result<Vec<Json>, InferenceError> {
    let name = &input.name;
    if !DATATYPES.contains(&&*input.datatype) {
        let datatype = &input.datatype;
        return Err(InferenceError::bad(format!(
            "tensor `{name}` is of `{datatype}`, which is none of {}",
            DATATYPES.join(", ")
        )));
    }
    let mut cells = Vec::new();
    flatten(&input.data, &mut cells);
    let wanted = input
        .shape
        .iter()
        .try_fold(1usize, |all, &n| all.checked_mul(n));
    if input.shape.is_empty() || wanted != Some(cells.len()) {
        return Err(InferenceError::bad(format!(
            "tensor `{name}` has {} elements, its shape is {:?}",
            cells.len(),
            input.shape
        )));
    }
    Ok(cells)
}

fn flatten(data: &Json, cells: &mut Vec<Json>) {
    match data {
        Json::Array(items) => items.iter().for_each(|item| flatten(item, cells)),
        cell => cells.push(cell.clone()),
    }
}
