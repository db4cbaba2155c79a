//! What an operator sees: ids of requests, durations of commands, how fresh each group is, and
//! spans at a collector.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use redis::Commands;
use serde_json::{Value as Json, json};

use crate::support::{Home, Server, agent};

/// The header of an answer that names its request.
fn request_id(server: &Server, given: Option<&str>) -> String {
    let mut request = agent().get(format!("http://{}/ready", server.http));
    if let Some(id) = given {
        request = request.header("x-request-id", id);
    }
    let response = request.call().unwrap();
    response.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned()
}

#[test]
fn a_request_has_one_id_wherever_it_is_told_of() {
    let home = Home::with_demo(60, 51);
    let admin = home.ok(&["keys", "add", "admin", "--role", "admin"]);
    let args = ["serve", "--http", "127.0.0.1:0", "--resp", "127.0.0.1:0"];
    let mut command = home.command(&args);
    command.env("GRANARY_LOG", "granary_server=debug");
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut first).unwrap();
    let address = first.trim().rsplit("//").next().unwrap().to_owned();
    let response = agent()
        .delete(format!("http://{address}/entities/nobody"))
        .header("x-api-key", admin.trim())
        .header("x-request-id", "from-the-shop-17")
        .call()
        .unwrap();
    assert_eq!(response.headers()["x-request-id"], "from-the-shop-17");
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let told = lines
        .map(Result::unwrap)
        .find(|line| line.contains("answered"))
        .unwrap();
    for part in ["from-the-shop-17", "/entities/{user_id}", "200"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let mut audited = String::new();
    for file in fs::read_dir(home.data().join("audit_log")).unwrap() {
        audited += &fs::read_to_string(file.unwrap().path()).unwrap();
    }
    assert!(
        audited.contains("\"request\":\"from-the-shop-17\""),
        "{audited}"
    );

    home.ok(&["keys", "rm", "admin"]);
    let server = home.serve();
    let own = request_id(&server, None);
    assert_eq!(own.len(), 16);
    assert_ne!(request_id(&server, None), own);
    // What could break out of a line is not taken over.
    assert_eq!(request_id(&server, Some("a b")).len(), 16);
}

/// The value of a line of `/metrics`.
fn metric(server: &Server, name: &str) -> f64 {
    let url = format!("http://{}/metrics", server.http);
    let text = agent()
        .get(url)
        .call()
        .unwrap()
        .body_mut()
        .read_to_string()
        .unwrap();
    let mut lines = text.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let value = value.unwrap_or_else(|| panic!("{name} in\n{text}"));
    value.parse().unwrap()
}

#[test]
fn commands_are_timed_by_name_at_both_doors() {
    let home = Home::with_demo(60, 52);
    let server = home.serve_with(&["--serving-log", "1"]);
    let mut redis = server.redis();
    let user: String = redis
        .keys::<_, Vec<String>>("user:*")
        .unwrap()
        .swap_remove(0);
    for n in 0..10 {
        let _: Option<String> = redis.hget(&user, "age").unwrap();
        let _: () = redis.set("k", n).unwrap();
        let fields = [
            ("user_id", "timed"),
            ("event_type", "purchase"),
            ("event_id", &n.to_string()),
        ];
        let _: String = redis.xadd("events", "*", &fields).unwrap();
    }
    assert!(redis.incr::<_, _, i64>("k", "x").is_err());
    assert!(redis.hset::<_, _, _, ()>(&user, "age", "old").is_err());
    let name = "granary_resp_command_duration_seconds";
    let count = |command: &str| metric(&server, &format!("{name}_count{{command=\"{command}\"}}"));
    assert_eq!([count("hget"), count("set"), count("xadd")], [10.0; 3]);
    let below = |command: &str, le: &str| {
        metric(
            &server,
            &format!("{name}_bucket{{command=\"{command}\",le=\"{le}\"}}"),
        )
    };
    assert_eq!(below("hget", "+Inf"), 10.0);
    // An event is answered once it is on disk; a field is read in microseconds.
    assert_eq!(below("xadd", "0.000001"), 0.0);
    let seconds = |command: &str| metric(&server, &format!("{name}_sum{{command=\"{command}\"}}"));
    assert!(seconds("xadd") > seconds("hget"));
    let info: redis::InfoDict = redis::cmd("INFO")
        .arg("commandstats")
        .query(&mut redis)
        .unwrap();
    let hget: String = info.get("cmdstat_hget").unwrap();
    assert!(hget.starts_with("calls=10,usec="), "{hget}");
    let hset: String = info.get("cmdstat_hset").unwrap();
    assert!(hset.ends_with("failed_calls=1"), "{hset}");
    let usual: redis::InfoDict = redis::cmd("INFO").query(&mut redis).unwrap();
    assert!(!usual.contains_key(&"cmdstat_hget"));
    let _: () = redis::cmd("CONFIG")
        .arg("RESETSTAT")
        .query(&mut redis)
        .unwrap();
    let info: redis::InfoDict = redis::cmd("INFO")
        .arg("everything")
        .query(&mut redis)
        .unwrap();
    assert!(!info.contains_key(&"cmdstat_hget"));
    assert_eq!(count("hget"), 10.0, "counters of Prometheus never fall");

    assert!(metric(&server, "granary_store_bytes") > 1e4);
    assert!(metric(&server, "granary_log_bytes") > 500.0);
    assert_eq!(metric(&server, "granary_plain_keys"), 1.0);
    assert_eq!(metric(&server, "granary_log_waiting"), 0.0);
    assert!(metric(&server, "process_resident_memory_bytes") > 1e6);
    assert!(metric(&server, "process_cpu_seconds_total") > 0.0);
    let written = || metric(&server, "granary_serving_log_answers_total");
    while written() < 10.0 {
        std::thread::yield_now();
    }
    assert_eq!(metric(&server, "granary_serving_log_waiting"), 0.0);
}

#[test]
fn an_event_makes_its_own_groups_fresh() {
    let home = Home::with_demo(60, 53);
    let server = home.serve();
    let age = |group: &str| {
        let name = format!("granary_group_age_seconds{{group=\"{group}\"}}");
        metric(&server, &name)
    };
    let (_, status) = server.get("/status");
    let now = status["now"].as_str().unwrap();
    // An hour later, by an event: the data clock goes on, and reviews are an hour older.
    let later = format!("{}T{}", &now[..10], "23:59:59.999Z");
    let event =
        json!({"user_id": "u", "event_id": "f", "event_type": "search", "timestamp": later});
    let reviews = age("user_review_features");
    let (status, body) = server.post("/events?source=event_logs", &event.to_string());
    assert_eq!(status, 200, "{body}");
    assert!(age("user_activity_features") < 1e-3);
    assert!(age("user_review_features") >= reviews);
    let (_, status) = server.get("/status");
    let groups: Vec<&Json> = status["groups"].as_array().unwrap().iter().collect();
    let held = groups
        .iter()
        .find(|group| group["name"] == "user_activity_features");
    assert!(
        held.unwrap()["watermark"]
            .as_str()
            .unwrap()
            .contains("23:59:59.999"),
        "{groups:?}"
    );
}

/// A collector that keeps what it is sent.
#[cfg(feature = "otel")]
fn collector() -> (String, std::sync::mpsc::Receiver<(String, Vec<u8>)>) {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (send, received) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let (mut head, mut length) = (String::new(), 0);
            while stream.read_line(&mut head).unwrap() > 2 {
                let line = head.lines().last().unwrap().to_ascii_lowercase();
                if let Some(value) = line.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            stream.get_mut().write_all(answer).unwrap();
            if send.send((head, body)).is_err() {
                return;
            }
        }
    });
    (address, received)
}

#[cfg(feature = "otel")]
#[test]
fn spans_reach_a_collector_as_part_of_the_clients_trace() {
    let home = Home::with_demo(60, 54);
    let (address, received) = collector();
    let args = ["serve", "--http", "127.0.0.1:0", "--resp", "127.0.0.1:0"];
    let mut command = home.command(&args);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &address);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    let http = out.next().unwrap().unwrap();
    let resp = out.next().unwrap().unwrap();
    let place = |line: &str| line.trim().rsplit("//").next().unwrap().to_owned();
    let trace = "0af7651916cd43dd8448eb211c80319c";
    agent()
        .get(format!("http://{}/features/nobody", place(&http)))
        .header("traceparent", format!("00-{trace}-b7ad6b7169203331-01"))
        .header("x-request-id", "traced-1")
        .call()
        .unwrap();
    let client = redis::Client::open(format!("redis://{}/", place(&resp))).unwrap();
    let _: () = client.get_connection().unwrap().set("k", 1).unwrap();
    // Stopping sends what is still to be sent.
    let pid = child.id().to_string();
    let stopped = std::process::Command::new("kill").arg(pid).status();
    assert!(stopped.unwrap().success());
    child.wait().unwrap();
    let (heads, bodies): (Vec<String>, Vec<Vec<u8>>) = received.try_iter().unzip();
    assert!(
        heads.iter().all(|head| head.starts_with("POST /v1/traces")),
        "{heads:?}"
    );
    let body = bodies.concat();
    let has = |part: &[u8]| body.windows(part.len()).any(|window| window == part);
    let digits: Vec<u8> = (0..16)
        .map(|at| u8::from_str_radix(&trace[2 * at..2 * at + 2], 16).unwrap())
        .collect();
    assert!(has(&digits), "the client's trace");
    for part in [
        "GET /features/{user_id}",
        "traced-1",
        "RESP",
        "service.name",
        "granary",
    ] {
        assert!(has(part.as_bytes()), "{part}");
    }
}
