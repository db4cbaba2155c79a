//! Bodies over HTTP to a server with data and a model: whatever comes, an answer that is no
//! failure of the server, on a connection that goes on unless the answer says otherwise.

#![no_main]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{LazyLock, Mutex};

use granary_registry::Registry;
use granary_server::service::{Service, ServiceOptions};
use granary_server::{Doors, Limits};
use granary_storage::DataDir;
use libfuzzer_sys::fuzz_target;

const REGISTRY: &str = include_str!("../../registry.yaml");

/// Resources that take something; the first byte chooses.
const PATHS: [&str; 9] = [
    "/features",
    "/predict",
    "/events",
    "/events?source=review_table",
    "/get-online-features",
    "/push",
    "/write-to-online-store",
    "/v2/models/churn/infer",
    "/invocations",
];

/// What the body is said to be; the second byte chooses.
const KINDS: [&str; 4] = [
    "application/json",
    "application/x-ndjson",
    "application/vnd.apache.arrow.stream",
    "text/csv",
];

static CONNECTION: Mutex<Option<BufReader<TcpStream>>> = Mutex::new(None);

/// Where the server listens.
static ADDRESS: LazyLock<SocketAddr> = LazyLock::new(|| {
    let home = tempfile::tempdir().unwrap().keep();
    let (data, registry) = (home.join("data"), home.join("registry.yaml"));
    std::fs::write(&registry, REGISTRY).unwrap();
    let made = granary_server::cli::run([
        "granary".as_ref(),
        "up".as_ref(),
        "--no-serve".as_ref(),
        "--users".as_ref(),
        "60".as_ref(),
        "--data-dir".as_ref(),
        data.as_os_str(),
        "--registry".as_ref(),
        registry.as_os_str(),
    ]);
    made.unwrap();
    let parsed = Registry::parse(REGISTRY).unwrap();
    let data = DataDir::open(data).unwrap();
    let service = Service::open(data, REGISTRY, parsed, ServiceOptions::default()).unwrap();
    let http = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = http.local_addr().unwrap();
    let doors = Doors {
        http,
        resp: None,
        threads: 1,
        tls: None,
        limits: Limits::default(),
    };
    std::thread::spawn(move || {
        let (_never, stop) = tokio::sync::watch::channel(false);
        granary_server::serve(&service, doors, &stop)
    });
    address
});

/// Status of an answer, whose body is read too, and whether the connection goes on.
fn answer(connection: &mut BufReader<TcpStream>) -> (u16, bool) {
    let (mut status, mut length, mut goes_on) = (0, 0, true);
    let mut line = String::new();
    loop {
        line.clear();
        let read = connection
            .read_line(&mut line)
            .expect("the connection goes on");
        assert!(read > 0, "the connection was closed after {status}");
        let text = line.trim_end();
        if status == 0 {
            status = text
                .split(' ')
                .nth(1)
                .and_then(|it| it.parse().ok())
                .expect("a status line");
        } else if text.is_empty() {
            break;
        } else if let Some((name, value)) = text.split_once(": ") {
            match name {
                "content-length" => length = value.parse().expect("a length"),
                "connection" => goes_on = value != "close",
                _ => {}
            }
        }
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body).expect("the whole body");
    (status, goes_on)
}

fuzz_target!(|bytes: &[u8]| {
    let [path, kind, body @ ..] = bytes else {
        return;
    };
    let path = PATHS[usize::from(*path) % PATHS.len()];
    let kind = KINDS[usize::from(*kind) % KINDS.len()];
    let mut held = CONNECTION.lock().unwrap();
    let connect = || BufReader::new(TcpStream::connect(*ADDRESS).unwrap());
    let mut connection = held.take().unwrap_or_else(connect);
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    // In one piece: the second of two would wait for the first to be acknowledged.
    let request = [head.as_bytes(), body].concat();
    connection.get_mut().write_all(&request).unwrap();
    let (status, goes_on) = answer(&mut connection);
    assert!(status < 500, "{status} for {path}");
    *held = goes_on.then_some(connection);
});
