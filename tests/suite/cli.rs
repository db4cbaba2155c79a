//! The command line: exit codes, stages that are skipped, machine-readable results, errors
//! that say what to do.

use std::fs;
use std::net::TcpListener;

use serde_json::Value as Json;

use crate::support::Home;

#[test]
fn the_whole_job_runs_once_and_is_then_skipped() {
    let home = Home::new();
    let first = home.ok(&["up", "--no-serve", "--users", "300"]);
    assert!(
        first.contains("user_activity_features") && first.contains("oracle"),
        "{first}"
    );
    for file in [
        "raw/event_logs.parquet",
        "raw/truth.json",
        "offline_store/user_activity_features/v000001/features.parquet",
        "offline_store/user_activity_features/v000001/manifest.json",
        "offline_store/churn_label/v000001/features.parquet",
        "materialized_store/training_dataset.parquet",
        "models/churn/v000001/metrics.json",
        "models/churn/v000001/report.html",
        "online.redb",
    ] {
        assert!(home.data().join(file).exists(), "{file} is missing");
    }
    let again = home.ok(&["up", "--no-serve", "--users", "300", "--json"]);
    let stages: Vec<Json> = again
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(stages.len() >= 7, "{again}");
    assert!(
        stages.iter().all(|stage| stage["skipped"] == true),
        "{again}"
    );
}

#[test]
fn the_same_inputs_give_the_same_bytes() {
    let (one, two) = (Home::new(), Home::new());
    one.ok(&["up", "--no-serve", "--users", "200", "--threads", "1"]);
    two.ok(&["up", "--no-serve", "--users", "200", "--threads", "2"]);
    for file in [
        "raw/event_logs.parquet",
        "offline_store/user_activity_features/v000001/features.parquet",
        "offline_store/user_review_features/v000001/states.parquet",
        "materialized_store/training_dataset.parquet",
        "models/churn/v000001/model",
    ] {
        let bytes = |home: &Home| fs::read(home.data().join(file)).unwrap();
        assert!(
            bytes(&one) == bytes(&two),
            "{file} differs between one thread and two"
        );
    }
}

#[test]
fn wrong_usage_is_2_and_failure_is_1() {
    let home = Home::new();
    assert_eq!(home.run(&["no-such-command"]).status.code(), Some(2));
    assert_eq!(
        home.run(&["synth", "--users", "many"]).status.code(),
        Some(2)
    );
    let error = home.fails(&["push"]);
    assert!(error.contains("granary build"), "{error}");
    let error = home.fails(&["get", "nobody"]);
    assert!(error.contains("granary"), "{error}");
}

#[test]
fn every_problem_of_a_registry_comes_at_once_with_its_line() {
    let mut home = Home::new();
    let text = fs::read_to_string(&home.registry).unwrap();
    home.registry = home.data().join("broken.yaml");
    let broken = text
        .replace("aggregation: sessions,", "aggregation: sesions,")
        .replace("source: review_table", "source: reviev_table");
    assert_ne!(broken, text);
    fs::write(&home.registry, broken).unwrap();
    let error = home.fails(&["registry", "check"]);
    assert!(
        error.contains("sesions") && error.contains("`sessions`"),
        "{error}"
    );
    assert!(
        error.contains("reviev_table") && error.contains("`review_table`"),
        "{error}"
    );
    assert!(error.contains("broken.yaml:"), "{error}");
}

#[test]
fn a_bad_row_is_told_with_its_place_or_left_out_and_kept() {
    let home = Home::new();
    home.ok(&["synth", "--users", "50", "--format", "csv"]);
    let path = home.data().join("raw/user_table.csv");
    let text = fs::read_to_string(&path).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let mut cells: Vec<&str> = lines[2].split(',').collect();
    cells[1] = "forty";
    lines[2] = cells.join(",");
    fs::write(&path, lines.join("\n")).unwrap();
    let error = home.fails(&["build", "--group", "user_profile_features"]);
    for part in ["user_table.csv", "3", "age", "forty", "--on-bad-row skip"] {
        assert!(error.contains(part), "`{part}` is missing: {error}");
    }
    let done = home.ok(&[
        "build",
        "--group",
        "user_profile_features",
        "--on-bad-row",
        "skip",
    ]);
    assert!(done.contains("1 bad row"), "{done}");
    let side = fs::read_to_string(home.data().join("bad_rows/bad_rows.jsonl")).unwrap();
    let row: Json = serde_json::from_str(side.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&row["line"], &row["value"]),
        (&Json::from(3), &Json::from("forty"))
    );
}

#[test]
fn csv_and_parquet_build_the_same_features() {
    let (csv, parquet) = (Home::new(), Home::new());
    csv.ok(&["synth", "--users", "150", "--format", "csv"]);
    parquet.ok(&["synth", "--users", "150", "--format", "parquet"]);
    let file = "offline_store/user_activity_features/v000001/features.parquet";
    let built = |home: &Home| {
        home.ok(&["build"]);
        fs::read(home.data().join(file)).unwrap()
    };
    assert!(built(&csv) == built(&parquet));
}

#[test]
fn a_taken_port_is_named_with_the_flag_that_changes_it() {
    let home = Home::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let error = home.fails(&["serve", "--resp", &address, "--http", "127.0.0.1:0"]);
    assert!(
        error.contains(&taken.local_addr().unwrap().port().to_string()),
        "{error}"
    );
    assert!(error.contains("--resp"), "{error}");
}

#[test]
fn commands_go_to_the_server_that_owns_the_directory() {
    let home = Home::with_demo(80, 21);
    let server = home.serve();
    let user = server.get("/status").1["example"]
        .as_str()
        .unwrap()
        .to_owned();
    let over_http = server.get(&format!("/features/{user}")).1;
    let over_socket: Json = serde_json::from_str(&home.ok(&["get", &user, "--json"])).unwrap();
    assert_eq!(over_socket, over_http);
    let prediction: Json = serde_json::from_str(&home.ok(&["predict", &user, "--json"])).unwrap();
    assert!((0.0..=1.0).contains(&prediction["probability"].as_f64().unwrap()));
    let pushed = home.ok(&["push", "--force"]);
    assert!(pushed.contains("generation 2"), "{pushed}");
    assert_eq!(server.get(&format!("/features/{user}")).1, over_http);
    let second = home.fails(&["serve", "--http", "127.0.0.1:0", "--resp", "127.0.0.1:0"]);
    assert!(
        second.contains("holds") && second.contains("stop it"),
        "{second}"
    );
    assert_eq!(server.terminate(), Some(0));
    assert!(!home.data().join("serving.json").exists());
}

#[test]
fn a_model_outlives_new_features_and_refuses_changed_ones() {
    let mut home = Home::with_demo(200, 22);
    let text = fs::read_to_string(&home.registry).unwrap();
    let rewritten = |home: &Home, text: &str| {
        let path = home.data().join("registry.yaml");
        fs::write(&path, text).unwrap();
        path
    };
    let purchases = "- {name: purchase_count, ";
    let coupons = "- {name: coupons, dtype: int, aggregation: count, where: \"event_type = 'apply_coupon'\", windows: [7d, 30d]}\n      ";
    assert!(text.contains(purchases), "the demo registry has changed");
    let added = text.replace(purchases, &format!("{coupons}{purchases}"));
    // Beside a running server: a push brings the registry along.
    let server = home.serve();
    home.registry = rewritten(&home, &added);
    home.ok(&["build"]);
    home.ok(&["push"]);
    let user = server.get("/status").1["example"]
        .as_str()
        .unwrap()
        .to_owned();
    let (_, body) = server.get(&format!("/features/{user}/coupons_30d"));
    assert!(body.to_string().contains("coupons_30d"), "{body}");
    let (status, body) = server.post("/predict", &format!(r#"{{"user_id":"{user}"}}"#));
    assert_eq!(status, 200, "{body}");
    let event = format!(r#"{{"user_id":"{user}","event_type":"apply_coupon"}}"#);
    let before = server.number(&user, "coupons_7d");
    assert_eq!(server.post("/events", &event).0, 200);
    assert_eq!(server.number(&user, "coupons_7d"), before + 1.0);

    let changed = added.replace("event_type = 'purchase'", "event_type = 'app_open'");
    home.registry = rewritten(&home, &changed);
    home.ok(&["build"]);
    home.ok(&["push"]);
    let (status, body) = server.post("/predict", &format!(r#"{{"user_id":"{user}"}}"#));
    assert!(
        status >= 400 && body.to_string().contains("purchase"),
        "{status} {body}"
    );
}
