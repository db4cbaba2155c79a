//! `GET /status`: what is loaded, for the page and for people. Called by `routes`.

use actix_web::{HttpResponse, web};

use super::error::ApiError;
use super::input::key_name;
use super::schema;
use crate::service::{Catalog, GroupStatus, ModelStatus, Service, Status};

/// What is loaded: groups, features, the model, the log.
#[utoipa::path(
    get,
    path = "/status",
    tag = "operations",
    operation_id = "status",
    responses((status = 200, body = schema::Status)),
)]
pub(super) async fn status(service: web::Data<Service>) -> Result<HttpResponse, ApiError> {
    let example = service.keys(None, 1)?.pop();
    Ok(HttpResponse::Ok().json(describe(&service.catalog(), service.status(), example)))
}

fn describe(catalog: &Catalog, status: Status, example: Option<String>) -> schema::Status {
    schema::Status {
        version: env!("CARGO_PKG_VERSION"),
        project: catalog.project.clone(),
        entity: catalog.entity.clone(),
        key: key_name(catalog).to_owned(),
        example,
        ready: status.ready,
        notes: status.notes,
        generation: status.generation,
        entities: status.entities,
        now: status.now.map(|time| time.to_string()),
        staged_bytes: status.staged_bytes,
        log_offset: status.log_offset,
        events: schema::Receipt {
            accepted: status.events_accepted,
            duplicates: status.events_duplicate,
            late: status.events_late,
        },
        groups: status.groups.into_iter().map(group).collect(),
        features: catalog.features.iter().map(feature).collect(),
        model: status.model.map(model),
    }
}

fn group(group: GroupStatus) -> schema::Group {
    schema::Group {
        name: group.name,
        description: group.description,
        version: group.version,
        rows: group.rows,
        features: group.features,
        watermark: group.watermark.map(|time| time.to_string()),
        age_seconds: group.age.map(|age| age as f64 / 1e6),
        fresh: group.fresh,
    }
}

fn feature(feature: &crate::service::CatalogFeature) -> schema::Feature {
    schema::Feature {
        name: feature.name.to_string(),
        group: feature.group.to_string(),
        kind: feature.dtype.to_string(),
        description: feature.description.clone(),
        is_value: feature.is_value,
    }
}

/// A model whose `metrics.json` cannot be read is shown without metrics.
fn model(model: ModelStatus) -> schema::Model {
    schema::Model {
        name: model.name,
        version: model.version,
        algorithm: model.algorithm,
        metrics: serde_json::from_str(&model.metrics).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use granary_registry::{DType, EventTime};
    use serde_json::json;

    use super::*;
    use crate::service::CatalogFeature;

    #[test]
    fn the_page_finds_what_it_shows() {
        let feature = CatalogFeature {
            name: "age".into(),
            group: "user_profile_features".into(),
            dtype: DType::Int,
            description: "in years".to_owned(),
            is_value: true,
            is_pii: false,
            max_age: None,
        };
        let catalog = Catalog {
            project: "churn".to_owned(),
            key: "user_id".to_owned(),
            features: [feature].into_iter().collect(),
            ..Catalog::default()
        };
        let group = GroupStatus {
            name: "user_profile_features".to_owned(),
            description: String::new(),
            version: "1".to_owned(),
            rows: 10,
            features: 1,
            watermark: Some(EventTime(0)),
            age: Some(2_000_000),
            fresh: Some(false),
        };
        let model = ModelStatus {
            name: "churn".to_owned(),
            version: "2".to_owned(),
            algorithm: "boosting".to_owned(),
            metrics: r#"{"roc_auc": 0.9}"#.to_owned(),
        };
        let broken = ModelStatus {
            metrics: "{".to_owned(),
            ..model.clone()
        };
        let status = Status {
            groups: vec![group],
            model: Some(model),
            ..Status::default()
        };
        let shown = describe(&catalog, status, Some("7".to_owned()));
        let shown = serde_json::to_value(shown).unwrap();
        assert_eq!(shown["example"], "7");
        assert_eq!(shown["groups"][0]["age_seconds"], 2.0);
        assert_eq!(shown["features"][0]["type"], "int");
        assert_eq!(shown["model"]["metrics"]["roc_auc"], 0.9);
        assert_eq!(
            serde_json::to_value(super::model(broken)).unwrap()["metrics"],
            json!(null)
        );
    }
}
