//! `kill -9` at any moment: every version is whole, everything acknowledged is there.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value as Json, json};

use crate::agreement::iso;
use crate::oracle::{Raw, equal};
use crate::support::{Home, agent};

/// Kills a command after it has run for a share of its usual time, in thousandths.
pub(crate) fn kill_after(home: &Home, args: &[&str], usual: std::time::Duration, share: u32) {
    let mut child = home
        .command(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Not a wait for something to happen: the moment of the crash is the input of the test.
    std::thread::sleep(usual * share / 1000);
    let _ = child.kill();
    child.wait().unwrap();
}

#[test]
fn a_killed_build_leaves_the_old_version_or_the_new_one() {
    let home = Home::with_demo(300, 11);
    let started = std::time::Instant::now();
    home.ok(&["build", "--force"]);
    let usual = started.elapsed();
    let rows = |home: &Home| -> Vec<(String, u64)> {
        let listed: Json = serde_json::from_str(&home.ok(&["offline", "ls", "--json"])).unwrap();
        let entry = |held: &Json| {
            (
                held["group"].as_str().unwrap().to_owned(),
                held["rows"].as_u64().unwrap(),
            )
        };
        listed.as_array().unwrap().iter().map(entry).collect()
    };
    let whole = rows(&home);
    for share in (0..=1000).step_by(100) {
        kill_after(&home, &["build", "--force"], usual, share);
        for (group, rows) in rows(&home) {
            assert!(
                whole.contains(&(group.clone(), rows)),
                "{group} has {rows} rows after a kill"
            );
        }
    }
    home.ok(&["build", "--force"]);
    home.ok(&["push", "--force"]);
}

#[test]
fn a_killed_push_leaves_the_old_generation_or_the_new_one() {
    let home = Home::with_demo(300, 12);
    let user = Raw::read(&home.data().join("raw")).users[0].clone();
    let wanted: Json = serde_json::from_str(&home.ok(&["get", &user, "--json"])).unwrap();
    let started = std::time::Instant::now();
    home.ok(&["push", "--force"]);
    let usual = started.elapsed();
    for share in (0..=1000).step_by(100) {
        kill_after(&home, &["push", "--force"], usual, share);
        let found: Json = serde_json::from_str(&home.ok(&["get", &user, "--json"])).unwrap();
        assert_eq!(found, wanted, "after a kill at {share} thousandths");
    }
}

#[test]
fn every_acknowledged_event_survives() {
    let home = Arc::new(Home::with_demo(100, 13));
    let raw = Raw::read(&home.data().join("raw"));
    let now = raw.clock();
    let users: Arc<Vec<String>> = Arc::new(raw.users.clone());
    let mut acknowledged: Vec<u64> = vec![0; users.len()];
    for round in 0..6u64 {
        let server = home.serve();
        let address = server.http.clone();
        let sent = Arc::new(AtomicU64::new(0));
        let senders: Vec<_> = (0..4u64)
            .map(|sender| {
                let (address, users, sent) = (address.clone(), users.clone(), sent.clone());
                std::thread::spawn(move || {
                    let agent = agent();
                    let mut counted = Vec::new();
                    for n in 0.. {
                        let user = ((sender + n * 4) % users.len() as u64) as usize;
                        let event = json!({
                            "event_id": format!("r{round}-s{sender}-n{n}"),
                            "user_id": users[user],
                            "timestamp": iso(now + (round * 1_000_000 + n * 4 + sender) as i64),
                            "event_type": "purchase",
                        });
                        let url = format!("http://{address}/events");
                        match agent.post(&url).send(event.to_string()) {
                            Ok(answer) if answer.status() == 200 => counted.push(user),
                            _ => break,
                        }
                        sent.fetch_add(1, Ordering::Relaxed);
                    }
                    counted
                })
            })
            .collect();
        while sent.load(Ordering::Relaxed) < 40 + round * 17 {
            std::thread::yield_now();
        }
        server.kill();
        for sender in senders {
            for user in sender.join().unwrap() {
                acknowledged[user] += 1;
            }
        }
    }
    let server = home.serve();
    for (user, acknowledged) in users.iter().zip(&acknowledged) {
        let before = raw.features(user, now)["purchase_count"].as_u64().unwrap();
        let (_, body) = server.get(&format!("/features/{user}"));
        let found = body["features"]["purchase_count"].as_u64().unwrap();
        // One event of each sender may be in the log without its acknowledgement.
        let wanted = before + acknowledged;
        assert!(
            (wanted..=wanted + 24).contains(&found),
            "{user}: {found} purchases, {wanted} were acknowledged"
        );
    }
    // A build over files and log agrees with what is served, event by event.
    let served = |user: &str| server.get(&format!("/features/{user}")).1["features"].clone();
    let before: Vec<Json> = users.iter().map(|user| served(user)).collect();
    home.ok(&["build"]);
    home.ok(&["push"]);
    for (user, before) in users.iter().zip(before) {
        let after = served(user);
        for (name, value) in before.as_object().unwrap() {
            assert!(
                equal(&after[name], value),
                "{user} {name}: {value} live, {} built",
                after[name]
            );
        }
    }
}
