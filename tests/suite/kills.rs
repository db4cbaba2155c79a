//! `kill -9` again and again under a mixed load, with every write synced before it is
//! acknowledged: what was acknowledged is there, nothing is torn, and what was to expire has.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use redis::Commands;
use serde_json::json;

use crate::agreement::Dice;
use crate::support::{Home, Server, agent};

/// How often the server is killed; the state goes on from one life to the next.
const ROUNDS: u64 = 200;

/// One client's writes of one kind, numbered: the newest that was acknowledged, and the newest
/// that was sent.
#[derive(Clone, Copy, Debug, Default)]
struct Numbered {
    acknowledged: i64,
    sent: i64,
}

impl Numbered {
    /// Sends the next one; false once the server does not answer any more.
    fn next<E>(&mut self, send: impl FnOnce(i64) -> Result<(), E>) -> bool {
        self.sent += 1;
        let is_taken = send(self.sent).is_ok();
        if is_taken {
            self.acknowledged = self.sent;
        }
        is_taken
    }

    fn check(self, found: i64, what: &str) {
        let range = self.acknowledged..=self.sent;
        assert!(
            range.contains(&found),
            "{what}: {found} is not in {range:?}"
        );
    }

    /// Goes on from what is there.
    fn settle(&mut self, found: i64) {
        (self.acknowledged, self.sent) = (found, found);
    }
}

/// A client with keys, an entity and numbers of its own.
#[derive(Clone, Debug, Default)]
struct Client {
    name: String,
    text: Numbered,
    hash: Numbered,
    pair: Numbered,
    counter: Numbered,
    values: Numbered,
    events: Numbered,
    /// What expires: when it was sent, and after how long it is gone.
    lifetimes: Vec<(String, Instant, u64)>,
}

impl Client {
    /// Writes until the server is gone.
    fn run(&mut self, server: &Server, dice: &mut Dice, has_begun: &AtomicBool) {
        let mut redis = server.redis();
        let http = agent();
        let name = self.name.clone();
        loop {
            let key = |kind: &str| format!("{kind}:{name}");
            let goes_on = match dice.below(7) {
                0 => self.text.next(|n| redis.set::<_, _, ()>(key("text"), n)),
                1 => self.hash.next(|n| {
                    redis.hset_multiple::<_, _, _, ()>(key("hash"), &[("a", n), ("b", n)])
                }),
                2 => self.pair.next(|n| {
                    let mut pipe = redis::pipe();
                    pipe.atomic().set(key("one"), n).set(key("two"), n);
                    pipe.query::<()>(&mut redis)
                }),
                3 => self.counter.next(|_| redis.incr::<_, _, i64>(key("counter"), 1).map(|_| ())),
                4 => self.values.next(|n| {
                    let fields = [("account_age_days", n), ("income", n)];
                    redis.hset_multiple::<_, _, _, ()>(key("user"), &fields)
                }),
                5 => self.events.next(|n| {
                    let event = json!({"user_id": name, "event_id": format!("{name}-{n}"), "event_type": "purchase"});
                    let sent = http.post(format!("http://{}/events", server.http)).send(event.to_string());
                    sent.map_err(|_| ()).and_then(|answer| if answer.status() == 200 { Ok(()) } else { Err(()) })
                }),
                _ => {
                    let millis = [40, 60_000][dice.below(2) as usize];
                    let key = format!("life:{name}:{}", self.lifetimes.len());
                    let sent = Instant::now();
                    let set = redis::cmd("SET").arg(&key).arg(1).arg("PX").arg(millis).query::<()>(&mut redis);
                    if set.is_ok() {
                        self.lifetimes.push((key, sent, millis));
                    }
                    set.is_ok()
                }
            };
            has_begun.store(true, Ordering::Relaxed);
            if !goes_on {
                return;
            }
        }
    }

    /// Holds what is there against what was sent, and goes on from it.
    fn check(&mut self, server: &Server) {
        let mut redis = server.redis();
        let name = &self.name;
        let key = |kind: &str| format!("{kind}:{name}");
        let number = |redis: &mut redis::Connection, key: String| -> i64 {
            redis.get::<_, Option<i64>>(key).unwrap().unwrap_or(0)
        };
        let text = number(&mut redis, key("text"));
        self.text.check(text, "a text");
        let (a, b): (Option<i64>, Option<i64>) = redis.hmget(key("hash"), &["a", "b"]).unwrap();
        assert_eq!(a, b, "a hash is torn");
        self.hash.check(a.unwrap_or(0), "a hash");
        let (one, two) = (
            number(&mut redis, key("one")),
            number(&mut redis, key("two")),
        );
        assert_eq!(one, two, "a transaction is torn");
        self.pair.check(one, "a transaction");
        let counter = number(&mut redis, key("counter"));
        self.counter.check(counter, "a counter");
        let names = ["account_age_days", "income", "purchase_count"];
        let row: (Option<i64>, Option<f64>, Option<i64>) =
            redis.hmget(key("user"), &names).unwrap();
        assert_eq!(row.0.map(|n| n as f64), row.1, "a row of features is torn");
        self.values.check(row.0.unwrap_or(0), "written values");
        self.events.check(row.2.unwrap_or(0), "events");
        for (key, sent, millis) in self.lifetimes.drain(..) {
            let before = sent.elapsed().as_millis() as i64;
            let left: i64 = redis::cmd("PTTL").arg(&key).query(&mut redis).unwrap();
            let most = millis as i64 - before;
            if most <= 0 {
                assert_eq!(left, -2, "{key} should have expired {} ms ago", -most);
            } else {
                assert!(
                    left <= millis as i64 && (left > 0 || millis == 40),
                    "{key}: {left} of {millis}"
                );
            }
        }
        self.text.settle(text);
        self.hash.settle(a.unwrap_or(0));
        self.pair.settle(one);
        self.counter.settle(counter);
        self.values.settle(row.0.unwrap_or(0));
        self.events.settle(row.2.unwrap_or(0));
    }
}

#[test]
fn nothing_acknowledged_is_lost_or_torn_by_any_of_many_kills() {
    let home = Home::with_demo(60, 16);
    let mut clients: Vec<Client> = (0..3)
        .map(|n| Client {
            name: format!("kill-{n}"),
            ..Client::default()
        })
        .collect();
    let mut dice = Dice(16);
    for _ in 0..ROUNDS {
        let server = home.serve_with(&["--appendfsync", "always"]);
        for client in &mut clients {
            client.check(&server);
        }
        let moment = Duration::from_micros(dice.below(60_000));
        let seeds: Vec<u64> = clients.iter().map(|_| dice.below(1 << 40)).collect();
        let has_begun = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for (client, seed) in clients.iter_mut().zip(seeds) {
                let (server, has_begun) = (&server, &has_begun);
                scope.spawn(move || client.run(server, &mut Dice(seed), has_begun));
            }
            while !has_begun.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
            // Not a wait for something to happen: the moment of the crash is the input.
            std::thread::sleep(moment);
            server.kill_now();
        });
    }
    let server = home.serve();
    for client in &mut clients {
        client.check(&server);
        let acknowledged = client.text.acknowledged + client.events.acknowledged;
        assert!(
            acknowledged > ROUNDS as i64 / 2,
            "hardly anything was written: {client:?}"
        );
    }
}
