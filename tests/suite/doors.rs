//! The same events through every door, with copies, disorder and late ones: the features served
//! are the same, and those of the raw tables. Over RESP and from a file, `kill -9` at any moment
//! loses nothing that was acknowledged and takes no line twice.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray, TimestampNanosecondArray};
use arrow::ipc::writer::StreamWriter;
use serde_json::{Map, Value as Json, json};

use crate::agreement::{Dice, iso};
use crate::oracle::{Event, Raw, Review, equal};
use crate::support::{Home, Server};

const MINUTE: i64 = 60_000_000;
const DAY: i64 = 24 * 60 * MINUTE;

const DOORS: [&str; 6] = ["json", "ndjson", "arrow", "xadd", "tail", "tailcsv"];
const KINDS: [&str; 4] = ["purchase", "add_to_cart", "payment_failed", "page_view"];
const WORDS: [&str; 5] = [
    "love it",
    "terrible, broke at once",
    "fine",
    "GREAT!!!",
    "not good",
];
/// Events of one pipeline.
const PIPE: u64 = 16;

const ARROW: &str = "application/vnd.apache.arrow.stream";

/// A row by column; instants are microseconds until they are sent.
type Row = Vec<(&'static str, Json)>;

/// What one user does, the same for every door.
struct Story {
    events: Vec<Event>,
    reviews: Vec<Review>,
    /// Events that come too late to count before the next build.
    late: Vec<Event>,
}

impl Story {
    fn tell(dice: &mut Dice, now: i64) -> Story {
        let mut events: Vec<Event> = Vec::new();
        for number in 0..30 {
            if number > 0 && dice.below(6) == 0 {
                let copy = events[dice.below(events.len() as u64) as usize].clone();
                events.push(copy);
                continue;
            }
            // Within a day and a half of each other, in no order.
            let time = now - dice.below(36 * 60) as i64 * MINUTE;
            let kind = KINDS[dice.below(4) as usize].to_owned();
            let id = format!("e-{number}");
            events.push(Event { time, id, kind });
        }
        let late = (0..3).map(|number| Event {
            time: now - (20 + number) * DAY,
            id: format!("late-{number}"),
            kind: "purchase".to_owned(),
        });
        let late = late.collect();
        let reviews = (0..5).map(|_| {
            let text = WORDS[dice.below(5) as usize];
            Review {
                time: now - dice.below(30 * 60) as i64 * MINUTE,
                rating: Some(1.0 + dice.below(9) as f64 / 2.0),
                text_length: None,
                helpful_ratio: (dice.below(2) == 0).then_some(0.5),
                text: Some(text.to_owned()),
            }
        });
        let reviews = reviews.collect();
        Story {
            events,
            reviews,
            late,
        }
    }
}

fn event_row(user: &str, event: &Event) -> Row {
    vec![
        ("user_id", json!(user)),
        ("event_id", json!(event.id)),
        ("timestamp", json!(event.time)),
        ("event_type", json!(event.kind)),
    ]
}

fn review_row(user: &str, review: &Review) -> Row {
    vec![
        ("user_id", json!(user)),
        ("review_time", json!(review.time)),
        ("rating", json!(review.rating)),
        ("helpful_ratio", json!(review.helpful_ratio)),
        ("review_text", json!(review.text)),
    ]
}

fn is_time(name: &str) -> bool {
    name == "timestamp" || name == "review_time"
}

fn object(row: &Row) -> Json {
    let cell = |(name, value): &(&str, Json)| {
        let value = match is_time(name) {
            true => json!(iso(value.as_i64().unwrap())),
            false => value.clone(),
        };
        ((*name).to_owned(), value)
    };
    Json::Object(row.iter().map(cell).collect::<Map<_, _>>())
}

fn text(name: &str, value: &Json) -> Option<String> {
    match value {
        Json::Null => None,
        Json::Number(time) if is_time(name) => Some(iso(time.as_i64().unwrap())),
        Json::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn arrow_stream(rows: &[Row]) -> Vec<u8> {
    let column = |at: usize| -> (&str, ArrayRef) {
        let name = rows[0][at].0;
        let values = || rows.iter().map(|row| &row[at].1);
        let array: ArrayRef = match name {
            _ if is_time(name) => {
                let nanos = values().map(|value| value.as_i64().map(|time| time * 1_000));
                let array: TimestampNanosecondArray = nanos.collect();
                Arc::new(array.with_timezone("Asia/Kolkata"))
            }
            "rating" | "helpful_ratio" => {
                Arc::new(values().map(Json::as_f64).collect::<Float64Array>())
            }
            _ => Arc::new(values().map(Json::as_str).collect::<StringArray>()),
        };
        (name, array)
    };
    let columns = (0..rows[0].len()).map(column);
    let columns = columns.map(|(name, array)| (name, array, true));
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn csv_line<'a>(fields: impl Iterator<Item = &'a str>) -> String {
    let quoted = fields.map(|field| format!("\"{}\"", field.replace('"', "\"\"")));
    format!("{}\n", quoted.collect::<Vec<_>>().join(","))
}

/// Where the tailed files of a source lie.
fn tailed(home: &Home, source: &str, ending: &str) -> PathBuf {
    home.data().join(format!("live_{source}.{ending}"))
}

/// Sends rows of a source through a door; returns once they are taken in.
fn send(home: &Home, server: &Server, door: &str, source: &str, rows: &[Row]) {
    let taken = server.get("/status").1["events"]["accepted"]
        .as_u64()
        .unwrap();
    let path = format!("/events?source={source}");
    let objects: Vec<Json> = rows.iter().map(object).collect();
    let lines: Vec<String> = objects.iter().map(Json::to_string).collect();
    let lines = lines.join("\n") + "\n";
    let posted = match door {
        "json" => Some(server.post(&path, &json!(objects).to_string())),
        "ndjson" => Some(server.post_as(&path, "application/x-ndjson", lines.as_bytes())),
        "arrow" => Some(server.post_as(&path, ARROW, &arrow_stream(rows))),
        "xadd" => {
            let mut pipe = redis::pipe();
            for row in rows {
                let add = pipe.cmd("XADD").arg(source).arg("*");
                for (name, value) in row {
                    if let Some(value) = text(name, value) {
                        add.arg(*name).arg(value);
                    }
                }
            }
            let ids: Vec<String> = pipe.query(&mut server.redis()).unwrap();
            assert_eq!(ids.len(), rows.len());
            None
        }
        "tail" => {
            append(&tailed(home, source, "jsonl"), &lines);
            None
        }
        _ => {
            let path = tailed(home, source, "csv");
            if !path.exists() {
                append(&path, &csv_line(rows[0].iter().map(|(name, _)| *name)));
            }
            for row in rows {
                let fields = row
                    .iter()
                    .map(|(name, value)| text(name, value).unwrap_or_default());
                let fields: Vec<String> = fields.collect();
                append(&path, &csv_line(fields.iter().map(String::as_str)));
            }
            None
        }
    };
    if let Some((status, body)) = posted {
        assert_eq!(
            (status, &body["accepted"]),
            (200, &json!(rows.len())),
            "{door}: {body}"
        );
    }
    server.wait_for_events(taken + rows.len() as u64);
}

#[test]
fn every_door_serves_the_features_of_the_raw_tables() {
    let home = Home::with_demo(60, 21);
    let mut raw = Raw::read(&home.data().join("raw"));
    let now = raw.clock();
    let mut dice = Dice(21);
    let stories: Vec<Story> = (0..4).map(|_| Story::tell(&mut dice, now)).collect();
    let flags: Vec<String> = ["event_logs", "review_table"]
        .into_iter()
        .flat_map(|source| ["jsonl", "csv"].map(|ending| (source, ending)))
        .map(|(source, ending)| {
            format!(
                "--tail={source}={}",
                tailed(&home, source, ending).display()
            )
        })
        .collect();
    let server = home.serve_with(&flags.iter().map(String::as_str).collect::<Vec<_>>());
    for door in DOORS {
        for (number, story) in stories.iter().enumerate() {
            let user = format!("{door}-{number}");
            let rows = |events: &[Event]| -> Vec<Row> {
                events.iter().map(|event| event_row(&user, event)).collect()
            };
            for part in rows(&story.events).chunks(1 + number * 7) {
                send(&home, &server, door, "event_logs", part);
            }
            let reviews = story.reviews.iter().map(|review| review_row(&user, review));
            send(
                &home,
                &server,
                door,
                "review_table",
                &reviews.collect::<Vec<_>>(),
            );
            send(&home, &server, door, "event_logs", &rows(&story.late));
            raw.events.insert(user.clone(), story.events.clone());
            raw.reviews.insert(user.clone(), story.reviews.clone());
        }
    }
    let features = |user: &str| {
        let (status, body) = server.get(&format!("/features/{user}"));
        assert_eq!(status, 200, "{body}");
        body["features"].as_object().unwrap().clone()
    };
    let check = |raw: &Raw| {
        for number in 0..stories.len() {
            let first = features(&format!("{}-{number}", DOORS[0]));
            for door in DOORS {
                let user = format!("{door}-{number}");
                let found = features(&user);
                assert_eq!(found, first, "{user}");
                for (name, wanted) in raw.features(&user, raw.clock()) {
                    let found = &found[&name];
                    assert!(
                        equal(found, &wanted),
                        "{user} {name}: {found}, not {wanted}"
                    );
                }
            }
        }
    };
    check(&raw);
    assert!(!features("tail-0")["avg_sentiment_score"].is_null());
    for door in DOORS {
        for (number, story) in stories.iter().enumerate() {
            let held = raw.events.get_mut(&format!("{door}-{number}")).unwrap();
            held.extend(story.late.iter().cloned());
        }
    }
    home.ok(&["build"]);
    home.ok(&["push"]);
    check(&raw);
}

#[test]
fn arrow_that_does_not_fit_is_refused_by_column_type_and_row() {
    let home = Home::with_demo(60, 22);
    let server = home.serve();
    let stream = |name: &str, array: ArrayRef| {
        let users: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
        let batch = RecordBatch::try_from_iter([("user_id", users), (name, array)]).unwrap();
        let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
        writer.write(&batch).unwrap();
        writer.into_inner().unwrap()
    };
    let texts = || -> ArrayRef { Arc::new(StringArray::from(vec!["4", "5"])) };
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 1.5]));
    let path = "/events?source=review_table";
    let cases = [
        (
            stream("rating", texts()),
            "rating",
            "is Utf8 in the Arrow schema, registry says float",
        ),
        (
            stream("stars", texts()),
            "stars",
            "is no column of source `review_table`",
        ),
        (
            stream("total_votes", floats),
            "events[1].total_votes",
            "is no int",
        ),
        (
            stream("rating", texts())[..100].to_vec(),
            "body",
            "no Arrow IPC",
        ),
    ];
    for (body, field, reason) in cases {
        let (status, body) = server.post_as(path, ARROW, &body);
        assert_eq!(
            (status, &body["error"]["field"]),
            (422, &json!(field)),
            "{body}"
        );
        assert!(
            body["error"]["message"].as_str().unwrap().contains(reason),
            "{body}"
        );
    }
    assert_eq!(server.get("/status").1["events"]["accepted"], 0);
}

/// A client program, if it is there. CI sets `GRANARY_REQUIRE_CLIENTS`, so that none is left
/// out there by accident.
pub(crate) fn client(name: &str, try_with: &[&str]) -> bool {
    let found = Command::new(name).args(try_with).output();
    let found = found.is_ok_and(|output| output.status.success());
    let required = std::env::var_os("GRANARY_REQUIRE_CLIENTS").is_some();
    assert!(
        found || !required,
        "{name} {try_with:?} is required here and does not work"
    );
    found
}

#[test]
fn redis_cli_adds_events_one_by_one_and_in_a_mass() {
    if !client("redis-cli", &["--version"]) {
        return;
    }
    let home = Home::with_demo(60, 23);
    let server = home.serve();
    let (host, port) = server.resp.split_once(':').unwrap();
    let cli = |args: &[&str], input: &str| {
        let mut child = Command::new("redis-cli")
            .args(["-h", host, "-p", port])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    };
    let add = [
        "XADD",
        "events",
        "*",
        "user_id",
        "cli",
        "event_type",
        "purchase",
    ];
    let id = cli(&add, "");
    let (millis, offset) = id.trim().split_once('-').unwrap();
    assert!(
        millis.parse::<u64>().is_ok() && offset.parse::<u64>().is_ok(),
        "{id}"
    );
    let line = "XADD events * user_id cli event_type purchase\r\n";
    let said = cli(&["--pipe"], &line.repeat(500));
    assert!(said.contains("errors: 0, replies: 500"), "{said}");
    let bad = "XADD events * event_type purchase\r\n";
    let said = cli(&["--pipe"], &format!("{line}{bad}{line}"));
    assert!(said.contains("errors: 1, replies: 3"), "{said}");
    assert_eq!(server.number("cli", "purchase_count"), 503.0);
    let said = cli(
        &["XADD", "events", "MAXLEN", "~", "5", "*", "user_id", "cli"],
        "",
    );
    assert!(said.contains("keeps every event"), "{said}");
}

#[test]
fn pyarrow_and_redis_py_send_what_they_send_to_others() {
    let python = std::env::var("GRANARY_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    if !client(&python, &["-c", "import pyarrow, redis"]) {
        return;
    }
    let home = Home::with_demo(60, 24);
    let server = home.serve();
    let script = r#"
import sys, urllib.request, pyarrow as pa, redis
http, resp = sys.argv[1:]
table = pa.table({
    "user_id": pa.array(["py"] * 3).dictionary_encode(),
    "event_type": ["purchase", "purchase", None],
})
def send(kind, writer):
    sink = pa.BufferOutputStream()
    with writer(sink, table.schema) as out:
        out.write_table(table)
    request = urllib.request.Request(f"http://{http}/events", data=sink.getvalue().to_pybytes(),
        headers={"Content-Type": "application/vnd.apache.arrow." + kind})
    assert b'"accepted":3' in urllib.request.urlopen(request).read()
send("stream", pa.ipc.new_stream)
send("file", pa.ipc.new_file)
client = redis.Redis.from_url(f"redis://{resp}")
ids = [client.xadd("events", {"user_id": "py", "event_type": "purchase"})]
pipe = client.pipeline(transaction=False)
for _ in range(10):
    pipe.xadd("event_logs", {"user_id": "py", "event_type": "purchase"})
pipe.xadd("event_logs", {"event_type": "purchase"})
answers = pipe.execute(raise_on_error=False)
assert isinstance(answers.pop(), redis.ResponseError), answers
ids += answers
places = [tuple(map(int, id.split(b"-"))) for id in ids]
assert places == sorted(set(places)), places
"#;
    let output = Command::new(&python)
        .args(["-c", script, &server.http, &server.resp])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(server.number("py", "purchase_count"), 15.0);
    assert_eq!(server.number("py", "total_events"), 17.0);
}

#[test]
fn every_answered_xadd_survives_a_kill() {
    let home = Home::with_demo(60, 25);
    let now = Raw::read(&home.data().join("raw")).clock();
    let mut answered = [0u64; 3];
    let mut newest: Option<(u64, u64)> = None;
    for round in 0..5u64 {
        let server = home.serve();
        let sent = Arc::new(AtomicU64::new(0));
        let senders: Vec<_> = (0..3usize)
            .map(|sender| {
                let (mut redis, sent) = (server.redis(), sent.clone());
                std::thread::spawn(move || {
                    let mut ids = Vec::new();
                    loop {
                        let mut pipe = redis::pipe();
                        for _ in 0..PIPE {
                            let add = pipe.cmd("XADD").arg("events").arg("*");
                            add.arg("user_id").arg(format!("x-{sender}"));
                            add.arg("event_type").arg("purchase");
                            add.arg("timestamp").arg(iso(now));
                        }
                        let Ok(answers) = pipe.query::<Vec<String>>(&mut redis) else {
                            return ids;
                        };
                        ids.extend(answers);
                        sent.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        while sent.load(Ordering::Relaxed) < 20 + round * 13 {
            std::thread::yield_now();
        }
        server.kill();
        let mut places = Vec::new();
        for (sender, thread) in senders.into_iter().enumerate() {
            let ids = thread.join().unwrap();
            answered[sender] += ids.len() as u64;
            let place = |id: &String| {
                let (millis, offset) = id.split_once('-').unwrap();
                (millis.parse().unwrap(), offset.parse().unwrap())
            };
            let mine: Vec<(u64, u64)> = ids.iter().map(place).collect();
            assert!(mine.is_sorted(), "the ids of one client ascend");
            places.extend(mine);
        }
        places.sort_unstable();
        assert!(
            places.windows(2).all(|pair| pair[0] < pair[1]),
            "ids are unique"
        );
        assert!(newest < places.first().copied(), "ids ascend over restarts");
        newest = places.last().copied();
    }
    let server = home.serve();
    for (sender, answered) in answered.iter().enumerate() {
        let found = server.number(&format!("x-{sender}"), "purchase_count") as u64;
        // One pipeline a round may be in the log without its answers.
        let most = answered + 5 * PIPE;
        assert!(
            (*answered..=most).contains(&found),
            "{found} events, {answered} were answered"
        );
    }
}

#[test]
fn a_tailed_file_is_taken_exactly_once_over_kills_and_rotations() {
    let home = Home::with_demo(60, 26);
    let path = tailed(&home, "review_table", "jsonl");
    let flag = format!("--tail=review_table={}", path.display());
    // Rows without an id, all of them alike: only their place tells one from its copy.
    let stopped = Arc::new(AtomicBool::new(false));
    let written = Arc::new(AtomicU64::new(0));
    let writer = std::thread::spawn({
        let (path, stopped, written) = (path.clone(), stopped.clone(), written.clone());
        move || {
            let now = iso(1_700_000_000_000_000);
            while !stopped.load(Ordering::Relaxed) {
                let mut lines = String::new();
                for number in 0..50 {
                    let user = format!("t-{}", number % 3);
                    let line = json!({"user_id": user, "review_time": now, "rating": 4});
                    lines += &line.to_string();
                    lines.push('\n');
                }
                append(&path, &lines);
                written.fetch_add(50, Ordering::Relaxed);
                // Keeps the file within what a slow machine can read.
                std::thread::yield_now();
                if written.load(Ordering::Relaxed) >= 100_000 {
                    return;
                }
            }
        }
    });
    for round in 0..6u64 {
        let server = home.serve_with(&[&flag]);
        server.wait_for_events(200 + round * 170);
        server.kill();
    }
    stopped.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    let lines = written.load(Ordering::Relaxed);
    // Rotated while nobody looks: the rest of the old file is taken before the new one.
    std::fs::rename(&path, path.with_extension("jsonl.1")).unwrap();
    append(
        &path,
        "{\"user_id\": \"t-0\", \"rating\": 1}\nno event\n{\"user_id\": \"t-1\"}\n",
    );
    let server = home.serve_with(&[&flag]);
    let total = || -> u64 {
        let of = |user: usize| {
            let (status, body) = server.get(&format!("/features/t-{user}"));
            let found = body["features"]["total_reviews"].as_u64();
            if status == 404 { 0 } else { found.unwrap() }
        };
        (0..3).map(of).sum()
    };
    while total() < lines + 2 {
        std::thread::yield_now();
    }
    let metrics = crate::support::agent()
        .get(format!("http://{}/metrics", server.http))
        .call()
        .unwrap()
        .body_mut()
        .read_to_string()
        .unwrap();
    assert!(
        metrics.contains("granary_tail_bad_lines_total 1"),
        "{metrics}"
    );
    let bad = std::fs::read_to_string(home.data().join("bad_rows/tails.jsonl")).unwrap();
    assert!(bad.contains("no event"), "{bad}");
    assert_eq!(server.terminate(), Some(0));
    // Nothing is taken again by a start that has nothing left to do.
    let server = home.serve_with(&[&flag]);
    append(&path, "{\"user_id\": \"t-2\"}\n");
    server.wait_for_events(1);
    let found: u64 = (0..3)
        .map(|user| server.number(&format!("t-{user}"), "total_reviews") as u64)
        .sum();
    assert_eq!(found, lines + 3);
}
