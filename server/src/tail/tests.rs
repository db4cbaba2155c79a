//! Files are written, rotated, copied and emptied, the server is killed in between: every line
//! is an event once, in its order, or a bad line that is written down.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use granary_pipelines::replay;
use granary_registry::{Registry, Value};
use granary_storage::{LogReader, Offset};
use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;

use super::follow::LONGEST;
use super::*;
use crate::service::ServiceOptions;

/// Looks after which a renamed file is left.
const LOOKS: usize = 12;

struct Bench {
    home: TempDir,
    tails: Option<Tails>,
    ending: &'static str,
    written: u64,
    rotated: u64,
}

impl Bench {
    fn new(ending: &'static str) -> Bench {
        let home = tempfile::tempdir().unwrap();
        let mut bench = Bench {
            home,
            tails: None,
            ending,
            written: 0,
            rotated: 0,
        };
        bench.restart();
        bench
    }

    /// What is left after `kill -9`: nothing is finished or kept.
    fn restart(&mut self) {
        self.tails = None;
        let text = include_str!("../../../registry.yaml");
        let data = DataDir::open(self.home.path().join("data")).unwrap();
        let registry = Registry::parse(text).unwrap();
        let options = ServiceOptions::default();
        let service = Service::open(data.clone(), text, registry, options).unwrap();
        // A source without ids: nothing but the place tells a line from its copy.
        let spec = format!("review_table={}", self.path().display());
        let spec = TailSpec::parse(&spec).unwrap();
        self.tails = Some(Tails::open(&service, &data, &[spec]).unwrap());
    }

    fn path(&self) -> PathBuf {
        self.home.path().join(format!("reviews.{}", self.ending))
    }

    fn look(&mut self) {
        let tails = self.tails.as_mut().unwrap();
        let moved = tails.step();
        tails.checkpoint(!moved);
    }

    fn look_often(&mut self) {
        for _ in 0..LOOKS {
            self.look();
        }
    }

    fn append(&self, text: &str) {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path())
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn line(&mut self) -> String {
        self.written += 1;
        json!({"user_id": "u", "product_id": self.written.to_string(), "summary": "x".repeat(70)})
            .to_string()
    }

    fn append_lines(&mut self, count: usize) {
        for _ in 0..count {
            let line = self.line();
            self.append(&format!("{line}\n"));
        }
    }

    fn rotated_path(&mut self) -> PathBuf {
        self.rotated += 1;
        self.path()
            .with_extension(format!("{}.{}", self.ending, self.rotated))
    }

    fn rename(&mut self) {
        let to = self.rotated_path();
        fs::rename(self.path(), to).unwrap();
        File::create(self.path()).unwrap();
    }

    fn copy_and_empty(&mut self) {
        let to = self.rotated_path();
        fs::copy(self.path(), to).unwrap();
        OpenOptions::new()
            .write(true)
            .open(self.path())
            .unwrap()
            .set_len(0)
            .unwrap();
    }

    /// The products of all logged reviews, in order.
    fn logged(&self) -> Vec<u64> {
        let service = &self.tails.as_ref().unwrap().service;
        let log = LogReader::open(self.home.path().join("data/log"));
        let mut products = Vec::new();
        replay(&log, Offset(0), service.log_offset(), |_, event| {
            let Value::Text(product) = event.field("product_id").clone() else {
                panic!("{event:?}")
            };
            products.push(product.parse().unwrap());
            Ok(())
        })
        .unwrap();
        products
    }

    fn bad_lines(&self) -> Vec<serde_json::Value> {
        let text = fs::read_to_string(self.home.path().join("data/bad_rows/tails.jsonl")).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn assert_all_once(&self) {
        assert_eq!(self.logged(), (1..=self.written).collect::<Vec<_>>());
    }
}

#[test]
fn a_file_that_comes_later_is_taken_in_whole_lines() {
    let mut bench = Bench::new("jsonl");
    bench.look();
    let line = bench.line();
    let (half, rest) = line.split_at(20);
    bench.append(half);
    bench.look();
    assert!(bench.logged().is_empty());
    bench.append(&format!("{rest}\n\n"));
    bench.look();
    bench.assert_all_once();
}

#[test]
fn bad_lines_are_written_down_with_their_place_and_stop_nothing() {
    let mut bench = Bench::new("jsonl");
    bench.append_lines(1);
    let at = fs::metadata(bench.path()).unwrap().len();
    bench.append("{\"user_id\": \"u\", \"stars\": 5}\nno json\n");
    bench.append_lines(1);
    bench.append("\u{fffd}{}\n");
    bench.look_often();
    bench.assert_all_once();
    let bad = bench.bad_lines();
    assert_eq!(bad.len(), 3);
    assert_eq!(
        (&bad[0]["column"], &bad[0]["offset"]),
        (&json!("stars"), &json!(at))
    );
    assert_eq!(bad[1]["raw"], "no json");
    // The last one has no event behind it; its place is kept all the same.
    bench.restart();
    bench.look_often();
    bench.assert_all_once();
    assert_eq!(bench.bad_lines().len(), 3);
    let status = bench.tails.as_ref().unwrap().service.status();
    assert_eq!((status.tail_lines, status.tail_bad_lines), (0, 0));
}

#[test]
fn a_line_that_is_too_long_is_passed_over() {
    let mut bench = Bench::new("jsonl");
    bench.append_lines(1);
    bench.append(&"y".repeat(LONGEST + 100));
    bench.look_often();
    bench.append("yyy\n");
    bench.append_lines(2);
    bench.look_often();
    bench.assert_all_once();
    let bad = bench.bad_lines();
    assert_eq!(bad.len(), 1);
    assert!(
        bad[0]["reason"]
            .as_str()
            .unwrap()
            .starts_with("longer than")
    );
}

#[test]
fn the_last_line_of_a_rotated_file_may_lack_its_end() {
    let mut bench = Bench::new("jsonl");
    bench.append_lines(2);
    bench.look();
    let line = bench.line();
    bench.append(&line);
    bench.rename();
    bench.append_lines(1);
    bench.look_often();
    bench.look_often();
    bench.assert_all_once();
    bench.restart();
    bench.look_often();
    bench.assert_all_once();
}

#[test]
fn csv_is_read_under_its_header_after_a_restart_too() {
    let mut bench = Bench::new("csv");
    bench.append("product_id,user_id,summary\n1,u,\"a, b\"\n");
    bench.look();
    bench.restart();
    bench.append("2,u,\n3,u\n");
    bench.look();
    bench.written = 2;
    bench.assert_all_once();
    assert_eq!(bench.bad_lines().len(), 1);
}

#[test]
fn a_copy_under_the_old_name_goes_on_where_the_original_was_left() {
    let mut bench = Bench::new("jsonl");
    bench.append_lines(3);
    bench.look();
    bench.tails = None;
    let bytes = fs::read(bench.path()).unwrap();
    fs::remove_file(bench.path()).unwrap();
    fs::write(bench.path().with_extension("new"), bytes).unwrap();
    fs::rename(bench.path().with_extension("new"), bench.path()).unwrap();
    bench.append_lines(1);
    bench.restart();
    bench.look_often();
    bench.assert_all_once();
}

#[test]
fn what_takes_no_events_is_refused_at_the_start() {
    let bench = Bench::new("jsonl");
    let tails = bench.tails.as_ref().unwrap();
    let data = DataDir::open(bench.home.path().join("data")).unwrap();
    let spec = |text: &str| TailSpec::parse(text).unwrap();
    let open = |specs: &[TailSpec]| Tails::open(&tails.service, &data, specs).err().unwrap();
    let error = open(&[spec("user_table=a.csv")]).to_string();
    assert!(
        error.contains("user_table") && error.contains("review_table"),
        "{error}"
    );
    let error = open(&[spec("event_logs=a"), spec("review_table=./a")]).to_string();
    assert!(error.contains("is there twice"), "{error}");
    assert!(
        TailSpec::parse("a.jsonl")
            .unwrap_err()
            .contains("SOURCE=PATH")
    );
    assert!(TailSpec::parse("=a.jsonl").is_err());
    assert!(Path::new(&spec("s=a.jsonl").path).is_absolute());
}

#[derive(Clone, Debug)]
enum Act {
    Append(usize),
    Half,
    Bad,
    Look,
    Rename,
    CopyAndEmpty,
    Restart,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => (1usize..60).prop_map(Act::Append),
        1 => Just(Act::Half),
        1 => Just(Act::Bad),
        4 => Just(Act::Look),
        1 => Just(Act::Rename),
        1 => Just(Act::CopyAndEmpty),
        2 => Just(Act::Restart),
    ];
    prop::collection::vec(act, 1..24)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn every_line_is_taken_once_whatever_happens(acts in acts()) {
        let mut bench = Bench::new("jsonl");
        bench.append_lines(1);
        bench.look();
        let mut bad = 0;
        let mut half: Option<String> = None;
        for act in acts {
            // A writer finishes its line before it does anything else.
            if let Some(rest) = half.take_if(|_| !matches!(act, Act::Look | Act::Restart)) {
                bench.append(&rest);
            }
            match act {
                Act::Append(lines) => bench.append_lines(lines),
                Act::Half if half.is_none() => {
                    let line = bench.line();
                    bench.append(&line[..30]);
                    half = Some(format!("{}\n", &line[30..]));
                }
                Act::Half => {}
                Act::Bad => {
                    bad += 1;
                    bench.append("oops\n");
                }
                Act::Look => bench.look(),
                // Two rotations in one look's time would leave a file that nobody saw.
                Act::Rename => {
                    bench.look_often();
                    bench.append_lines(2);
                    bench.rename();
                    bench.append_lines(2);
                }
                Act::CopyAndEmpty => {
                    bench.look_often();
                    bench.append_lines(2);
                    bench.copy_and_empty();
                    bench.append_lines(2);
                }
                Act::Restart => bench.restart(),
            }
        }
        bench.append(&half.unwrap_or_default());
        bench.look_often();
        bench.look_often();
        bench.assert_all_once();
        // A bad line may be told again after a crash, but never not at all.
        prop_assert!(bench.bad_lines().len() >= bad);
    }
}
