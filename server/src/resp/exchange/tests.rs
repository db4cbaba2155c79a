//! Conversations without a socket.

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
    assert!(said(b"COMMAND DOCS hget\n").starts_with("*2\r\n$4\r\nhget\r\n*6\r\n$7\r\nsummary"));
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
