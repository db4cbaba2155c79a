//! The HTTP door: JSON to the service's types and back. Called by `serve`, which hands in the
//! listeners and the stop signal.

mod routes; // every route on one screen
pub mod server; // listeners, workers, stop

mod events; // POST /events
mod feast; // the routes of a Feast feature server
mod features; // GET and POST /features
mod health; // /health, /ready, /metrics
mod inference; // the routes of the Open Inference Protocol
mod mlflow; // the routes of an MLflow scoring server
mod openapi; // /openapi.json, /docs
mod predict; // POST /predict
mod status; // GET /status

mod names; // names of features, ready to be written
mod subjects; // columns of a table -> whom to predict for
mod body; // the bytes of a body, within bounds
mod input; // queries and bodies -> checked fields
pub(crate) mod json; // answers -> bytes

mod guard; // who may ask
mod trace; // the id and the span of a request
mod entities; // one entity, erased
mod error; // refusals -> statuses and bodies
pub mod schema; // the shapes, for the OpenAPI document

pub use openapi::document;

#[cfg(test)]
mod tests; // the routes as a client meets them
