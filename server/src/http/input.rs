//! Queries and bodies to checked fields: what is not known is refused by name. Called by every
//! resource that takes something.

use actix_web::web;
use granary_registry::{EventTime, nearest};
use serde_json::{Map, Value as Json};

use super::body::Room;
use super::error::ApiError;
use crate::service::{Catalog, ServiceError, shown};

/// Longest body, except that of `/events`.
pub(super) const BODY_LIMIT: usize = 8 * 1024 * 1024;

/// Memory for such bodies of all requests at once.
pub(super) static BODY_ROOM: Room = Room::new(8 * BODY_LIMIT);

/// Most rows of one request, so that an answer fits in memory.
pub(super) const MAX_ROWS: usize = 10_000;

/// The name of the key field: the entity's join key. Before the first push nothing says what
/// it is, and errors speak of the usual one.
pub(super) fn key_name(catalog: &Catalog) -> &str {
    if catalog.key.is_empty() {
        "user_id"
    } else {
        &catalog.key
    }
}

/// The parameters of a query, each known and there once.
pub(super) fn query(
    text: &str,
    allowed: &[&'static str],
) -> Result<Vec<(String, String)>, ApiError> {
    let pairs = web::Query::<Vec<(String, String)>>::from_query(text)
        .map_err(|error| ApiError::field("query", error.to_string()))?
        .into_inner();
    for (index, (name, _)) in pairs.iter().enumerate() {
        known(name, name, allowed)?;
        if pairs[..index].iter().any(|(earlier, _)| earlier == name) {
            return Err(ApiError::field(name.as_str(), "is there twice"));
        }
    }
    Ok(pairs)
}

/// One parameter of a query.
pub(super) fn parameter<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs
        .iter()
        .find(|(found, _)| found == name)
        .map(|(_, value)| value.as_str())
}

/// An instant. In a query, the `+` of an offset arrives as a blank unless it was escaped.
pub(super) fn instant(field: &str, text: &str) -> Result<EventTime, ApiError> {
    let refused = match EventTime::parse(text) {
        Ok(time) => return Ok(time),
        Err(error) => error,
    };
    let restored = text
        .rsplit_once(' ')
        .map(|(time, offset)| format!("{time}+{offset}"));
    restored
        .and_then(|text| EventTime::parse(&text).ok())
        .ok_or_else(|| ApiError::field(field, refused.to_string()))
}

/// Positions of features by name.
pub(super) fn positions<'a>(
    catalog: &Catalog,
    names: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<usize>, ServiceError> {
    if catalog.features.is_empty() {
        return Err(ServiceError::NothingLoaded);
    }
    names
        .into_iter()
        .map(|name| position(catalog, name))
        .collect()
}

/// The position of a feature.
pub(super) fn position(catalog: &Catalog, name: &str) -> Result<usize, ServiceError> {
    catalog.features.position(name).ok_or_else(|| {
        let names = catalog.features.iter().map(|feature| &*feature.name);
        let nearest = nearest(name, names);
        ServiceError::UnknownFeature {
            name: name.to_owned(),
            nearest,
        }
    })
}

/// The fields of a JSON object of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a> {
    /// Where the object stands, `rows[3].`; empty at the top.
    path: &'a str,
    map: &'a Map<String, Json>,
}

impl<'a> Fields<'a> {
    /// An object with none but these fields.
    pub(super) fn of(
        path: &'a str,
        json: &'a Json,
        allowed: &[&'static str],
        key: &str,
    ) -> Result<Fields<'a>, ApiError> {
        let Json::Object(map) = json else {
            let field = if path.is_empty() {
                "body"
            } else {
                path.trim_end_matches('.')
            };
            return Err(ApiError::field(
                field,
                format!("is {}, wants an object", shown(json)),
            ));
        };
        for name in map.keys().filter(|name| *name != key) {
            known(name, &format!("{path}{name}"), allowed)?;
        }
        Ok(Fields { path, map })
    }

    /// A field that is there and not null.
    pub(super) fn get(&self, name: &str) -> Option<&'a Json> {
        self.map.get(name).filter(|json| !json.is_null())
    }

    /// The entity's key: text, or a whole number for entities that have such keys.
    pub(super) fn key(&self, name: &str) -> Result<Option<String>, ApiError> {
        self.get(name)
            .map(|json| key(&self.place(name), json))
            .transpose()
    }

    /// A list.
    pub(super) fn list(&self, name: &str) -> Result<Option<&'a [Json]>, ApiError> {
        match self.get(name) {
            None => Ok(None),
            Some(Json::Array(list)) => Ok(Some(list)),
            Some(other) => Err(self.wrong(name, other, "an array")),
        }
    }

    /// A text.
    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, ApiError> {
        match self.get(name) {
            None => Ok(None),
            Some(Json::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong(name, other, "a string")),
        }
    }

    /// An instant.
    pub(super) fn instant(&self, name: &str) -> Result<Option<EventTime>, ApiError> {
        self.text(name)?
            .map(|text| instant(&self.place(name), text))
            .transpose()
    }

    /// Where a field stands in the request.
    pub(super) fn place(&self, name: &str) -> String {
        format!("{}{name}", self.path)
    }

    fn wrong(&self, name: &str, found: &Json, wanted: &str) -> ApiError {
        ApiError::field(
            self.place(name),
            format!("is {}, wants {wanted}", shown(found)),
        )
    }
}

/// The entity's key.
pub(super) fn key(place: &str, json: &Json) -> Result<String, ApiError> {
    match json {
        Json::String(text) if !text.is_empty() => Ok(text.clone()),
        Json::Number(number) if number.is_i64() || number.is_u64() => Ok(number.to_string()),
        other => {
            let reason = format!("is {}, wants a string or a whole number", shown(other));
            Err(ApiError::field(place, reason))
        }
    }
}

fn known(name: &str, place: &str, allowed: &[&'static str]) -> Result<(), ApiError> {
    if allowed.contains(&name) {
        return Ok(());
    }
    let nearest = nearest(name, allowed.iter().copied());
    Err(ApiError::UnknownField {
        field: place.to_owned(),
        nearest,
        allowed: allowed.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use granary_registry::DType;
    use serde_json::json;

    use super::*;
    use crate::service::CatalogFeature;

    #[test]
    fn unknown_and_doubled_parameters_are_named() {
        let read = |text| query(text, &["features", "as_of"]).map_err(|error| error.to_string());
        let pairs = read("features=a%2Cb&as_of=2026-01-31").unwrap();
        assert_eq!(parameter(&pairs, "features"), Some("a,b"));
        assert_eq!(parameter(&pairs, "as_of"), Some("2026-01-31"));
        assert_eq!(read("").unwrap(), []);
        let said = read("feature=a").unwrap_err();
        assert_eq!(
            said,
            "feature: there is no such field; did you mean `features`?"
        );
        let said = read("colour=a").unwrap_err();
        assert_eq!(
            said,
            "colour: there is no such field; there are features, as_of"
        );
        assert_eq!(
            read("as_of=1&as_of=2").unwrap_err(),
            "as_of: is there twice"
        );
    }

    #[test]
    fn objects_hold_none_but_known_fields() {
        let json = json!({"userid": "7"});
        let error = Fields::of("rows[3].", &json, &["user_id", "as_of"], "user_id").unwrap_err();
        let said = "rows[3].userid: there is no such field; did you mean `user_id`?";
        assert_eq!(error.to_string(), said);
        let error = Fields::of("", &json!([1]), &["user_id"], "user_id").unwrap_err();
        assert_eq!(error.to_string(), "body: is an array, wants an object");
    }

    #[test]
    fn keys_are_text_or_whole_numbers() {
        let json = json!({"user_id": 7, "as_of": null, "a": "x", "b": 1.5, "c": ""});
        let fields = Fields::of("", &json, &["user_id", "as_of", "a", "b", "c"], "").unwrap();
        assert_eq!(fields.key("user_id").unwrap().as_deref(), Some("7"));
        assert_eq!(fields.key("a").unwrap().as_deref(), Some("x"));
        assert!(fields.key("b").is_err());
        assert!(fields.key("c").is_err());
        assert_eq!(fields.key("none").unwrap(), None);
        assert_eq!(fields.instant("as_of").unwrap(), None);
        let said = fields.list("a").unwrap_err().to_string();
        assert_eq!(said, "a: is \"x\", wants an array");
    }

    #[test]
    fn features_are_found_or_guessed() {
        let feature = |name: &str| CatalogFeature {
            name: name.into(),
            group: "g".into(),
            dtype: DType::Int,
            description: String::new(),
            is_value: true,
            is_pii: false,
            max_age: None,
        };
        let features = [feature("age"), feature("purchases_7d")];
        let catalog = Catalog {
            features: features.into_iter().collect(),
            ..Catalog::default()
        };
        assert_eq!(
            positions(&catalog, ["purchases_7d", "age"]).unwrap(),
            [1, 0]
        );
        let error = positions(&catalog, ["purchase_7d"]).unwrap_err();
        assert!(
            error.to_string().contains("did you mean `purchases_7d`?"),
            "{error}"
        );
        let error = positions(&Catalog::default(), ["age"]).unwrap_err();
        assert!(matches!(error, ServiceError::NothingLoaded));
    }
}
