//! Training sets: a spine of one's own, and the kinds of labels, held against the raw tables.

use std::collections::HashMap;
use std::fs;

use serde_json::Value as Json;

use crate::agreement::{Dice, iso};
use crate::oracle::{Raw, equal, rows_of};
use crate::support::Home;

/// Features whose gaps the demo registry fills in training sets.
const IMPUTED: [&str; 4] = ["age", "gender", "income", "education"];

const DAY: i64 = 86_400_000_000;

/// The demo registry with another label, in the data directory.
fn relabel(home: &mut Home, label: &str) {
    let text = fs::read_to_string(&home.registry).unwrap();
    let begin = text.find("    column: churned\n").unwrap();
    let end = text.find("    split: {train").unwrap();
    let text = format!("{}{label}{}", &text[..begin], &text[end..]);
    home.registry = home.data().join("registry.yaml");
    fs::write(&home.registry, text).unwrap();
}

/// The training set's keys with their labels.
fn labels(home: &Home) -> HashMap<String, i64> {
    let rows = rows_of(
        &home
            .data()
            .join("materialized_store/training_dataset.parquet"),
    );
    let label = |row: &serde_json::Map<String, Json>| {
        let user = row["user_id"].as_str().unwrap().to_owned();
        (user, row["churn_label"].as_i64().unwrap())
    };
    rows.iter().map(label).collect()
}

#[test]
fn a_spine_is_answered_row_by_row() {
    let home = Home::new();
    home.ok(&["synth", "--users", "120", "--seed", "31"]);
    let raw = Raw::read(&home.data().join("raw"));
    let clock = raw.clock();
    let mut dice = Dice(31);
    let mut asked: Vec<(String, i64)> = Vec::new();
    for round in 0..600 {
        let user = &raw.users[dice.below(raw.users.len() as u64) as usize];
        let events = raw.events.get(user).map_or(&[][..], Vec::as_slice);
        let instant = match round % 3 {
            // At an event, one microsecond past it, and where a window that holds it ends.
            0 if !events.is_empty() => {
                let time = events[dice.below(events.len() as u64) as usize].time;
                let days = [0, 0, 7, 30, 90][dice.below(5) as usize];
                time + days * DAY + dice.below(2) as i64
            }
            _ => clock - dice.below(500 * DAY as u64) as i64,
        };
        asked.push((user.clone(), instant));
    }
    asked.push(("nobody".to_owned(), clock));
    asked.push(asked[0].clone());
    let line = |(user, instant): &(String, i64)| format!("{user},{}\n", iso(*instant));
    let spine = home.data().join("spine.csv");
    let lines: String = asked.iter().map(line).collect();
    fs::write(&spine, format!("user_id,as_of\n{lines}")).unwrap();
    home.ok(&["materialize", "--spine", spine.to_str().unwrap()]);

    let rows = rows_of(
        &home
            .data()
            .join("materialized_store/training_dataset.parquet"),
    );
    assert_eq!(rows.len(), asked.len());
    for (row, (user, instant)) in rows.iter().zip(&asked) {
        assert_eq!(row["user_id"], user.as_str());
        assert_eq!(row["as_of"], *instant);
        for (name, wanted) in raw.features(user, *instant) {
            let filled = wanted.is_null() && IMPUTED.contains(&&*name) && !row[&name].is_null();
            assert!(
                filled || equal(&row[&name], &wanted),
                "{user} as of {instant}: `{name}` is {}, the raw tables say {wanted}",
                row[&name]
            );
        }
    }
    let error = home.fails(&["materialize", "--spine", "missing.csv"]);
    assert!(error.contains("missing.csv"), "{error}");
}

#[test]
fn a_label_is_drawn_by_key_whatever_the_order_of_rows() {
    let mut home = Home::new();
    home.ok(&["synth", "--users", "1500", "--format", "csv"]);
    relabel(
        &mut home,
        "    name: churn_label\n    draw: {from: satisfaction_score, p: {3: 1, 4: 0.7, 5: 0.5, 6: 0.3}, seed: 42}\n    instant: \"2026-01-01T00:00:00Z\"\n",
    );
    home.ok(&["materialize"]);
    let drawn = labels(&home);

    let table = home.data().join("raw/target_table.csv");
    let text = fs::read_to_string(&table).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    let mut of_score: HashMap<i64, Vec<i64>> = HashMap::new();
    for line in &lines[1..] {
        let cells: Vec<&str> = line.split(',').collect();
        let score = cells[1].parse::<f64>().unwrap() as i64;
        of_score.entry(score).or_default().push(drawn[cells[0]]);
    }
    for (score, labels) in of_score {
        let wanted = match score {
            ..=3 => 1.0,
            4 => 0.7,
            5 => 0.5,
            6 => 0.3,
            _ => 0.0,
        };
        let share = labels.iter().sum::<i64>() as f64 / labels.len() as f64;
        // Four standard deviations; none where the outcome is certain.
        let spread = 4.0 * (wanted * (1.0 - wanted) / labels.len() as f64).sqrt();
        assert!(
            (share - wanted).abs() <= spread,
            "{score}: {share} of {}",
            labels.len()
        );
    }

    lines[1..].reverse();
    fs::write(&table, lines.join("\n")).unwrap();
    home.ok(&["materialize"]);
    assert_eq!(labels(&home), drawn);
}

#[test]
fn a_label_of_inactivity_looks_behind_the_instant() {
    let mut home = Home::new();
    home.ok(&["synth", "--users", "300", "--seed", "33"]);
    relabel(
        &mut home,
        "    name: churn_label\n    inactivity: {where: \"event_type = 'purchase'\", horizon: 30d}\n    instant: \"2025-11-15T00:00:00Z\"\n",
    );
    let text = fs::read_to_string(&home.registry).unwrap();
    let text = text.replace(
        "source: target_table\n    name",
        "source: event_logs\n    name",
    );
    fs::write(&home.registry, text).unwrap();
    home.ok(&["materialize"]);

    let raw = Raw::read(&home.data().join("raw"));
    let instant = 1_763_164_800_000_000; // 2025-11-15
    let wanted: HashMap<String, i64> = raw
        .events
        .iter()
        .filter(|(_, events)| events.iter().any(|event| event.time < instant))
        .map(|(user, events)| {
            let active = events.iter().any(|event| {
                event.kind == "purchase" && (instant..instant + 30 * DAY).contains(&event.time)
            });
            (user.clone(), i64::from(!active))
        })
        .collect();
    assert_eq!(labels(&home), wanted);
    assert!(wanted.values().any(|label| *label == 0) && wanted.values().any(|label| *label == 1));
}
