//! An oracle of other hands: what `granary sql` prints is run in DuckDB, and every value is
//! held against the training set.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

use serde_json::Value as Json;

use crate::agreement::{Dice, iso};
use crate::oracle::Raw;
use crate::support::{Home, python};

const HOUR: i64 = 3_600_000_000;
const DAY: i64 = 24 * HOUR;

/// Rows at events, at the ends of the windows that hold them, at hops, and anywhere.
fn spine(raw: &Raw, rows: usize, seed: u64) -> String {
    let mut dice = Dice(seed);
    let clock = raw.clock();
    let mut lines = vec!["user_id,as_of".to_owned()];
    for round in 0..rows {
        let user = &raw.users[dice.below(raw.users.len() as u64) as usize];
        let events = raw.events.get(user).map_or(&[][..], Vec::as_slice);
        let reviews = raw.reviews.get(user).map_or(&[][..], Vec::as_slice);
        let times = events.iter().map(|event| event.time);
        let times: Vec<i64> = times
            .chain(reviews.iter().map(|review| review.time))
            .collect();
        let lengths = [
            0,
            6 * HOUR,
            7 * DAY,
            20 * DAY,
            30 * DAY,
            90 * DAY,
            120 * DAY,
            300 * DAY,
        ];
        let length = lengths[dice.below(lengths.len() as u64) as usize];
        let instant = match round % 4 {
            0 | 1 if !times.is_empty() => {
                let time = times[dice.below(times.len() as u64) as usize];
                time + length + dice.below(3) as i64 - 1
            }
            2 => {
                let hop = [5 * HOUR / 60, HOUR, DAY][dice.below(3) as usize];
                let back = dice.below(400 * DAY as u64) as i64;
                (clock - back) / hop * hop + dice.below(3) as i64 - 1
            }
            _ => clock - dice.below(500 * DAY as u64) as i64,
        };
        lines.push(format!("{user},{}", iso(instant)));
    }
    lines.push(format!("nobody,{}", iso(clock)));
    lines.join("\n")
}

/// Rows of the spine; `GRANARY_ORACLE_ROWS` asks for more.
fn rows() -> usize {
    let asked = env::var("GRANARY_ORACLE_ROWS").ok();
    asked.map_or(2_000, |rows| rows.parse().unwrap())
}

#[test]
fn every_value_is_that_of_duckdb() {
    let Some(python) = python("duckdb") else {
        eprintln!("left out: no Python with duckdb");
        return;
    };
    let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("suite");
    let mut home = Home::new();
    home.registry = suite.join("every_aggregation.yaml");
    home.ok(&["synth", "--users", "150", "--seed", "47"]);
    let raw = Raw::read(&home.data().join("raw"));
    let file = home.data().join("spine.csv");
    fs::write(&file, spine(&raw, rows(), 47)).unwrap();
    let file = file.to_str().unwrap();
    home.ok(&["materialize", "--service", "all", "--spine", file]);
    let features = home
        .data()
        .join("materialized_store/training_dataset.parquet");
    let mut compared = 0;
    for (group, other) in [("reviews", "events"), ("events", "reviews")] {
        let printed = home.ok(&["sql", group, "--spine", file, "--json"]);
        let printed: Json = serde_json::from_str(&printed).unwrap();
        assert_eq!(
            printed["left_out"].as_array().unwrap().len(),
            0,
            "{printed}"
        );
        let query = home.data().join(format!("{group}.sql"));
        fs::write(&query, printed["sql"].as_str().unwrap()).unwrap();
        let output = Command::new(&python)
            .arg(suite.join("duckdb_oracle.py"))
            .args([&query, &features])
            .arg(other_features(&home, other))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{group}: {said}\n{error}");
        let said: Json = serde_json::from_str(&said).unwrap();
        compared += said["compared"].as_u64().unwrap();
    }
    println!("{compared} values compared");
    assert!(
        compared >= rows() as u64 * 100,
        "{compared} values compared"
    );
}

/// The columns of the training set that another group's query gives.
fn other_features(home: &Home, group: &str) -> String {
    let shown: Json = serde_json::from_str(&home.ok(&["registry", "show", "--json"])).unwrap();
    let features = shown.as_array().unwrap().iter();
    let features = features.filter(|feature| feature["group"] == group);
    let names = features.map(|feature| feature["feature"].as_str().unwrap().to_owned());
    names
        .chain(["split".to_owned()])
        .collect::<Vec<_>>()
        .join(",")
}
