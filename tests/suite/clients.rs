//! Redis clients of other languages, unmodified, on the plain keys and on rows of features.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::{Value as Json, json};

use crate::support::{Home, client, python};

/// Node, and the directory of its modules, if there are any.
fn node() -> Option<(PathBuf, PathBuf)> {
    let node = env::var_os("GRANARY_NODE").unwrap_or_else(|| "node".into());
    let modules: PathBuf =
        env::var_os("GRANARY_NODE_MODULES").map_or_else(|| client(""), PathBuf::from);
    let runs = Command::new(&node).arg("--version").output();
    let found = runs.is_ok_and(|output| output.status.success())
        && modules.join("node_modules/ioredis").exists()
        && modules.join("node_modules/redis").exists();
    assert!(
        found || env::var_os("GRANARY_REQUIRE_CLIENTS").is_none(),
        "no node with redis and ioredis: `npm install` in tests/clients, or name GRANARY_NODE and GRANARY_NODE_MODULES"
    );
    found.then(|| (node.into(), modules))
}

fn json_of(output: &Output) -> Json {
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn node_redis_and_ioredis_find_what_they_expect() {
    let Some((node, modules)) = node() else {
        return;
    };
    let home = Home::with_demo(60, 3);
    let server = home.serve();
    let (host, port) = server.resp.rsplit_once(':').unwrap();
    let mut redis = server.redis();
    let user: String = redis::cmd("RANDOMKEY").query(&mut redis).unwrap();
    let row: Vec<(String, String)> = redis::cmd("HGETALL").arg(&user).query(&mut redis).unwrap();
    let row: serde_json::Map<String, Json> = row
        .into_iter()
        .map(|(name, value)| (name, value.into()))
        .collect();
    let output = Command::new(node)
        .arg(client("node.cjs"))
        .args([host, port])
        .args([modules.as_os_str(), user.as_ref()])
        .output()
        .unwrap();
    let found = json_of(&output);
    for library in ["resp2", "resp3", "ioredis"] {
        let mut found = found[library].clone();
        let refused = found["refused"].take();
        assert!(
            refused.as_str().unwrap().contains("is an aggregation over"),
            "{refused}"
        );
        let unknown = found["unknown"].take();
        assert!(
            unknown
                .as_str()
                .unwrap()
                .starts_with("ERR unknown command 'LPUSH'"),
            "{unknown}"
        );
        let wanted = json!({
            "session": ["{}", true], "absent": null, "count": [1, 5], "set": 2,
            "basket": {"apple": "1", "pear": "2"}, "expiry": [1], "some": ["2", null],
            "both": ["6", "1"], "keys": ["basket", "count", "session"], "row": row,
            "refused": null, "unknown": null,
        });
        assert_eq!(found, wanted, "{library}");
    }
}

#[test]
fn the_redis_store_of_an_unmodified_feast_lies_in_plain_keys() {
    let Some(python) = python("feast, redis") else {
        return;
    };
    let home = Home::with_demo(60, 3);
    let server = home.serve();
    let output = Command::new(python)
        .arg(client("feast_redis.py"))
        .arg(&server.resp)
        .arg(home.data())
        .output()
        .unwrap();
    let found = json_of(&output);
    let row = |visits: Json, device: Json, taste: Json| json!({"user_id": ["a", "b", "c"], "visits": visits, "device": device, "taste": taste});
    let nothing = json!([null, null, null]);
    assert_eq!(
        found["before"],
        row(nothing.clone(), nothing.clone(), nothing)
    );
    let (device, taste) = (
        json!(["ios", "web", null]),
        json!([[0.5, 0.25], [1.0, 2.0], null]),
    );
    assert_eq!(
        found["after"],
        row(json!([3, 4, null]), device.clone(), taste.clone())
    );
    assert_eq!(found["changed"], row(json!([7, 4, null]), device, taste));
}
