//! What a client asks for: entities by their join key, and features by reference or by the name
//! of a feature service. Called by `online_features`.

use serde_json::{Map, Value as Json};

use super::error::FeastError;
use crate::http::input::MAX_ROWS;
use crate::service::{Catalog, ServiceError};

/// A checked request.
#[derive(Debug)]
pub(super) struct Asked {
    /// Keys of the entities, in the order asked for.
    pub(super) keys: Vec<String>,
    /// Positions of the features, in the order asked for.
    pub(super) features: Vec<usize>,
    /// Whether names of features are told with their group's.
    pub(super) full_names: bool,
    /// Whether the groups are listed.
    pub(super) lists_views: bool,
}

impl Asked {
    pub(super) fn read(json: &Json, catalog: &Catalog) -> Result<Asked, FeastError> {
        if catalog.features.is_empty() {
            return Err(ServiceError::NothingLoaded.into());
        }
        let Json::Object(body) = json else {
            return Err(FeastError::wrong(&[], "Input should be an object"));
        };
        Ok(Asked {
            features: features(body, catalog)?,
            keys: keys(body, catalog)?,
            full_names: flag(body, "full_feature_names")?,
            lists_views: flag(body, "include_feature_view_version_metadata")?,
        })
    }

    /// The groups of the features, each once.
    pub(super) fn views<'c>(&self, catalog: &'c Catalog) -> Vec<&'c str> {
        let mut views: Vec<&str> = Vec::new();
        for &at in &self.features {
            let view = &*catalog.features[at].group;
            if !views.contains(&view) {
                views.push(view);
            }
        }
        views
    }

    /// How a feature is called in the answer.
    pub(super) fn name(&self, catalog: &Catalog, at: usize) -> String {
        let feature = &catalog.features[at];
        if self.full_names {
            format!("{}__{}", feature.group, feature.name)
        } else {
            feature.name.to_string()
        }
    }
}

fn flag(body: &Map<String, Json>, name: &str) -> Result<bool, FeastError> {
    match body.get(name) {
        None | Some(Json::Null) => Ok(false),
        Some(Json::Bool(flag)) => Ok(*flag),
        Some(_) => Err(FeastError::wrong(
            &[name],
            "Input should be a valid boolean",
        )),
    }
}

/// The values of the one join key; other columns are no request data here.
fn keys(body: &Map<String, Json>, catalog: &Catalog) -> Result<Vec<String>, FeastError> {
    let entities = match body.get("entities") {
        None => return Err(FeastError::missing(&["entities"])),
        Some(Json::Object(entities)) => entities,
        Some(_) => {
            let said = "Input should be an object of lists by join key";
            return Err(FeastError::wrong(&["entities"], said));
        }
    };
    let key = &*catalog.key;
    if let Some(other) = entities.keys().find(|name| *name != key) {
        let said =
            format!("there is no join key or request data `{other}`; the join key is `{key}`");
        return Err(FeastError::wrong(&["entities", other], said));
    }
    let values = match entities.get(key) {
        None => return Err(FeastError::missing(&["entities", key])),
        // As the `Value` message of Feast's own protocol has a list.
        Some(Json::Object(list)) => list.get("val").and_then(Json::as_array),
        Some(values) => values.as_array(),
    };
    let Some(values) = values else {
        let said = "Input should be a valid list";
        return Err(FeastError::wrong(&["entities", key], said));
    };
    if values.is_empty() {
        let said = "Missing join key values: the list is empty";
        return Err(FeastError::wrong(&["entities", key], said));
    }
    if values.len() > MAX_ROWS {
        let said = format!(
            "has {} entities, at most {MAX_ROWS} are answered at once",
            values.len()
        );
        return Err(FeastError::wrong(&["entities", key], said));
    }
    let value = |(index, value): (usize, &Json)| match value {
        Json::String(text) if !text.is_empty() => Ok(text.clone()),
        Json::Number(number) if number.is_i64() || number.is_u64() => Ok(number.to_string()),
        _ => {
            let said = "Input should be a valid string or a whole number";
            Err(FeastError::wrong(
                &["entities", key, &index.to_string()],
                said,
            ))
        }
    };
    values.iter().enumerate().map(value).collect()
}

fn features(body: &Map<String, Json>, catalog: &Catalog) -> Result<Vec<usize>, FeastError> {
    let named = |name: &str| body.get(name).filter(|json| !json.is_null());
    match (named("feature_service"), named("features")) {
        (Some(Json::String(name)), _) => {
            let found = catalog
                .services
                .iter()
                .find(|service| service.name == *name);
            found
                .map(|service| service.features.clone())
                .ok_or_else(|| {
                    let project = &catalog.project;
                    let said =
                        format!("Feature service {name} does not exist in project {project}");
                    FeastError::not_found("FeatureServiceNotFoundException", said)
                })
        }
        (Some(_), _) => Err(FeastError::wrong(
            &["feature_service"],
            "Input should be a valid string",
        )),
        (None, Some(Json::Array(references))) => {
            let find = |(index, json): (usize, &Json)| {
                let place = ["features", &index.to_string()];
                let wrong = || FeastError::wrong(&place, "Input should be a valid string");
                feature(json.as_str().ok_or_else(wrong)?, catalog)
            };
            references.iter().enumerate().map(find).collect()
        }
        (None, Some(_)) => Err(FeastError::wrong(
            &["features"],
            "Input should be a valid list",
        )),
        (None, None) => Err(FeastError::missing(&["features"])),
    }
}

/// `view:feature`, `view@latest:feature`.
fn feature(reference: &str, catalog: &Catalog) -> Result<usize, FeastError> {
    let Some((view, name)) = reference.split_once(':') else {
        let said = format!("`{reference}` is no reference of the form `feature_view:feature`");
        return Err(FeastError::wrong(&["features"], said));
    };
    let (view, version) = match view.split_once('@') {
        Some((view, version)) => (view, Some(version)),
        None => (view, None),
    };
    let project = &catalog.project;
    if !catalog.features.iter().any(|held| *held.group == *view) {
        let said = format!("Feature view {view} does not exist in project {project}");
        return Err(FeastError::not_found("FeatureViewNotFoundException", said));
    }
    if let Some(version) = version.filter(|version| *version != "latest") {
        let said = format!(
            "Version {version} of feature view {view} does not exist; only `latest` is served"
        );
        return Err(FeastError::not_found("FeatureViewVersionNotFound", said));
    }
    let found = catalog.features.position(name);
    let of_view = |at: &usize| *catalog.features[*at].group == *view;
    found.filter(of_view).ok_or_else(|| {
        let said = format!("Feature {name} not found in projection {view}");
        FeastError::not_found("FeastObjectNotFoundException", said)
    })
}
