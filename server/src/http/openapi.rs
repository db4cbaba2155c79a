//! `/openapi.json` and `/docs`: the document is derived from the resources, the page that
//! shows it is Swagger UI out of the binary. Called by `routes`.

use actix_web::http::header::{ContentType, LOCATION};
use actix_web::{HttpResponse, web};
use utoipa::openapi::{ContentBuilder, Ref, ResponseBuilder};
use utoipa::{Modify, OpenApi};
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::{
    entities, events, feast, features, health, inference, mlflow, predict, schema, status,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "granary",
        description = "Features and churn predictions. The number that trained the model and \
                       the number that is served are the same number."
    ),
    paths(
        features::entity,
        features::feature,
        features::many,
        predict::predict,
        events::send,
        entities::delete,
        feast::online_features,
        feast::push,
        feast::write,
        feast::materialize,
        feast::incremental,
        inference::server,
        inference::live,
        inference::ready,
        inference::model,
        inference::model_ready,
        inference::infer,
        mlflow::invocations,
        mlflow::ping,
        mlflow::version,
        status::status,
        health::health,
        health::ready,
        health::metrics,
    ),
    modifiers(&Everywhere),
    components(schemas(schema::Refusal)),
    tags(
        (name = "features", description = "Read features, now or as of an instant"),
        (name = "predictions", description = "Churn probabilities"),
        (name = "events", description = "Send events"),
        (name = "feast", description = "What Feast's clients send"),
        (name = "inference", description = "The Open Inference Protocol, version 2"),
        (name = "mlflow", description = "What clients of an MLflow scoring server send"),
        (name = "operations", description = "Probes, metrics, what is loaded"),
    ),
)]
struct Api;

/// What any resource may answer, whatever was asked of it.
struct Everywhere;

impl Modify for Everywhere {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let refusals = [
            ("401", "A key is needed where there are keys"),
            (
                "403",
                "The key does not have the role, or the request comes from a page of another site",
            ),
            ("408", "The request took too long"),
            ("429", "The key asks more often than it may"),
        ];
        for item in document.paths.paths.values_mut() {
            let operations = [&mut item.get, &mut item.post, &mut item.delete];
            for operation in operations.into_iter().flatten() {
                for (status, said) in refusals {
                    let refusal = ResponseBuilder::new()
                        .description(said)
                        .content(
                            "application/json",
                            ContentBuilder::new()
                                .schema(Some(Ref::from_schema_name("Refusal")))
                                .build(),
                        )
                        .build();
                    let responses = &mut operation.responses.responses;
                    responses
                        .entry(status.to_owned())
                        .or_insert_with(|| refusal.into());
                }
            }
        }
    }
}

/// The OpenAPI document.
pub fn document() -> utoipa::openapi::OpenApi {
    Api::openapi()
}

/// The document as JSON, made once.
#[derive(Clone, Debug)]
pub(super) struct Text(web::Bytes);

impl Text {
    pub(super) fn new() -> Text {
        let json = document()
            .to_json()
            .expect("the document holds nothing but text and numbers");
        Text(json.into())
    }
}

/// The OpenAPI document.
pub(super) async fn json(text: web::Data<Text>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(ContentType::json())
        .body(text.0.clone())
}

/// `/docs` itself: the page's files are named relative to `/docs/`.
pub(super) async fn docs() -> HttpResponse {
    HttpResponse::Found()
        .insert_header((LOCATION, "/docs/"))
        .finish()
}

/// The page and its files.
pub(super) fn swagger() -> SwaggerUi {
    SwaggerUi::new("/docs/{_:.*}").config(Config::new(["/openapi.json"]))
}
