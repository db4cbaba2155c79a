//! `GET /features/{user_id}`, one feature of it, and `POST /features` for many. Called by
//! `routes`.

use std::cell::RefCell;
use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use granary_registry::EventTime;
use serde_json::Value as Json;

use super::body::body;
use super::error::ApiError;
use super::guard;
use super::input::{
    BODY_LIMIT, BODY_ROOM, Fields, MAX_ROWS, instant, key, key_name, parameter, position,
    positions, query,
};
use super::json::{ok, write_head, write_list, write_refusal, write_row, write_value};
use super::names::Names;
use super::schema;
use crate::service::access::Sight;
use crate::service::{Catalog, FeatureRow, Lookup, Reader, Service, ServiceError};

thread_local! {
    /// Those of the catalog that this thread answered with last.
    static NAMES: RefCell<Names> = RefCell::default();
}

/// An answer with this many rows takes long enough to be worth another thread.
const INLINE_ROWS: usize = 256;

/// Room for one row of JSON.
const ROW_SIZE: usize = 4096;

/// One entity's features.
#[utoipa::path(
    get,
    path = "/features/{user_id}",
    tag = "features",
    operation_id = "get_features",
    params(
        ("user_id" = String, Path, description = "The entity's key"),
        ("features" = Option<String>, Query, description = "Names, separated by commas; all if left out"),
        ("as_of" = Option<String>, Query, description = "The instant they shall hold at, ISO-8601; now if left out"),
    ),
    responses(
        (status = 200, body = schema::FeatureAnswer),
        (status = 403, description = "The key may not read a feature", body = schema::Refusal),
        (status = 404, description = "No such entity", body = schema::Refusal),
        (status = 422, description = "A name or an instant is wrong", body = schema::Refusal),
        (status = 503, description = "Nothing is loaded yet", body = schema::Refusal),
    ),
)]
pub(super) async fn entity(
    path: web::Path<String>,
    request: HttpRequest,
    service: web::Data<Service>,
) -> Result<HttpResponse, ApiError> {
    let pairs = query(request.query_string(), &["features", "as_of"])?;
    let as_of = parameter(&pairs, "as_of")
        .map(|text| instant("as_of", text))
        .transpose()?;
    let catalog = service.catalog();
    let sight = guard::sight(&request, &catalog);
    let features = match parameter(&pairs, "features") {
        Some(names) => {
            let features = positions(&catalog, names.split(',').map(str::trim))?;
            sight.check(&features, &catalog)?;
            Some(features)
        }
        None => sight.all().map(<[usize]>::to_vec),
    };
    answer(&catalog, &service, path.into_inner(), features, as_of).await
}

/// One feature of one entity.
#[utoipa::path(
    get,
    path = "/features/{user_id}/{feature}",
    tag = "features",
    operation_id = "get_feature",
    params(
        ("user_id" = String, Path, description = "The entity's key"),
        ("feature" = String, Path, description = "Name of the feature"),
        ("as_of" = Option<String>, Query, description = "The instant it shall hold at, ISO-8601; now if left out"),
    ),
    responses(
        (status = 200, body = schema::FeatureAnswer),
        (status = 404, description = "No such entity or feature", body = schema::Refusal),
        (status = 422, description = "The instant is wrong", body = schema::Refusal),
        (status = 503, description = "Nothing is loaded yet", body = schema::Refusal),
    ),
)]
pub(super) async fn feature(
    path: web::Path<(String, String)>,
    request: HttpRequest,
    service: web::Data<Service>,
) -> Result<HttpResponse, ApiError> {
    let (entity, name) = path.into_inner();
    let pairs = query(request.query_string(), &["as_of"])?;
    let as_of = parameter(&pairs, "as_of")
        .map(|text| instant("as_of", text))
        .transpose()?;
    let catalog = service.catalog();
    if catalog.features.is_empty() {
        return Err(ServiceError::NothingLoaded.into());
    }
    let position = position(&catalog, &name).map_err(ApiError::FeatureInPath)?;
    guard::sight(&request, &catalog).check(&[position], &catalog)?;
    answer(&catalog, &service, entity, Some(vec![position]), as_of).await
}

/// Many entities' features.
#[utoipa::path(
    post,
    path = "/features",
    tag = "features",
    operation_id = "get_features_of_many",
    request_body = schema::FeatureRequest,
    responses(
        (status = 200, description = "A row for each asked for, in order; one that failed holds an error instead of features", body = schema::FeatureRows),
        (status = 413, description = "The body is too long", body = schema::Refusal),
        (status = 422, description = "A field is wrong", body = schema::Refusal),
        (status = 503, description = "Nothing is loaded yet", body = schema::Refusal),
    ),
)]
pub(super) async fn many(
    request: HttpRequest,
    payload: web::Payload,
    service: web::Data<Service>,
) -> Result<HttpResponse, ApiError> {
    let body = body(&request, payload, BODY_LIMIT, &BODY_ROOM).await?;
    let catalog = service.catalog();
    let sight = guard::sight(&request, &catalog);
    let batch = Batch::read(&serde_json::from_slice(&body)?, &catalog)?.seen(&sight, &catalog)?;
    let inline = batch.rows.len() <= INLINE_ROWS && batch.rows.iter().all(|row| row.1.is_none());
    let out = if inline {
        batch.answer(&catalog, &service)?
    } else {
        off_thread(move || batch.answer(&catalog, &service)).await?
    };
    Ok(ok(out))
}

async fn answer(
    catalog: &Arc<Catalog>,
    service: &web::Data<Service>,
    entity: String,
    features: Option<Vec<usize>>,
    as_of: Option<EventTime>,
) -> Result<HttpResponse, ApiError> {
    if as_of.is_none() {
        let mut out = Vec::with_capacity(ROW_SIZE);
        let lookup = Lookup {
            key: &entity,
            features: features.as_deref(),
            generation: catalog.generation,
            as_of,
        };
        service.reading(|reader| newest(reader, lookup, &mut out))?;
        return Ok(ok(out));
    }
    let row = {
        // An instant in the past may have to be computed from the log.
        let service = service.clone();
        let generation = catalog.generation;
        off_thread(move || {
            let lookup = Lookup {
                key: &entity,
                features: features.as_deref(),
                generation,
                as_of,
            };
            service.features(lookup).map_err(ApiError::from)
        })
        .await?
    };
    let mut out = Vec::with_capacity(ROW_SIZE);
    write_row(&mut out, key_name(catalog), &row);
    Ok(ok(out))
}

/// Writes the newest state of an entity's features, looked at where they lie.
fn newest(
    reader: &mut Reader<'_>,
    lookup: Lookup<'_>,
    out: &mut Vec<u8>,
) -> Result<(), ServiceError> {
    let Lookup { key, features, .. } = lookup;
    if features.is_some() {
        reader.is_of(lookup.generation)?;
    }
    NAMES.with_borrow_mut(|names| {
        names.renew(reader.catalog());
        let shown = reader.show(key, features, |shown| {
            write_head(out, names.key(), key, shown.as_of());
            out.push(b'{');
            let mut is_first = true;
            shown.each(|at, value| {
                if !std::mem::take(&mut is_first) {
                    out.push(b',');
                }
                out.extend_from_slice(names.get(at));
                write_value(out, value);
            })?;
            out.extend_from_slice(b"}}");
            Ok(())
        })?;
        shown.ok_or_else(|| reader.unknown(key))
    })
}

/// Runs what may take long on a thread of its own.
pub(super) async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let span = tracing::Span::current();
    let done = web::block(move || span.in_scope(work)).await;
    done.map_err(|_| ServiceError::Internal("the work for the request was cancelled".to_owned()))?
}

/// An entity and the instant its features shall hold at.
type Row = (String, Option<EventTime>);

/// A checked request for many rows.
struct Batch {
    rows: Vec<Row>,
    features: Option<Vec<usize>>,
}

impl Batch {
    /// `{"user_ids": […], "as_of"?}` or `{"rows": [{"user_id", "as_of"?}]}`, with `features`.
    fn read(json: &Json, catalog: &Catalog) -> Result<Batch, ApiError> {
        let key = key_name(catalog);
        let keys = format!("{key}s");
        let fields = Fields::of("", json, &["user_ids", "rows", "features", "as_of"], &keys)?;
        let as_of = fields.instant("as_of")?;
        let rows = match (fields.list(&keys)?, fields.list("rows")?) {
            (Some(list), None) => entities(list, &keys, as_of)?,
            (None, Some(list)) => rows(list, key, as_of)?,
            (Some(_), Some(_)) => {
                return Err(ApiError::field(
                    "rows",
                    format!("send either {keys} or rows"),
                ));
            }
            (None, None) => {
                let reason = format!("is missing; send {{\"{keys}\": [\"…\"]}}");
                return Err(ApiError::field(keys, reason));
            }
        };
        let features = fields.list("features")?.map(names).transpose()?;
        let features = features
            .map(|names| positions(catalog, names))
            .transpose()?;
        Ok(Batch { rows, features })
    }

    /// The same for whoever sees that much.
    fn seen(mut self, sight: &Sight, catalog: &Catalog) -> Result<Batch, ServiceError> {
        match &self.features {
            Some(features) => sight.check(features, catalog)?,
            None => self.features = sight.all().map(<[usize]>::to_vec),
        }
        Ok(self)
    }

    fn answer(&self, catalog: &Catalog, service: &Service) -> Result<Vec<u8>, ApiError> {
        let features = self.features.as_deref();
        let rows = self.rows.iter();
        let lookups: Vec<Lookup<'_>> = rows
            .map(|(key, as_of)| Lookup {
                key,
                features,
                generation: catalog.generation,
                as_of: *as_of,
            })
            .collect();
        let found = service.features_of(&lookups)?;
        let mut out = Vec::with_capacity(ROW_SIZE * found.len());
        let key = key_name(catalog);
        let rows = self.rows.iter().zip(found);
        write_list(&mut out, "rows", rows, |out, ((entity, _), row)| {
            write_found(out, key, entity, row);
        });
        Ok(out)
    }
}

fn write_found(out: &mut Vec<u8>, key: &str, entity: &str, row: Result<FeatureRow, ServiceError>) {
    match row {
        Ok(row) => write_row(out, key, &row),
        Err(error) => write_refusal(out, key, Some(entity), &error.into()),
    }
}

fn entities(list: &[Json], keys: &str, as_of: Option<EventTime>) -> Result<Vec<Row>, ApiError> {
    few_enough(keys, list)?;
    let entity = |(index, json)| Ok((key(&format!("{keys}[{index}]"), json)?, as_of));
    list.iter().enumerate().map(entity).collect()
}

fn rows(list: &[Json], key: &str, as_of: Option<EventTime>) -> Result<Vec<Row>, ApiError> {
    few_enough("rows", list)?;
    let row = |(index, json)| {
        let path = format!("rows[{index}].");
        let fields = Fields::of(&path, json, &["user_id", "as_of"], key)?;
        let missing = || ApiError::field(fields.place(key), "is missing");
        let entity = fields.key(key)?.ok_or_else(missing)?;
        Ok((entity, fields.instant("as_of")?.or(as_of)))
    };
    list.iter().enumerate().map(row).collect()
}

fn names(list: &[Json]) -> Result<Vec<&str>, ApiError> {
    let name = |(index, json): (usize, &'_ Json)| {
        json.as_str().map(|_| ()).ok_or_else(|| {
            ApiError::field(format!("features[{index}]"), "wants the name of a feature")
        })
    };
    list.iter().enumerate().try_for_each(name)?;
    Ok(list.iter().filter_map(Json::as_str).collect())
}

/// Refuses lists whose answer would not fit in memory.
pub(super) fn few_enough(field: &str, list: &[Json]) -> Result<(), ApiError> {
    if list.len() <= MAX_ROWS {
        return Ok(());
    }
    let reason = format!(
        "has {} rows, at most {MAX_ROWS} are answered at once",
        list.len()
    );
    Err(ApiError::field(field, reason))
}

#[cfg(test)]
mod tests {
    use granary_registry::DType;
    use serde_json::json;

    use super::*;
    use crate::service::CatalogFeature;

    fn catalog() -> Catalog {
        let feature = |name: &str| CatalogFeature {
            name: name.into(),
            group: "g".into(),
            dtype: DType::Int,
            description: String::new(),
            is_value: true,
            is_pii: false,
            max_age: None,
        };
        let features = [feature("age"), feature("income")];
        Catalog {
            key: "user_id".to_owned(),
            features: features.into_iter().collect(),
            ..Catalog::default()
        }
    }

    fn read(json: &Json) -> Result<(Vec<Row>, Option<Vec<usize>>), String> {
        let batch = Batch::read(json, &catalog()).map_err(|error| error.to_string())?;
        Ok((batch.rows, batch.features))
    }

    #[test]
    fn both_forms_are_read() {
        let row = |key: &str| (key.to_owned(), None);
        let wanted = (vec![row("a"), row("7")], Some(vec![1]));
        let by_keys = json!({"user_ids": ["a", 7], "features": ["income"]});
        assert_eq!(read(&by_keys), Ok(wanted.clone()));
        let by_rows = json!({"rows": [{"user_id": "a"}, {"user_id": 7}], "features": ["income"]});
        assert_eq!(read(&by_rows), Ok(wanted));
        assert_eq!(read(&json!({"user_ids": []})), Ok((vec![], None)));
    }

    #[test]
    fn refusals_name_the_place() {
        let no = |json| read(&json).unwrap_err();
        assert!(no(json!({})).starts_with("user_ids: is missing"));
        assert!(no(json!({"user_ids": ["a"], "rows": []})).contains("either user_ids or rows"));
        assert!(no(json!({"user_ids": ["a", []]})).starts_with("user_ids[1]: is an array"));
        assert_eq!(
            no(json!({"rows": [{"user_id": "a"}, {}]})),
            "rows[1].user_id: is missing"
        );
        let said = no(json!({"rows": [{"user": "a"}]}));
        assert!(
            said.starts_with("rows[0].user: there is no such field"),
            "{said}"
        );
        let said = no(json!({"user_ids": ["a"], "features": ["agee"]}));
        assert!(said.contains("did you mean `age`?"), "{said}");
        let said = no(json!({"user_ids": ["a"], "features": [1]}));
        assert_eq!(said, "features[0]: wants the name of a feature");
        let said = no(json!({"user_ids": vec!["a"; MAX_ROWS + 1]}));
        assert!(said.contains("at most 10000"), "{said}");
    }
}
