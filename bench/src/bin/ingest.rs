//! How many events a running server takes in durably, and how long one of them waits.
//!
//! ```sh
//! granary up --users 100000            # in another terminal
//! cargo run --release -p granary-bench --bin ingest -- --seconds 60
//! ```
//!
//! First batches, one after the other on a few connections, for so long; then single events at
//! a fixed rate, each timed from when it was due, so that waiting in a queue shows.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use granary_bench::{Client, command};

/// What the events are; a tenth of them count in features with a condition.
const KINDS: [&str; 10] = [
    "app_open",
    "page_view",
    "search",
    "view_product",
    "view_product",
    "page_view",
    "add_to_cart",
    "search",
    "purchase",
    "ticket_created",
];

#[derive(Clone, Debug, Parser)]
#[command(about = "Sends events to a running server and measures what it takes")]
struct Args {
    /// The server's HTTP door
    #[arg(long, default_value = "127.0.0.1:8000")]
    http: SocketAddr,
    /// The server's RESP door, which is asked for the users
    #[arg(long, default_value = "127.0.0.1:6379")]
    resp: SocketAddr,
    /// How long batches are sent
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Events in a request
    #[arg(long, default_value_t = 1_000)]
    batch: usize,
    /// Connections that send batches
    #[arg(long, default_value_t = 4)]
    clients: usize,
    /// How long single events are sent
    #[arg(long, default_value_t = 20)]
    single_seconds: u64,
    /// Single events per second
    #[arg(long, default_value_t = 500)]
    single_rate: u64,
}

/// Draws events of known users, no two alike.
struct Draw<'a> {
    users: &'a [String],
    random: u64,
    body: String,
}

impl<'a> Draw<'a> {
    fn new(users: &'a [String], client: usize) -> Draw<'a> {
        Draw {
            users,
            random: (micros() << 8) ^ client as u64,
            body: String::new(),
        }
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A request with so many events that happen now.
    fn request(&mut self, events: usize) -> Vec<u8> {
        use std::fmt::Write;
        self.body.clear();
        let now = timestamp();
        for _ in 0..events {
            let user = &self.users[self.next() as usize % self.users.len()];
            let kind = KINDS[self.next() as usize % KINDS.len()];
            let (high, low) = (self.next(), self.next());
            writeln!(
                self.body,
                "{{\"event_id\":\"{high:016x}-{low:016x}\",\"user_id\":\"{user}\",\
                 \"timestamp\":\"{now}\",\"event_type\":\"{kind}\",\
                 \"metadata\":{{\"page\":{}}}}}",
                low % 1_000
            )
            .expect("a string takes everything");
        }
        let mut request = format!(
            "POST /events HTTP/1.1\r\nHost: granary\r\nContent-Type: application/x-ndjson\r\n\
             Content-Length: {}\r\n\r\n",
            self.body.len()
        )
        .into_bytes();
        request.extend_from_slice(self.body.as_bytes());
        request
    }
}

fn main() {
    let args = Args::parse();
    let users = users(args.resp);
    println!("{} users", users.len());
    assert!(
        !users.is_empty(),
        "the server has no users: `granary up` first"
    );
    batches(&args, &users);
    singles(&args, &users);
}

fn batches(args: &Args, users: &[String]) {
    let begun = Instant::now();
    let until = begun + Duration::from_secs(args.seconds);
    let sent: Vec<(u64, Vec<Duration>)> = thread::scope(|scope| {
        let clients: Vec<_> = (0..args.clients)
            .map(|client| {
                scope.spawn(move || {
                    let mut draw = Draw::new(users, client);
                    let mut connection = Client::connect(args.http);
                    let (mut events, mut waits) = (0, Vec::new());
                    while Instant::now() < until {
                        let request = draw.request(args.batch);
                        let asked = Instant::now();
                        connection.accepted(&request);
                        waits.push(asked.elapsed());
                        events += args.batch as u64;
                    }
                    (events, waits)
                })
            })
            .collect();
        let join = |client: thread::ScopedJoinHandle<'_, _>| client.join().expect("a client");
        clients.into_iter().map(join).collect()
    });
    let seconds = begun.elapsed().as_secs_f64();
    let events: u64 = sent.iter().map(|(events, _)| events).sum();
    let waits = sent.into_iter().flat_map(|(_, waits)| waits).collect();
    println!(
        "batches of {}: {events} events in {seconds:.1} s, {:.0} events/s; a batch waits {}",
        args.batch,
        events as f64 / seconds,
        Quantiles::of(waits),
    );
}

fn singles(args: &Args, users: &[String]) {
    let total = args.single_rate * args.single_seconds;
    let clients = args.clients as u64;
    let begun = Instant::now();
    let waits: Vec<Vec<Duration>> = thread::scope(|scope| {
        let clients: Vec<_> = (0..clients)
            .map(|client| {
                scope.spawn(move || {
                    let mut draw = Draw::new(users, client as usize);
                    let mut connection = Client::connect(args.http);
                    let mut waits = Vec::new();
                    for number in (client..total).step_by(clients as usize) {
                        let due = Duration::from_nanos(number * 1_000_000_000 / args.single_rate);
                        thread::sleep(due.saturating_sub(begun.elapsed()));
                        let request = draw.request(1);
                        connection.accepted(&request);
                        waits.push(begun.elapsed().saturating_sub(due));
                    }
                    waits
                })
            })
            .collect();
        let join = |client: thread::ScopedJoinHandle<'_, _>| client.join().expect("a client");
        clients.into_iter().map(join).collect()
    });
    println!(
        "single events, {} a second: {total} in {:.1} s; one waits {}",
        args.single_rate,
        begun.elapsed().as_secs_f64(),
        Quantiles::of(waits.concat()),
    );
}

/// The keys of the served rows, by `SCAN`.
fn users(resp: SocketAddr) -> Vec<String> {
    let mut client = Client::connect(resp);
    let mut users = Vec::new();
    let mut cursor = "0".to_owned();
    loop {
        let (next, keys) = client.scan(&command(&[
            "SCAN", &cursor, "MATCH", "user:*", "COUNT", "10000",
        ]));
        let key = |key: String| key.strip_prefix("user:").map(str::to_owned);
        users.extend(keys.into_iter().filter_map(key));
        if next == "0" {
            return users;
        }
        cursor = next;
    }
}

/// Waits, sorted.
struct Quantiles(Vec<Duration>);

impl Quantiles {
    fn of(mut waits: Vec<Duration>) -> Quantiles {
        waits.sort_unstable();
        Quantiles(waits)
    }

    fn at(&self, share: f64) -> f64 {
        let place = (self.0.len() as f64 * share) as usize;
        let wait = self.0.get(place.min(self.0.len().saturating_sub(1)));
        wait.map_or(f64::NAN, |wait| wait.as_secs_f64() * 1_000.0)
    }
}

impl std::fmt::Display for Quantiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [half, most, nearly, longest] = [0.5, 0.99, 0.999, 1.0].map(|share| self.at(share));
        write!(
            f,
            "p50 {half:.2} ms, p99 {most:.2} ms, p99.9 {nearly:.2} ms, at most {longest:.2} ms"
        )
    }
}

fn micros() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_micros() as u64)
}

/// The instant as events carry it.
fn timestamp() -> String {
    granary_registry::EventTime(micros() as i64).to_string()
}
