//! Written values: through every door, beside events, in the past, after a crash and in the next
//! build they are what was written last.

use std::path::Path;

use redis::{Commands, RedisError};
use serde_json::{Value as Json, json};

use crate::agreement::{Dice, iso};
use crate::oracle::Raw;
use crate::support::{Home, Server};

const HOUR: i64 = 3_600_000_000;

/// The registry of values, built and pushed.
fn demo(users: u32, seed: u32) -> (Home, Raw) {
    let mut home = Home::new();
    home.registry = Path::new(env!("CARGO_MANIFEST_DIR")).join("suite/values.yaml");
    let (users, seed) = (users.to_string(), seed.to_string());
    home.ok(&["synth", "--users", &users, "--seed", &seed]);
    home.ok(&["build"]);
    home.ok(&["push"]);
    let raw = Raw::read(&home.data().join("raw"));
    (home, raw)
}

fn features(server: &Server, user: &str, as_of: &str) -> Json {
    let (status, body) = server.get(&format!("/features/{user}{as_of}"));
    assert_eq!(status, 200, "{body}");
    body["features"].clone()
}

fn run(redis: &mut redis::Connection, line: &str) -> Result<redis::Value, RedisError> {
    let mut words = line.split(' ');
    let mut command = redis::cmd(words.next().unwrap());
    words.for_each(|word| {
        command.arg(word);
    });
    command.query(redis)
}

fn number(redis: &mut redis::Connection, line: &str) -> i64 {
    redis::from_redis_value(run(redis, line).unwrap()).unwrap()
}

fn refusal(redis: &mut redis::Connection, line: &str) -> String {
    let error = run(redis, line).unwrap_err();
    format!(
        "{} {}",
        error.code().unwrap_or_default(),
        error.detail().unwrap_or_default()
    )
}

/// All or nothing, and each refusal says what to do.
fn are_refused(redis: &mut redis::Connection) {
    for (line, wanted) in [
        (
            "HSET user:new age 40 total_events 7",
            "total_events: is an aggregation over `event_logs`",
        ),
        (
            "HSET user:new age 40 age_in_months 7",
            "age_in_months: is computed of other features",
        ),
        ("HSET user:new age 40 agee 7", "did you mean `age`?"),
        (
            "HSET user:new income 40 age 121",
            "age: is 121, which its expectation `range: {min: 0, max: 120}` forbids",
        ),
        (
            "HSET user:new age 40 gender Q",
            "gender: is \"Q\", which its expectation `in: [Female, Male, F, M, X]` forbids",
        ),
        ("HSET user:new age old", "age: \"old\""),
        ("HINCRBY user:new age 200", "range: {min: 0, max: 120}"),
        ("HINCRBY user:new gender 1", "hash value is not an integer"),
        ("HINCRBYFLOAT user:new age x", "not a valid float"),
        ("HSET user: age 1", "the key names no entity"),
        ("HDEL user:new age", "not deleted"),
        ("HSETEX user:new EX 5 FIELDS 1 age 4", "do not expire"),
        ("DEL user:new", "is a row of features"),
    ] {
        let said = refusal(redis, line);
        assert!(said.contains(wanted), "{line}: {said}");
    }
}

#[test]
fn redis_commands_write_values_and_nothing_else() {
    let (home, raw) = demo(30, 61);
    let server = home.serve();
    let mut redis = server.redis();
    let user = &raw.users[0];
    let key = format!("user:{user}");
    let before = features(&server, user, "");

    assert_eq!(
        number(&mut redis, &format!("HSET {key} age 31 premium True")),
        0
    );
    assert_eq!(redis.hget::<_, _, i64>(&key, "age").unwrap(), 31);
    assert_eq!(redis.hget::<_, _, i64>(&key, "age_in_months").unwrap(), 372);
    let after = features(&server, user, "");
    assert_eq!(
        (&after["age"], &after["premium"]),
        (&json!(31), &json!(true))
    );
    for name in [
        "age_again",
        "income",
        "last_type",
        "total_events",
        "purchases_30d",
    ] {
        assert_eq!(after[name], before[name], "{name} was not written");
    }
    run(
        &mut redis,
        &format!("HMSET {key} last_type written income 12.5"),
    )
    .unwrap();
    assert_eq!(number(&mut redis, &format!("HINCRBY {key} age 4")), 35);
    let sum: String = redis::from_redis_value(
        run(&mut redis, &format!("HINCRBYFLOAT {key} income 0.25")).unwrap(),
    )
    .unwrap();
    assert_eq!(sum, "12.75");
    assert_eq!(number(&mut redis, &format!("HSETNX {key} age 1")), 0);
    let after = features(&server, user, "");
    assert_eq!(
        (&after["age"], &after["income"]),
        (&json!(35), &json!(12.75))
    );
    assert_eq!(after["last_type"], "written");
    assert_eq!(
        after["total_events"], before["total_events"],
        "a write is no event"
    );

    // Somebody new, whose other features are those of an empty history.
    assert_eq!(number(&mut redis, "HSET user:new age 20 gender X"), 2);
    assert_eq!(number(&mut redis, "HSETNX user:new income 5"), 1);
    assert_eq!(number(&mut redis, "HSET user:new gender M"), 0);
    let new = features(&server, "new", "");
    assert_eq!(
        (
            &new["age"],
            &new["gender"],
            &new["income"],
            &new["total_events"]
        ),
        (&json!(20), &json!("M"), &json!(5.0), &json!(0))
    );
    let gone = "HSET user:new income ";
    run(&mut redis, gone).unwrap();
    assert_eq!(
        features(&server, "new", "")["income"],
        Json::Null,
        "no text is no value"
    );

    are_refused(&mut redis);
    assert_eq!(features(&server, "new", "")["age"], 20);

    // In a transaction, and together with reads in one pipeline.
    let (set, age, written): (i64, i64, String) = redis::pipe()
        .atomic()
        .hset("user:new", "age", 41)
        .hget("user:new", "age")
        .hget("user:new", "gender")
        .query(&mut redis)
        .unwrap();
    assert_eq!((set, age, written.as_str()), (0, 41, "M"));
    let replies: Vec<i64> = (0..50)
        .fold(&mut redis::pipe(), |pipe, n| {
            pipe.hset("user:new", "age", n).hget("user:new", "age")
        })
        .query(&mut redis)
        .unwrap();
    let wanted: Vec<i64> = (0..50).flat_map(|n| [0, n]).collect();
    assert_eq!(replies, wanted);
}

#[test]
fn counters_of_many_clients_lose_nothing() {
    let (home, _) = demo(5, 62);
    let server = home.serve();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut redis = server.redis();
                for _ in 0..25 {
                    number(&mut redis, "HINCRBY user:c age 1");
                }
            });
        }
    });
    assert_eq!(features(&server, "c", "")["age"], 100);
}

/// What Feast's clients are told of writes that are not taken.
fn writes_are_refused(write: &dyn Fn(&str, Json) -> (u16, Json)) {
    let refused = |view: &str, df: Json| {
        let (status, said) = write(view, df);
        (status, said.to_string())
    };
    for (view, df, status, wanted) in [
        (
            "nope",
            json!({"user_id": ["a"], "age": [1]}),
            404,
            "FeatureViewNotFoundException",
        ),
        ("profile", json!({"age": [1]}), 422, "Field required"),
        (
            "profile",
            json!({"user_id": ["a"]}),
            422,
            "no column of a feature",
        ),
        (
            "profile",
            json!({"user_id": ["a", "b"], "age": [1]}),
            422,
            "has 2 rows",
        ),
        (
            "profile",
            json!({"user_id": ["a", "b"], "age": [1, 500]}),
            422,
            "row 1: age is 500",
        ),
        (
            "profile",
            json!({"user_id": ["a"], "age": ["x"]}),
            422,
            "wants a whole number",
        ),
        (
            "profile",
            json!({"user_id": [""], "age": [1]}),
            422,
            "is empty",
        ),
        (
            "profile",
            json!({"user_id": ["a"], "last_type": ["x"]}),
            422,
            "is a feature of group `activity`",
        ),
        (
            "activity",
            json!({"user_id": ["a"], "total_events": [1]}),
            422,
            "is an aggregation over `event_logs`",
        ),
        (
            "profile",
            json!({"user_id": ["a"], "age": [1], "event_timestamp": ["2999-01-01T00:00:00"]}),
            422,
            "max_future",
        ),
        (
            "profile",
            json!({"user_id": ["a"], "age": [1], "event_timestamp": ["soon"]}),
            422,
            "row 0",
        ),
    ] {
        let (found, said) = refused(view, df);
        assert!(
            found == status && said.contains(wanted),
            "{found} {said}, wanted {wanted}"
        );
    }
}

#[test]
fn feast_writes_are_what_redis_writes_are() {
    let (home, raw) = demo(20, 63);
    let server = home.serve();
    let users = [raw.users[0].as_str(), "fresh"];
    let now = raw.clock();
    let write = |view: &str, df: Json| {
        server.post(
            "/write-to-online-store",
            &json!({"feature_view_name": view, "df": df}).to_string(),
        )
    };
    let naive = iso(now - HOUR).trim_end_matches('Z').to_owned();
    let df = json!({
        "user_id": users, "age": [50, null], "gender": ["F", "M"],
        "event_timestamp": [naive, naive], "created": [null, null],
    });
    assert_eq!(write("profile", df), (200, Json::Null));
    assert_eq!(features(&server, users[0], "")["age"], 50);
    let fresh = features(&server, "fresh", "");
    assert_eq!(
        (&fresh["age"], &fresh["gender"]),
        (&Json::Null, &json!("M"))
    );

    // An older value never beats a newer one; without an instant it holds from now on.
    let older =
        json!({"user_id": [users[0]], "age": [1], "event_timestamp": [iso(now - 2 * HOUR)]});
    assert_eq!(write("profile", older).0, 200);
    assert_eq!(features(&server, users[0], "")["age"], 50);
    // A column of a table is every value that is read from it.
    let push = json!({"push_source_name": "user_table", "df": {"user_id": [users[0]], "age": [33]}, "to": "online"});
    let response = crate::support::agent()
        .post(format!("http://{}/push", server.http))
        .send(push.to_string())
        .unwrap();
    assert_eq!(response.status(), 200);
    let after = features(&server, users[0], "");
    assert_eq!(
        (&after["age"], &after["age_again"]),
        (&json!(33), &json!(33))
    );

    // At instants in the past, ties included: the head of time is exact.
    let table = &features(
        &server,
        users[0],
        &format!("?as_of={}", iso(now - 3 * HOUR)),
    )["age"];
    for (at, wanted) in [
        (now - 2 * HOUR, table.clone()),
        (now - 2 * HOUR + 1, json!(1)),
        (now - HOUR, json!(1)),
        (now - HOUR + 1, json!(50)),
        (now, json!(50)),
        (now + 1, json!(33)),
    ] {
        let found = features(&server, users[0], &format!("?as_of={}", iso(at)));
        assert_eq!(found["age"], wanted, "as of {}", iso(at));
    }

    writes_are_refused(&write);
    assert_eq!(
        server.get("/features/a").0,
        404,
        "nothing of a refused request was taken"
    );
}

/// Writes and events at random, each acknowledged, before a crash and after it.
#[test]
fn written_values_survive_crashes_builds_and_verification() {
    let (home, raw) = demo(40, 64);
    let mut dice = Dice(64);
    let now = raw.clock();
    let mut seen: Vec<Json> = Vec::new();
    let mut users: Vec<String> = raw.users[..12].to_vec();
    users.extend(["stranger-1".to_owned(), "stranger-2".to_owned()]);
    for round in 0..3 {
        let server = home.serve();
        let all = |server: &Server| -> Vec<Json> {
            users
                .iter()
                .map(|user| server.get(&format!("/features/{user}")).1["features"].clone())
                .collect()
        };
        if round > 0 {
            assert_eq!(all(&server), seen, "after the crash of round {round}");
        }
        let mut redis = server.redis();
        for n in 0..60 {
            let user = &users[dice.below(users.len() as u64) as usize];
            let number = dice.below(100) as i64;
            match dice.below(4) {
                0 => {
                    let _: i64 = redis.hset(format!("user:{user}"), "age", number).unwrap();
                }
                1 => {
                    let _: i64 = redis
                        .hset_multiple(
                            format!("user:{user}"),
                            &[
                                ("income", number.to_string()),
                                ("last_type", format!("w{number}")),
                            ],
                        )
                        .map(|(): ()| 0)
                        .unwrap();
                }
                2 => {
                    let at = iso(now - dice.below(50 * 24) as i64 * HOUR);
                    let df = json!({"user_id": [user], "age": [number], "premium": [number % 2 == 0], "event_timestamp": [at]});
                    let body = json!({"feature_view_name": "profile", "df": df});
                    assert_eq!(
                        server.post("/write-to-online-store", &body.to_string()).0,
                        200
                    );
                }
                _ => {
                    let event = json!({"user_id": user, "event_id": format!("{round}-{n}"), "event_type": "purchase", "timestamp": iso(now + n + round * 100)});
                    assert_eq!(server.post("/events", &event.to_string()).0, 200);
                }
            }
        }
        seen = all(&server);
        server.kill();
    }

    // Served live, from states that a build made going on from a version, and from nothing.
    let report: Json =
        serde_json::from_str(&home.ok(&["verify", "--json", "--samples", "300"])).unwrap();
    assert_eq!(report["mismatched"], 0, "{report}");
    assert!(report["against_oracle"].as_u64() == report["compared"].as_u64());
    for force in [
        &["build"][..],
        &["build", "--force"],
        &["build", "--force", "--memory-limit", "1MB"],
    ] {
        home.ok(force);
        home.ok(&["push", "--force"]);
        let server = home.serve();
        let found: Vec<Json> = users
            .iter()
            .map(|user| server.get(&format!("/features/{user}")).1["features"].clone())
            .collect();
        assert_eq!(found, seen, "after {force:?}");
        assert_eq!(server.terminate(), Some(0));
    }
    // In our own layout too, where events leave the log's part of the history and values do not.
    home.ok(&["ingest"]);
    home.ok(&["build", "--force"]);
    home.ok(&["push", "--force"]);
    let server = home.serve();
    let found: Vec<Json> = users
        .iter()
        .map(|user| server.get(&format!("/features/{user}")).1["features"].clone())
        .collect();
    assert_eq!(found, seen, "after an ingest");
    let report: Json =
        serde_json::from_str(&home.ok(&["verify", "--json", "--samples", "300"])).unwrap();
    assert_eq!(report["mismatched"], 0, "{report}");
}
