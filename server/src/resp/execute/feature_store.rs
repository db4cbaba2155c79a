//! Does the verbs that Redis does not have. Called by `execute`; `connection` has reads at an
//! instant done on a thread that may take its time.

use granary_registry::{Value, nearest};

use super::{Context, entity_key, refuse};
use crate::resp::Reply;
use crate::resp::command::{FeatureRead, FeatureStoreCommand};
use crate::service::access::{Identity, Sight};
use crate::service::{Catalog, FeatureRow, Lookup, Prediction, Service, ServiceError, Subject};

pub(super) fn execute(
    command: &FeatureStoreCommand<'_>,
    context: &mut Context<'_, '_>,
) -> Result<Reply, ServiceError> {
    Ok(match command {
        FeatureStoreCommand::Read(read) if read.as_of.is_some() => {
            Reply::error("ERR ASOF is not taken in a transaction: it may have to read the log")
        }
        FeatureStoreCommand::Read(read) => {
            let identity = context.session.login.as_ref().map(|login| &login.identity);
            answer(read, context.service, identity)
        }
        FeatureStoreCommand::Predict(key) => {
            let key = entity_of(context.catalog, &String::from_utf8_lossy(key))?;
            let subject = Subject {
                key: Some(key),
                features: Vec::new(),
            };
            match context.service.predict(&[subject])?.into_iter().next() {
                Some(Ok(prediction)) => predicted(&prediction),
                Some(Err(ServiceError::UnknownEntity { .. })) | None => Reply::Null,
                Some(Err(error)) => return Err(error),
            }
        }
        FeatureStoreCommand::Version => version(context.service),
    })
}

/// The features that a read asks for, by name and with nulls; none for an entity without a row.
pub(in crate::resp) fn answer(
    read: &FeatureRead,
    service: &Service,
    identity: Option<&Identity>,
) -> Reply {
    rows(read, service, identity).unwrap_or_else(|error| refuse(&error))
}

fn rows(
    read: &FeatureRead,
    service: &Service,
    identity: Option<&Identity>,
) -> Result<Reply, ServiceError> {
    let catalog = service.catalog();
    let places = read.features.iter().map(|name| place(&catalog, name));
    let places = places.collect::<Result<Vec<usize>, _>>()?;
    let keys = read.keys.iter().map(|key| entity_of(&catalog, key));
    let keys = keys.collect::<Result<Vec<String>, _>>()?;
    let sight = Sight::of(identity, &catalog);
    sight.check(&places, &catalog)?;
    let named = (!places.is_empty()).then_some(&places[..]);
    let features = named.or(sight.all());
    let lookups = keys.iter().map(|key| Lookup {
        key,
        features,
        generation: catalog.generation,
        as_of: read.as_of,
    });
    let lookups: Vec<Lookup<'_>> = lookups.collect();
    let mut replies = Vec::with_capacity(keys.len());
    for found in service.features_of(&lookups)? {
        replies.push(match found {
            Ok(row) => shown(row, named.is_none()),
            Err(ServiceError::UnknownEntity { .. }) => Reply::Null,
            Err(error) => return Err(error),
        });
    }
    Ok(match (read.many, replies.pop()) {
        (false, Some(reply)) => reply,
        (_, last) => {
            replies.extend(last);
            Reply::Array(replies)
        }
    })
}

fn shown(row: FeatureRow, with_names: bool) -> Reply {
    let features = row.features.into_iter();
    if with_names {
        let pair = |(name, value): (std::sync::Arc<str>, Value)| {
            (Reply::text(&*name), Reply::Value(value))
        };
        return Reply::Map(features.map(pair).collect());
    }
    Reply::Array(features.map(|(_, value)| Reply::Value(value)).collect())
}

fn predicted(prediction: &Prediction) -> Reply {
    let decision = if prediction.decision { "churn" } else { "stay" };
    let number = |x: f64| Reply::Value(Value::float(x));
    let fields = [
        ("probability", number(prediction.probability)),
        ("decision", Reply::text(decision)),
        ("threshold", number(prediction.threshold)),
        ("model", Reply::text(&*prediction.model)),
        ("version", Reply::text(&*prediction.version)),
        ("as_of", Reply::Text(prediction.as_of.to_string())),
    ];
    map(fields)
}

fn version(service: &Service) -> Reply {
    let status = service.status();
    let text = |text: Option<String>| text.map_or(Reply::Null, Reply::Text);
    let model = status.model.as_ref();
    map([
        ("granary", Reply::text(env!("CARGO_PKG_VERSION"))),
        ("generation", Reply::Integer(status.generation as i64)),
        ("entities", Reply::Integer(status.entities as i64)),
        ("as_of", text(status.now.map(|now| now.to_string()))),
        ("model", text(model.map(|model| model.name.clone()))),
        (
            "model_version",
            text(model.map(|model| model.version.clone())),
        ),
    ])
}

fn map<const N: usize>(fields: [(&str, Reply); N]) -> Reply {
    let field = |(name, reply): (&str, Reply)| (Reply::text(name), reply);
    Reply::Map(fields.into_iter().map(field).collect())
}

fn entity_of(catalog: &Catalog, key: &str) -> Result<String, ServiceError> {
    let found = entity_key(catalog, key.as_bytes());
    found
        .map(str::to_owned)
        .ok_or_else(|| ServiceError::BadInput {
            field: "key".to_owned(),
            reason: format!(
                "`{key}` is no {}: its keys begin with `{}`",
                catalog.entity, catalog.prefix
            ),
        })
}

fn place(catalog: &Catalog, name: &str) -> Result<usize, ServiceError> {
    if catalog.features.is_empty() {
        return Err(ServiceError::NothingLoaded);
    }
    catalog.features.position(name).ok_or_else(|| {
        let known = catalog.features.iter().map(|feature| &*feature.name);
        ServiceError::UnknownFeature {
            name: name.to_owned(),
            nearest: nearest(name, known),
        }
    })
}
