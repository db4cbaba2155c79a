//! The routes over a service with nothing loaded: what is refused, and how.

use actix_web::App;
use actix_web::http::Method;
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use serde_json::Value as Json;

use super::guard::Reach;
use super::input::BODY_LIMIT;
use super::server::State;
use crate::testing::empty_service;

struct Answer {
    status: u16,
    headers: actix_web::http::header::HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn error(&self) -> (u16, String, String) {
        let error = &self.json()["error"];
        let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
        (self.status, text("code"), text("message"))
    }
}

async fn send(request: TestRequest) -> Answer {
    let state = State::new(
        &empty_service(),
        &std::sync::Arc::default(),
        Reach::default(),
        crate::doors::Limits::default(),
    );
    let app = init_service(App::new().configure(|config| state.configure(config))).await;
    let answer = call_service(&app, request.to_request()).await;
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    Answer {
        status,
        headers,
        body: read_body(answer).await.to_vec(),
    }
}

async fn get(path: &str) -> Answer {
    send(TestRequest::get().uri(path)).await
}

async fn post(path: &str, body: &str) -> Answer {
    send(TestRequest::post().uri(path).set_payload(body.to_owned())).await
}

#[actix_web::test]
async fn unknown_paths_say_what_there_is() {
    let (status, code, message) = get("/feature/7").await.error();
    assert_eq!((status, code.as_str()), (404, "no_such_path"));
    assert!(message.contains("/feature/7") && message.contains("GET /features/{user_id}"));
}

#[actix_web::test]
async fn other_methods_say_which_are_answered() {
    for (method, path, allow) in [
        (Method::DELETE, "/features/7", "GET, HEAD"),
        (Method::GET, "/predict", "POST"),
        (Method::PUT, "/events", "POST"),
        (Method::GET, "/features", "POST"),
    ] {
        let answer = send(TestRequest::default().method(method).uri(path)).await;
        let (status, code, message) = answer.error();
        assert_eq!(
            (status, code.as_str()),
            (405, "method_not_allowed"),
            "{path}"
        );
        assert_eq!(answer.headers.get("allow").unwrap(), allow, "{path}");
        assert!(message.contains(allow), "{message}");
    }
}

#[actix_web::test]
async fn nothing_loaded_is_said_with_503() {
    for answer in [
        get("/features/7").await,
        get("/features/7?features=age").await,
        get("/features/7/age").await,
        post("/features", r#"{"user_ids": ["7"]}"#).await,
    ] {
        let (status, code, message) = answer.error();
        assert_eq!((status, code.as_str()), (503, "nothing_loaded"));
        assert!(message.contains("granary push"), "{message}");
    }
    let (status, code, _) = post("/predict", r#"{"user_id": "7"}"#).await.error();
    assert_eq!((status, code.as_str()), (503, "no_model"));
    assert_eq!(get("/ready").await.status, 503);
    assert_eq!(get("/health").await.json()["status"], "ok");
}

#[actix_web::test]
async fn wrong_requests_are_refused_before_the_service_is_asked() {
    for (answer, code, said) in [
        (
            get("/features/7?as_of=soon").await,
            "bad_input",
            "as_of: `soon` is not",
        ),
        (
            get("/features/7?asof=2026-01-01").await,
            "unknown_field",
            "did you mean `as_of`?",
        ),
        (
            get("/features/7/age?features=a").await,
            "unknown_field",
            "features: there is no",
        ),
        (post("/features", "").await, "bad_input", "body: is empty"),
        (
            post("/features", "{\n\"user_ids\": [}").await,
            "bad_json",
            "line 2, column 14",
        ),
        (
            post("/features", "{}").await,
            "bad_input",
            "user_ids: is missing",
        ),
        (
            post("/predict", "{}").await,
            "bad_input",
            "user_id: is missing",
        ),
        (
            post("/predict", r#"{"user": "7"}"#).await,
            "unknown_field",
            "user: there is no",
        ),
        (
            post("/events", "[1]").await,
            "bad_input",
            "events[0]: is 1, wants an object",
        ),
        (
            post("/events?src=a", "[]").await,
            "unknown_field",
            "src: there is no such field",
        ),
    ] {
        let (status, found, message) = answer.error();
        assert_eq!((status, found.as_str()), (422, code), "{message}");
        assert!(message.contains(said), "{message}");
    }
}

#[actix_web::test]
async fn long_bodies_are_refused_announced_or_not() {
    let body = " ".repeat(BODY_LIMIT + 1);
    let announced = send(
        TestRequest::post()
            .uri("/predict")
            .insert_header(("content-length", (BODY_LIMIT + 1).to_string())),
    );
    for answer in [announced.await, post("/predict", &body).await] {
        let (status, code, message) = answer.error();
        assert_eq!((status, code.as_str()), (413, "too_large"));
        assert!(message.contains(&BODY_LIMIT.to_string()), "{message}");
    }
}

#[actix_web::test]
async fn head_is_answered_like_get() {
    let answer = send(TestRequest::default().method(Method::HEAD).uri("/health")).await;
    assert_eq!(answer.status, 200);
}

#[actix_web::test]
async fn every_request_is_counted_under_its_template() {
    let state = State::new(
        &empty_service(),
        &std::sync::Arc::default(),
        Reach::default(),
        crate::doors::Limits::default(),
    );
    let app = init_service(App::new().configure(|config| state.configure(config))).await;
    for path in ["/features/7", "/features/8?features=a"] {
        call_service(&app, TestRequest::get().uri(path).to_request()).await;
    }
    let answer = call_service(&app, TestRequest::get().uri("/metrics").to_request()).await;
    let text = String::from_utf8(read_body(answer).await.to_vec()).unwrap();
    let line = r#"granary_http_requests_total{route="/features/{user_id}",status="5xx"} 2"#;
    assert!(text.contains(line), "{text}");
    assert!(
        !text.contains("/features/7"),
        "labels come from templates alone"
    );
}

#[actix_web::test]
async fn the_document_describes_every_route() {
    let document = get("/openapi.json").await.json();
    for (path, method) in [
        ("/features/{user_id}", "get"),
        ("/features/{user_id}/{feature}", "get"),
        ("/features", "post"),
        ("/predict", "post"),
        ("/events", "post"),
        ("/status", "get"),
        ("/health", "get"),
        ("/ready", "get"),
        ("/metrics", "get"),
    ] {
        let operation = &document["paths"][path][method];
        assert!(operation["operationId"].is_string(), "{method} {path}");
    }
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let text = document.to_string();
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name}");
    }
}

#[actix_web::test]
async fn documentation_and_page_come_out_of_the_binary() {
    assert_eq!(
        get("/docs").await.headers.get("location").unwrap(),
        "/docs/"
    );
    let docs = get("/docs/").await;
    assert!(String::from_utf8_lossy(&docs.body).contains("swagger-ui"));
    let page = get("/").await;
    let policy = page.headers.get("content-security-policy").unwrap();
    assert!(policy.to_str().unwrap().starts_with("default-src 'self'"));
    assert_eq!(get("/assets/app.js").await.status, 200);
    let (status, code, _) = get("/assets/other.js").await.error();
    assert_eq!((status, code.as_str()), (404, "no_such_path"));
    let status = get("/status").await.json();
    assert_eq!(status["ready"], false);
    assert_eq!(status["example"], Json::Null);
}
