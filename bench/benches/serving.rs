//! One answer at a time: a read, a RESP command, an HTTP request, a prediction.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use granary_bench::{Client, Doors, Workload, command};
use granary_server::service::{Lookup, Subject};

const USERS: u32 = 1_000;

fn serving(criterion: &mut Criterion) {
    let workload = Workload::demo(USERS);
    let service = workload.service();
    let keys = service.keys(None, USERS as usize).expect("keys");
    let catalog = service.catalog();
    let features = catalog.features.len();
    let mut next = keys.iter().cycle();
    let mut key = || next.next().expect("an endless circle");

    let names = [
        "purchases_7d",
        "last_active_days",
        "total_events",
        "age",
        "avg_rating",
    ];
    let few: Vec<usize> = catalog
        .places(&names.map(str::to_owned))
        .expect("features of the demo registry");
    let read = |key: &str, features| {
        service
            .features(Lookup {
                key,
                features,
                generation: catalog.generation,
                as_of: None,
            })
            .expect("a user")
    };
    criterion.bench_function(&format!("online_read/{features}_features"), |bencher| {
        bencher.iter(|| black_box(read(key(), None)));
    });
    criterion.bench_function("online_read/5_features", |bencher| {
        bencher.iter(|| black_box(read(key(), Some(&few))));
    });
    criterion.bench_function("predict/1_user", |bencher| {
        bencher.iter(|| {
            let subject = Subject {
                key: Some(key().clone()),
                features: Vec::new(),
            };
            black_box(service.predict(&[subject]).expect("a model"))
        });
    });

    let doors = Doors::open(&service);
    let mut resp = Client::connect(doors.resp);
    criterion.bench_function(&format!("resp/hgetall_{features}_features"), |bencher| {
        bencher.iter(|| resp.resp(&command(&["HGETALL", &format!("user:{}", key())])));
    });
    criterion.bench_function("resp/hget", |bencher| {
        bencher.iter(|| resp.resp(&command(&["HGET", &format!("user:{}", key()), "age"])));
    });
    let mut http = Client::connect(doors.http);
    criterion.bench_function(&format!("http/get_{features}_features"), |bencher| {
        bencher.iter(|| {
            let request = format!(
                "GET /features/{} HTTP/1.1\r\nHost: localhost\r\n\r\n",
                key()
            );
            http.http(request.as_bytes())
        });
    });
    criterion.bench_function("http/predict", |bencher| {
        bencher.iter(|| {
            let body = format!("{{\"user_id\":\"{}\"}}", key());
            let head = "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length:";
            http.http(format!("{head} {}\r\n\r\n{body}", body.len()).as_bytes())
        });
    });
}

criterion_group!(benches, serving);
criterion_main!(benches);
