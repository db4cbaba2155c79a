//! A build goes on from the one before: only what is new is read, and every feature is what a
//! build from nothing gives.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value as Json};

use crate::agreement::Dice;
use crate::oracle::{equal, rows_of};
use crate::support::Home;

/// What a build says of a group.
fn build(home: &Home, flags: &[&str]) -> Json {
    let said = home.ok(&[&["build", "--group", "events", "--json"], flags].concat());
    serde_json::from_str(&said).unwrap()
}

fn manifest(home: &Home) -> Json {
    serde_json::from_str(&home.ok(&["offline", "show", "events", "--json"])).unwrap()
}

fn features(home: &Home) -> Vec<Map<String, Json>> {
    let version = manifest(home)["version"].as_str().unwrap().to_owned();
    let group = home.data().join("offline_store/events");
    rows_of(&group.join(version).join("features.parquet"))
}

/// The newest version, and then a build from nothing.
fn holds_against_a_full_build(home: &Home, base: Option<&str>) {
    let went_on = (manifest(home), features(home));
    assert_eq!(went_on.0["base"].as_str(), base);
    build(home, &["--force"]);
    let full = (manifest(home), features(home));
    assert_eq!(full.0["base"], Json::Null);
    for count in ["rows", "events", "copies", "as_of", "watermark"] {
        assert_eq!(went_on.0[count], full.0[count], "{count}");
    }
    assert_eq!(went_on.1.len(), full.1.len());
    for (found, wanted) in went_on.1.iter().zip(&full.1) {
        for (name, wanted) in wanted {
            let found = &found[name];
            assert!(equal(found, wanted), "{name}: {found}, wanted {wanted}");
        }
    }
}

fn write(raw: &Path, name: &str, header: &str, rows: &[&str]) {
    let text = [&[header], rows, &[""]].concat().join("\n");
    fs::write(raw.join("event_logs").join(name), text).unwrap();
}

/// One of so many, by chance.
fn some<'a>(dice: &mut Dice, rows: &[&'a str], of: u64) -> Vec<&'a str> {
    let drawn = rows.iter().filter(|_| dice.below(of) == 0);
    drawn.copied().collect()
}

#[test]
fn a_build_that_goes_on_gives_what_a_full_one_gives() {
    let mut home = Home::new();
    let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("suite");
    home.registry = suite.join("every_aggregation.yaml");
    home.ok(&["synth", "--users", "120", "--seed", "53", "--format", "csv"]);
    let raw = home.data().join("raw");
    let text = fs::read_to_string(raw.join("event_logs.csv")).unwrap();
    fs::remove_file(raw.join("event_logs.csv")).unwrap();
    fs::create_dir(raw.join("event_logs")).unwrap();
    let (header, rows) = text.split_once('\n').unwrap();
    let mut rows: Vec<&str> = rows.lines().collect();
    rows.sort_by_key(|row| row.split(',').nth(2).unwrap());
    let (old, new) = rows.split_at(rows.len() * 3 / 5);
    let mut dice = Dice(53);

    // Some old events are missing from the first file, and come in one that stands before it.
    let late = some(&mut dice, old, 300);
    let first: Vec<&str> = old
        .iter()
        .filter(|row| !late.contains(row))
        .copied()
        .collect();
    write(&raw, "day-1.csv", header, &first);
    build(&home, &[]);
    assert_eq!(manifest(&home)["base"], Json::Null);

    // Later events, and copies of events that were there.
    let copies = some(&mut dice, old, 500);
    write(&raw, "day-2.csv", header, &[new, &copies].concat());
    let said = build(&home, &[]);
    assert_eq!(
        said["rows"],
        (new.len() + copies.len()) as u64,
        "only what is new is read"
    );
    holds_against_a_full_build(&home, Some("v000001"));

    write(&raw, "day-0.csv", header, &late);
    assert_eq!(build(&home, &[])["rows"], late.len() as u64);
    holds_against_a_full_build(&home, Some("v000003"));
    assert_eq!(build(&home, &[])["skipped"], true);

    // A file that was read is another now: nothing can be gone on from.
    write(&raw, "day-0.csv", header, &late[1..]);
    build(&home, &[]);
    holds_against_a_full_build(&home, None);
}

#[test]
fn a_build_that_goes_to_disk_gives_what_one_in_memory_gives() {
    let mut home = Home::new();
    let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("suite");
    home.registry = suite.join("every_aggregation.yaml");
    home.ok(&["synth", "--users", "120", "--seed", "54", "--format", "csv"]);
    let raw = home.data().join("raw");
    let text = fs::read_to_string(raw.join("event_logs.csv")).unwrap();
    fs::remove_file(raw.join("event_logs.csv")).unwrap();
    fs::create_dir(raw.join("event_logs")).unwrap();
    let (header, rows) = text.split_once('\n').unwrap();
    let rows: Vec<&str> = rows.lines().collect();
    let (first, more) = rows.split_at(rows.len() / 2);
    // With a version to go on from, too: it does not fit either, and everything is read again.
    for (name, rows) in [("a.csv", first), ("b.csv", more)] {
        write(&raw, name, header, rows);
        let said = build(&home, &["--memory-limit", "300KB"]);
        let detail = said["detail"].as_str().unwrap();
        assert!(detail.contains("on disk"), "{said}");
        holds_against_a_full_build(&home, None);
    }
}
