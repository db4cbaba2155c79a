//! One client: reads what has arrived, executes all of it, and writes all replies at once.
//! Events that came together are logged together, on a thread that may wait for the disk.
//! Called by `listener`.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::batch::Batch;
use super::command::{FeatureRead, FeatureStoreCommand, Refusal, Spec};
use super::execute::feature_store::answer;
use super::execute::refuse;
use super::execute::transaction::queue;
use super::listener::stopped;
use super::slowlog::Entry;
use super::{Arguments, Command, Context, Labels, Parser, Reply, Session, Writer, execute};
use crate::service::{ReadMemory, Service, ServiceError};

/// Room made for one read.
const READ: usize = 16 * 1024;

/// Replies are flushed at this size even if more requests are waiting.
const FLUSH: usize = 256 * 1024;

/// A buffer that grew beyond this is given back once it is empty.
const KEEP: usize = 1024 * 1024;

thread_local! {
    /// For all connections of a thread, of which one is answered at a time.
    static MEMORY: RefCell<Memory> = RefCell::default();
}

/// What serves one turn after another.
#[derive(Default)]
struct Memory {
    read: ReadMemory,
    labels: Labels,
}

/// Serves one client until it leaves, breaks the protocol, or the server stops; then what was
/// read is still answered.
pub(super) async fn serve(
    mut stream: TcpStream,
    service: Service,
    session: Session,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut exchange = Exchange::new(session);
    let client = Arc::clone(&exchange.session.client);
    loop {
        exchange.input.reserve(READ);
        let read = tokio::select! {
            biased;
            read = stream.read_buf(&mut exchange.input) => read?,
            () = stopped(&mut stop) => 0,
            () = client.killed.notified() => 0,
        };
        if read == 0 {
            return stream.shutdown().await;
        }
        exchange
            .session
            .server
            .metrics
            .resp_read
            .inc_by(read as u64);
        loop {
            let progress = exchange.answer(&service);
            if progress == Progress::Log {
                let (batch, service) = (exchange.take_batch(), service.clone());
                let logged = tokio::task::spawn_blocking(move || batch.log(&service)).await;
                exchange.logged(&logged?);
                continue;
            }
            if progress == Progress::Past
                && let Some(read) = exchange.past.take()
            {
                let service = service.clone();
                let found = tokio::task::spawn_blocking(move || answer(&read, &service)).await;
                exchange.told(&found?);
                continue;
            }
            if std::mem::take(&mut exchange.has_written) && service.writes_wait() {
                let service = service.clone();
                let settle = tokio::task::spawn_blocking(move || service.settle_writes());
                if let Err(error) = settle.await? {
                    exchange.unacknowledged(&error);
                    stream.write_all(&exchange.writer.out).await?;
                    return stream.shutdown().await;
                }
            }
            stream.write_all(&exchange.writer.out).await?;
            exchange.flushed();
            match progress {
                Progress::Flush | Progress::Log | Progress::Past => {}
                Progress::Read => break,
                Progress::Close => return stream.shutdown().await,
            }
        }
        if *stop.borrow() {
            return stream.shutdown().await;
        }
    }
}

/// What has come from a client and what goes back to it, without the socket.
struct Exchange {
    session: Session,
    parser: Parser,
    input: Vec<u8>,
    /// Bytes of `input` already answered.
    answered: usize,
    writer: Writer,
    /// Events read and not yet logged: their answers come next.
    batch: Batch,
    /// A read at an instant, which may take its time: its answer comes next.
    past: Option<FeatureRead>,
    /// Whether plain keys were written since replies last went out.
    has_written: bool,
}

/// What to do after the replies are out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// Go on answering.
    Flush,
    /// Log the batch, then go on answering.
    Log,
    /// Do the read at an instant, then go on answering.
    Past,
    /// All complete requests are answered.
    Read,
    /// The client said goodbye or cannot be understood any more.
    Close,
}

impl Exchange {
    fn new(session: Session) -> Exchange {
        Exchange {
            session,
            parser: Parser::default(),
            input: Vec::new(),
            answered: 0,
            writer: Writer::default(),
            batch: Batch::default(),
            past: None,
            has_written: false,
        }
    }

    /// Answers the complete requests of the input into the writer: one turn at the keys.
    fn answer(&mut self, service: &Service) -> Progress {
        MEMORY.with_borrow_mut(|memory| self.answer_with(service, memory))
    }

    fn answer_with(&mut self, service: &Service, memory: &mut Memory) -> Progress {
        let Memory { read, labels } = memory;
        let mut reader = service.reader(read).ok();
        let catalog = match &reader {
            Some(reader) => Arc::clone(reader.catalog()),
            None => service.catalog(),
        };
        let mut turn = service.turn();
        let mut done = Done::new();
        let progress = loop {
            if self.writer.out.len() >= FLUSH {
                break Progress::Flush;
            }
            if self.batch.is_full() {
                break Progress::Log;
            }
            let bytes = &self.input[self.answered..];
            let length = match self.parser.next(bytes) {
                Ok(Some(length)) => length,
                // What is found now is found again, once the events before it are answered.
                Ok(None) | Err(_) if !self.batch.is_empty() => break Progress::Log,
                Ok(None) => break Progress::Read,
                Err(error) => {
                    self.writer.error(&format!("ERR {error}"));
                    done.errors += 1;
                    break Progress::Close;
                }
            };
            let arguments = self.parser.arguments(bytes);
            if arguments.is_empty() {
                self.answered += length;
                continue;
            }
            let parsed = Command::parse(arguments);
            if let Ok((Command::Stream(command), _)) = &parsed
                && self.session.queue.is_none()
            {
                self.batch.add(command, length, service);
                self.answered += length;
                done.commands += 1;
                continue;
            }
            if !self.batch.is_empty() {
                break Progress::Log;
            }
            self.answered += length;
            if is_http(arguments) {
                tracing::warn!(
                    peer = %self.session.client.peer.remote,
                    "closed a connection that speaks HTTP to the RESP port"
                );
                break Progress::Close;
            }
            if let Ok((Command::FeatureStore(FeatureStoreCommand::Read(read)), _)) = &parsed
                && read.as_of.is_some()
                && self.session.queue.is_none()
            {
                self.past = Some(read.clone());
                done.commands += 1;
                break Progress::Past;
            }
            let before = self.writer.out.len();
            let mut context = Context {
                service,
                reader: &mut reader,
                session: &mut self.session,
                turn: &mut turn,
                catalog: &catalog,
                labels: &mut *labels,
                writer: &mut self.writer,
            };
            let reply = reply(&parsed, arguments, &mut context);
            done.command(&reply, arguments, &self.session);
            self.writer.write(&reply, self.session.protocol);
            if !self.session.is_heard() {
                self.writer.out.truncate(before);
            }
            if self.session.closing {
                break Progress::Close;
            }
        };
        done.count(&self.session, &self.writer);
        let ended = turn.end();
        self.compact();
        match ended {
            Ok(has_written) => {
                self.has_written |= has_written;
                progress
            }
            Err(error) => {
                self.unacknowledged(&error.into());
                Progress::Close
            }
        }
    }

    /// Takes back the replies that would acknowledge what the log did not take.
    fn unacknowledged(&mut self, error: &ServiceError) {
        self.writer.out.clear();
        self.writer.write(&refuse(error), self.session.protocol);
    }

    /// Writes the answer of a read at an instant.
    fn told(&mut self, reply: &Reply) {
        if let Reply::Error(_) = reply {
            self.session.server.metrics.resp_errors.inc();
        }
        if self.session.is_heard() {
            self.writer.write(reply, self.session.protocol);
        }
    }

    fn take_batch(&mut self) -> Batch {
        std::mem::take(&mut self.batch)
    }

    /// Writes the answers of a batch.
    fn logged(&mut self, replies: &[Reply]) {
        let errors = replies
            .iter()
            .filter(|reply| matches!(reply, Reply::Error(_)));
        self.session
            .server
            .metrics
            .resp_errors
            .inc_by(errors.count() as u64);
        for reply in replies {
            self.writer.write(reply, self.session.protocol);
        }
    }

    /// Drops the answered bytes. The parser counts from the start of its request, so an
    /// unfinished one may move.
    fn compact(&mut self) {
        self.input.drain(..self.answered);
        self.answered = 0;
        if self.input.is_empty() && self.input.capacity() > KEEP {
            self.input = Vec::new();
        }
    }

    fn flushed(&mut self) {
        self.writer.out.clear();
        if self.writer.out.capacity() > KEEP {
            self.writer.out = Vec::new();
        }
    }
}

/// What one request comes to.
fn reply(
    parsed: &Result<(Command<'_>, &'static Spec), Refusal>,
    arguments: Arguments<'_>,
    context: &mut Context<'_, '_>,
) -> Reply {
    if let Some(queued) = queue(context.session, arguments, parsed) {
        return queued;
    }
    match parsed {
        Ok((command, spec)) => execute(command, spec, arguments, context),
        Err(refusal) => Reply::Error(refusal.to_string()),
    }
}

/// Whether this is a line of an HTTP request: a page in a browser may make it send one here.
fn is_http(arguments: Arguments<'_>) -> bool {
    const VERBS: [&[u8]; 6] = [b"post", b"put", b"delete", b"head", b"options", b"patch"];
    let name = arguments.get(0).unwrap_or_default();
    let is = |word: &[u8]| name.eq_ignore_ascii_case(word);
    let ends_so = arguments
        .get(2)
        .is_some_and(|last| last.starts_with(b"HTTP/"));
    is(b"host:") || VERBS.iter().any(|verb| is(verb)) || (is(b"get") && ends_so)
}

/// What was done in a turn, counted once for all, so that a pipeline costs a few atomics.
struct Done {
    commands: u64,
    errors: u64,
    began: Instant,
}

impl Done {
    fn new() -> Done {
        Done {
            commands: 0,
            errors: 0,
            began: Instant::now(),
        }
    }

    fn command(&mut self, reply: &Reply, arguments: Arguments<'_>, session: &Session) {
        self.commands += 1;
        self.errors += u64::from(matches!(reply, Reply::Error(_)));
        let now = Instant::now();
        let took = now - std::mem::replace(&mut self.began, now);
        let is_secret =
            |name: &[u8]| name.eq_ignore_ascii_case(b"auth") || name.eq_ignore_ascii_case(b"hello");
        let slow = &session.server.slow;
        if slow.wants(took) && !is_secret(arguments.get(0).unwrap_or_default()) {
            slow.add(Entry::of(took, session), arguments);
        }
    }

    fn count(&self, session: &Session, writer: &Writer) {
        let metrics = &session.server.metrics;
        metrics.resp_commands.inc_by(self.commands);
        metrics.resp_errors.inc_by(self.errors);
        metrics.resp_written.inc_by(writer.out.len() as u64);
        session.touch();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::resp::session::tests::{peer, server};
    use crate::testing::empty_service;

    /// What a client gets that sends the bytes in the given pieces, and whether it is let go.
    fn talk(pieces: &[&[u8]]) -> (Vec<u8>, bool) {
        let mut exchange = Exchange::new(server(1).admit(peer()).unwrap());
        let service = empty_service();
        let mut heard = Vec::new();
        for piece in pieces {
            exchange.input.extend_from_slice(piece);
            loop {
                let progress = exchange.answer(&service);
                if progress == Progress::Log {
                    let replies = exchange.take_batch().log(&service);
                    exchange.logged(&replies);
                    continue;
                }
                heard.extend_from_slice(&exchange.writer.out);
                exchange.flushed();
                match progress {
                    Progress::Flush | Progress::Log | Progress::Past => {}
                    Progress::Read => break,
                    Progress::Close => return (heard, true),
                }
            }
        }
        (heard, false)
    }

    fn said(bytes: &[u8]) -> String {
        String::from_utf8(talk(&[bytes]).0).unwrap()
    }

    #[test]
    fn clients_shake_hands_as_they_do_with_redis() {
        let hello = said(b"*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n");
        assert!(
            hello.starts_with("%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n"),
            "{hello}"
        );
        assert!(
            hello.contains("$5\r\nproto\r\n:3\r\n$2\r\nid\r\n:1\r\n"),
            "{hello}"
        );
        assert!(said(b"HELLO\n").starts_with("*14\r\n"));
        assert_eq!(
            said(b"AUTH default x\nAUTH x y\n")
                .matches("+OK\r\n-WRONGPASS")
                .count(),
            1
        );
        assert!(said(b"AUTH x\n").starts_with("-ERR AUTH <password> called without any password"));
        assert_eq!(
            said(b"SELECT 0\nSELECT 1\n"),
            "+OK\r\n-ERR DB index is out of range\r\n"
        );
        assert_eq!(
            said(b"CLIENT SETNAME a\nCLIENT GETNAME\nRESET\nCLIENT GETNAME\n"),
            "+OK\r\n$1\r\na\r\n+RESET\r\n$-1\r\n"
        );
        assert!(said(b"CLIENT SETNAME 'a b'\n").starts_with("-ERR Client names cannot contain"));
        let list = said(b"CLIENT SETINFO LIB-NAME redis-py\nCLIENT LIST\n");
        assert!(list.contains("id=1 addr=127.0.0.1:50000") && list.contains("lib-name=redis-py"));
    }

    #[test]
    fn benchmarks_and_command_lines_get_what_they_ask_for() {
        assert_eq!(
            said(b"CONFIG GET save\nCONFIG GET APPEND*\n"),
            "*2\r\n$4\r\nsave\r\n$0\r\n\r\n\
             *4\r\n$11\r\nappendfsync\r\n$8\r\neverysec\r\n$10\r\nappendonly\r\n$3\r\nyes\r\n"
        );
        assert!(
            said(b"COMMAND DOCS hget\n").starts_with("*2\r\n$4\r\nhget\r\n*6\r\n$7\r\nsummary")
        );
        assert!(said(b"COMMAND INFO hget nothing\n").ends_with("*0\r\n$-1\r\n"));
        assert_eq!(said(b"\r\nECHO x\n"), "$1\r\nx\r\n");
        assert!(said(b"INFO\n").contains("\r\nloading:0\r\n"));
        assert!(said(b"HELLO 3\nINFO clients\n").contains("txt:# Clients\r\n"));
    }

    #[test]
    fn without_entities_every_key_is_absent() {
        assert_eq!(
            said(b"DBSIZE\nSCAN 0\nKEYS *\nRANDOMKEY\n"),
            ":0\r\n*2\r\n$1\r\n0\r\n*0\r\n*0\r\n$-1\r\n"
        );
        assert_eq!(
            said(b"EXISTS a b\nTYPE a\nTTL a\nOBJECT ENCODING a\n"),
            ":0\r\n+none\r\n:-2\r\n$-1\r\n"
        );
        assert_eq!(
            said(b"HGETALL a\nHGET a b\nHMGET a b c\nHLEN a\n"),
            "*0\r\n$-1\r\n*2\r\n$-1\r\n$-1\r\n:0\r\n"
        );
        assert_eq!(
            said(b"HELLO 3\nHGETALL a\nHGET a b\n")
                .split_once("modules\r\n*0\r\n")
                .unwrap()
                .1,
            "%0\r\n_\r\n"
        );
        assert_eq!(
            said(b"SCAN 12345\nHSCAN a 7\n"),
            "*2\r\n$1\r\n0\r\n*0\r\n*2\r\n$1\r\n0\r\n*0\r\n"
        );
        assert_eq!(said(b"SET a b\nFLUSHALL\nGET a\n"), "+OK\r\n+OK\r\n$-1\r\n");
        assert_eq!(said(b"POST / HTTP/1.1\r\nHost: x\r\n"), "");
        assert_eq!(said(b"GET / HTTP/1.1\r\nHost: x\r\n"), "");
        assert_eq!(said(b"CLIENT REPLY SKIP\nPING\nECHO x\n"), "$1\r\nx\r\n");
        assert_eq!(
            said(b"CLIENT REPLY OFF\nPING\nCLIENT REPLY ON\n"),
            "+OK\r\n"
        );
    }

    #[test]
    fn what_came_before_a_broken_request_is_answered() {
        let (heard, closed) = talk(&[b"PING\r\n*1\r\nfoo\r\nPING\r\n"]);
        assert_eq!(
            heard,
            b"+PONG\r\n-ERR Protocol error: expected '$', got 'f'\r\n"
        );
        assert!(closed);
        let (heard, closed) = talk(&[b"QUIT\r\nPING\r\n"]);
        assert_eq!((heard.as_slice(), closed), (b"+OK\r\n".as_slice(), true));
    }

    #[test]
    fn long_replies_are_flushed_on_the_way() {
        let piece = format!("ECHO {}\n", "x".repeat(1000)).repeat(1000);
        let (heard, _) = talk(&[piece.as_bytes()]);
        assert_eq!(heard.len(), 1000 * "$1000\r\n\r\n".len() + 1_000_000);
    }

    #[test]
    fn each_event_of_a_pipeline_has_its_own_answer_in_its_place() {
        let said = said(
            b"XADD events * user_id 7 event_type purchase\nXADD events * user_id 7 event_typ x\n\
              PING\nXADD review_table * user_id 7 rating much\nXADD event_logs * user_id 8\n\
              XADD nothing * a 1\nXADD nothing NOMKSTREAM * a 1\n*1\r\nfoo\r\n",
        );
        let lines: Vec<&str> = said.split("\r\n").collect();
        let (first, second) = (lines[1], lines[6]);
        let number = |id: &str| id.split_once('-').unwrap().1.parse::<u64>().unwrap();
        assert!(number(first) < number(second), "{said}");
        assert_eq!(
            lines[2].split(';').next().unwrap(),
            "-ERR event_typ: is no column of source \
            `event_logs`, which has event_id, user_id, timestamp, event_type, metadata"
        );
        assert_eq!(lines[3], "+PONG");
        assert_eq!(lines[4], "-ERR rating: \"much\" is no float");
        assert_eq!(
            lines[7],
            "-ERR there is no stream `nothing`; events go to `events`, `event_logs`, `review_table`"
        );
        assert_eq!(lines[8], "$-1");
        assert_eq!(lines[9], "-ERR Protocol error: expected '$', got 'f'");
    }

    /// Requests whose replies are one line each, so that replies can be counted.
    fn one_liners() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let request = prop_oneof![
            Just("PING".to_owned()),
            Just("DBSIZE".to_owned()),
            Just("TYPE user:1".to_owned()),
            Just("HLEN user:1".to_owned()),
            Just("CLIENT FOO".to_owned()),
            Just("DEL user:1".to_owned()),
            Just("XADD nothing * a 1".to_owned()),
            Just("XADD events * a 1".to_owned()),
            "[a-z]{3,9}( [a-z]{0,3}){0,3}".prop_filter("known", |line| {
                let name = line.split(' ').next().unwrap();
                super::super::command::find(name.as_bytes()).is_none()
            }),
        ];
        let encode = |line: String| {
            let words: Vec<&str> = line.split(' ').collect();
            let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
            for word in words {
                bytes.extend(format!("${}\r\n{word}\r\n", word.len()).into_bytes());
            }
            bytes
        };
        proptest::collection::vec(request.prop_map(encode), 0..20)
    }

    proptest! {
        #[test]
        fn a_pipeline_cut_anywhere_gets_one_reply_each(requests in one_liners(), cut: usize) {
            let bytes = requests.concat();
            let (first, second) = bytes.split_at(cut % (bytes.len() + 1));
            let (heard, closed) = talk(&[first, second]);
            prop_assert_eq!(heard.split(|byte| *byte == b'\n').count(), requests.len() + 1);
            prop_assert!(!closed);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            talk(&[&bytes]);
        }

        #[test]
        fn arbitrary_arguments_never_panic(
            at in 0usize..1000,
            arguments in proptest::collection::vec(
                prop_oneof![
                    "[a-z0-9*]{0,5}", Just("info".to_owned()), Just("list".to_owned()),
                    Just("get".to_owned()), Just("match".to_owned()), Just("count".to_owned()),
                    Just("0".to_owned()), Just("-1".to_owned()), Just("id".to_owned()),
                ],
                0..5,
            ),
        ) {
            let table = super::super::command::table();
            let line = format!("{} {}\n", table[at % table.len()].name, arguments.join(" "));
            let (heard, _) = talk(&[line.as_bytes()]);
            prop_assert!(heard.ends_with(b"\r\n"));
        }
    }
}
