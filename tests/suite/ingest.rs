//! What was ingested of files and log is what they are: every feature, at every stage, whatever
//! was killed on the way, and whatever asks.

use std::fs;
use std::path::Path;
use std::time::Instant;

use serde_json::{Map, Value as Json, json};

use crate::agreement::iso;
use crate::crash::kill_after;
use crate::oracle::{Raw, equal, rows_of};
use crate::support::Home;

type Rows = Vec<Map<String, Json>>;

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// A home with the same raw files and the same log, of which nothing was ingested.
fn twin(home: &Home) -> Home {
    let mut twin = Home::new();
    twin.registry.clone_from(&home.registry);
    for name in ["raw", "log"] {
        if home.data().join(name).exists() {
            copy(&home.data().join(name), &twin.data().join(name));
        }
    }
    twin
}

fn manifest(home: &Home) -> Json {
    serde_json::from_str(&home.ok(&["offline", "show", "events", "--json"])).unwrap()
}

fn build(home: &Home, flags: &[&str]) -> Json {
    let said = home.ok(&[&["build", "--group", "events", "--json"], flags].concat());
    serde_json::from_str(&said).unwrap()
}

fn ingest(home: &Home) -> Json {
    serde_json::from_str(&home.ok(&["ingest", "event_logs", "--json"])).unwrap()
}

fn features(home: &Home) -> Rows {
    let version = manifest(home)["version"].as_str().unwrap().to_owned();
    let group = home.data().join("offline_store/events");
    rows_of(&group.join(version).join("features.parquet"))
}

/// The newest version holds what a build of the raw files and the log gives.
fn holds_against_raw(home: &Home, stage: &str) {
    let twin = twin(home);
    build(&twin, &["--force"]);
    let (found, wanted) = (manifest(home), manifest(&twin));
    for count in ["rows", "events", "copies", "as_of", "watermark"] {
        assert_eq!(found[count], wanted[count], "{stage}: {count}");
    }
    let (found, wanted) = (features(home), features(&twin));
    assert_eq!(found.len(), wanted.len(), "{stage}");
    for (found, wanted) in found.iter().zip(&wanted) {
        for (name, wanted) in wanted {
            let found = &found[name];
            let same = if wanted.is_f64() || wanted.is_array() {
                equal(found, wanted)
            } else {
                found == wanted
            };
            assert!(same, "{stage}, {name}: {found}, wanted {wanted}");
        }
    }
}

/// Raw events of some users as files of days, every third of them a file of its own.
fn days(users: &str, seed: &str) -> (Home, Vec<(String, String)>) {
    let mut home = Home::new();
    let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("suite");
    home.registry = suite.join("every_aggregation.yaml");
    home.ok(&["synth", "--users", users, "--seed", seed, "--format", "csv"]);
    let raw = home.data().join("raw");
    let text = fs::read_to_string(raw.join("event_logs.csv")).unwrap();
    fs::remove_file(raw.join("event_logs.csv")).unwrap();
    fs::create_dir(raw.join("event_logs")).unwrap();
    let (header, rows) = text.split_once('\n').unwrap();
    let mut rows: Vec<&str> = rows.lines().collect();
    rows.sort_by_key(|row| row.split(',').nth(2).unwrap());
    let files = rows.chunks(rows.len().div_ceil(4)).enumerate();
    let file = |(at, rows): (usize, &[&str])| {
        let text = [&[header], rows, &[""]].concat().join("\n");
        (format!("part-{at}.csv"), text)
    };
    (home, files.map(file).collect())
}

fn write(home: &Home, file: &(String, String)) {
    fs::write(home.data().join("raw/event_logs").join(&file.0), &file.1).unwrap();
}

#[test]
fn every_stage_of_ingesting_gives_what_the_raw_files_give() {
    let (home, files) = days("120", "59");
    write(&home, &files[0]);
    write(&home, &files[2]);
    build(&home, &[]);
    let rows =
        manifest(&home)["events"].as_u64().unwrap() + manifest(&home)["copies"].as_u64().unwrap();

    let said = ingest(&home);
    assert_eq!(said["rows"], rows);
    assert_eq!(build(&home, &[])["skipped"], true, "nothing is new");
    build(&home, &["--force"]);
    holds_against_raw(&home, "all of it ingested");

    // A late file beside what was ingested, which stands before some of it.
    write(&home, &files[1]);
    build(&home, &[]);
    assert!(manifest(&home)["base"].is_string());
    holds_against_raw(&home, "a file beside it, gone on from a version");
    build(&home, &["--force"]);
    holds_against_raw(&home, "a file beside it");

    // Ingested, and a later one: only what no version has read is read.
    write(&home, &files[3]);
    ingest(&home);
    assert_eq!(ingest(&home)["skipped"], true);
    let late = files[3].1.lines().count() as u64 - 1;
    assert_eq!(build(&home, &[])["rows"], late, "only what is new is read");
    holds_against_raw(&home, "gone on from a version");
    build(&home, &["--force"]);
    holds_against_raw(&home, "in several parts");

    // What was ingested needs its files no more, and may not change.
    let path = home.data().join("raw/event_logs").join(&files[0].0);
    fs::write(&path, &files[1].1).unwrap();
    for command in [
        &["ingest", "event_logs"][..],
        &["build", "--group", "events", "--force"],
    ] {
        let said = home.fails(command);
        assert!(
            said.contains("part-0.csv") && said.contains("--force"),
            "{said}"
        );
    }
    home.ok(&["ingest", "event_logs", "--force"]);
    build(&home, &[]);
    holds_against_raw(&home, "anew");
    let before = features(&home);
    fs::remove_dir_all(home.data().join("raw/event_logs")).unwrap();
    build(&home, &["--force"]);
    assert_eq!(features(&home), before, "the raw files are gone");
    let said = home.fails(&["ingest", "event_logs", "--force"]);
    assert!(said.contains("is gone"), "{said}");
}

#[test]
fn events_of_a_running_server_are_exported_and_stay_what_they_were() {
    let home = Home::with_demo(100, 61);
    let raw = Raw::read(&home.data().join("raw"));
    let now = raw.clock();
    let server = home.serve();
    let send = |round: i64| {
        for n in 0..40 {
            let user = &raw.users[(n * 7 % 30) as usize];
            let event = json!({
                "event_id": format!("r{round}-n{n}"),
                "user_id": user,
                // Some of them a copy of one sent before.
                "timestamp": iso(now + round * 1_000_000 + n / 2 * 2),
                "event_type": if n % 3 == 0 { "purchase" } else { "page_view" },
            });
            assert_eq!(server.post("/events", &event.to_string()).0, 200);
        }
    };
    let known = |user: &str, as_of: i64| {
        let (status, body) = server.get(&format!("/features/{user}?as_of={}", iso(as_of)));
        assert_eq!(status, 200, "{body}");
        body["features"].clone()
    };
    let instants = [
        now - 5_000_000_000_000,
        now + 1_000_011,
        now + 2_000_017,
        now + 60_000_000,
    ];
    send(1);
    home.ok(&["ingest"]);
    send(2);
    let users: Vec<&String> = raw.users.iter().take(12).collect();
    let ask = || -> Vec<Json> {
        let of_user = |user: &&String| instants.map(|as_of| known(user, as_of));
        users.iter().flat_map(of_user).collect()
    };
    let before = ask();
    let said = home.ok(&["ingest", "event_logs"]);
    assert!(said.contains("40 events of the log"), "{said}");
    assert_eq!(ask(), before, "the past is what it was");

    home.ok(&["build"]);
    home.ok(&["push"]);
    let after = ask();
    for (found, wanted) in after.iter().zip(&before) {
        for (name, wanted) in wanted.as_object().unwrap() {
            assert!(
                equal(&found[name], wanted),
                "{name}: {}, wanted {wanted}",
                found[name]
            );
        }
    }
    home.ok(&["verify", "--samples", "200", "--seed", "3"]);
}

#[test]
fn a_killed_ingest_leaves_the_old_layout_or_the_new_one() {
    let (home, files) = days("150", "67");
    write(&home, &files[0]);
    ingest(&home);
    build(&home, &[]);
    for (at, file) in files[1..].iter().enumerate() {
        write(&home, file);
        let started = Instant::now();
        let probe = twin(&home);
        ingest(&probe);
        let usual = started.elapsed();
        for share in [50, 200, 400, 600, 800, 950] {
            kill_after(&home, &["ingest", "event_logs"], usual, share);
            build(&home, &["--force"]);
        }
        holds_against_raw(&home, &format!("after kills in ingest {at}"));
    }
    ingest(&home);
    build(&home, &["--force"]);
    holds_against_raw(&home, "at the end");
    let left = fs::read_dir(home.data().join("event_log/event_logs")).unwrap();
    let names: Vec<String> = left
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let is_known = |name: &&String| {
        name.starts_with("part-") || name.starts_with("keys-") || *name == "manifest.json"
    };
    assert!(names.iter().all(|name| is_known(&name)), "{names:?}");
}
