//! Whole histories: the activity features from Parquet, per million events.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use granary_bench::{Workload, registry_file};
use granary_pipelines::source::BadRows;
use granary_pipelines::{Job, KnownFiles, batch};
use granary_registry::{EventTime, Registry};
use granary_server::service::default_embedder;
use granary_storage::{Offset, Tombstones};

/// About a million events.
const USERS: u32 = 4_000;

fn folding(criterion: &mut Criterion) {
    let workload = Workload::demo(USERS);
    let data = workload.data();
    let text = std::fs::read_to_string(registry_file()).expect("the shipped registry");
    let registry = Registry::parse(&text).expect("the shipped registry");
    let bad_rows = BadRows::strict();
    let known = KnownFiles::default();
    let job = Job {
        registry: &registry,
        data: &data,
        log_until: Offset(0),
        embedder: Arc::clone(&default_embedder()),
        bad_rows: &bad_rows,
        erased: &Tombstones::default(),
        known: &known,
        memory: usize::MAX,
        progress: &|_| {},
    };
    let group = registry
        .group("user_activity_features")
        .expect("a group of the demo registry");
    let folds = batch::fold(&job, group, None).expect("the demo's events");
    let mut benches = criterion.benchmark_group("activity");
    benches.sample_size(20);
    benches.throughput(Throughput::Elements(folds.rows_read));
    benches.bench_function("fold/1M_events", |bencher| {
        bencher.iter(|| black_box(batch::fold(&job, group, None).expect("the demo's events")));
    });
    benches.bench_function("fold_and_finalize/1M_events", |bencher| {
        bencher.iter(|| {
            let folds = batch::fold(&job, group, None).expect("the demo's events");
            let mut entities = 0;
            folds
                .each(|states| {
                    entities += states.finalize(EventTime::MAX)?.keys.len();
                    Ok(())
                })
                .expect("features");
            black_box(entities)
        });
    });
    benches.finish();
}

criterion_group!(benches, folding);
criterion_main!(benches);
