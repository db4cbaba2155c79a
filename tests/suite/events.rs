//! Events sent to a running server: visible at once, durable when acknowledged, copies and
//! late ones told apart, bad ones refused as a whole.

use redis::Commands;
use serde_json::{Value as Json, json};

use crate::agreement::iso;
use crate::oracle::Raw;
use crate::support::Home;

fn purchase(user: &str, id: &str, time: i64) -> Json {
    json!({
        "event_id": id,
        "user_id": user,
        "timestamp": iso(time),
        "event_type": "purchase",
        "metadata": {"payment_method": "upi", "amount": 12.5},
    })
}

#[test]
fn an_event_is_visible_at_once_and_survives_a_kill() {
    let home = Home::with_demo(60, 1);
    let raw = Raw::read(&home.data().join("raw"));
    let (user, now) = (raw.users[0].clone(), raw.clock());
    let server = home.serve();
    let before = server.number(&user, "purchase_count");
    let (status, receipt) = server.post("/events", &purchase(&user, "live-1", now).to_string());
    assert_eq!(
        (status, &receipt["accepted"]),
        (200, &json!(1)),
        "{receipt}"
    );
    assert_eq!(server.number(&user, "purchase_count"), before + 1.0);
    let mut redis = server.redis();
    let over_resp: String = redis
        .hget(format!("user:{user}"), "purchase_count")
        .unwrap();
    assert_eq!(over_resp.parse::<f64>().unwrap(), before + 1.0);
    server.kill();
    let server = home.serve();
    assert_eq!(server.number(&user, "purchase_count"), before + 1.0);
}

#[test]
fn copies_count_once_and_late_events_wait_for_the_build() {
    let home = Home::with_demo(60, 2);
    let raw = Raw::read(&home.data().join("raw"));
    let (user, now) = (raw.users[0].clone(), raw.clock());
    let server = home.serve();
    let before = server.number(&user, "purchase_count");
    let first = purchase(&user, "live-1", now);
    let late = purchase(&user, "late-1", now - 30 * 86_400_000_000);
    let body = json!([first, first, late]).to_string();
    let (status, receipt) = server.post("/events", &body);
    assert_eq!(status, 200, "{receipt}");
    assert_eq!(receipt, json!({"accepted": 3, "duplicates": 1, "late": 1}));
    assert_eq!(server.number(&user, "purchase_count"), before + 1.0);
    home.ok(&["build"]);
    home.ok(&["push"]);
    assert_eq!(server.number(&user, "purchase_count"), before + 2.0);
    // What was built and pushed is not folded in again after a restart.
    assert_eq!(server.terminate(), Some(0));
    let server = home.serve();
    assert_eq!(server.number(&user, "purchase_count"), before + 2.0);
}

#[test]
fn a_user_who_was_never_seen_begins_with_the_first_event() {
    let home = Home::with_demo(60, 3);
    let now = Raw::read(&home.data().join("raw")).clock();
    let server = home.serve();
    let (status, body) = server.get("/features/newcomer");
    assert_eq!(status, 404, "{body}");
    server.post("/events", &purchase("newcomer", "n-1", now).to_string());
    assert_eq!(server.number("newcomer", "total_events"), 1.0);
    let (status, body) = server.post("/predict", r#"{"user_id":"newcomer"}"#);
    assert_eq!(status, 200, "{body}");
}

#[test]
fn a_bad_event_refuses_the_whole_request_and_says_why() {
    let home = Home::with_demo(60, 4);
    let raw = Raw::read(&home.data().join("raw"));
    let (user, now) = (raw.users[0].clone(), raw.clock());
    let server = home.serve();
    let before = server.number(&user, "total_events");
    let good = purchase(&user, "good", now);
    let cases = [
        (
            json!({"user_id": user, "timestamp": "yesterday", "event_type": "purchase"}),
            "timestamp",
        ),
        (
            json!({"timestamp": iso(now), "event_type": "purchase"}),
            "user_id",
        ),
        (
            json!({"user_id": user, "timestamp": iso(now), "event_typ": "purchase"}),
            "event_typ",
        ),
        (
            json!({"user_id": user, "timestamp": "2999-01-01T00:00:00Z", "event_type": "purchase"}),
            "2999",
        ),
    ];
    for (bad, named) in cases {
        let (status, body) = server.post("/events", &json!([good, bad]).to_string());
        assert_eq!(status, 422, "{body}");
        let body = body.to_string();
        assert!(body.contains(named) && body.contains('1'), "{body}");
    }
    assert_eq!(server.number(&user, "total_events"), before);
}

#[test]
fn ndjson_is_taken_line_by_line() {
    let home = Home::with_demo(60, 5);
    let raw = Raw::read(&home.data().join("raw"));
    let (user, now) = (raw.users[0].clone(), raw.clock());
    let server = home.serve();
    let lines: Vec<String> = (0..50)
        .map(|n| purchase(&user, &format!("n-{n}"), now + n).to_string())
        .collect();
    let (status, receipt) = server.post("/events", &lines.join("\n"));
    assert_eq!(
        (status, &receipt["accepted"]),
        (200, &json!(50)),
        "{receipt}"
    );
}
