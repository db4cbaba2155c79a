//! The dialects of other servers: what their clients get from here is what `/features` and
//! `/predict` say.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Map, Value as Json, json};

use crate::support::{Home, Server, client, python};

const SEED: u32 = 11;

/// Keys of users, by the training set's order of ids.
fn users(server: &Server, count: usize) -> Vec<String> {
    let mut redis = server.redis();
    let (_, keys): (String, Vec<String>) = redis::cmd("SCAN")
        .arg(0)
        .arg("COUNT")
        .arg(count)
        .query(&mut redis)
        .unwrap();
    let id = |key: String| key.trim_start_matches("user:").to_owned();
    keys.into_iter().map(id).take(count).collect()
}

/// Every feature as `group:feature`.
fn references(server: &Server) -> Vec<String> {
    let (_, status) = server.get("/status");
    let features = status["features"].as_array().unwrap().iter();
    let reference = |feature: &Json| {
        let part = |name: &str| feature[name].as_str().unwrap().to_owned();
        format!("{}:{}", part("group"), part("name"))
    };
    features.map(reference).collect()
}

/// A value as Feast tells it: elements of vectors are the nearest numbers of 64 bits.
fn widened(value: &Json) -> Json {
    match value {
        Json::Array(elements) => {
            let wide = |element: &Json| f64::from(element.as_f64().unwrap() as f32).into();
            elements.iter().map(wide).collect::<Vec<Json>>().into()
        }
        value => value.clone(),
    }
}

fn ask(server: &Server, body: &Json) -> (u16, Json) {
    server.post("/get-online-features", &body.to_string())
}

#[test]
fn feast_gets_columns_of_what_features_says() {
    let home = Home::with_demo(60, SEED);
    let server = home.serve();
    let mut keys = users(&server, 8);
    keys.insert(3, "nobody".to_owned());
    let mut references = references(&server);
    references.rotate_left(5); // the order is the client's
    let asked = json!({"entities": {"user_id": keys}, "features": references});
    let (status, answer) = ask(&server, &asked);
    assert_eq!(status, 200, "{answer}");
    let names = answer["metadata"]["feature_names"].as_array().unwrap();
    assert_eq!(names.len(), references.len() + 1);
    assert_eq!(names[0], "user_id");
    let results = answer["results"].as_array().unwrap();
    assert_eq!(results[0]["values"], json!(keys));
    let rows: Vec<Json> = keys
        .iter()
        .map(|key| server.get(&format!("/features/{key}")).1)
        .collect();
    for (at, reference) in references.iter().enumerate() {
        let name = reference.split_once(':').unwrap().1;
        assert_eq!(names[at + 1], name);
        let column = &results[at + 1];
        for (row, entity) in rows.iter().enumerate() {
            let (value, status) = (&column["values"][row], &column["statuses"][row]);
            let time = column["event_timestamps"][row].as_str().unwrap();
            if entity["error"].is_object() {
                assert_eq!((value, status), (&Json::Null, &json!("NOT_FOUND")));
                assert_eq!(time, "1970-01-01T00:00:00Z");
            } else {
                assert_eq!(
                    *value,
                    widened(&entity["features"][name]),
                    "{name} of row {row}"
                );
                assert!(*status == "PRESENT" || (*status == "NOT_FOUND" && value.is_null()));
                assert!(*time <= *entity["as_of"].as_str().unwrap());
            }
        }
    }
    counted(&server, keys.len() * 9, references.len());
    // A feature service is the list of its features, and full names say their group's.
    let asked = json!({
        "entities": {"user_id": [keys[0]]}, "feature_service": "churn",
        "full_feature_names": true, "include_feature_view_version_metadata": true,
    });
    let (_, answer) = ask(&server, &asked);
    let metadata = &answer["metadata"];
    assert_eq!(metadata["feature_names"][1], "user_profile_features__age");
    let views: Vec<&Json> = metadata["feature_view_metadata"]
        .as_array()
        .unwrap()
        .iter()
        .map(|view| &view["name"])
        .collect();
    let wanted = [
        "user_profile_features",
        "user_activity_features",
        "user_review_features",
    ];
    assert_eq!(views, wanted);
}

/// Feast's own counters, after one request for so many values of the profile.
fn counted(server: &Server, profile: usize, features: usize) {
    let url = format!("http://{}/metrics", server.http);
    let mut response = crate::support::agent().get(url).call().unwrap();
    let text = response.body_mut().read_to_string().unwrap();
    let value = |start: &str| {
        let line = text.lines().find(|line| line.starts_with(start));
        let line = line.unwrap_or_else(|| panic!("{start} is not in\n{text}"));
        line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()
    };
    let view = r#"feast_online_features_status_total{feature_view="user_profile_features",status="#;
    let present = value(&format!("{view}\"PRESENT\"}}"));
    assert_eq!(
        present + value(&format!("{view}\"NOT_FOUND\"}}")),
        profile as f64
    );
    let answered =
        r#"feast_feature_server_request_total{endpoint="/get-online-features",status="success"}"#;
    assert_eq!(value(answered), 1.0);
    assert!((11..=50).contains(&features));
    let latency = r#"feast_feature_server_request_latency_seconds_count{endpoint="/get-online-features",feature_count="11-50",feature_view_count="3"}"#;
    assert_eq!(value(latency), 1.0);
    assert_eq!(value("feast_online_features_request_total"), 1.0);
    assert!(value("feast_feature_freshness_seconds{") >= 0.0);
}

#[test]
fn feast_is_refused_in_its_own_words() {
    let home = Home::with_demo(60, SEED);
    let server = home.serve();
    let raised = |features: &Json, service: Json| {
        let asked = json!({"entities": {"user_id": ["u"]}, "features": features, "feature_service": service});
        let (status, text) = ask(&server, &asked);
        let raised: Json = serde_json::from_str(text.as_str().unwrap()).unwrap();
        assert_eq!(raised["module"], "feast.errors");
        (
            status,
            raised["class"].as_str().unwrap().to_owned(),
            raised["message"].as_str().unwrap().to_owned(),
        )
    };
    let said = |class: &str, message: &str| (404, class.to_owned(), message.to_owned());
    assert_eq!(
        raised(&json!(["nope:x"]), Json::Null),
        said(
            "FeatureViewNotFoundException",
            "Feature view nope does not exist in project churn"
        )
    );
    assert_eq!(
        raised(&Json::Null, json!("nope")),
        said(
            "FeatureServiceNotFoundException",
            "Feature service nope does not exist in project churn"
        )
    );
    assert_eq!(
        raised(&json!(["user_profile_features:nope"]), Json::Null),
        said(
            "FeastObjectNotFoundException",
            "Feature nope not found in projection user_profile_features"
        )
    );
    let place = |asked: Json| {
        let (status, body) = ask(&server, &asked);
        assert_eq!(status, 422, "{body}");
        body["detail"][0]["loc"].clone()
    };
    let features = json!(["user_profile_features:age"]);
    assert_eq!(
        place(json!({"features": features})),
        json!(["body", "entities"])
    );
    let asked = json!({"features": features, "entities": {}});
    assert_eq!(place(asked), json!(["body", "entities", "user_id"]));
    let asked = json!({"features": features, "entities": {"user_id": ["a"], "item": [1]}});
    assert_eq!(place(asked), json!(["body", "entities", "item"]));
    let asked = json!({"entities": {"user_id": ["a"]}});
    assert_eq!(place(asked), json!(["body", "features"]));
    let (status, body) = server.post("/get-online-features", "{");
    assert!(status == 422 && body.is_string(), "{body}");
}

#[test]
fn a_push_to_an_event_source_is_its_events() {
    let home = Home::with_demo(60, SEED);
    let server = home.serve();
    let user = &users(&server, 1)[0];
    let before = server.number(user, "purchase_count");
    let (_, row) = server.get(&format!("/features/{user}"));
    let push = |source: &str, to: &str, id: &str| {
        let frame = json!({
            "user_id": [user, user], "event_timestamp": [row["as_of"], row["as_of"]],
            "event_type": ["purchase", "page_view"], "event_id": [format!("{id}1"), format!("{id}2")],
            "created": [row["as_of"], null],
        });
        let body = json!({"push_source_name": source, "df": frame, "to": to});
        ureq_status(&server, &body)
    };
    assert_eq!(
        push("event_logs", "online_and_offline", "a"),
        (200, String::new())
    );
    assert_eq!(server.number(user, "purchase_count"), before + 1.0);
    let (status, said) = push("nope", "online", "b");
    assert!(
        status == 422 && said.contains("PushSourceNotFoundException"),
        "{said}"
    );
    let (status, said) = push("event_logs", "x", "c");
    assert!(
        status == 422 && said.contains("online_and_offline"),
        "{said}"
    );
    assert_eq!(server.number(user, "purchase_count"), before + 1.0);
}

fn ureq_status(server: &Server, body: &Json) -> (u16, String) {
    let request = crate::support::agent().post(format!("http://{}/push", server.http));
    let mut response = request.send(body.to_string()).unwrap();
    let status = response.status().as_u16();
    (status, response.body_mut().read_to_string().unwrap())
}

#[test]
fn every_dialect_predicts_what_predict_does() {
    let home = Home::with_demo(200, SEED);
    let server = home.serve();
    let keys = users(&server, 5);
    let predict = |key: &String| {
        let (status, body) = server.post("/predict", &json!({"user_id": key}).to_string());
        assert_eq!(status, 200, "{body}");
        body
    };
    let predicted: Vec<Json> = keys.iter().map(predict).collect();
    let wanted: Vec<&Json> = predicted.iter().map(|body| &body["probability"]).collect();
    let model = predicted[0]["model"].as_str().unwrap();

    let (_, metadata) = server.get(&format!("/v2/models/{model}"));
    let inputs = metadata["inputs"].as_array().unwrap();
    assert_eq!(
        inputs[0],
        json!({"name": "user_id", "datatype": "BYTES", "shape": [-1]})
    );
    let infer = |body: &Json| server.post(&format!("/v2/models/{model}/infer"), &body.to_string());
    let by_key = json!({
        "id": "7",
        "inputs": [{"name": "user_id", "shape": [5], "datatype": "BYTES", "data": keys}],
    });
    let (status, answer) = infer(&by_key);
    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        (&answer["id"], &answer["model_name"]),
        (&json!("7"), &json!(model))
    );
    assert_eq!(answer["outputs"][0]["data"], json!(wanted));
    let decisions: Vec<bool> = predicted
        .iter()
        .map(|body| body["decision"] == "churn")
        .collect();
    assert_eq!(answer["outputs"][1]["data"], json!(decisions));

    // The features themselves, a tensor each.
    let tensor = |input: &Json| {
        let name = input["name"].as_str().unwrap();
        let data: Vec<Json> = predicted
            .iter()
            .map(|body| body["features"][name].clone())
            .collect();
        let width = data.iter().filter_map(Json::as_array).map(Vec::len).max();
        // A null among vectors has no shape.
        if width.is_some() && data.iter().any(Json::is_null) {
            return None;
        }
        let shape = width.map_or(vec![keys.len()], |width| vec![keys.len(), width]);
        Some(json!({"name": name, "datatype": input["datatype"], "shape": shape, "data": data}))
    };
    let tensors: Vec<Json> = inputs[1..].iter().filter_map(tensor).collect();
    if tensors.len() == inputs.len() - 1 {
        let (status, answer) =
            infer(&json!({"inputs": tensors, "outputs": [{"name": "probability"}]}));
        assert_eq!(status, 200, "{answer}");
        assert_eq!(answer["outputs"].as_array().unwrap().len(), 1);
        assert_eq!(answer["outputs"][0]["data"], json!(wanted));
    }

    let score = |body: &Json| {
        let (status, answer) = server.post_as(
            "/invocations",
            "application/json",
            body.to_string().as_bytes(),
        );
        assert_eq!(status, 200, "{answer}");
        answer["predictions"].clone()
    };
    let rows: Vec<Json> = keys.iter().map(|key| json!([key])).collect();
    let records: Vec<Json> = keys.iter().map(|key| json!({"user_id": key})).collect();
    assert_eq!(
        score(&json!({"dataframe_split": {"columns": ["user_id"], "data": rows}})),
        json!(wanted)
    );
    assert_eq!(score(&json!({"dataframe_records": records})), json!(wanted));
    assert_eq!(score(&json!({"instances": records})), json!(wanted));
    assert_eq!(score(&json!({"inputs": {"user_id": keys}})), json!(wanted));
    let given: Vec<Json> = predicted
        .iter()
        .map(|body| {
            let names = inputs[1..]
                .iter()
                .map(|input| input["name"].as_str().unwrap());
            names
                .map(|name| body["features"][name].clone())
                .collect::<Vec<_>>()
                .into()
        })
        .collect();
    assert_eq!(score(&json!({"instances": given})), json!(wanted));
    let table = format!("user_id\n{}\n", keys.join("\n"));
    let (_, answer) = server.post_as("/invocations", "text/csv; charset=utf-8", table.as_bytes());
    assert_eq!(answer["predictions"], json!(wanted));

    csv(&server, &predicted);
    refusals(&server, model, &keys);
}

/// Cells of CSV are what their columns say: a key that looks like a number is none.
fn csv(server: &Server, predicted: &[Json]) {
    let score = |csv: &str| server.post_as("/invocations", "text/csv", csv.as_bytes());
    for key in ["1234567890e1", "true", "1.0"] {
        let (status, body) = score(&format!("user_id\n{key}\n"));
        assert!(
            status == 404 && body["message"].as_str().unwrap().contains(key),
            "{body}"
        );
    }
    let features = &predicted[0]["features"];
    let user = predicted[0]["user_id"].as_str().unwrap();
    let head = "user_id,age,premium,device,income";
    let cells = ["age", "premium", "device", "income"].map(|name| match &features[name] {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    });
    let (status, body) = score(&format!("{head}\n{user},{}\n", cells.join(",")));
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["predictions"], json!([predicted[0]["probability"]]));
    let (status, body) = score(&format!("user_id,age\n{user},old\n"));
    assert!(
        status == 400 && body["message"].as_str().unwrap().starts_with("age[0]: "),
        "{body}"
    );
}

/// Errors come in the form of each dialect.
fn refusals(server: &Server, model: &str, keys: &[String]) {
    let infer = |path: &str, input: Json| {
        let (status, body) = server.post(path, &json!({"inputs": [input]}).to_string());
        (status, body["error"].as_str().unwrap().to_owned())
    };
    let path = format!("/v2/models/{model}/infer");
    let (status, said) = infer(
        &path,
        json!({"name": "user_id", "shape": [2], "datatype": "BYTES", "data": ["a"]}),
    );
    assert_eq!(
        (status, &*said),
        (400, "tensor `user_id` has 1 elements, its shape is [2]")
    );
    let (status, said) = infer(
        &path,
        json!({"name": "agee", "shape": [1], "datatype": "INT64", "data": [1]}),
    );
    assert!(
        status == 400 && said.contains("did you mean `age`?"),
        "{said}"
    );
    let key = json!({"name": "user_id", "shape": [1], "datatype": "BYTES", "data": ["nobody"]});
    assert_eq!(infer(&path, key.clone()).0, 404);
    assert_eq!(infer("/v2/models/other/infer", key).0, 404);
    let score = |kind: &str, body: &str| server.post_as("/invocations", kind, body.as_bytes());
    let (status, body) = score("application/json", "{}");
    assert_eq!((status, &body["error_code"]), (400, &json!("BAD_REQUEST")));
    assert_eq!(score("application/json; charset=latin-1", "{}").0, 415);
    let both = json!({"instances": [], "inputs": {}}).to_string();
    assert_eq!(score("application/json", &both).0, 400);
    let ragged = json!({"dataframe_split": {"columns": ["user_id"], "data": [[keys[0]], []]}});
    let (_, body) = score("application/json", &ragged.to_string());
    assert_eq!(body["message"], "row 1 has 0 values, there are 1 columns");
}

/// What the unmodified SDK, over a written registry, makes of steps.
fn feast(python: &Path, home: &Home, server: &Server, steps: &Json) -> Map<String, Json> {
    let repository = home.data().join("feast");
    let url = format!("http://{}", server.http);
    let out = repository.to_str().unwrap();
    home.ok(&["feast-registry", "--out", out, "--url", &url]);
    let mut asking = Command::new(python)
        .arg(client("feast_client.py"))
        .arg(&repository)
        .env("FEAST_USAGE", "False")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = asking.stdin.take().unwrap();
    input.write_all(steps.to_string().as_bytes()).unwrap();
    drop(input);
    let output = asking.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn an_unmodified_feast_client_reads_from_here() {
    let Some(python) = python("feast") else {
        return;
    };
    let home = Home::with_demo(40, SEED);
    let server = home.serve();
    let keys = users(&server, 3);
    let references = references(&server);
    let rows =
        |keys: &[&str]| -> Vec<Json> { keys.iter().map(|key| json!({"user_id": key})).collect() };
    let steps = json!({
        "list": {"list": true},
        "all": {"features": references, "entity_rows": rows(&[&keys[0], "nobody", &keys[2]])},
        "service": {"service": "churn", "entity_rows": rows(&[&keys[1]])},
        "view": {"features": ["nope:x"], "entity_rows": rows(&[&keys[0]])},
        "full": {"features": ["user_profile_features:age"], "entity_rows": rows(&[&keys[1]]), "full_feature_names": true},
    });
    let answers = feast(&python, &home, &server, &steps);
    assert_eq!(answers["list"]["entities"], json!(["user"]));
    assert_eq!(answers["list"]["services"], json!(["churn"]));
    let views = answers["list"]["views"].as_object().unwrap();
    let listed: usize = views
        .values()
        .map(|view| view.as_object().unwrap().len())
        .sum();
    assert_eq!(listed, references.len());
    assert_eq!(
        views["user_review_features"]["topic_vector"],
        "Array(Float32)"
    );
    let message = "Feature view nope does not exist in project churn";
    let raised = &answers["view"];
    assert!(
        raised["message"].as_str().unwrap().contains(message),
        "{raised}"
    );
    let (_, second) = server.get(&format!("/features/{}", keys[1]));
    let full =
        json!({"user_id": [keys[1]], "user_profile_features__age": [second["features"]["age"]]});
    assert_eq!(answers["full"], full);
    for (name, value) in answers["service"].as_object().unwrap() {
        if name != "user_id" {
            assert_eq!(value[0], widened(&second["features"][name]), "{name}");
        }
    }
    for (row, key) in [(0, &keys[0]), (2, &keys[2])] {
        let (_, entity) = server.get(&format!("/features/{key}"));
        for reference in &references {
            let name = reference.split_once(':').unwrap().1;
            let wanted = widened(&entity["features"][name]);
            assert_eq!(answers["all"][name][row], wanted, "{name} of {key}");
            assert_eq!(answers["all"][name][1], Json::Null);
        }
    }
}

#[test]
fn an_unmodified_feast_client_writes_and_materializes_here() {
    let Some(python) = python("feast") else {
        return;
    };
    let home = Home::with_demo(40, SEED);
    let server = home.serve();
    let key = &users(&server, 1)[0];
    let (_, before) = server.get(&format!("/features/{key}"));
    let row = |ages: [i64; 2], time: &str| {
        json!({
            "user_id": [key, "new"], "age": ages, "gender": ["Male", "Female"], "location": ["West", "East"],
            "income": [1.5, 2.5], "education": ["College", "Master"], "loyalty_status": ["Gold", "Regular"],
            "account_age_days": [4, 5], "premium": [true, false], "device": ["iOS", "Web"],
            "event_timestamp": [time, time],
        })
    };
    let mut raised = row([7, 8], "2026-01-03T00:00:00");
    raised["age"] = json!([7, 300]);
    let asked = json!({"features": ["user_profile_features:age", "user_activity_features:total_events"], "entity_rows": [{"user_id": key}, {"user_id": "new"}]});
    // In the order of their names.
    let steps = json!({
        "1 write": {"write": "user_profile_features", "df": row([44, 22], "2026-01-01T00:00:00")},
        "2 written": asked,
        "3 push": {"push": "user_table", "df": row([45, 23], "2026-01-02T00:00:00")},
        "4 older": {"push": "user_table", "df": row([1, 1], "2025-12-01T00:00:00")},
        "5 bad": {"write": "user_profile_features", "df": raised},
        "6 pushed": asked,
        "7 materialize": {"materialize": ["user_profile_features"]},
        "8 materialized": asked,
        "9 nope": {"materialize": ["nope"]},
    });
    let answers = feast(&python, &home, &server, &steps);
    for done in ["1 write", "3 push", "4 older", "7 materialize"] {
        assert_eq!(answers[done], Json::Null, "{done}");
    }
    let events = &before["features"]["total_events"];
    let ages = |step: &str, ages: [i64; 2]| {
        assert_eq!(answers[step]["age"], json!(ages), "{step}");
        assert_eq!(answers[step]["total_events"], json!([events, 0]), "{step}");
    };
    ages("2 written", [44, 22]);
    ages("6 pushed", [45, 23]);
    ages("8 materialized", [45, 23]);
    assert!(
        answers["5 bad"]["message"].as_str().is_some(),
        "{}",
        answers["5 bad"]
    );
    assert!(
        answers["9 nope"]["raised"].as_str().is_some(),
        "{}",
        answers["9 nope"]
    );
    let versions = home.ok(&["offline", "ls", "--json"]);
    assert!(
        versions.contains("v000002"),
        "the client's build is a version: {versions}"
    );
}

#[test]
fn materialize_is_a_build_and_a_push() {
    let home = Home::with_demo(40, SEED);
    let server = home.serve();
    let (_, ready) = server.get("/status");
    let post = |path: &str, body: Json| server.post(path, &body.to_string());
    let window = json!({"start_ts": "2020-01-01T00:00:00", "end_ts": "2021-01-01T00:00:00"});
    let event = json!({"user_id": "late-comer", "event_type": "purchase", "event_id": "m1"});
    assert_eq!(post("/events", event).0, 200);
    assert_eq!(post("/materialize", window.clone()), (200, Json::Null));
    let (_, after) = server.get("/status");
    assert!(after["generation"].as_u64() > ready["generation"].as_u64());
    assert_eq!(server.number("late-comer", "purchase_count"), 1.0);
    let (status, begun) = post(
        "/materialize-incremental?async=true",
        json!({"end_ts": "2021-01-01"}),
    );
    assert_eq!((status, &begun["status"]), (202, &json!("accepted")));
    // Waits for the one before it.
    let last = json!({"end_ts": "2021-01-01", "feature_views": ["user_profile_features"]});
    assert_eq!(
        post("/materialize-incremental?force=true", last),
        (200, Json::Null)
    );
    for (path, body, status, wanted) in [
        (
            "/materialize",
            json!({"end_ts": "2021-01-01"}),
            422,
            "start_ts",
        ),
        (
            "/materialize",
            json!({"start_ts": "2022-01-01", "end_ts": "2021-01-01"}),
            422,
            "before start_ts",
        ),
        (
            "/materialize-incremental",
            json!({"end_ts": "soon"}),
            422,
            "end_ts",
        ),
        (
            "/materialize-incremental",
            json!({"end_ts": "2021-01-01", "feature_views": ["x"]}),
            404,
            "FeatureViewNotFoundException",
        ),
    ] {
        let (found, said) = post(path, body);
        let said = said.to_string();
        assert!(
            found == status && said.contains(wanted),
            "{found} {said}, wanted {wanted}"
        );
    }
    // A build that fails says why, and what is served stays.
    let raw = home.data().join("raw");
    std::fs::write(raw.join("user_table.csv"), "user_id,age\nu,old\n").unwrap();
    for held in std::fs::read_dir(&raw).unwrap() {
        let path = held.unwrap().path();
        if path.to_str().unwrap().contains("user_table") && !path.ends_with("user_table.csv") {
            if path.is_dir() {
                std::fs::remove_dir_all(path).unwrap();
            } else {
                std::fs::remove_file(path).unwrap();
            }
        }
    }
    let (status, said) = post("/materialize", window);
    assert_eq!(status, 422, "{said}");
    assert!(said.to_string().contains("user_table"), "{said}");
    assert_eq!(server.number("late-comer", "purchase_count"), 1.0);
}

#[test]
fn own_verbs_answer_as_http_does_now_and_in_the_past() {
    let home = Home::with_demo(200, SEED);
    let server = home.serve();
    let keys = users(&server, 3);
    let names: Vec<String> = references(&server)
        .iter()
        .map(|reference| reference.split_once(':').unwrap().1.to_owned())
        .collect();
    let mut redis = server.redis();
    let mut ask = |words: &[&str]| -> redis::RedisResult<redis::Value> {
        redis::cmd(words[0]).arg(&words[1..]).query(&mut redis)
    };
    let row = |path: &str| server.get(path).1;
    let instants = [
        None,
        Some("2025-06-01T00:00:00Z"),
        Some("2025-11-01T12:30:00Z"),
    ];
    for (key, instant) in keys.iter().zip(instants) {
        let entity = format!("user:{key}");
        let query = instant.map_or(String::new(), |instant| format!("?as_of={instant}"));
        let wanted = row(&format!("/features/{key}{query}"));
        let mut words = vec!["FS.GET", &entity];
        words.extend(names.iter().map(String::as_str));
        let mut all = vec!["FS.GET", &entity];
        if let Some(instant) = instant {
            words.extend(["ASOF", instant]);
            all.extend(["asof", instant]);
        }
        let redis::Value::Array(values) = ask(&words).unwrap() else {
            panic!("no list")
        };
        let redis::Value::Array(pairs) = ask(&all).unwrap() else {
            panic!("no flat map")
        };
        assert_eq!(pairs.len(), 2 * names.len());
        for (at, name) in names.iter().enumerate() {
            assert_eq!(
                values[at],
                text(&wanted["features"][name]),
                "{name} at {instant:?}"
            );
            assert_eq!(pairs[2 * at], redis::Value::BulkString(name.clone().into()));
            assert_eq!(pairs[2 * at + 1], values[at]);
        }
    }
    let many = ask(&[
        "FS.MGET",
        &format!("user:{}", keys[0]),
        "user:nobody",
        "FEATURES",
        "age",
    ]);
    let age = text(&row(&format!("/features/{}", keys[0]))["features"]["age"]);
    let wanted = vec![redis::Value::Array(vec![age]), redis::Value::Nil];
    assert_eq!(many.unwrap(), redis::Value::Array(wanted));

    let predicted: std::collections::HashMap<String, String> =
        redis::from_redis_value(ask(&["FS.PREDICT", &format!("user:{}", keys[1])]).unwrap())
            .unwrap();
    let (_, wanted) = server.post("/predict", &json!({"user_id": keys[1]}).to_string());
    let number: f64 = predicted["probability"].parse().unwrap();
    assert_eq!(Some(number), wanted["probability"].as_f64());
    for name in ["decision", "model", "version", "as_of"] {
        assert_eq!(predicted[name], wanted[name].as_str().unwrap(), "{name}");
    }
    assert_eq!(
        ask(&["FS.PREDICT", "user:nobody"]).unwrap(),
        redis::Value::Nil
    );
    let version: std::collections::HashMap<String, String> =
        redis::from_redis_value(ask(&["FS.VERSION"]).unwrap()).unwrap();
    assert_eq!(version["model_version"], predicted["version"]);
    assert_eq!(version["entities"], "200");

    let refused = |asked: redis::RedisResult<redis::Value>| asked.unwrap_err().to_string();
    let said = refused(ask(&["FS.GET", &format!("user:{}", keys[0]), "agee"]));
    assert!(said.contains("did you mean `age`?"), "{said}");
    let said = refused(ask(&["FS.GET", "basket:7"]));
    assert!(said.contains("its keys begin with `user:`"), "{said}");
    let said = refused(ask(&["FS.GET", "user:7", "ASOF", "soon"]));
    assert!(said.contains("soon"), "{said}");
    let docs = ask(&["COMMAND", "DOCS", "fs.get"]).unwrap();
    assert!(format!("{docs:?}").contains("FS.GET key"), "{docs:?}");
}

/// A value of JSON as RESP tells it.
fn text(json: &Json) -> redis::Value {
    let text = match json {
        Json::Null => return redis::Value::Nil,
        Json::Bool(true) => "True".to_owned(),
        Json::Bool(false) => "False".to_owned(),
        Json::String(text) => text.clone(),
        Json::Array(_) => return vector(json),
        number => number.to_string(),
    };
    redis::Value::BulkString(text.into_bytes())
}

fn vector(json: &Json) -> redis::Value {
    redis::Value::BulkString(json.to_string().into_bytes())
}
