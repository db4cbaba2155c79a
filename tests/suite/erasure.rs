//! One entity is erased: it is gone from everything that is served and from every byte under the
//! data directory, nothing of others changes, whatever is killed on the way, and whoever comes
//! back starts from nothing.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use redis::Commands;
use serde_json::{Value as Json, json};

use crate::agreement::iso;
use crate::crash::kill_after;
use crate::oracle::Raw;
use crate::support::{Home, Server, agent, registry};

/// The files below a directory in which a text stands: in their bytes, unpacked, or in a cell.
fn files_with(directory: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, text));
        } else if path.is_file() && has(&path, text) {
            found.push(path);
        }
    }
    found
}

fn has(path: &Path, text: &str) -> bool {
    let mut bytes = Vec::new();
    File::open(path).unwrap().read_to_end(&mut bytes).unwrap();
    if bytes.starts_with(b"PAR1") {
        let batches = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
        return batches.build().unwrap().any(|batch| {
            let batch = batch.unwrap();
            batch.columns().iter().any(|column| has_cell(column, text))
        });
    }
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}

fn has_cell(column: &arrow::array::ArrayRef, text: &str) -> bool {
    if *column.data_type() == DataType::Binary {
        let cells = column.as_binary::<i32>().iter().flatten();
        return cells.into_iter().any(|cell| {
            cell.windows(text.len())
                .any(|window| window == text.as_bytes())
        });
    }
    cast(column, &DataType::Utf8).is_ok_and(|texts| {
        let texts = texts.as_string::<i32>().clone();
        texts.iter().flatten().any(|cell| cell.contains(text))
    })
}

fn delete(server: &Server, user: &str) -> (u16, Json) {
    let url = format!("http://{}/entities/{user}", server.http);
    let mut response = agent().delete(url).call().unwrap();
    let text = response.body_mut().read_to_string().unwrap();
    (
        response.status().as_u16(),
        serde_json::from_str(&text).unwrap(),
    )
}

/// What everybody else is served, at one instant.
fn others(server: &Server, users: &[String], but: &str, as_of: &str) -> Vec<Json> {
    let users = users.iter().filter(|user| *user != but);
    users
        .map(|user| {
            let (status, body) = server.get(&format!("/features/{user}?as_of={as_of}"));
            assert_eq!(status, 200, "{body}");
            body["features"].clone()
        })
        .collect()
}

fn is_unknown(server: &Server, user: &str) {
    let (status, body) = server.get(&format!("/features/{user}"));
    assert_eq!(status, 404, "{body}");
    let row: Vec<String> = server.redis().hgetall(format!("user:{user}")).unwrap();
    assert!(row.is_empty(), "{row:?}");
}

fn event(user: &str, id: &str) -> String {
    json!({"user_id": user, "event_id": id, "event_type": "purchase"}).to_string()
}

fn rows(report: &Json, what: &str) -> u64 {
    let all = report[what].as_array().unwrap().iter();
    all.map(|held| held["rows"].as_u64().unwrap()).sum()
}

/// Whoever comes back starts from nothing, and stays so through builds.
fn comes_back_empty(home: &Home, server: &Server, user: &str) {
    assert_eq!(server.post("/events", &event(user, "back")).0, 200);
    for _ in 0..2 {
        assert_eq!(server.number(user, "total_events") as u64, 1);
        let (_, body) = server.get(&format!("/features/{user}"));
        assert_eq!(body["features"]["age"], Json::Null, "{body}");
        home.ok(&["build"]);
        home.ok(&["push"]);
    }
    home.ok(&["build", "--force"]);
    home.ok(&["push", "--force"]);
    assert_eq!(server.number(user, "total_events") as u64, 1);
    home.ok(&["verify", "--samples", "300"]);
}

#[test]
fn nothing_of_an_erased_entity_is_left_and_nothing_of_others_is_lost() {
    let home = Home::with_demo(60, 41);
    let raw = Raw::read(&home.data().join("raw"));
    let users = &raw.users;
    let is_busy =
        |user: &&String| raw.reviews.contains_key(*user) && raw.events.contains_key(*user);
    let victim = users[1..].iter().find(is_busy).unwrap().clone();
    let outside = tempfile::tempdir().unwrap();
    let backup = outside.path().join("before.tar.zst");
    let tailed = outside.path().join("events.jsonl");
    // Traces of every kind.
    home.ok(&["ingest", "event_logs"]);
    home.ok(&["materialize", "--name", "kept"]);
    let mut tail = File::create(&tailed).unwrap();
    for line in [
        event(&victim, "tailed").as_str(),
        &format!("{{\"user_id\": \"{victim}\", \"timestamp\": \"never\"}}"),
        event(&users[0], "tailed").as_str(),
    ] {
        writeln!(tail, "{line}").unwrap();
    }
    let spec = format!("event_logs={}", tailed.display());
    let server = home.serve_with(&["--serving-log", "1", "--tail", &spec]);
    server.wait_for_events(2);
    // Behind the place that the tail keeps at first: it stands in this record alone.
    writeln!(tail, "{}", event(&victim, "tailed too")).unwrap();
    server.wait_for_events(3);
    let mut redis = server.redis();
    let _: () = redis.hset(format!("user:{victim}"), "age", 44).unwrap();
    let _: () = redis.hset(format!("user:{}", users[0]), "age", 45).unwrap();
    assert_eq!(server.post("/events", &event(&victim, "sent")).0, 200);
    assert_eq!(
        server
            .post("/predict", &json!({"user_id": victim}).to_string())
            .0,
        200
    );
    assert_eq!(server.get(&format!("/features/{victim}")).0, 200);
    home.ok(&["backup", backup.to_str().unwrap()]);
    home.ok(&["build"]);
    home.ok(&["push"]);
    let later = iso(raw.clock() + 400 * 86_400_000_000);
    let before = others(&server, users, &victim, &later);
    let past = iso(raw.clock() - 30 * 86_400_000_000);
    let past_before = others(&server, users, &victim, &past);
    let traces = files_with(home.data(), &victim);
    assert!(traces.len() > 15, "{traces:?}");

    let (status, report) = delete(&server, &victim);
    assert_eq!(status, 200, "{report}");
    assert_eq!(report["was_served"], true);
    // The write, and the three events; three of the demo's tables and the label's.
    assert_eq!(report["logged"], 4, "{report}");
    assert_eq!(report["raw"].as_array().unwrap().len(), 4, "{report}");
    let count = raw.events[&victim].len() as u64;
    assert!(report["ingested"].as_u64() >= Some(count), "{report}");
    assert!(rows(&report, "raw") >= count, "{report}");
    assert!(rows(&report, "versions") >= 8, "{report}");
    assert_eq!(rows(&report, "datasets"), 2, "{report}");
    assert!(report["lines"].as_u64() >= Some(2), "{report}");
    assert_eq!(report["backups"], json!([backup]));
    assert_eq!(report["outside"], json!([]));
    is_unknown(&server, &victim);
    assert_eq!(files_with(home.data(), &victim), Vec::<PathBuf>::new());
    assert_eq!(others(&server, users, &victim, &later), before);
    assert_eq!(others(&server, users, &victim, &past), past_before);
    // Once more: there is nothing to be found.
    let (_, again) = delete(&server, &victim);
    assert_eq!(
        (&again["hash"], &again["logged"]),
        (&report["hash"], &json!(0))
    );
    assert_eq!(again["was_served"], false);

    // Answers are sampled as before, and the tail goes on behind what is gone.
    let sampled = "2031-05-06";
    server.get(&format!("/features/{}?as_of={sampled}", users[0]));
    while files_with(&home.data().join("serving_log"), sampled).is_empty() {
        std::thread::yield_now();
    }
    server.kill();
    writeln!(tail, "{}", event(&users[0], "tailed last")).unwrap();
    let server = home.serve_with(&["--tail", &spec]);
    server.wait_for_events(1);
    is_unknown(&server, &victim);
    let before = others(&server, users, &victim, &later);
    for flags in [&["build"][..], &["build", "--force"]] {
        home.ok(flags);
        home.ok(&["push", "--force"]);
        is_unknown(&server, &victim);
        assert_eq!(others(&server, users, &victim, &later), before, "{flags:?}");
    }
    home.ok(&["verify", "--samples", "300"]);
    home.ok(&["materialize", "--force"]);
    home.ok(&["train", "--force"]);
    let said = home.fails(&["materialize", "--rebuild", "kept"]);
    assert!(said.contains("entities were erased since"), "{said}");
    assert_eq!(files_with(home.data(), &victim), Vec::<PathBuf>::new());

    comes_back_empty(&home, &server, &victim);
    // And may leave again.
    delete(&server, &victim);
    is_unknown(&server, &victim);
    assert_eq!(files_with(home.data(), &victim), Vec::<PathBuf>::new());
}

/// A home whose events lie elsewhere.
fn with_events_elsewhere(users: u32, seed: u32) -> (Home, PathBuf, tempfile::TempDir) {
    let elsewhere = tempfile::tempdir().unwrap();
    let mut home = Home::new();
    let (users, seed) = (users.to_string(), seed.to_string());
    home.ok(&[
        "synth", "--users", &users, "--seed", &seed, "--format", "csv",
    ]);
    let file = elsewhere.path().join("event_logs.csv");
    fs::rename(home.data().join("raw/event_logs.csv"), &file).unwrap();
    let text = fs::read_to_string(registry()).unwrap();
    let path = format!("path: {}", file.display());
    let text = text.replace("path: raw/event_logs", &path);
    assert!(text.contains(&path));
    home.registry = elsewhere.path().join("registry.yaml");
    fs::write(&home.registry, text).unwrap();
    home.ok(&["build"]);
    home.ok(&["push"]);
    (home, file, elsewhere)
}

#[test]
fn files_elsewhere_stay_as_they_are_and_count_no_more() {
    let (home, file, _elsewhere) = with_events_elsewhere(40, 42);
    let bytes = fs::read(&file).unwrap();
    let listed: Json = serde_json::from_str(&home.ok(&["offline", "ls", "--json"])).unwrap();
    assert!(listed.to_string().contains("user_activity_features"));
    let text = String::from_utf8(bytes.clone()).unwrap();
    let header: Vec<&str> = text.lines().next().unwrap().split(',').collect();
    let column = header.iter().position(|name| *name == "user_id").unwrap();
    let victim = text
        .lines()
        .nth(1)
        .unwrap()
        .split(',')
        .nth(column)
        .unwrap()
        .to_owned();
    let row = format!("user:{victim}");
    let said = home.ok(&["delete-entity", &row, "--json"]);
    let report: Json = serde_json::from_str(&said).unwrap();
    let rows = text.lines().filter(|line| line.contains(&victim)).count() as u64;
    let wanted = json!([{"name": file.display().to_string(), "rows": rows}]);
    assert_eq!(report["outside"], wanted);
    assert_eq!(fs::read(&file).unwrap(), bytes);
    for flags in [
        &["build", "--force"][..],
        &["ingest", "event_logs"],
        &["build", "--force"],
    ] {
        home.ok(flags);
        home.ok(&["push", "--force"]);
        let said = home.fails(&["get", &victim]);
        assert!(said.contains("is not in the online store"), "{said}");
        assert_eq!(
            files_with(home.data(), &victim),
            Vec::<PathBuf>::new(),
            "{flags:?}"
        );
    }
    // A row after the erasure is of somebody who came back.
    let soon = "2040-01-01T00:00:00Z";
    let mut line: Vec<String> = text
        .lines()
        .nth(1)
        .unwrap()
        .split(',')
        .map(str::to_owned)
        .collect();
    line.truncate(header.len());
    for (name, value) in [("timestamp", soon), ("event_id", "back"), ("metadata", "")] {
        let at = header.iter().position(|held| *held == name).unwrap();
        value.clone_into(&mut line[at]);
    }
    fs::write(
        &file,
        [&bytes[..], line.join(",").as_bytes(), b"\n"].concat(),
    )
    .unwrap();
    fs::remove_dir_all(home.data().join("event_log")).unwrap();
    home.ok(&["build"]);
    home.ok(&["push", "--force"]);
    let found: Json = serde_json::from_str(&home.ok(&["get", &victim, "--json"])).unwrap();
    assert_eq!(found["features"]["total_events"], 1, "{found}");
}

#[test]
fn an_erasure_that_was_killed_is_finished_by_the_next_start() {
    let home = Home::with_demo(80, 43);
    let raw = Raw::read(&home.data().join("raw"));
    home.ok(&["ingest", "event_logs"]);
    let started = Instant::now();
    home.ok(&["delete-entity", &format!("user:{}", raw.users[0])]);
    let usual = started.elapsed();
    let is_done = || {
        let text = fs::read_to_string(home.data().join("erased.json")).unwrap();
        let erased: Json = serde_json::from_str(&text).unwrap();
        let mut all = erased["erasures"].as_array().unwrap().iter();
        all.all(|tombstone| tombstone["is_done"] == true)
    };
    let tombstones = || {
        let text = fs::read_to_string(home.data().join("erased.json")).unwrap();
        text.matches("\"hash\"").count()
    };
    for (share, victim) in (0..=1000).step_by(100).zip(&raw.users[1..]) {
        let (known, row) = (tombstones(), format!("user:{victim}"));
        kill_after(&home, &["delete-entity", &row], usual, share);
        if tombstones() == known {
            home.ok(&["get", victim]);
            continue;
        }
        let server = home.serve();
        is_unknown(&server, victim);
        while !is_done() {
            std::thread::yield_now();
        }
        assert_eq!(
            files_with(home.data(), victim),
            Vec::<PathBuf>::new(),
            "at {share}"
        );
        let kept = &raw.users[40];
        let now = server.number(kept, "total_events");
        drop(server);
        home.ok(&["build"]);
        home.ok(&["push"]);
        let found: Json = serde_json::from_str(&home.ok(&["get", kept, "--json"])).unwrap();
        assert_eq!(found["features"]["total_events"].as_f64(), Some(now));
        assert!(
            home.fails(&["get", victim])
                .contains("is not in the online store")
        );
    }
}

#[test]
fn a_restored_backup_leaves_out_who_was_erased_since() {
    let home = Home::with_demo(60, 44);
    let raw = Raw::read(&home.data().join("raw"));
    let elsewhere = tempfile::tempdir().unwrap();
    let backup = elsewhere.path().join("b.tar.zst");
    let backup = backup.to_str().unwrap();
    let (before, after) = (&raw.users[0], &raw.users[1]);
    home.ok(&["delete-entity", &format!("user:{before}")]);
    home.ok(&["backup", backup]);
    home.ok(&["delete-entity", &format!("user:{after}")]);
    let erased = home.data().join("erased.json");
    let restored = |flags: &[&str]| {
        let mut copy = Home::new();
        copy.root = Some(copy.dir.path().join("data"));
        copy.ok(&[&["restore", backup], flags].concat());
        copy
    };
    let copy = restored(&[]);
    assert!(copy.fails(&["get", before]).contains("is not in"));
    copy.ok(&["get", after]);
    let copy = restored(&["--erased", erased.to_str().unwrap()]);
    let server = copy.serve();
    is_unknown(&server, before);
    is_unknown(&server, after);
    while !fs::read_to_string(copy.data().join("erased.json"))
        .unwrap()
        .matches("true")
        .count()
        .eq(&2)
    {
        std::thread::yield_now();
    }
    assert_eq!(files_with(copy.data(), after), Vec::<PathBuf>::new());
    assert_eq!(server.post("/events", &event(after, "back")).0, 200);
    assert_eq!(server.number(after, "total_events") as u64, 1);
    let said = copy.fails(&["restore", backup, "--erased", "/nowhere/erased.json"]);
    assert!(said.contains("names nobody who was erased"), "{said}");
}

#[test]
fn administrators_erase_and_the_audit_log_says_it_without_the_id() {
    let home = Home::with_demo(60, 45);
    let raw = Raw::read(&home.data().join("raw"));
    let (first, second) = (&raw.users[0], &raw.users[1]);
    let key = |name: &str, role: &str| home.ok(&["keys", "add", name, "--role", role]);
    let (admin, writer) = (key("admin", "admin"), key("writer", "write"));
    let server = home.serve();
    let delete = |token: &str, user: &str| {
        let url = format!("http://{}/entities/{user}", server.http);
        let request = agent().delete(url).header("x-api-key", token.trim());
        let mut response = request.call().unwrap();
        let text = response.body_mut().read_to_string().unwrap();
        (
            response.status().as_u16(),
            serde_json::from_str::<Json>(&text).unwrap(),
        )
    };
    assert_eq!(delete(&writer, first).0, 403);
    assert_eq!(delete("nobody.x", first).0, 401);
    let (status, by_http) = delete(&admin, first);
    assert_eq!(status, 200, "{by_http}");
    let row = format!("user:{second}");
    let by_command: Json =
        serde_json::from_str(&home.ok(&["delete-entity", &row, "--json"])).unwrap();
    let said = home.fails(&["delete-entity", second]);
    assert!(said.contains("name `user:<id>`"), "{said}");
    let mut lines = String::new();
    for file in fs::read_dir(home.data().join("audit_log")).unwrap() {
        lines += &fs::read_to_string(file.unwrap().path()).unwrap();
    }
    assert!(!lines.contains(first) && !lines.contains(second), "{lines}");
    let entry = |door: &str, entity: &Json| {
        let lines = lines
            .lines()
            .map(|line| serde_json::from_str::<Json>(line).unwrap());
        let mut lines = lines.filter(|line| line["door"] == door && line["entity"] == *entity);
        lines.next().unwrap_or_else(|| panic!("{door} {entity}"))
    };
    let line = entry("http", &by_http["hash"]);
    assert_eq!(line["what"], "DELETE /entities/{user_id}");
    assert_eq!(
        (&line["key"], &line["outcome"]),
        (&json!("admin"), &json!("200"))
    );
    assert_eq!(
        entry("control", &by_command["hash"])["what"],
        "delete-entity"
    );
}
