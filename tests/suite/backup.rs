//! Backups while serving: what was acknowledged before is in them, whatever goes on meanwhile.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use redis::Commands;
use serde_json::{Value as Json, json};

use crate::support::{Home, Server};

/// A home over a backup.
fn restored(file: &str) -> Home {
    let mut home = Home::new();
    let dir = home.dir.path().join("data");
    home.root = Some(dir);
    home.ok(&["restore", file]);
    home
}

fn features(server: &Server, user: &str) -> Json {
    server.get(&format!("/features/{user}")).1["features"].clone()
}

#[test]
fn a_backup_under_load_holds_every_acknowledged_write() {
    let home = Home::with_demo(100, 15);
    let server = home.serve();
    let mut redis = server.redis();
    let users: Vec<String> = redis.keys("user:*").unwrap();
    let users: Vec<&str> = users
        .iter()
        .map(|key| key.trim_start_matches("user:"))
        .collect();
    let stop = AtomicBool::new(false);
    let acknowledged: Vec<AtomicU64> = (0..3).map(|_| AtomicU64::new(0)).collect();
    let backup = home.data().join("../backup.tar.zst");
    let backup = std::path::absolute(&backup).unwrap();
    let files: Vec<(String, [u64; 3])> = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut redis = server.redis();
            for n in 1.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let _: () = redis.set("plain", n).unwrap();
                acknowledged[0].store(n, Ordering::Release);
                let _: () = redis.hset("user:written", "account_age_days", n).unwrap();
                acknowledged[1].store(n, Ordering::Release);
                let event = json!({"user_id": "sender", "event_id": format!("b{n}"), "event_type": "purchase"});
                assert_eq!(server.post("/events", &event.to_string()).0, 200);
                acknowledged[2].store(n, Ordering::Release);
            }
        });
        let files = (0..3).map(|round| {
            while acknowledged[2].load(Ordering::Acquire) < 30 * (round + 1) {
                std::thread::yield_now();
            }
            let before = [0, 1, 2].map(|at: usize| acknowledged[at].load(Ordering::Acquire));
            let file = format!("{}.{round}", backup.display());
            home.ok(&["backup", &file]);
            (file, before)
        });
        let files = files.collect();
        stop.store(true, Ordering::Relaxed);
        files
    });
    let wanted: Vec<Json> = users[..10]
        .iter()
        .map(|user| features(&server, user))
        .collect();
    let said = home.fails(&["backup", &files[0].0]);
    assert!(said.contains("is there already"), "{said}");
    drop(server);
    for (file, before) in &files {
        let copy = restored(file);
        let server = copy.serve();
        let mut redis = server.redis();
        let plain: u64 = redis.get("plain").unwrap();
        let number = |user: &str, feature: &str| server.number(user, feature) as u64;
        let found = [
            plain,
            number("written", "account_age_days"),
            number("sender", "purchase_count"),
        ];
        for (found, before) in found.iter().zip(before) {
            assert!(found >= before, "{found:?} of {before:?}");
        }
        let held: Vec<Json> = users[..10]
            .iter()
            .map(|user| features(&server, user))
            .collect();
        assert_eq!(held, wanted);
        assert_eq!(server.get("/status").1["ready"], true);
        // It goes on from there: builds find the same history.
        copy.ok(&["build"]);
        copy.ok(&["push"]);
        assert_eq!(number("sender", "purchase_count"), found[2]);
        std::fs::remove_file(file).unwrap();
    }
}

#[test]
fn a_restore_is_whole_or_nothing() {
    let home = Home::with_demo(60, 5);
    let file = home.data().join("b.tar.zst");
    let file = file.to_str().unwrap();
    home.ok(&["backup", file]);
    let said = home.fails(&["restore", file]);
    assert!(said.contains("name a directory that is empty"), "{said}");
    let mut bytes = std::fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(file, bytes).unwrap();
    let mut empty = Home::new();
    empty.root = Some(empty.dir.path().join("data"));
    let said = empty.fails(&["restore", file]);
    assert!(said.contains("nothing was restored"), "{said}");
    assert!(!empty.dir.path().join("data/raw").exists());
}
