//! An open-loop load: requests are due at even distances, whatever became of those before, and a
//! latency counts from the instant at which its request was due. So a server that falls behind is
//! charged for the queue that it makes, which a client that waits for answers would hide. Prints
//! one line of JSON.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::num::NonZeroU64;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use hdrhistogram::Histogram;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Percentiles that are told of.
const PERCENTILES: [f64; 12] = [
    10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 99.95, 99.99, 100.0,
];

/// What a template's word stands for a key number in.
const KEY: &str = "__rand__";

#[derive(Parser)]
#[command(about = "Load at a fixed rate, with latencies from when each request was due")]
struct Args {
    /// Where the server is
    #[arg(long)]
    address: String,
    /// What it speaks
    #[arg(long, value_enum, default_value = "http")]
    protocol: Protocol,
    /// Requests a second
    #[arg(long)]
    rate: f64,
    /// How long requests are due
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Keys are numbers below this, of twelve digits
    #[arg(long, default_value_t = 100_000)]
    keys: u64,
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// `GET /path/__rand__`, `POST /path BODY`, or the words of a Redis command
    #[arg(required = true)]
    request: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Protocol {
    Http,
    Resp,
}

/// A connection, and since when its request was due, if it has one on the way.
struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    due: Option<Instant>,
}

/// Makes one request after another.
struct Requests {
    protocol: Protocol,
    template: Vec<String>,
    keys: u64,
    state: u64,
}

impl Requests {
    fn number(&mut self) -> String {
        // splitmix64
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.state;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        format!("{:012}", (x ^ (x >> 31)) % self.keys)
    }

    fn filled(&mut self, word: &str) -> String {
        let mut out = String::with_capacity(word.len());
        let mut parts = word.split(KEY);
        out.push_str(parts.next().unwrap_or_default());
        for part in parts {
            let number = self.number();
            out.push_str(&number);
            out.push_str(part);
        }
        out
    }

    fn write(&mut self, out: &mut Vec<u8>) {
        out.clear();
        let template = self.template.clone();
        let words: Vec<String> = template.iter().map(|word| self.filled(word)).collect();
        match self.protocol {
            Protocol::Resp => {
                out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
                for word in words {
                    out.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
                }
            }
            Protocol::Http => {
                let line = words.join(" ");
                let mut parts = line.splitn(3, ' ');
                let mut part = || parts.next().unwrap_or_default();
                let (method, path, body) = (part(), part(), part());
                let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n");
                out.extend_from_slice(head.as_bytes());
                if !body.is_empty() {
                    let head = format!(
                        "Content-Type: application/json\r\nContent-Length: {}\r\n",
                        body.len()
                    );
                    out.extend_from_slice(head.as_bytes());
                }
                out.extend_from_slice(b"\r\n");
                out.extend_from_slice(body.as_bytes());
            }
        }
    }
}

/// The length of the first answer if it is whole, and whether it is a good one.
fn answer(protocol: Protocol, bytes: &[u8]) -> Option<(usize, bool)> {
    match protocol {
        Protocol::Resp => Some((reply(bytes, 0)?, bytes[0] != b'-')),
        Protocol::Http => {
            let mut headers = [httparse::EMPTY_HEADER; 64];
            let mut response = httparse::Response::new(&mut headers);
            let head = response.parse(bytes).ok()?;
            let httparse::Status::Complete(head) = head else {
                return None;
            };
            let length = response
                .headers
                .iter()
                .find(|header| header.name.eq_ignore_ascii_case("content-length"));
            let length = std::str::from_utf8(length?.value).ok()?;
            let end = head + length.trim().parse::<usize>().ok()?;
            (bytes.len() >= end).then_some((end, response.code == Some(200)))
        }
    }
}

/// Where the reply that begins at a place ends.
fn reply(bytes: &[u8], at: usize) -> Option<usize> {
    let end = at + bytes.get(at..)?.windows(2).position(|two| two == b"\r\n")?;
    let number = || {
        std::str::from_utf8(&bytes[at + 1..end])
            .ok()?
            .parse::<i64>()
            .ok()
    };
    let each = |count: i64| (0..count).try_fold(end + 2, |at, _| reply(bytes, at));
    match bytes[at] {
        b'$' | b'=' => {
            let length = number()?;
            let end = end + 2 + usize::try_from(length + 2).unwrap_or(0);
            (bytes.len() >= end).then_some(end)
        }
        b'*' | b'~' | b'>' => each(number()?.max(0)),
        b'%' => each(2 * number()?),
        _ => Some(end + 2),
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    // A timer may else be 50 us late, which would be counted as the server's.
    rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?;
    let mut requests = Requests {
        protocol: args.protocol,
        template: args.request.clone(),
        keys: args.keys.max(1),
        state: args.seed,
    };
    let mut connections = (0..args.connections.max(1))
        .map(|_| {
            let stream = TcpStream::connect(&args.address)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            Ok(Connection {
                stream,
                received: Vec::new(),
                due: None,
            })
        })
        .collect::<std::io::Result<Vec<_>>>()?;
    let total = (args.rate * args.seconds) as u64;
    let between = Duration::from_secs_f64(1.0 / args.rate);
    let start = Instant::now();
    let give_up = start + Duration::from_secs_f64(2.0 * args.seconds + 5.0);
    let mut latencies = Histogram::<u64>::new_with_bounds(100, 60_000_000_000, 3)?;
    let (mut sent, mut answered, mut bad) = (0u64, 0u64, 0u64);
    let (mut out, mut chunk) = (Vec::new(), vec![0; 256 << 10]);
    let mut idle: Vec<usize> = (0..connections.len()).collect();
    while answered < total && Instant::now() < give_up {
        while sent < total
            && let Some(&free) = idle.last()
        {
            let due = start + between.mul_f64(sent as f64);
            if due > Instant::now() {
                break;
            }
            idle.pop();
            requests.write(&mut out);
            connections[free].stream.write_all(&out)?;
            connections[free].due = Some(due);
            sent += 1;
        }
        let wait = if sent < total && !idle.is_empty() {
            let due = start + between.mul_f64(sent as f64);
            due.saturating_duration_since(Instant::now())
        } else {
            Duration::from_millis(100)
        };
        for ready in wait_for(&connections, wait)? {
            let connection = &mut connections[ready];
            match connection.stream.read(&mut chunk) {
                Ok(0) => return Err("the server closed a connection".into()),
                Ok(read) => connection.received.extend_from_slice(&chunk[..read]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error.into()),
            }
            if let Some((end, is_good)) = answer(args.protocol, &connection.received) {
                connection.received.drain(..end);
                if let Some(due) = connection.due.take() {
                    latencies.saturating_record(due.elapsed().as_nanos() as u64);
                }
                answered += 1;
                bad += u64::from(!is_good);
                idle.push(ready);
            }
        }
    }
    let took = start.elapsed().as_secs_f64();
    let micros = |percentile: f64| latencies.value_at_percentile(percentile) as f64 / 1e3;
    let percentiles: Vec<String> = PERCENTILES
        .iter()
        .map(|&percentile| format!("\"{percentile}\": {:.1}", micros(percentile)))
        .collect();
    println!(
        "{{\"rate\": {}, \"achieved\": {:.1}, \"requests\": {answered}, \"bad\": {bad}, \"micros\": {{{}}}}}",
        args.rate,
        answered as f64 / took,
        percentiles.join(", ")
    );
    Ok(())
}

/// The connections that have something, after so long at most.
fn wait_for(connections: &[Connection], limit: Duration) -> std::io::Result<Vec<usize>> {
    let mut sockets: Vec<PollFd<'_>> = connections
        .iter()
        .map(|connection| PollFd::from_borrowed_fd(connection.stream.as_fd(), PollFlags::IN))
        .collect();
    let limit = Timespec {
        tv_sec: limit.as_secs() as i64,
        tv_nsec: i64::from(limit.subsec_nanos()),
    };
    poll(&mut sockets, Some(&limit))?;
    let ready = sockets.iter().enumerate();
    let ready = ready.filter(|(_, socket)| !socket.revents().is_empty());
    Ok(ready.map(|(at, _)| at).collect())
}
