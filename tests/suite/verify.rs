//! `granary verify`: answers of both doors agree with their recomputation, in a replay of the
//! serving log and for drawn instants, and an answer that does not is told.

use std::fs;
use std::path::Path;

use redis::Commands;
use serde_json::{Value as Json, json};

use crate::agreement::{Dice, iso};
use crate::oracle::Raw;
use crate::support::{Home, Server, agent};

const HOUR: i64 = 3_600_000_000;
const DAY: i64 = 24 * HOUR;

/// A demo with its raw tables, and the users that the tests are about.
struct Demo {
    home: Home,
    raw: Raw,
}

impl Demo {
    fn with(registry: &str, users: u32, seed: u32) -> Demo {
        let mut home = Home::new();
        home.registry = Path::new(env!("CARGO_MANIFEST_DIR")).join(registry);
        let (users, seed) = (users.to_string(), seed.to_string());
        home.ok(&["synth", "--users", &users, "--seed", &seed]);
        home.ok(&["build"]);
        home.ok(&["push"]);
        let raw = Raw::read(&home.data().join("raw"));
        Demo { home, raw }
    }

    fn newest(&self, user: &str) -> i64 {
        let times = self.raw.events[user].iter().map(|event| event.time);
        times.max().unwrap()
    }

    /// Sends an event in order, a copy of it, one that is late but not too late, and, for
    /// every second user, one that has to wait for the next build.
    fn live(&self, server: &Server, users: &[&String], round: i64) {
        for (at, user) in users.iter().enumerate() {
            let newest = self.newest(user) + round * DAY;
            let event = |name: &str, time: i64| {
                json!({
                    "event_id": format!("{name}-{round}-{at}"),
                    "user_id": user,
                    "timestamp": iso(time),
                    "event_type": "purchase",
                })
            };
            let first = event("first", newest);
            let mut events = vec![first.clone(), first, event("behind", newest - 5 * HOUR)];
            if at % 2 == 0 {
                events.push(event("late", newest - 40 * DAY));
            }
            let (status, receipt) = server.post("/events", &json!(events).to_string());
            let late = u64::from(at % 2 == 0);
            assert_eq!(status, 200, "{receipt}");
            assert_eq!(
                (&receipt["duplicates"], &receipt["late"]),
                (&json!(1), &json!(late))
            );
        }
    }

    /// Sends a review, whose vector lies in another table than the rest of the row.
    fn review(&self, server: &Server, user: &str, round: i64) {
        let review = json!({
            "user_id": user,
            "review_text": format!("number {round}, better than the one before"),
            "rating": round % 5 + 1,
            "review_time": iso(self.newest(user) + round * HOUR),
        });
        let (status, receipt) = server.post("/events?source=review_table", &review.to_string());
        assert_eq!(
            (status, &receipt["accepted"]),
            (200, &json!(1)),
            "{receipt}"
        );
    }

    fn users(&self, count: usize) -> Vec<&String> {
        let with_events = self
            .raw
            .users
            .iter()
            .filter(|user| self.raw.events.contains_key(*user));
        with_events.take(count).collect()
    }

    fn verify(&self, args: &[&str]) -> Json {
        let args = [&["verify", "--json"], args].concat();
        serde_json::from_str(&self.home.ok(&args)).unwrap()
    }
}

/// Reads over both doors, now and in the past, whole rows and single features. Gives back how
/// many answers that were.
fn read_all(demo: &Demo, server: &Server, users: &[&String], dice: &mut Dice) -> u64 {
    let mut redis = server.redis();
    let mut answers = 0;
    for user in users {
        let (status, body) = server.get(&format!("/features/{user}"));
        assert_eq!(status, 200, "{body}");
        let row: Vec<(String, String)> = redis.hgetall(format!("user:{user}")).unwrap();
        assert!(row.len() > 10);
        let _: String = redis.hget(format!("user:{user}"), "purchases_7d").unwrap();
        answers += 3;
        for _ in 0..3 {
            let events = &demo.raw.events[*user];
            let event = &events[dice.below(events.len() as u64) as usize];
            let as_of = event.time + dice.below(3) as i64 - 1 + dice.below(2) as i64 * 7 * DAY;
            let path = format!("/features/{user}?as_of={}", iso(as_of));
            assert_eq!(server.get(&path).0, 200, "{path}");
            answers += 1;
        }
    }
    answers
}

/// One sample of `/metrics`.
fn metric(server: &Server, name: &str) -> u64 {
    let path = format!("http://{}/metrics", server.http);
    let mut response = agent().get(path).call().unwrap();
    let text = response.body_mut().read_to_string().unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .unwrap();
    line.trim().parse().unwrap()
}

#[test]
fn answers_of_the_serving_log_are_what_they_must_be_or_are_told() {
    let demo = Demo::with("../registry.yaml", 120, 51);
    let users = demo.users(20);
    let mut dice = Dice(51);
    let server = demo.home.serve_with(&["--serving-log", "1"]);
    let mut answers = read_all(&demo, &server, &users, &mut dice);
    for round in 1..4 {
        demo.live(&server, &users, round);
        answers += read_all(&demo, &server, &users, &mut dice);
        if round == 2 {
            // The next answers are of another generation, which has taken late events in.
            demo.home.ok(&["build"]);
            demo.home.ok(&["push"]);
            answers += read_all(&demo, &server, &users, &mut dice);
        }
    }
    while metric(&server, "granary_serving_log_answers_total ") < answers {
        std::thread::yield_now();
    }
    assert_eq!(metric(&server, "granary_serving_log_dropped_total "), 0);

    // Beside the server, and without it.
    let live = demo.verify(&[]);
    assert_eq!(server.terminate(), Some(0));
    let report = demo.verify(&[]);
    assert_eq!(report["features"], live["features"]);
    assert_eq!(report["from"], "serving_log");
    assert_eq!(report["records"], json!(answers), "every answer is there");
    assert_eq!(report["mismatched"], 0, "{report}");
    assert_eq!(report["against_oracle"], report["compared"]);
    assert!(
        report["compared"].as_u64().unwrap() > answers * 10,
        "{report}"
    );
    assert_eq!(report["skipped"], json!({}));
    let late: Vec<&String> = users.iter().step_by(2).copied().collect();
    let mut wanted = json!(late);
    wanted
        .as_array_mut()
        .unwrap()
        .sort_by_key(ToString::to_string);
    assert_eq!(report["pending_late"], wanted);
    let said = demo.home.ok(&["verify"]);
    assert!(said.contains("pending late events"), "{said}");
    assert!(said.contains("\n0 mismatches in "), "{said}");
    let alone = demo.verify(&["--group", "user_activity_features", "--no-oracle"]);
    assert_eq!(
        (&alone["mismatched"], &alone["against_oracle"]),
        (&json!(0), &json!(0))
    );
    assert!(alone["compared"].as_u64() < report["compared"].as_u64());

    an_altered_answer_is_told(&demo);
}

/// Turns one number of one answer into another.
fn an_altered_answer_is_told(demo: &Demo) {
    let directory = demo.home.data().join("serving_log");
    let file = fs::read_dir(&directory)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let text = fs::read_to_string(&file).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let place = lines
        .iter()
        .position(|line| line.contains("purchase_count"))
        .unwrap();
    let mut record: Json = serde_json::from_str(&lines[place]).unwrap();
    let served = record["features"]["purchase_count"].as_i64().unwrap();
    record["features"]["purchase_count"] = json!(served + 1);
    lines[place] = record.to_string();
    fs::write(&file, lines.join("\n") + "\n").unwrap();

    let output = demo.home.run(&["verify"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    let told = format!(
        "mismatch: {} as of {}, `purchase_count` of group `user_activity_features`: served {}, recomputed {served}, the oracle {served}",
        record["key"].as_str().unwrap(),
        record["as_of"].as_str().unwrap(),
        served + 1,
    );
    assert!(said.contains(&told), "{told}\n{said}");
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(complaint.contains("1 of "), "{complaint}");

    "{}".clone_into(&mut lines[place]);
    fs::write(&file, lines.join("\n") + "\n").unwrap();
    let complaint = demo.home.fails(&["verify"]);
    assert!(
        complaint.contains(&format!("line {}", place + 1)),
        "{complaint}"
    );
}

#[test]
fn drawn_answers_of_every_aggregation_are_what_they_must_be() {
    for (registry, seed) in [
        ("suite/every_aggregation.yaml", 52),
        ("suite/beyond_sql.yaml", 53),
    ] {
        let demo = Demo::with(registry, 80, seed);
        let users = demo.users(80);
        let nothing_live = demo.verify(&["--samples", "400"]);
        assert_eq!(nothing_live["mismatched"], 0, "{nothing_live}");
        assert_eq!(nothing_live["pending_late"], json!([]));
        let server = demo.home.serve();
        demo.live(&server, &users, 1);
        let seed = seed.to_string();
        let report = demo.verify(&["--samples", "800", "--seed", &seed]);
        assert_eq!(report["from"], "samples");
        assert_eq!(report["records"], 800);
        assert_eq!(report["mismatched"], 0, "{report}");
        assert!(report["edges"].as_u64().unwrap() > 300, "{report}");
        assert!(!report["pending_late"].as_array().unwrap().is_empty());
        for feature in report["features"].as_array().unwrap() {
            assert_eq!(feature["compared"], 800, "{feature}");
            // What is derived from an estimate has no bound that the oracle could check.
            let estimated = feature["feature"] == "longer_than_usual";
            assert_eq!(
                feature["against_oracle"],
                if estimated { 0 } else { 800 },
                "{feature}"
            );
        }
        assert_eq!(server.terminate(), Some(0));
        let again = demo.verify(&["--samples", "800", "--seed", &seed]);
        assert_eq!(
            again["features"], report["features"],
            "with and without a server"
        );
    }
}

#[test]
fn answers_given_while_events_arrive_are_what_they_must_be() {
    let demo = Demo::with("../registry.yaml", 40, 56);
    let users = demo.users(3);
    let server = demo.home.serve_with(&["--serving-log", "1"]);
    let writing = std::sync::atomic::AtomicBool::new(true);
    std::thread::scope(|scope| {
        for reader in 0..2 {
            let (server, users, writing) = (&server, &users, &writing);
            scope.spawn(move || {
                let mut turn = reader;
                while writing.load(std::sync::atomic::Ordering::Acquire) {
                    let user = users[turn % users.len()];
                    assert_eq!(server.get(&format!("/features/{user}")).0, 200);
                    turn += 1;
                }
            });
        }
        for round in 1..30 {
            demo.live(&server, &users, round);
            for user in &users {
                demo.review(&server, user, round);
            }
        }
        writing.store(false, std::sync::atomic::Ordering::Release);
    });
    assert_eq!(server.terminate(), Some(0));
    let report = demo.verify(&[]);
    assert_eq!(report["mismatched"], 0, "{report}");
    // Some answers were given while an event of theirs was folded in: which, is chance.
    let left_out = report["skipped"].as_object().unwrap().values();
    let left_out: u64 = left_out.map(|values| values.as_u64().unwrap()).sum();
    let compared = report["compared"].as_u64().unwrap();
    assert_eq!(
        (compared + left_out) % report["records"].as_u64().unwrap(),
        0
    );
    assert!(compared > left_out, "{report}");
}

#[test]
fn what_cannot_be_recomputed_any_more_is_left_out_and_told() {
    let empty = Home::new();
    let complaint = empty.fails(&["verify"]);
    assert!(complaint.contains("nothing is served yet"), "{complaint}");

    let mut demo = Demo::with("../registry.yaml", 40, 54);
    let server = demo.home.serve_with(&["--serving-log", "0.5"]);
    read_all(&demo, &server, &demo.users(10), &mut Dice(54));
    assert_eq!(server.terminate(), Some(0));
    let before = demo.verify(&[]);
    assert_eq!(before["records"], 30, "half of the answers");
    assert_eq!(before["skipped"], json!({}));

    // Another definition of one group, and another file of another.
    let text = fs::read_to_string(&demo.home.registry).unwrap();
    let changed = text.replacen("windows: [7d, 30d, 90d]", "windows: [7d, 30d, 91d]", 1);
    assert_ne!(text, changed);
    demo.home.registry = demo.home.data().join("registry.yaml");
    fs::write(&demo.home.registry, changed).unwrap();
    let reviews = demo.home.data().join("raw/review_table.parquet");
    demo.home
        .ok(&["synth", "--users", "40", "--seed", "55", "--force"]);
    assert!(reviews.exists());
    let output = demo.home.run(&["verify"]);
    assert_eq!(output.status.code(), Some(1), "nothing is left to compare");
    let said = String::from_utf8(output.stdout).unwrap();
    for reason in [
        "group `user_activity_features`: its definition changed since version v000001 was served",
        "group `user_review_features`: its source files changed since version v000001 was served",
    ] {
        assert!(said.contains(reason), "{reason}\n{said}");
    }
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(complaint.contains("no value was compared"), "{complaint}");
}
