//! Plain keys, held against a real Redis: any sequence of commands gets the same replies, to
//! the byte where order and time allow; and they outlive a kill.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use crate::agreement::Dice;
use crate::doors::client;
use crate::support::{Home, Server};

/// What a server answers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reply {
    Line(String),
    Number(i64),
    Bulk(Option<Vec<u8>>),
    List(Option<Vec<Reply>>),
}

/// A connection that speaks RESP2 and nothing else.
struct Wire {
    reader: BufReader<Box<dyn Read + Send>>,
    writer: Box<dyn Write + Send>,
}

impl Wire {
    fn tcp(address: &str) -> Wire {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Wire {
            reader: BufReader::new(Box::new(stream.try_clone().unwrap())),
            writer: Box::new(stream),
        }
    }

    fn unix(stream: UnixStream) -> Wire {
        Wire {
            reader: BufReader::new(Box::new(stream.try_clone().unwrap())),
            writer: Box::new(stream),
        }
    }

    fn send(&mut self, command: &[String]) {
        let mut bytes = Vec::new();
        write!(bytes, "*{}\r\n", command.len()).unwrap();
        for word in command {
            write!(bytes, "${}\r\n{word}\r\n", word.len()).unwrap();
        }
        self.writer.write_all(&bytes).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn reply(&mut self) -> Reply {
        let line = self.line();
        let number = || line[1..].parse::<i64>().unwrap();
        match line.as_bytes().first() {
            Some(b'+' | b'-') => Reply::Line(line),
            Some(b':') => Reply::Number(number()),
            Some(b'$') if number() < 0 => Reply::Bulk(None),
            Some(b'$') => {
                let mut bytes = vec![0; number() as usize + 2];
                self.reader.read_exact(&mut bytes).unwrap();
                bytes.truncate(bytes.len() - 2);
                Reply::Bulk(Some(bytes))
            }
            Some(b'*') if number() < 0 => Reply::List(None),
            Some(b'*') => Reply::List(Some((0..number()).map(|_| self.reply()).collect())),
            _ => panic!("`{line}` is no reply"),
        }
    }

    fn ask(&mut self, command: &[String]) -> Reply {
        self.send(command);
        self.reply()
    }
}

/// A Redis of its own, on a socket in a directory that goes away.
struct Redis {
    child: Child,
    _home: tempfile::TempDir,
    wire: Wire,
}

impl Redis {
    fn start() -> Redis {
        let home = tempfile::tempdir().unwrap();
        let socket = home.path().join("redis.sock");
        let child = Command::new("redis-server")
            .args([
                "--port",
                "0",
                "--databases",
                "1",
                "--save",
                "",
                "--unixsocket",
            ])
            .arg(&socket)
            .arg("--dir")
            .arg(home.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let stream = loop {
            match UnixStream::connect(&socket) {
                Ok(stream) => break stream,
                Err(_) => std::thread::yield_now(),
            }
        };
        Redis {
            child,
            _home: home,
            wire: Wire::unix(stream),
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(|word| word.replace('_', " ")).collect()
}

/// Commands, with k for a key, f for a field, v for a value, n for a number and s for seconds.
const SHAPES: &str = "
    GET k, SET k v, SET k v NX, SET k v XX, SET k v GET, SET k v EX s, SET k v PX s,
    SET k v KEEPTTL, SET k v NX GET, SET k v EXAT s, SET k v NX XX, SET k v EX s KEEPTTL,
    SET k v FOO, SETNX k v, SETEX k s v, PSETEX k s v, GETSET k v, GETDEL k, GETEX k,
    GETEX k EX s, GETEX k PERSIST, GETEX k PXAT s, GETEX k EX s PERSIST, MGET k k k,
    MSET k v k v, MSETNX k v k v, MSET k v k, APPEND k v, STRLEN k, GETRANGE k n n,
    SUBSTR k n n, SETRANGE k n v, INCR k, DECR k, INCRBY k n, DECRBY k n, INCRBYFLOAT k v,
    HSET k f v, HSET k f v f v, HSET k f, HMSET k f v f v, HSETNX k f v, HGET k f,
    HMGET k f f f, HGETALL k, HKEYS k, HVALS k, HLEN k, HEXISTS k f, HSTRLEN k f, HDEL k f,
    HDEL k f f, HINCRBY k f n, HINCRBYFLOAT k f v, HSCAN k 0, HSCAN k 0 MATCH f* COUNT 5,
    HRANDFIELD k 0, EXISTS k, EXISTS k k, TYPE k, DEL k, DEL k k, UNLINK k, TOUCH k k,
    RENAME k k, RENAMENX k k, COPY k k, COPY k k REPLACE, COPY k k DB 1, EXPIRE k s,
    EXPIRE k s NX, EXPIRE k s XX, EXPIRE k s GT, EXPIRE k s LT, EXPIRE k s NX GT,
    EXPIRE k s FOO, PEXPIRE k s, EXPIREAT k s, PEXPIREAT k s, TTL k, EXPIRETIME k, PERSIST k,
    KEYS *, KEYS [ab], DBSIZE, SCAN 0 COUNT 100, SCAN 0 TYPE hash COUNT 100, OBJECT ENCODING k,
    GET, HSET k, MULTI, EXEC, EXEC, DISCARD, WATCH k, UNWATCH, PING, ECHO v, NOSUCH k v,
    GET k k, SELECT 0, MOVE k 1, FLUSHALL, RANDOMKEY, STRLEN k, MEMORY FOO, OBJECT FOO k,
    SCAN x, HSCAN k x, EXPIRE k, CONFIG GET save, HRANDFIELD k x";

/// Draws commands about few keys, so that they meet.
struct Draw(Dice);

impl Draw {
    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.0.below(choices.len() as u64) as usize]
    }

    fn key(&mut self) -> String {
        self.of(&["a", "b", "c", "d", "e"]).to_owned()
    }

    fn field(&mut self) -> String {
        self.of(&["f", "g", "h", "i", "long-field-name"]).to_owned()
    }

    fn value(&mut self) -> String {
        let long = "x".repeat(70);
        let values = [
            "0",
            "1",
            "-7",
            "10",
            "3.5",
            "-0.25",
            "1e3",
            "text",
            "",
            "9223372036854775807",
            "-9223372036854775808",
            "99999999999999999999",
            "+5",
            "007",
            "a b",
            &long,
        ];
        self.of(&values).to_owned()
    }

    fn number(&mut self) -> String {
        self.of(&[
            "0",
            "1",
            "-1",
            "2",
            "5",
            "-3",
            "100",
            "x",
            "1.5",
            "9223372036854775807",
        ])
        .to_owned()
    }

    /// Far enough that nothing expires while a test runs, or long gone.
    fn seconds(&mut self) -> String {
        self.of(&[
            "1000",
            "5000",
            "100000",
            "0",
            "-1",
            "x",
            "9223372036854775807",
        ])
        .to_owned()
    }

    fn command(&mut self) -> Vec<String> {
        let shapes: Vec<&str> = SHAPES.split(',').map(str::trim).collect();
        let shape = self.of(&shapes);
        let word = |draw: &mut Draw, word: &str| match word {
            "k" => draw.key(),
            "f" => draw.field(),
            "v" => draw.value(),
            "n" => draw.number(),
            "s" => draw.seconds(),
            other => other.to_owned(),
        };
        shape.split(' ').map(|it| word(self, it)).collect()
    }
}

/// Puts what has no order into one, and leaves out what a clock decides.
fn comparable(command: &str, reply: Reply) -> Reply {
    let pairs = |list: Vec<Reply>| {
        let mut pairs: Vec<Reply> = list
            .chunks(2)
            .map(|pair| Reply::List(Some(pair.to_vec())))
            .collect();
        pairs.sort();
        Reply::List(Some(pairs))
    };
    match (command, reply) {
        ("KEYS" | "HKEYS" | "HVALS", Reply::List(Some(mut list))) => {
            list.sort();
            Reply::List(Some(list))
        }
        ("HGETALL", Reply::List(Some(list))) => pairs(list),
        ("HSCAN", Reply::List(Some(mut list))) if list.len() == 2 => match list.pop() {
            Some(Reply::List(Some(found))) => pairs(found),
            other => panic!("{other:?} is no page"),
        },
        ("SCAN", Reply::List(Some(mut list))) if list.len() == 2 => match list.pop() {
            Some(Reply::List(Some(mut found))) => {
                found.sort();
                Reply::List(Some(found))
            }
            other => panic!("{other:?} is no page"),
        },
        // Within a few seconds of one another, rounded here and there.
        ("TTL" | "EXPIRETIME", Reply::Number(seconds)) if seconds > 5 => {
            Reply::Number((seconds + 5) / 10)
        }
        ("RANDOMKEY", Reply::Bulk(Some(_))) => Reply::Line("+some".to_owned()),
        // Redis keeps a text that was appended to in two pieces, however short.
        ("OBJECT", Reply::Bulk(Some(name))) if name != b"listpack" && name != b"hashtable" => {
            Reply::Line("+text".to_owned())
        }
        // Small hashes end elsewhere.
        ("OBJECT", Reply::Bulk(Some(name))) if name == b"listpack" || name == b"hashtable" => {
            Reply::Line("+hash".to_owned())
        }
        (_, reply) => reply,
    }
}

fn near(here: &Reply, there: &Reply) -> bool {
    let number = |reply: &Reply| match reply {
        Reply::Bulk(Some(text)) => std::str::from_utf8(text).ok()?.parse::<f64>().ok(),
        _ => None,
    };
    match (number(here), number(there)) {
        (Some(here), Some(there)) => (here - there).abs() <= 1e-15 * here.abs().max(1e-5),
        _ => false,
    }
}

/// What differs first, if anything does.
fn difference(server: &Server, redis: &mut Redis, seed: u64, count: usize) -> Option<String> {
    let mut draw = Draw(Dice(seed));
    let mut ours = Wire::tcp(&server.resp);
    for wire in [&mut ours, &mut redis.wire] {
        for command in ["DISCARD", "UNWATCH", "FLUSHALL"] {
            wire.ask(&words(command));
        }
    }
    let mut sent = Vec::new();
    let mut queued: Option<Vec<String>> = None;
    for _ in 0..count {
        let command = draw.command();
        // Redis adds in 80 bits: the last digits of long sums differ, and then go.
        if queued.is_some() && command[0].ends_with("INCRBYFLOAT") {
            continue;
        }
        // Redis counts what has expired until somebody looks.
        if command[0] == "DBSIZE" {
            if queued.is_some() {
                continue;
            }
            for wire in [&mut ours, &mut redis.wire] {
                wire.ask(&words("EXISTS a b c d e"));
            }
        }
        sent.push(command.join(" "));
        let [mut here, mut there] = [ours.ask(&command), redis.wire.ask(&command)];
        let name = command[0].as_str();
        match (name, &mut queued) {
            ("MULTI", None) => queued = Some(Vec::new()),
            ("EXEC", Some(names)) => {
                for reply in [&mut here, &mut there] {
                    if let Reply::List(Some(list)) = reply {
                        for (name, reply) in names.iter().zip(list.iter_mut()) {
                            *reply = comparable(name, reply.clone());
                        }
                    }
                }
                queued = None;
            }
            ("DISCARD", Some(_)) => queued = None,
            (name, Some(names)) if there == Reply::Line("+QUEUED".to_owned()) => {
                names.push(name.to_owned());
            }
            _ => {}
        }
        let [here, there] = [comparable(name, here), comparable(name, there)];
        let recent = &sent[sent.len().saturating_sub(12)..];
        if name.ends_with("INCRBYFLOAT") && near(&here, &there) {
            for wire in [&mut ours, &mut redis.wire] {
                wire.ask(&["DEL".to_owned(), command[1].clone()]);
            }
            continue;
        }
        if here != there {
            return Some(format!(
                "seed {seed}: {here:?} instead of {there:?} after {recent:#?}"
            ));
        }
    }
    None
}

#[test]
fn any_sequence_of_commands_gets_the_replies_of_redis() {
    if !client("redis-server", &["--version"]) {
        return;
    }
    let (home, mut redis) = (Home::new(), Redis::start());
    let server = home.serve();
    let differences: Vec<String> = (0..100)
        .filter_map(|seed| difference(&server, &mut redis, seed, 400))
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Field expiry is newer than the Redis that Debian has: said here as its documentation has it.
#[test]
fn fields_expire_as_documented() {
    let home = Home::new();
    let server = home.serve();
    let mut wire = Wire::tcp(&server.resp);
    let mut ask = |line: &str| wire.ask(&words(line));
    let numbers =
        |numbers: &[i64]| Reply::List(Some(numbers.iter().copied().map(Reply::Number).collect()));
    let bulk = |text: &str| Reply::Bulk(Some(text.as_bytes().to_vec()));
    assert_eq!(ask("HSET h a 1 b 2 c 3"), Reply::Number(3));
    assert_eq!(ask("HEXPIRE h 1000 FIELDS 3 a b x"), numbers(&[1, 1, -2]));
    assert_eq!(ask("HEXPIRE h 2000 LT FIELDS 1 a"), numbers(&[0]));
    assert_eq!(ask("HEXPIRE h 2000 NX FIELDS 2 a c"), numbers(&[0, 1]));
    assert_eq!(ask("HTTL h FIELDS 2 a x"), numbers(&[1000, -2]));
    assert_eq!(ask("HPERSIST h FIELDS 2 a x"), numbers(&[1, -2]));
    assert_eq!(ask("HTTL h FIELDS 1 a"), numbers(&[-1]));
    assert_eq!(ask("HEXPIRE h 0 FIELDS 1 b"), numbers(&[2]));
    assert_eq!(ask("HLEN h"), Reply::Number(2));
    assert_eq!(
        ask("HGETEX h EX 500 FIELDS 1 a"),
        Reply::List(Some(vec![bulk("1")]))
    );
    assert_eq!(ask("HTTL h FIELDS 1 a"), numbers(&[500]));
    assert_eq!(ask("HSETEX h FNX EX 5 FIELDS 1 a 9"), Reply::Number(0));
    assert_eq!(ask("HSETEX h EX 5 FIELDS 1 d 9"), Reply::Number(1));
    assert_eq!(ask("HPEXPIREAT h 1 FIELDS 1 d"), numbers(&[2]));
    let taken = Reply::List(Some(vec![bulk("3"), Reply::Bulk(None)]));
    assert_eq!(ask("HGETDEL h FIELDS 2 c d"), taken);
    assert_eq!(ask("HDEL h a"), Reply::Number(1));
    assert_eq!(ask("TYPE h"), Reply::Line("+none".to_owned()));
    assert_eq!(
        ask("HEXPIRE h 1 FIELDS 2 a"),
        Reply::Line("-ERR The `numfields` parameter must match the number of arguments".to_owned())
    );
}

/// Under `always` every acknowledged write is there after `kill -9`, and under `everysec` too,
/// since the operating system has it by then.
#[test]
fn acknowledged_writes_outlive_a_kill() {
    for policy in ["always", "everysec"] {
        let home = Home::new();
        for round in 0..5_u64 {
            let server = home.serve_with(&["--appendfsync", policy]);
            let mut wire = Wire::tcp(&server.resp);
            for before in 0..round {
                let key = format!("round-{before}");
                let count = Reply::Bulk(Some(b"200".to_vec()));
                assert_eq!(
                    wire.ask(&words(&format!("GET {key}"))),
                    count,
                    "{policy} {key}"
                );
                assert_eq!(
                    wire.ask(&words(&format!("HLEN hash-{before}"))),
                    Reply::Number(200)
                );
            }
            for number in 1..=200 {
                for line in [
                    format!("INCR round-{round}"),
                    format!("HSET hash-{round} field-{number} {number}"),
                ] {
                    let reply = wire.ask(&words(&line));
                    assert!(matches!(reply, Reply::Number(_)), "{reply:?}");
                }
            }
            server.kill();
        }
    }
}

#[test]
fn a_transaction_sees_no_other_and_fails_if_a_watched_key_changed() {
    let home = Home::new();
    let server = home.serve();
    let [mut one, mut two] = [Wire::tcp(&server.resp), Wire::tcp(&server.resp)];
    let ok = Reply::Line("+OK".to_owned());
    assert_eq!(one.ask(&words("WATCH a")), ok);
    assert_eq!(two.ask(&words("SET a 1")), ok);
    assert_eq!(one.ask(&words("MULTI")), ok);
    assert_eq!(one.ask(&words("INCR a")), Reply::Line("+QUEUED".to_owned()));
    assert_eq!(one.ask(&words("EXEC")), Reply::List(None));
    // Both add to two keys at once, and see them equal.
    std::thread::scope(|scope| {
        for wire in [&mut one, &mut two] {
            scope.spawn(|| {
                for _ in 0..500 {
                    for line in ["MULTI", "INCR x", "INCR y", "EXEC"] {
                        wire.send(&words(line));
                    }
                    let replies: Vec<Reply> = (0..4).map(|_| wire.reply()).collect();
                    let Reply::List(Some(sums)) = &replies[3] else {
                        panic!("{replies:?}")
                    };
                    assert_eq!(sums[0], sums[1]);
                }
            });
        }
    });
    assert_eq!(
        one.ask(&words("GET y")),
        Reply::Bulk(Some(b"1000".to_vec()))
    );
}
