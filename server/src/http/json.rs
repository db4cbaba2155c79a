//! Answers to bytes, straight from the service's types: no tree in between. Called by
//! `features` and `predict`.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::header::ContentType;
use granary_registry::{EventTime, Value, ValueRef};

use super::error::ApiError;
use crate::resp::text::{write_display, write_float, write_vector};
use crate::service::{FeatureRow, Origin, Prediction};

/// `{"user_id", "as_of", "features": {…}}`, and `"from": "log"` where that is so.
pub(crate) fn write_row(out: &mut Vec<u8>, key: &str, row: &FeatureRow) {
    write_entity(out, key, &row.key, row.as_of);
    if row.from == Origin::Log {
        out.extend_from_slice(b",\"from\":\"log\"");
    }
    out.extend_from_slice(b",\"features\":");
    write_features(out, &row.features);
    out.push(b'}');
}

/// The same as far as the features.
pub(super) fn write_head(out: &mut Vec<u8>, key: &str, entity: &str, as_of: EventTime) {
    write_entity(out, key, entity, as_of);
    out.extend_from_slice(b",\"features\":");
}

fn write_entity(out: &mut Vec<u8>, key: &str, entity: &str, as_of: EventTime) {
    out.push(b'{');
    write_name(out, key);
    write_string(out, entity);
    out.extend_from_slice(b",\"as_of\":\"");
    write_display(out, as_of);
    out.push(b'"');
}

/// `{"user_id", "probability", "decision", "threshold", "model", "version", "as_of",
/// "features": {…}}`
pub(crate) fn write_prediction(out: &mut Vec<u8>, key: &str, prediction: &Prediction) {
    out.push(b'{');
    write_name(out, key);
    match &prediction.key {
        Some(entity) => write_string(out, entity),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"probability\":");
    write_float(out, prediction.probability);
    out.extend_from_slice(b",\"decision\":");
    write_string(out, if prediction.decision { "churn" } else { "stay" });
    out.extend_from_slice(b",\"threshold\":");
    write_float(out, prediction.threshold);
    out.extend_from_slice(b",\"model\":");
    write_string(out, &prediction.model);
    out.extend_from_slice(b",\"version\":");
    write_string(out, &prediction.version);
    out.extend_from_slice(b",\"as_of\":\"");
    write_display(out, prediction.as_of);
    out.extend_from_slice(b"\",\"features\":");
    write_features(out, &prediction.features);
    out.push(b'}');
}

/// `{"user_id", "error": {…}}`, in a list of answers.
pub(super) fn write_refusal(out: &mut Vec<u8>, key: &str, entity: Option<&str>, error: &ApiError) {
    error.report();
    out.push(b'{');
    write_name(out, key);
    match entity {
        Some(entity) => write_string(out, entity),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"error\":");
    serde_json::to_writer(&mut *out, &error.body()).expect(WRITES);
    out.push(b'}');
}

/// `{"rows":[…]}`, each item written by the caller.
pub(super) fn write_list<T>(
    out: &mut Vec<u8>,
    name: &str,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(b'{');
    write_name(out, name);
    out.push(b'[');
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.extend_from_slice(b"]}");
}

/// A finished JSON body.
pub(super) fn ok(body: Vec<u8>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(ContentType::json())
        .body(body)
}

fn write_features(out: &mut Vec<u8>, features: &[(Arc<str>, Value)]) {
    out.push(b'{');
    for (index, (name, value)) in features.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_name(out, name);
        write_value(out, value.into());
    }
    out.push(b'}');
}

/// A feature's value.
pub(super) fn write_value(out: &mut Vec<u8>, value: ValueRef<'_>) {
    match value {
        ValueRef::Null => out.extend_from_slice(b"null"),
        ValueRef::Int(x) => out.extend_from_slice(itoa::Buffer::new().format(x).as_bytes()),
        ValueRef::Float(x) => write_float(out, x),
        ValueRef::Bool(x) => out.extend_from_slice(if x { b"true" } else { b"false" }),
        ValueRef::Text(text) => write_string(out, text),
        ValueRef::Timestamp(time) => {
            out.push(b'"');
            write_display(out, time);
            out.push(b'"');
        }
        ValueRef::Vector(elements) => write_vector(out, elements),
    }
}

/// A name and a colon.
pub(super) fn write_name(out: &mut Vec<u8>, name: &str) {
    write_string(out, name);
    out.push(b':');
}

/// A text.
pub(super) fn write_string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect(WRITES);
}

const WRITES: &str = "text and numbers have a JSON form and a Vec takes it";

#[cfg(test)]
mod tests {
    use granary_registry::EventTime;
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::service::ServiceError;

    fn row(features: Vec<(Arc<str>, Value)>, from: Origin) -> FeatureRow {
        FeatureRow {
            key: "7\"".to_owned(),
            as_of: EventTime(5),
            from,
            features,
        }
    }

    #[test]
    fn rows_have_the_shape_of_the_contract() {
        let features: Vec<(Arc<str>, Value)> = vec![
            ("age".into(), Value::Int(27)),
            ("income".into(), Value::Float(27.0)),
            ("premium".into(), Value::Bool(true)),
            ("city".into(), Value::Text("Zü\"rich\n".into())),
            ("gone".into(), Value::Null),
            ("topic_vector".into(), Value::Vector(vec![0.1, 2.0].into())),
            ("seen".into(), Value::Timestamp(EventTime(9))),
        ];
        let mut out = Vec::new();
        write_row(&mut out, "user_id", &row(features.clone(), Origin::Online));
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("\"income\":27.0,"), "{text}");
        assert!(text.contains("\"topic_vector\":[0.1,2.0],"), "{text}");
        let wanted = json!({
            "user_id": "7\"",
            "as_of": EventTime(5).to_string(),
            "features": {
                "age": 27, "income": 27.0, "premium": true, "city": "Zü\"rich\n", "gone": null,
                "topic_vector": [0.1, 2.0], "seen": EventTime(9).to_string(),
            },
        });
        assert_eq!(serde_json::from_str::<Json>(&text).unwrap(), wanted);
        let mut out = Vec::new();
        write_row(&mut out, "user_id", &row(features, Origin::Log));
        assert_eq!(serde_json::from_slice::<Json>(&out).unwrap()["from"], "log");
    }

    #[test]
    fn predictions_say_what_they_rest_on() {
        let prediction = Prediction {
            key: None,
            probability: 0.25,
            decision: false,
            threshold: 0.5,
            model: "churn".to_owned(),
            version: "3".to_owned(),
            as_of: EventTime(5),
            features: vec![("age".into(), Value::Int(27))],
        };
        let mut out = Vec::new();
        write_prediction(&mut out, "user_id", &prediction);
        let wanted = json!({
            "user_id": null, "probability": 0.25, "decision": "stay", "threshold": 0.5,
            "model": "churn", "version": "3", "as_of": EventTime(5).to_string(),
            "features": {"age": 27},
        });
        assert_eq!(serde_json::from_slice::<Json>(&out).unwrap(), wanted);
        let mut out = Vec::new();
        let sure = Prediction {
            decision: true,
            key: Some("7".to_owned()),
            ..prediction
        };
        write_prediction(&mut out, "user_id", &sure);
        let read: Json = serde_json::from_slice(&out).unwrap();
        assert_eq!(
            (&read["decision"], &read["user_id"]),
            (&json!("churn"), &json!("7"))
        );
    }

    #[test]
    fn a_refused_row_stands_among_the_others() {
        let error = ApiError::from(ServiceError::NoModel);
        let mut out = Vec::new();
        write_list(&mut out, "rows", ["a", "b"], |out, key| {
            write_refusal(out, "user_id", Some(key), &error);
        });
        let read: Json = serde_json::from_slice(&out).unwrap();
        assert_eq!(read["rows"][1]["user_id"], "b");
        assert_eq!(read["rows"][1]["error"]["code"], "no_model");
    }

    proptest! {
        #[test]
        fn any_row_is_valid_json(
            key: String, name: String, text: String, number: i64,
            vector in proptest::collection::vec(-1e30f32..1e30, 0..4),
        ) {
            let features: Vec<(Arc<str>, Value)> = vec![
                (name.as_str().into(), Value::Text(text.as_str().into())),
                ("n".into(), Value::Int(number)),
                ("v".into(), Value::Vector(vector.clone().into())),
            ];
            let mut out = Vec::new();
            write_row(&mut out, &key, &row(features, Origin::Online));
            let read: Json = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(read["features"]["n"].as_i64(), Some(number));
            let elements = read["features"]["v"].as_array().unwrap();
            let elements: Vec<f32> = elements.iter().map(|x| x.as_f64().unwrap() as f32).collect();
            prop_assert_eq!(elements, vector);
        }
    }
}
