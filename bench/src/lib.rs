//! The workload of the benches: a data directory with demo data, everything built, pushed
//! and trained once, outside every timer.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use granary_registry::Registry;
use granary_server::service::{Service, ServiceOptions};
use granary_storage::DataDir;
use tempfile::TempDir;
use tokio::sync::watch;

/// Demo data and what was made of them.
pub struct Workload {
    dir: TempDir,
}

impl Workload {
    /// Runs the whole job for so many users.
    ///
    /// # Panics
    /// If the job fails: there is nothing to measure then.
    pub fn demo(users: u32) -> Workload {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().to_string_lossy().into_owned();
        let registry = registry_file().to_string_lossy().into_owned();
        let users = users.to_string();
        let args = ["granary", "up", "--no-serve", "--users", &users];
        let args = args
            .into_iter()
            .chain(["--data-dir", &path, "--registry", &registry]);
        granary_server::cli::run(args).expect("the whole job");
        Workload { dir }
    }

    /// The data directory.
    pub fn data(&self) -> DataDir {
        DataDir::open(self.dir.path()).expect("the data directory of this workload")
    }

    /// The use cases over it.
    pub fn service(&self) -> Service {
        let text = std::fs::read_to_string(registry_file()).expect("the shipped registry");
        let registry = Registry::parse(&text).expect("the shipped registry");
        Service::open(self.data(), &text, registry, ServiceOptions::default()).expect("a service")
    }
}

/// The shipped registry.
pub fn registry_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../registry.yaml")
}

/// Both doors on loopback, until dropped.
pub struct Doors {
    /// Where HTTP is.
    pub http: SocketAddr,
    /// Where RESP is.
    pub resp: SocketAddr,
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
}

impl Doors {
    /// Opens them on free ports.
    pub fn open(service: &Service) -> Doors {
        let bind = || TcpListener::bind("127.0.0.1:0").expect("a free port");
        let (http, resp) = (bind(), bind());
        let addresses = (http.local_addr(), resp.local_addr());
        let (stop, stopped) = watch::channel(false);
        let service = service.clone();
        let doors = granary_server::Doors {
            http,
            resp: Some(resp),
            threads: 1,
            tls: None,
            limits: granary_server::Limits::default(),
        };
        let doors = std::thread::spawn(move || {
            granary_server::serve(&service, doors, &stopped).expect("both doors");
        });
        Doors {
            http: addresses.0.expect("a bound socket"),
            resp: addresses.1.expect("a bound socket"),
            stop,
            threads: vec![doors],
        }
    }
}

impl Drop for Doors {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// One connection that asks and waits, as a client without pipelining does.
pub struct Client {
    stream: BufReader<TcpStream>,
    line: String,
    status: String,
    body: Vec<u8>,
}

impl Client {
    /// Connects.
    pub fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).expect("a connection on loopback");
        stream.set_nodelay(true).expect("a socket option");
        Client {
            stream: BufReader::new(stream),
            line: String::new(),
            status: String::new(),
            body: Vec::new(),
        }
    }

    /// Sends an HTTP request and reads its whole answer; gives back the body's length.
    pub fn http(&mut self, request: &[u8]) -> usize {
        self.stream.get_mut().write_all(request).expect("a request");
        let mut length = 0;
        self.read_line();
        self.status.clone_from(&self.line);
        loop {
            self.read_line();
            let header = self.line.trim_end();
            if header.is_empty() {
                break;
            }
            if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a content length");
            }
        }
        self.read_body(length)
    }

    /// Sends a RESP command and reads its whole reply, an array of bulks or one bulk; gives
    /// back the number of bytes in it.
    pub fn resp(&mut self, command: &[u8]) -> usize {
        self.stream.get_mut().write_all(command).expect("a command");
        self.reply()
    }

    /// Sends events and reads the answer.
    ///
    /// # Panics
    /// If the server does not accept them.
    pub fn accepted(&mut self, request: &[u8]) {
        self.http(request);
        let accepted = self.status.contains(" 200 ");
        let answer = String::from_utf8_lossy(&self.body);
        assert!(accepted, "{}: {answer}", self.status.trim_end());
    }

    /// Sends a `SCAN` and gives back the next cursor and the keys.
    pub fn scan(&mut self, command: &[u8]) -> (String, Vec<String>) {
        self.stream.get_mut().write_all(command).expect("a command");
        self.read_line();
        assert_eq!(self.line.trim_end(), "*2", "a cursor and keys");
        self.reply();
        let cursor = self.bulk();
        self.read_line();
        let count: usize = self.line[1..].trim_end().parse().expect("a number of keys");
        let keys = (0..count).map(|_| {
            self.reply();
            self.bulk()
        });
        let keys = keys.collect();
        (cursor, keys)
    }

    fn bulk(&self) -> String {
        String::from_utf8_lossy(self.body.trim_ascii_end()).into_owned()
    }

    fn reply(&mut self) -> usize {
        self.read_line();
        let (kind, rest) = self.line.split_at(1);
        let number: i64 = rest.trim_end().parse().unwrap_or(0);
        match kind {
            "*" => (0..number).map(|_| self.reply()).sum(),
            "$" if number >= 0 => self.read_body(number as usize + 2) - 2,
            "-" => panic!("the server answered {}", self.line),
            _ => 0,
        }
    }

    fn read_line(&mut self) {
        self.line.clear();
        self.stream.read_line(&mut self.line).expect("an answer");
    }

    fn read_body(&mut self, length: usize) -> usize {
        self.body.resize(length, 0);
        self.stream
            .read_exact(&mut self.body)
            .expect("a whole body");
        length
    }
}

/// A RESP command as clients send it.
pub fn command(parts: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", parts.len()).into_bytes();
    for part in parts {
        bytes.extend_from_slice(format!("${}\r\n{part}\r\n", part.len()).as_bytes());
    }
    bytes
}
