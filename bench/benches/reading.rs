//! Raw tables: the activity columns of events in CSV, per byte.

use std::fmt::Write;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use granary_pipelines::source::{BadRows, SourceFiles, Wanted};
use granary_registry::{DType, EventTime, Registry};

const EVENTS: u32 = 200_000;
const EVENTS_OF_A_USER: u32 = 250;

const REGISTRY: &str = "
project: bench
entities: {user: {key: user_id, type: text}}
sources:
  events:
    path: raw/events.csv
    entity: user
    event_time: at
    columns: {user_id: text, at: timestamp, kind: categorical}
feature_groups:
  activity:
    entity: user
    source: events
    features:
      - {name: total_events, dtype: int, aggregation: count}
";

const KINDS: [&str; 5] = [
    "page_view",
    "search",
    "view_product",
    "add_to_cart",
    "purchase",
];

/// Events with an id that nobody wants and, in quotes or not, a text that nobody wants.
fn csv(quoted: bool) -> String {
    let mut text = "event_id,user_id,at,kind,metadata\n".to_owned();
    for event in 0..EVENTS {
        let user = event / EVENTS_OF_A_USER;
        let at = EventTime(1_767_225_600_000_000 + i64::from(event) * 1_234_567_891);
        let kind = KINDS[(event.wrapping_mul(2_654_435_761) >> 16) as usize % KINDS.len()];
        let metadata = if quoted {
            r#""{""device"": ""mobile"", ""page"": ""/a,b""}""#
        } else {
            "mobile /a/b and what else there is"
        };
        writeln!(text, "e{event:08},user_{user:06},{at},{kind},{metadata}").expect("a string");
    }
    text
}

fn reading(criterion: &mut Criterion) {
    let registry = Registry::parse(REGISTRY).expect("the registry above");
    let source = registry.source("events").expect("its source");
    let columns = [
        Wanted::required("user_id", DType::Text),
        Wanted::required("at", DType::Timestamp),
        Wanted::optional("kind", DType::Categorical),
    ];
    let mut benches = criterion.benchmark_group("csv");
    benches.sample_size(20);
    for (name, quoted) in [("plain/200k_events", false), ("quoted/200k_events", true)] {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let text = csv(quoted);
        std::fs::create_dir(directory.path().join("raw")).expect("a new directory");
        std::fs::write(directory.path().join("raw/events.csv"), &text).expect("a new file");
        benches.throughput(Throughput::Bytes(text.len() as u64));
        benches.bench_function(name, |bencher| {
            bencher.iter(|| {
                let files = SourceFiles::find(source, directory.path()).expect("the file");
                black_box(files.read(&columns, &BadRows::strict()).expect("events"))
            });
        });
    }
    benches.finish();
}

criterion_group!(benches, reading);
criterion_main!(benches);
