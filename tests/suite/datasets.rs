//! Ranges, what was known when, and versions that are made again.

use std::fs;
use std::path::PathBuf;

use serde_json::{Map, Value as Json};

use crate::agreement::iso;
use crate::oracle::{Event, Raw, equal, rows_of};
use crate::support::Home;

/// Features whose gaps the demo registry fills in training sets.
const IMPUTED: [&str; 4] = ["age", "gender", "income", "education"];
const HOUR: i64 = 3_600_000_000;
const DAY: i64 = 24 * HOUR;
/// 2025-11-01 and 2025-12-31, nine weeks less two days later.
const FROM: i64 = 1_761_955_200_000_000;
const TO: i64 = FROM + 60 * DAY;

fn training_set(home: &Home) -> PathBuf {
    let store = home.data().join("materialized_store");
    store.join("training_dataset.parquet")
}

fn assert_row(row: &Map<String, Json>, wanted: &Map<String, Json>) {
    let (user, instant) = (&row["user_id"], &row["as_of"]);
    for (name, wanted) in wanted {
        let filled = wanted.is_null() && IMPUTED.contains(&&**name) && !row[name].is_null();
        assert!(
            filled || equal(&row[name], wanted),
            "{user} as of {instant}: `{name}` is {}, the raw tables say {wanted}",
            row[name]
        );
    }
}

fn assert_is(row: &Map<String, Json>, user: &str, instant: i64) {
    let found = (row["user_id"].as_str(), row["as_of"].as_i64());
    assert_eq!(found, (Some(user), Some(instant)));
}

/// Asks for these rows, and gives back what came: as many, in the same order.
fn ask(home: &Home, asked: &[(String, i64)]) -> Vec<Map<String, Json>> {
    let line = |(user, instant): &(String, i64)| format!("{user},{}\n", iso(*instant));
    let lines: String = asked.iter().map(line).collect();
    fs::write(
        home.data().join("spine.csv"),
        format!("user_id,as_of\n{lines}"),
    )
    .unwrap();
    home.ok(&["materialize", "--spine", "spine.csv"]);
    let rows = rows_of(&training_set(home));
    assert_eq!(rows.len(), asked.len());
    for (row, (user, instant)) in rows.iter().zip(asked) {
        assert_is(row, user, *instant);
    }
    rows
}

#[test]
fn a_range_is_every_user_at_every_step_as_a_spine_would_have_it() {
    let home = Home::new();
    home.ok(&["synth", "--users", "70", "--seed", "51"]);
    let raw = Raw::read(&home.data().join("raw"));
    let (from, to) = (iso(FROM), iso(TO));
    home.ok(&["materialize", "--from", &from, "--to", &to, "--every", "5d"]);
    let rows = rows_of(&training_set(&home));
    // The end of the range is its thirteenth instant.
    let mut users = raw.users.clone();
    users.sort();
    let instants = (0..13).map(|step| FROM + step * 5 * DAY);
    let asked: Vec<(String, i64)> = users
        .iter()
        .flat_map(|user| instants.clone().map(move |instant| (user.clone(), instant)))
        .collect();
    assert_eq!(rows.len(), asked.len());
    for (row, (user, instant)) in rows.iter().zip(&asked) {
        assert_is(row, user, *instant);
        assert_row(row, &raw.features(user, *instant));
        assert!(
            !row.contains_key("churn_label"),
            "a label holds at its own instant alone"
        );
    }
    for (row, range) in ask(&home, &asked).iter().zip(&rows) {
        assert_row(row, range);
    }

    // Some of them, and somebody of whom nothing is known, in the order of the file; a step that
    // misses the end leaves it out.
    let some = [
        users[9].as_str(),
        "nobody",
        users[3].as_str(),
        users[9].as_str(),
    ];
    fs::write(
        home.data().join("some.csv"),
        format!("user_id\n{}\n", some.join("\n")),
    )
    .unwrap();
    home.ok(&[
        "materialize",
        "--from",
        &from,
        "--to",
        &to,
        "--every",
        "1w",
        "--entities",
        "some.csv",
    ]);
    let rows = rows_of(&training_set(&home));
    assert_eq!(rows.len(), 3 * 9);
    for (row, at) in rows.iter().zip(0..) {
        let (user, instant) = (some[at / 9], FROM + (at % 9) as i64 * 7 * DAY);
        assert_is(row, user, instant);
        assert_row(row, &raw.features(user, instant));
    }

    for (wrong, told) in [
        (
            "--from 2025-01-01 --to 2025-02-01 --every 1d --spine spine.csv",
            "cannot be used with",
        ),
        (
            "--from 2026-01-01 --to 2025-01-01 --every 1d",
            "before it begins",
        ),
        (
            "--from 2020-01-01 --to 2025-01-01 --every 1s",
            "take longer ones",
        ),
        ("--from 2020-01-01 --to soon --every 1d", "--to soon"),
        ("--from 2020-01-01", "--to"),
        ("--entities some.csv", "--from"),
    ] {
        let mut args = vec!["materialize"];
        args.extend(wrong.split(' '));
        let output = home.run(&args);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(
            !output.status.success() && error.contains(told),
            "{wrong}: {error}"
        );
    }
}

/// When the log of the test below says that an event became known: not at all, at once, three
/// hours later, ten days later.
fn seen_at(event: &Event) -> Option<i64> {
    let delay = match event.id.bytes().map(u32::from).sum::<u32>() % 4 {
        0 => return None,
        1 => 0,
        2 => 3 * HOUR,
        _ => 10 * DAY,
    };
    Some(event.time + delay)
}

#[test]
fn what_became_known_later_is_not_in_a_training_set() {
    let mut home = Home::new();
    home.ok(&["synth", "--users", "80", "--seed", "52"]);
    let raw = Raw::read(&home.data().join("raw"));
    let mut lines = "event_id,user_id,timestamp,event_type,seen_at\n".to_owned();
    for (user, events) in &raw.events {
        for event in events {
            let seen = seen_at(event).map(iso).unwrap_or_default();
            let time = iso(event.time);
            let line = [&event.id, user, &time, &event.kind, &seen].map(String::as_str);
            lines += &(line.join(",") + "\n");
        }
    }
    fs::write(home.data().join("raw/event_logs.csv"), lines).unwrap();
    fs::remove_file(home.data().join("raw/event_logs.parquet")).unwrap();
    let text = fs::read_to_string(&home.registry).unwrap();
    let text = text.replace(
        "    event_time: timestamp\n",
        "    event_time: timestamp\n    created: seen_at\n",
    );
    let text = text.replace(
        "      event_type: categorical\n      metadata: text\n",
        "      event_type: categorical\n      seen_at: timestamp\n",
    );
    home.registry = home.data().join("registry.yaml");
    fs::write(&home.registry, text).unwrap();

    // At an event, when it became known, one microsecond past either, and days later.
    let mut asked = Vec::new();
    for (user, events) in &raw.events {
        for event in events.iter().step_by(events.len().div_ceil(6)) {
            let seen = seen_at(event).unwrap_or(event.time);
            let instants = [event.time, event.time + 1, seen, seen + 1, seen + 8 * DAY];
            asked.extend(instants.map(|instant| (user.clone(), instant)));
        }
    }
    let (mut later, rows) = (0, ask(&home, &asked));
    for (row, (user, instant)) in rows.iter().zip(&asked) {
        let was_known = |event: &Event| seen_at(event).is_none_or(|seen| seen < *instant);
        let wanted = raw.features_of(user, *instant, was_known);
        assert_row(row, &wanted);
        later += u32::from(wanted != raw.features(user, *instant));
    }
    assert!(
        later > 500,
        "only {later} of {} instants had something unknown",
        asked.len()
    );

    // A build takes all that is known now.
    home.ok(&["build", "--group", "user_activity_features"]);
    let store = home
        .data()
        .join("offline_store/user_activity_features/v000001");
    for row in rows_of(&store.join("features.parquet")) {
        let wanted = raw.features(row["user_id"].as_str().unwrap(), raw.clock());
        assert_eq!(row["total_events"], wanted["total_events"]);
    }
}

#[test]
fn a_version_stays_and_can_be_made_again() {
    let mut home = Home::new();
    home.ok(&["synth", "--users", "150", "--seed", "53", "--format", "csv"]);
    let store = home.data().join("materialized_store");
    let set = training_set(&home);
    let bytes = |version: &str| fs::read(store.join(version).join("dataset.parquet")).unwrap();
    let error = home.fails(&["materialize", "--name", "training_dataset"]);
    assert!(error.contains("choose a plain name"), "{error}");
    home.ok(&["materialize", "--name", "spring", "--threads", "1"]);
    let first = bytes("spring/v000001");
    let told = home.ok(&["materialize", "--name", "spring"]);
    assert!(told.contains("unchanged"), "{told}");
    home.ok(&[
        "materialize",
        "--name",
        "spring",
        "--force",
        "--threads",
        "2",
    ]);
    assert_eq!(
        bytes("spring/v000002"),
        first,
        "the same inputs make the same bytes"
    );
    let told = home.ok(&["materialize", "--rebuild", "spring/v000001"]);
    assert!(told.contains("the same bytes"), "{told}");

    // A lost file comes back; the label's changed table is told.
    fs::remove_file(store.join("spring/v000001/dataset.parquet")).unwrap();
    home.ok(&["materialize", "--rebuild", "spring/v000001"]);
    assert_eq!(bytes("spring/v000001"), first);
    let table = home.data().join("raw/target_table.csv");
    let before = fs::read_to_string(&table).unwrap();
    let mut lines: Vec<&str> = before.lines().collect();
    let known = lines.iter().rposition(|line| !line.ends_with(','));
    lines.remove(known.unwrap());
    fs::write(&table, lines.join("\n")).unwrap();
    let error = home.fails(&["materialize", "--rebuild", "spring"]);
    assert!(
        error.contains("raw/target_table.csv` has changed"),
        "{error}"
    );
    home.ok(&["materialize", "--name", "spring"]);
    assert_eq!(
        rows_of(&store.join("spring/v000003/dataset.parquet")).len() + 1,
        rows_of(&store.join("spring/v000001/dataset.parquet")).len()
    );
    fs::remove_file(&table).unwrap();
    let error = home.fails(&["materialize", "--rebuild", "spring"]);
    assert!(error.contains("gone is `raw/target_table.csv`"), "{error}");
    fs::write(&table, &before).unwrap();
    let error = home.fails(&["materialize", "--rebuild", "spring"]);
    assert!(error.contains("cannot rebuild `spring/v000003`"), "{error}");
    home.ok(&["materialize", "--rebuild", "spring/v000002"]);

    // Ranges and sets without a name of their own too, whatever the registry says by now.
    home.ok(&[
        "materialize",
        "--from",
        "2025-12-01",
        "--to",
        "2025-12-31",
        "--every",
        "1w",
    ]);
    let range = fs::read(&set).unwrap();
    fs::remove_file(&set).unwrap();
    home.registry = home.data().join("none.yaml");
    home.ok(&["materialize", "--rebuild", "training_dataset"]);
    assert_eq!(fs::read(&set).unwrap(), range);
    let error = home.fails(&["materialize", "--rebuild", "autumn"]);
    assert!(error.contains("no training set `autumn`"), "{error}");
}
