//! `POST /events`: JSON, NDJSON or Arrow IPC to the service's log. Called by `routes`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::Value as Json;
use serde_json::value::RawValue;

use super::body::{Room, body};
use super::error::ApiError;
use super::features::off_thread;
use super::input::{Fields, parameter, query};
use super::schema;
use crate::service::{Service, shown};

/// Longest body of events.
const EVENTS_LIMIT: usize = 64 * 1024 * 1024;

/// Memory for the bodies of events of all requests at once, until they are answered.
static ROOM: Room = Room::new(2 * EVENTS_LIMIT);

const LINES: [&str; 4] = [
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/x-jsonlines",
];
const ARROW: [&str; 2] = [
    "application/vnd.apache.arrow.stream",
    "application/vnd.apache.arrow.file",
];

/// Takes events in: durable, folded in and visible once answered. All or nothing: one bad
/// event refuses the request.
#[utoipa::path(
    post,
    path = "/events",
    tag = "events",
    operation_id = "send_events",
    params(
        ("source" = Option<String>, Query, description = "The event source of the registry; may be left out if there is one"),
    ),
    request_body(
        content(
            (schema::EventRequest = "application/json"),
            (String = "application/x-ndjson"),
            (Vec<u8> = "application/vnd.apache.arrow.stream"),
            (Vec<u8> = "application/vnd.apache.arrow.file"),
        ),
        description = "One event, an array of events, `{\"source\"?, \"events\": […]}`, one event per line, or \
                       record batches whose columns are the source's by name, uncompressed",
    ),
    responses(
        (status = 200, body = schema::Receipt),
        (status = 413, description = "The body is too long", body = schema::Refusal),
        (status = 422, description = "An event is wrong; none was taken", body = schema::Refusal),
        (status = 503, description = "Nothing is loaded yet, or the server is busy", body = schema::Refusal),
    ),
)]
pub(super) async fn send(
    request: HttpRequest,
    payload: web::Payload,
    service: web::Data<Service>,
) -> Result<HttpResponse, ApiError> {
    let pairs = query(request.query_string(), &["source"])?;
    let named = parameter(&pairs, "source").map(str::to_owned);
    let form = Form::of(&request);
    let body = body(&request, payload, EVENTS_LIMIT, &ROOM).await?;
    let receipt = off_thread(move || {
        if form == Form::Arrow {
            let (bytes, _held) = body.into_parts();
            return Ok(service.ingest_ipc(named.as_deref(), bytes)?);
        }
        let Sent { source, events } = Sent::read(&body, form == Form::Lines)?;
        let source = one_source(named, source)?;
        Ok(service.ingest(source.as_deref(), &events)?)
    })
    .await?;
    Ok(HttpResponse::Ok().json(schema::Receipt {
        accepted: receipt.accepted,
        duplicates: receipt.duplicates,
        late: receipt.late,
    }))
}

/// How a body is written, by its content type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// One JSON value, or several: the content type need not say so.
    Json,
    /// One event per line.
    Lines,
    /// Arrow IPC, a stream or a file.
    Arrow,
}

impl Form {
    fn of(request: &HttpRequest) -> Form {
        let kind = request.headers().get(CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()?.split(';').next());
        let kind = kind.unwrap_or_default().trim();
        let is = |known: &&str| kind.eq_ignore_ascii_case(known);
        if LINES.iter().any(is) {
            Form::Lines
        } else if ARROW.iter().any(is) {
            Form::Arrow
        } else {
            Form::Json
        }
    }
}

/// What a body holds, event by event as text: a tree of values would take many times the
/// memory of the body.
#[derive(Debug)]
struct Sent<'a> {
    source: Option<String>,
    events: Vec<&'a RawValue>,
}

/// The fields of an object, each as text.
type Object<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

impl<'a> Sent<'a> {
    /// Several values one after the other are lines of events, whatever the content type; a
    /// single one is, if `lines` says so.
    fn read(body: &'a [u8], lines: bool) -> Result<Sent<'a>, ApiError> {
        let values = serde_json::Deserializer::from_slice(body).into_iter::<&RawValue>();
        let values = values.collect::<Result<Vec<&RawValue>, _>>()?;
        let (what, first, events) = match values[..] {
            [one] if !lines && is(one, '[') => ("events", 0, serde_json::from_str(one.get())?),
            [one] if !lines => {
                if let Some(sent) = Sent::envelope(one)? {
                    return Ok(sent);
                }
                ("events", 0, values)
            }
            _ => ("line ", 1, values),
        };
        let source = None;
        let events = objects(what, first, events)?;
        Ok(Sent { source, events })
    }

    /// An object that has a list of events, unlike an event.
    fn envelope(json: &'a RawValue) -> Result<Option<Sent<'a>>, ApiError> {
        if !is(json, '{') {
            return Ok(None);
        }
        let object: Object<'a> = serde_json::from_str(json.get())?;
        let Some(events) = object.get("events").filter(|events| is(events, '[')) else {
            return Ok(None);
        };
        let mut others = serde_json::Map::new();
        for (name, json) in &object {
            // Far too large for a tree, and known to be a list.
            let is_list = name == "events";
            let value = if is_list {
                Json::Null
            } else {
                serde_json::from_str(json.get())?
            };
            others.insert(name.clone().into_owned(), value);
        }
        let others = Json::Object(others);
        let fields = Fields::of("", &others, &["source", "events"], "")?;
        let source = fields.text("source")?.map(str::to_owned);
        let events = objects("events", 0, serde_json::from_str(events.get())?)?;
        Ok(Some(Sent { source, events }))
    }
}

/// Whether a value is an object or a list, by its first character.
fn is(json: &RawValue, first: char) -> bool {
    json.get().starts_with(first)
}

/// Events are objects; the first that is none is named by its place.
fn objects<'a>(
    what: &str,
    first: usize,
    events: Vec<&'a RawValue>,
) -> Result<Vec<&'a RawValue>, ApiError> {
    let Some(index) = events.iter().position(|event| !is(event, '{')) else {
        return Ok(events);
    };
    let place = index + first;
    let place = if first == 1 {
        format!("{what}{place}")
    } else {
        format!("{what}[{place}]")
    };
    let found: Json = serde_json::from_str(events[index].get())?;
    let reason = format!("is {}, wants an object", shown(&found));
    Err(ApiError::field(place, reason))
}

fn one_source(
    in_query: Option<String>,
    in_body: Option<String>,
) -> Result<Option<String>, ApiError> {
    match (in_query, in_body) {
        (Some(query), Some(body)) if query != body => {
            let reason = format!("is `{query}` in the query and `{body}` in the body");
            Err(ApiError::field("source", reason))
        }
        (query, body) => Ok(query.or(body)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Source and events, compact.
    fn read(body: &str, lines: bool) -> Result<(Option<String>, Vec<String>), String> {
        let sent = Sent::read(body.as_bytes(), lines).map_err(|error| error.to_string())?;
        let compact = |event: &&RawValue| {
            let event: Json = serde_json::from_str(event.get()).unwrap();
            event.to_string()
        };
        Ok((sent.source, sent.events.iter().map(compact).collect()))
    }

    #[test]
    fn every_form_holds_the_same_events() {
        let two = || vec![r#"{"id":1}"#.to_owned(), r#"{"id":2}"#.to_owned()];
        assert_eq!(read(r#"[{"id": 1}, {"id": 2}]"#, false), Ok((None, two())));
        for lines in [true, false] {
            let sent = read("{\"id\": 1}\n{\"id\": 2}\r\n\n", lines);
            assert_eq!(sent, Ok((None, two())));
        }
        let one = read(r#"{"id": 1}"#, false).unwrap();
        assert_eq!(one.1, two()[..1]);
        let sent = read(r#"{"events": [{"id": 1}], "source": "event_logs"}"#, false).unwrap();
        assert_eq!(sent, (Some("event_logs".to_owned()), two()[..1].to_vec()));
        let sent = read(r#"{"events": [1]}"#, true).unwrap();
        assert_eq!(sent.1, [r#"{"events":[1]}"#]);
    }

    #[test]
    fn refusals_name_the_place() {
        let no = |body, lines| read(body, lines).unwrap_err();
        assert_eq!(no("[{}, 7]", false), "events[1]: is 7, wants an object");
        assert_eq!(no("{}\n7", true), "line 2: is 7, wants an object");
        assert_eq!(no("\"a\"", false), "events[0]: is \"a\", wants an object");
        assert!(no("{\"a\": 1}\n{\"a\": }", true).ends_with("at line 2, column 7"));
        let said = no(r#"{"events": [], "sauce": "x"}"#, false);
        assert_eq!(
            said,
            "sauce: there is no such field; did you mean `source`?"
        );
        assert!(no(r#"{"events": [], "source": 1}"#, false).starts_with("source: is 1"));
    }

    #[test]
    fn two_sources_must_agree() {
        let name = |text: &str| Some(text.to_owned());
        assert_eq!(one_source(name("a"), None).unwrap(), name("a"));
        assert_eq!(one_source(None, name("b")).unwrap(), name("b"));
        assert_eq!(one_source(name("a"), name("a")).unwrap(), name("a"));
        assert!(one_source(name("a"), name("b")).is_err());
    }
}
