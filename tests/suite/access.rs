//! API keys over the built binary: who comes in by which door, what each role may do, and that a
//! running server follows.

use redis::Value;
use serde_json::{Value as Json, json};

use crate::support::{Home, Server, agent};

const ROLES: [&str; 4] = ["read", "write", "predict", "admin"];

/// Makes a key and gives back its token.
fn key(home: &Home, name: &str, roles: &str) -> String {
    home.ok(&["keys", "add", name, "--role", roles])
        .trim()
        .to_owned()
}

/// The status of a request with a header.
fn ask(
    server: &Server,
    method: &str,
    path: &str,
    header: Option<(&str, &str)>,
    body: &str,
) -> (u16, Json) {
    let url = format!("http://{}{path}", server.http);
    let mut response = if method == "GET" {
        let mut request = agent().get(url);
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        request.call().unwrap()
    } else {
        let mut request = agent().post(url);
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        request.send(body).unwrap()
    };
    let text = response.body_mut().read_to_string().unwrap();
    let json = serde_json::from_str(&text).unwrap_or(Json::String(text));
    (response.status().as_u16(), json)
}

fn user(server: &Server, token: &str) -> String {
    let mut redis = redis_as(server, token).unwrap();
    let key: String = redis::cmd("RANDOMKEY").query(&mut redis).unwrap();
    key.trim_start_matches("user:").to_owned()
}

fn redis_as(server: &Server, token: &str) -> redis::RedisResult<redis::Connection> {
    let name = token.rsplit_once('.').map_or("default", |(name, _)| name);
    redis::Client::open(format!("redis://{name}:{token}@{}/", server.resp))?.get_connection()
}

#[test]
fn roles_decide_at_both_doors() {
    let home = Home::with_demo(60, 5);
    let tokens = ROLES.map(|role| key(&home, &format!("svc.{role}"), role));
    let kept = std::fs::read_to_string(home.data().join("keys.json")).unwrap();
    for token in &tokens {
        let secret = token.rsplit_once('.').unwrap().1;
        assert!(secret.len() == 64 && !kept.contains(secret));
    }
    let server = home.serve();
    let user = user(&server, &tokens[0]);
    http(&server, &user, &tokens);
    resp(&server, &user, &tokens);
}

/// What each role may do over HTTP.
fn http(server: &Server, user: &str, tokens: &[String; 4]) {
    let event = json!({"user_id": user, "event_type": "search"}).to_string();
    let whom = json!({"user_id": user}).to_string();
    // method, path, body, the roles that may (admin may everything)
    let requests = [
        ("GET", format!("/features/{user}"), String::new(), "read"),
        ("GET", "/status".to_owned(), String::new(), "read"),
        ("GET", "/metrics".to_owned(), String::new(), "read"),
        ("GET", "/openapi.json".to_owned(), String::new(), "read"),
        ("GET", "/".to_owned(), String::new(), "read"),
        (
            "POST",
            "/features".to_owned(),
            json!({"user_ids": [user]}).to_string(),
            "read",
        ),
        ("POST", "/events".to_owned(), event.clone(), "write"),
        ("POST", "/predict".to_owned(), whom.clone(), "predict"),
        (
            "GET",
            "/v2/models/churn".to_owned(),
            String::new(),
            "predict",
        ),
    ];
    for (method, path, body, needed) in &requests {
        let (status, said) = ask(server, method, path, None, body);
        assert_eq!(
            (status, &said["error"]["code"]),
            (401, &json!("unauthenticated")),
            "{path}"
        );
        for (role, token) in ROLES.iter().zip(tokens) {
            let bearer = format!("Bearer {token}");
            let (status, said) = ask(server, method, path, Some(("authorization", &bearer)), body);
            let wanted = if role == needed || *role == "admin" {
                200
            } else {
                403
            };
            assert_eq!(status, wanted, "{path} as {role}: {said}");
        }
    }
    for probe in ["/health", "/ready", "/ping", "/v2/health/live"] {
        assert_eq!(ask(server, "GET", probe, None, "").0, 200, "{probe}");
    }
    let path = format!("/features/{user}");
    let shown = |header: (&str, &str)| ask(server, "GET", &path, Some(header), "").0;
    assert_eq!(shown(("x-api-key", &tokens[0])), 200);
    assert_eq!(shown(("x-api-key", &tokens[0][1..])), 401);
    assert_eq!(
        shown(("authorization", &format!("Bearer {}x", tokens[0]))),
        401
    );
}

/// What each role may do over RESP.
fn resp(server: &Server, user: &str, tokens: &[String; 4]) {
    let run = |token: &str, words: &[&str]| -> Result<Value, String> {
        let mut redis = redis_as(server, token).map_err(|error| error.to_string())?;
        let found = redis::cmd(words[0]).arg(&words[1..]).query(&mut redis);
        found.map_err(|error| error.to_string())
    };
    let row = format!("user:{user}");
    let commands: [(&[&str], &str); 8] = [
        (&["HGETALL", &row], "read"),
        (&["GET", "a"], "read"),
        (&["SET", "a", "1"], "write"),
        (
            &[
                "XADD",
                "events",
                "*",
                "user_id",
                user,
                "event_type",
                "search",
            ],
            "write",
        ),
        (&["FS.PREDICT", &row], "predict"),
        (&["CONFIG", "SET", "appendfsync", "everysec"], "admin"),
        (&["FLUSHALL"], "admin"),
        (&["CLIENT", "LIST"], "admin"),
    ];
    for (words, needed) in commands {
        for (role, token) in ROLES.iter().zip(tokens) {
            let done = run(token, words);
            if *role == needed || *role == "admin" {
                done.unwrap();
            } else {
                let said = done.unwrap_err();
                assert!(
                    said.contains("NOPERM") || said.contains("no permissions"),
                    "{words:?} as {role}: {said}"
                );
            }
        }
    }
    assert!(run("svc.read.0000", &["PING"]).is_err());
    // Without a login nothing is answered but how to log in.
    let mut stranger = std::net::TcpStream::connect(&server.resp).unwrap();
    let said = say(
        &mut stranger,
        "PING\r\nGET a\r\nMULTI\r\nHELLO 3\r\nQUIT\r\n",
    );
    assert_eq!(said.matches("-NOAUTH").count(), 4, "{said}");
    assert!(said.ends_with("+OK\r\n"), "{said}");
}

/// All that comes back until the server closes.
fn say(stream: &mut std::net::TcpStream, words: &str) -> String {
    use std::io::{Read, Write};
    stream.write_all(words.as_bytes()).unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    said
}

#[test]
fn personal_features_are_seen_by_keys_that_name_their_group() {
    let home = Home::with_demo(200, 5);
    let plain = key(&home, "plain", "read,predict");
    let crm = home.ok(&[
        "keys",
        "add",
        "crm",
        "--role",
        "read",
        "--group",
        "user_profile_features",
    ]);
    let crm = crm.trim();
    let server = home.serve();
    let user = user(&server, crm);
    let row = format!("user:{user}");
    let names = |token: &str, words: &[&str]| -> Result<Vec<String>, String> {
        let mut redis = redis_as(&server, token).unwrap();
        let found = redis::cmd(words[0]).arg(&words[1..]).query(&mut redis);
        found.map_err(|error: redis::RedisError| error.to_string())
    };
    let seen = names(&plain, &["HKEYS", &row]).unwrap();
    assert!(seen.contains(&"total_events".to_owned()) && !seen.contains(&"age".to_owned()));
    let seen = names(crm, &["HKEYS", &row]).unwrap();
    assert!(seen.contains(&"age".to_owned()) && !seen.contains(&"total_events".to_owned()));
    let hidden: [&[&str]; 6] = [
        &["HMGET", &row, "total_events", "age"],
        &["HGET", &row, "age"],
        &["HEXISTS", &row, "age"],
        &["HSTRLEN", &row, "age"],
        &["FS.GET", &row, "age"],
        &["FS.GET", &row, "age", "ASOF", "2025-06-01"],
    ];
    for words in hidden {
        let said = names(&plain, words).unwrap_err();
        assert!(
            said.contains("may neither read nor write feature"),
            "{words:?}: {said}"
        );
    }
    for words in [
        &["HGETALL", &row][..],
        &["HSCAN", &row, "0"],
        &["FS.GET", &row],
        &["HRANDFIELD", &row, "100"],
        &["FS.GET", &row, "ASOF", "2025-06-01"],
    ] {
        let mut redis = redis_as(&server, &plain).unwrap();
        let found: Value = redis::cmd(words[0])
            .arg(&words[1..])
            .query(&mut redis)
            .unwrap();
        let found = format!("{found:?}");
        assert!(
            found.contains("total_events") && !found.contains("'age'"),
            "{words:?}: {found}"
        );
    }
    let bearer = format!("Bearer {plain}");
    let header = Some(("authorization", bearer.as_str()));
    let get = |path: &str| ask(&server, "GET", path, header, "");
    let post = |path: &str, body: Json| ask(&server, "POST", path, header, &body.to_string());
    let (_, body) = get(&format!("/features/{user}"));
    assert!(body["features"]["total_events"].is_number() && body["features"].get("age").is_none());
    let (_, body) = post("/features", json!({"user_ids": [user]}));
    assert!(body["rows"][0]["features"].get("age").is_none(), "{body}");
    let (_, body) = post("/predict", json!({"user_id": user}));
    assert!(body["probability"].is_number(), "{body}");
    assert!(body["features"]["total_events"].is_number() && body["features"].get("age").is_none());
    let online =
        json!({"entities": {"user_id": [user]}, "features": ["user_profile_features:age"]});
    for (status, body) in [
        get(&format!("/features/{user}?features=age")),
        get(&format!("/features/{user}/age")),
        post(
            "/features",
            json!({"user_ids": [user], "features": ["age"]}),
        ),
        post("/get-online-features", online),
    ] {
        assert_eq!(status, 403, "{body}");
        assert!(
            body.to_string()
                .contains("may neither read nor write feature `age`"),
            "{body}"
        );
    }
}

#[test]
fn a_running_server_follows_its_keys() {
    let home = Home::with_demo(60, 5);
    let server = home.serve();
    assert_eq!(server.get("/status").0, 200);
    let token = key(&home, "shop", "read");
    assert_eq!(server.get("/status").0, 401);
    let mut redis = redis_as(&server, &token).unwrap();
    let mut size = || redis::cmd("DBSIZE").query::<i64>(&mut redis);
    assert_eq!(size().unwrap(), 60);
    home.ok(&["keys", "rm", "shop"]);
    // The connection that is open is known no more, and the last key's removal opens nothing.
    assert!(size().unwrap_err().to_string().contains("NOAUTH"));
    assert_eq!(server.get("/status").0, 401);
    let said = home.fails(&["keys", "rm", "shop"]);
    assert!(said.contains("no key `shop`"), "{said}");
    let said = home.fails(&["keys", "add", "a b", "--role", "read"]);
    assert!(said.contains("is no name for a key"), "{said}");
    assert!(home.ok(&["keys", "ls"]).contains("no keys"));
}

#[test]
fn other_machines_are_served_with_keys_or_if_told_plainly() {
    let home = Home::with_demo(60, 5);
    let serve = ["serve", "--http", "0.0.0.0:0", "--resp", "127.0.0.1:0"];
    let said = home.fails(&serve);
    assert!(
        said.contains("granary keys add") && said.contains("--insecure-no-auth"),
        "{said}"
    );
    let open = home.serve_with(&["--insecure-no-auth"]);
    assert_eq!(open.get("/status").0, 200);
    drop(open);
    key(&home, "shop", "read");
    let server = home.serve();
    assert_eq!(server.get("/status").0, 401);
}

#[test]
fn pages_of_other_sites_get_nothing() {
    let home = Home::with_demo(60, 5);
    let server = home.serve();
    let from = |name: &str, value: &str, method: &str| {
        let (status, body) = ask(
            &server,
            method,
            if method == "GET" {
                "/status"
            } else {
                "/features"
            },
            Some((name, value)),
            "{\"user_ids\": []}",
        );
        (
            status,
            body["error"]["code"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        )
    };
    let refused = |code: &str| (403, code.to_owned());
    assert_eq!(from("host", "evil.example", "GET"), refused("foreign_host"));
    assert_eq!(from("host", "localhost:1234", "GET").0, 200);
    assert_eq!(
        from("origin", "http://evil.example", "POST"),
        refused("foreign_origin")
    );
    assert_eq!(from("origin", "null", "POST"), refused("foreign_origin"));
    assert_eq!(
        from("origin", &format!("http://{}", server.http), "POST").0,
        200
    );
    assert_eq!(from("origin", "http://evil.example", "GET").0, 200);
}

#[test]
fn a_key_with_a_rate_may_ask_so_often_at_both_doors() {
    let home = Home::with_demo(60, 5);
    let add = ["keys", "add", "partner", "--role", "read", "--rate", "5"];
    let token = home.ok(&add).trim().to_owned();
    let other = key(&home, "shop", "read");
    let server = home.serve();
    let ask = |token: &str| {
        let bearer = format!("Bearer {token}");
        ask(
            &server,
            "GET",
            "/status",
            Some(("authorization", &bearer)),
            "",
        )
    };
    let answers: Vec<(u16, Json)> = (0..40).map(|_| ask(&token)).collect();
    let taken = answers.iter().filter(|(status, _)| *status == 200).count();
    assert!((5..40).contains(&taken), "{taken} of 40");
    let (_, refused) = answers.iter().find(|(status, _)| *status == 429).unwrap();
    assert_eq!(refused["error"]["code"], "too_many_requests");
    let said = refused["error"]["message"].as_str().unwrap();
    assert!(
        said.contains("key `partner` may ask 5 times a second"),
        "{said}"
    );
    assert_eq!(
        ask(&other).0,
        200,
        "another key has a rate of its own, or none"
    );

    // One rate for both doors: what HTTP has used up RESP does not have.
    let mut redis = redis_as(&server, &token).unwrap();
    let said = (0..40).find_map(|_| redis::cmd("DBSIZE").query::<i64>(&mut redis).err());
    let said = said.unwrap().to_string();
    assert!(said.contains("may ask 5 times a second"), "{said}");
}

#[test]
fn the_audit_log_says_who_wrote_who_was_refused_and_what_administrators_did() {
    let home = Home::with_demo(60, 5);
    let group = ["--group", "user_profile_features"];
    let writer = home.ok(&[&["keys", "add", "write", "--role", "write"], &group[..]].concat());
    let (writer, admin) = (writer.trim().to_owned(), key(&home, "admin", "admin"));
    let server = home.serve();
    let bearer = |token: &str| format!("Bearer {token}");
    let event = json!({"user_id": "audited", "event_type": "search"}).to_string();
    let post = |token: &str, path: &str, body: &str| {
        ask(
            &server,
            "POST",
            path,
            Some(("authorization", &bearer(token))),
            body,
        )
        .0
    };
    assert_eq!(post(&writer, "/events", &event), 200);
    assert_eq!(post(&writer, "/predict", "{}"), 403);
    assert_eq!(post("nobody.x", "/events", &event), 401);
    assert_eq!(
        post(
            &admin,
            "/materialize-incremental",
            "{\"end_ts\": \"2026-01-01\"}"
        ),
        200
    );
    let mut redis = redis_as(&server, &writer).unwrap();
    let _: () = redis::pipe()
        .set("a", 1)
        .set("b", 2)
        .hset("user:audited", "age", 30)
        .query(&mut redis)
        .unwrap();
    assert!(redis::cmd("FLUSHALL").query::<Value>(&mut redis).is_err());
    let mut redis = redis_as(&server, &admin).unwrap();
    let _: Value = redis::cmd("FLUSHALL").query(&mut redis).unwrap();
    assert!(redis_as(&server, "write.0000").is_err());
    home.ok(&["push", "--force"]);
    server.hang_up();

    let lines = || -> Vec<Json> {
        let mut lines = Vec::new();
        for file in std::fs::read_dir(home.data().join("audit_log")).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            let whole = text
                .lines()
                .map(|line| serde_json::from_str::<Json>(line).unwrap());
            lines.extend(whole);
        }
        lines
    };
    while !lines().iter().any(|line| line["door"] == "signal") {
        std::thread::yield_now();
    }
    let lines = lines();
    let has = |act: &str, door: &str, key: Json, what: &str, outcome: &str| {
        let is_it = |line: &&Json| {
            line["act"] == act
                && line["door"] == door
                && line["key"] == key
                && line["what"].as_str().unwrap().contains(what)
                && line["outcome"].as_str().unwrap().contains(outcome)
        };
        assert!(
            lines.iter().any(|line| is_it(&line)),
            "{act} {door} {what}: {lines:#?}"
        );
    };
    has("write", "http", json!("write"), "POST /events", "200");
    has("denied", "http", json!("write"), "POST /predict", "403");
    has("denied", "http", Json::Null, "POST /events", "401");
    has(
        "admin",
        "http",
        json!("admin"),
        "POST /materialize-incremental",
        "200",
    );
    has("write", "resp", json!("write"), "set 2", "answered");
    has("write", "resp", json!("write"), "hset 1", "answered");
    has("denied", "resp", json!("write"), "flushall", "NOPERM");
    has("admin", "resp", json!("admin"), "FLUSHALL", "done");
    has("denied", "resp", Json::Null, "auth as write", "no such key");
    has("admin", "control", Json::Null, "push", "begun");
    has("admin", "signal", Json::Null, "reload", "begun");
    let text = format!("{lines:?}");
    assert!(!text.contains("audited"), "no entity is named");
    assert!(
        lines
            .iter()
            .all(|line| line["time"].as_str().unwrap().ends_with('Z'))
    );
}
