//! `POST /predict`: one churn probability or many. Called by `routes`.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::Value as Json;

use super::body::body;
use super::error::ApiError;
use super::features::{few_enough, off_thread};
use super::guard;
use super::input::{BODY_LIMIT, BODY_ROOM, Fields, key_name, position};
use super::json::{ok, write_list, write_prediction, write_refusal};
use super::schema;
use super::subjects::INLINE_SUBJECTS;
use crate::service::access::Sight;
use crate::service::{Catalog, Prediction, Service, ServiceError, Subject, of_json, shown};

/// Room for one prediction of JSON.
const ANSWER_SIZE: usize = 4096;

/// The probability that an entity churns: from its stored features, from features sent along,
/// or both (those sent win).
#[utoipa::path(
    post,
    path = "/predict",
    tag = "predictions",
    operation_id = "predict",
    request_body = schema::PredictRequest,
    responses(
        (status = 200, description = "One prediction, or `predictions` in the order of the rows", body = schema::PredictAnswer),
        (status = 404, description = "No such entity", body = schema::Refusal),
        (status = 413, description = "The body is too long", body = schema::Refusal),
        (status = 422, description = "A field is wrong", body = schema::Refusal),
        (status = 503, description = "No model is promoted, or it does not fit what is served", body = schema::Refusal),
    ),
)]
pub(super) async fn predict(
    request: HttpRequest,
    payload: web::Payload,
    service: web::Data<Service>,
) -> Result<HttpResponse, ApiError> {
    let body = body(&request, payload, BODY_LIMIT, &BODY_ROOM).await?;
    let catalog = service.catalog();
    let asked = Asked::read(&serde_json::from_slice(&body)?, &catalog)?;
    let (asked, found) = if asked.subjects.len() <= INLINE_SUBJECTS {
        let found = service.predict(&asked.subjects)?;
        (asked, found)
    } else {
        off_thread(move || {
            let found = service.predict(&asked.subjects)?;
            Ok((asked, found))
        })
        .await?
    };
    let sight = guard::sight(&request, &catalog);
    let found = found
        .into_iter()
        .map(|found| Ok(seen(found?, &sight, &catalog)));
    Ok(ok(asked.answer(key_name(&catalog), found.collect())?))
}

/// A prediction without the features that whoever asks may not read.
fn seen(mut prediction: Prediction, sight: &Sight, catalog: &Catalog) -> Prediction {
    if sight.all().is_some() {
        let is_seen = |name: &str| {
            catalog
                .features
                .position(name)
                .is_some_and(|at| sight.shows(at))
        };
        prediction.features.retain(|(name, _)| is_seen(name));
    }
    prediction
}

/// A checked request.
#[derive(Debug)]
struct Asked {
    subjects: Vec<Subject>,
    /// Whether the answer is a list, even of one.
    many: bool,
}

impl Asked {
    /// `{"user_id"?, "features"?}`, `{"rows": […]}` of these, or an array of these.
    fn read(json: &Json, catalog: &Catalog) -> Result<Asked, ApiError> {
        let rows = match json {
            Json::Array(rows) => Some(rows.as_slice()),
            Json::Object(map) if map.contains_key("rows") => {
                Fields::of("", json, &["rows"], "")?.list("rows")?
            }
            _ => None,
        };
        let Some(rows) = rows else {
            return Ok(Asked {
                subjects: vec![subject("", json, catalog)?],
                many: false,
            });
        };
        few_enough("rows", rows)?;
        let row = |(index, json)| subject(&format!("rows[{index}]."), json, catalog);
        let subjects = rows.iter().enumerate().map(row).collect::<Result<_, _>>()?;
        Ok(Asked {
            subjects,
            many: true,
        })
    }

    fn answer(
        &self,
        key: &str,
        found: Vec<Result<Prediction, ServiceError>>,
    ) -> Result<Vec<u8>, ApiError> {
        let mut out = Vec::with_capacity(ANSWER_SIZE * found.len());
        if self.many {
            let pairs = self.subjects.iter().zip(found);
            write_list(
                &mut out,
                "predictions",
                pairs,
                |out, (subject, found)| match found {
                    Ok(prediction) => write_prediction(out, key, &prediction),
                    Err(error) => write_refusal(out, key, subject.key.as_deref(), &error.into()),
                },
            );
        } else {
            let lost = || ServiceError::Internal("a prediction was not answered".to_owned());
            let prediction = found.into_iter().next().ok_or_else(lost)??;
            write_prediction(&mut out, key, &prediction);
        }
        Ok(out)
    }
}

fn subject(path: &str, json: &Json, catalog: &Catalog) -> Result<Subject, ApiError> {
    let key = key_name(catalog);
    // Only a whole request may hold rows, not one of its rows.
    let allowed: &[&str] = if path.is_empty() {
        &["user_id", "features", "rows"]
    } else {
        &["user_id", "features"]
    };
    let fields = Fields::of(path, json, allowed, key)?;
    let entity = fields.key(key)?;
    let features = match fields.get("features") {
        Some(Json::Object(map)) => {
            let given = map
                .iter()
                .map(|(name, json)| feature(path, name, json, catalog));
            given.collect::<Result<_, _>>()?
        }
        Some(other) => {
            let reason = format!("is {}, wants an object of names and values", shown(other));
            return Err(ApiError::field(fields.place("features"), reason));
        }
        None => Vec::new(),
    };
    if entity.is_none() && fields.get("features").is_none() {
        let reason = format!("is missing; send {{\"{key}\": \"…\"}} or {{\"features\": {{…}}}}");
        return Err(ApiError::field(fields.place(key), reason));
    }
    Ok(Subject {
        key: entity,
        features,
    })
}

fn feature(
    path: &str,
    name: &str,
    json: &Json,
    catalog: &Catalog,
) -> Result<(String, granary_registry::Value), ApiError> {
    if catalog.features.is_empty() {
        return Err(ServiceError::NothingLoaded.into());
    }
    let feature = &catalog.features[position(catalog, name)?];
    let place = format!("{path}features.{name}");
    let value = of_json(json, feature.dtype).map_err(|reason| ApiError::field(place, reason))?;
    Ok((name.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use granary_registry::{DType, EventTime, Value};
    use serde_json::json;

    use super::*;
    use crate::service::CatalogFeature;

    fn catalog() -> Catalog {
        let feature = |name: &str, dtype| CatalogFeature {
            name: name.into(),
            group: "g".into(),
            dtype,
            description: String::new(),
            is_value: true,
            is_pii: false,
            max_age: None,
        };
        let features = [feature("age", DType::Int), feature("premium", DType::Bool)];
        Catalog {
            key: "user_id".to_owned(),
            features: features.into_iter().collect(),
            ..Catalog::default()
        }
    }

    fn read(json: &Json) -> Result<Asked, String> {
        Asked::read(json, &catalog()).map_err(|error| error.to_string())
    }

    #[test]
    fn all_forms_are_read() {
        let one = read(&json!({"user_id": "7", "features": {"age": 27}})).unwrap();
        assert!(!one.many);
        assert_eq!(one.subjects[0].key.as_deref(), Some("7"));
        assert_eq!(
            one.subjects[0].features,
            [("age".to_owned(), Value::Int(27))]
        );
        let rows = json!([{"user_id": 7}, {"features": {}}]);
        for json in [rows.clone(), json!({"rows": rows})] {
            let many = read(&json).unwrap();
            assert!(many.many);
            assert_eq!(many.subjects.len(), 2);
            assert_eq!(many.subjects[1].key, None);
        }
    }

    #[test]
    fn refusals_name_the_place() {
        let no = |json| read(&json).unwrap_err();
        assert!(no(json!({})).starts_with("user_id: is missing"));
        assert!(no(json!([{"user_id": "7"}, {}])).starts_with("rows[1].user_id: is missing"));
        let said = no(json!({"userid": "7"}));
        assert_eq!(
            said,
            "userid: there is no such field; did you mean `user_id`?"
        );
        let said = no(json!([{"features": {"premium": 1}}]));
        assert_eq!(said, "rows[0].features.premium: is 1, wants true or false");
        assert!(no(json!({"features": {"agee": 1}})).contains("did you mean `age`?"));
        assert!(no(json!({"features": [1]})).starts_with("features: is an array"));
        assert!(no(json!({"rows": [], "user_id": "7"})).starts_with("user_id: there is no such"));
        assert!(no(json!([{"user_id": "7", "rows": []}])).starts_with("rows[0].rows: there is no"));
        assert!(no(json!("7")).starts_with("body: is \"7\", wants an object"));
    }

    #[test]
    fn one_unknown_entity_does_not_fail_the_others() {
        let asked = read(&json!([{"user_id": "7"}, {"user_id": "8"}])).unwrap();
        let good = Prediction {
            key: Some("7".to_owned()),
            probability: 0.5,
            decision: true,
            threshold: 0.5,
            model: "churn".to_owned(),
            version: "1".to_owned(),
            as_of: EventTime(0),
            features: Vec::new(),
        };
        let gone = ServiceError::UnknownEntity {
            entity: "user".to_owned(),
            key: "8".to_owned(),
        };
        let body = asked.answer("user_id", vec![Ok(good), Err(gone)]).unwrap();
        let read: Json = serde_json::from_slice(&body).unwrap();
        assert_eq!(read["predictions"][0]["decision"], "churn");
        assert_eq!(read["predictions"][1]["user_id"], "8");
        assert_eq!(read["predictions"][1]["error"]["code"], "unknown_entity");
    }
}
