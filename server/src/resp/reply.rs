//! A reply to bytes, in RESP2 or RESP3. What is long or asked for often is written without a
//! reply in between. Called by `connection` and `execute`.

use granary_registry::{Value, ValueRef};

use super::text::write_text;

/// How replies are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Maps are flat arrays, null is an empty bulk.
    #[default]
    Resp2,
    /// Maps, sets, verbatim text and null have forms of their own.
    Resp3,
}

/// An answer, before it is bytes.
#[derive(Clone, Debug)]
pub enum Reply {
    /// `+OK`
    Simple(&'static str),
    /// `-ERR …`
    Error(String),
    /// `:7`
    Integer(i64),
    /// A string of bytes.
    Bulk(Vec<u8>),
    /// A string of text.
    Text(String),
    /// Lines for people: verbatim under RESP3.
    Verbatim(String),
    /// No value.
    Null,
    /// No list: of a transaction that was not done.
    NullArray,
    /// It stands in the writer already.
    Written,
    /// A list.
    Array(Vec<Reply>),
    /// Without order: a list under RESP2.
    Set(Vec<Reply>),
    /// Names and values: a flat list under RESP2.
    Map(Vec<(Reply, Reply)>),
    /// One feature; null if it is.
    Value(Value),
}

/// The bytes that go out, with room to measure a value before its length is written.
#[derive(Debug, Default)]
pub struct Writer {
    /// What was written.
    pub out: Vec<u8>,
    scratch: Vec<u8>,
}

/// Room for the head of a list.
#[derive(Debug)]
pub(super) struct Gap {
    start: usize,
    end: usize,
}

impl Reply {
    /// `+OK`
    pub const OK: Reply = Reply::Simple("OK");

    /// An error that the program knows.
    pub fn error(text: &str) -> Reply {
        Reply::Error(text.to_owned())
    }

    /// A string that the program knows.
    pub fn text(text: impl Into<String>) -> Reply {
        Reply::Text(text.into())
    }
}

impl Writer {
    /// Appends a reply.
    pub fn write(&mut self, reply: &Reply, protocol: Protocol) {
        let resp3 = protocol == Protocol::Resp3;
        match reply {
            Reply::Simple(text) => {
                self.out.push(b'+');
                self.end(text.as_bytes());
            }
            Reply::Error(text) => self.error(text),
            Reply::Integer(number) => self.line(b':', *number),
            Reply::Bulk(bytes) => self.bulk(bytes),
            Reply::Verbatim(text) if resp3 => {
                self.line(b'=', text.len() + 4);
                self.out.extend_from_slice(b"txt:");
                self.end(text.as_bytes());
            }
            Reply::Text(text) | Reply::Verbatim(text) => self.bulk(text.as_bytes()),
            Reply::NullArray if !resp3 => self.out.extend_from_slice(b"*-1\r\n"),
            Reply::Null | Reply::NullArray => self.null(protocol),
            Reply::Written => {}
            Reply::Array(items) => self.list(b'*', items, protocol),
            Reply::Set(items) => self.list(if resp3 { b'~' } else { b'*' }, items, protocol),
            Reply::Map(pairs) => {
                self.map(pairs.len(), protocol);
                for (name, value) in pairs {
                    self.write(name, protocol);
                    self.write(value, protocol);
                }
            }
            Reply::Value(value) => self.value(value.into(), protocol),
        }
    }

    /// Appends an error; a line break inside would end it too early.
    pub fn error(&mut self, text: &str) {
        self.out.push(b'-');
        let line = text.bytes().map(|byte| {
            if matches!(byte, b'\r' | b'\n') {
                b' '
            } else {
                byte
            }
        });
        self.out.extend(line);
        self.out.extend_from_slice(b"\r\n");
    }

    /// Appends a feature's value.
    pub(super) fn value(&mut self, value: ValueRef<'_>, protocol: Protocol) {
        match value {
            ValueRef::Null => self.null(protocol),
            ValueRef::Text(text) => self.bulk(text.as_bytes()),
            ValueRef::Int(x @ 0..10) => {
                let digit = digit(x as usize);
                self.out
                    .extend_from_slice(&[b'$', b'1', b'\r', b'\n', digit, b'\r', b'\n']);
            }
            ValueRef::Int(x) => self.bulk(itoa::Buffer::new().format(x).as_bytes()),
            ValueRef::Float(x) => self.bulk(zmij::Buffer::new().format_finite(x).as_bytes()),
            other => {
                let mut scratch = std::mem::take(&mut self.scratch);
                scratch.clear();
                write_text(&mut scratch, other);
                self.bulk(&scratch);
                self.scratch = scratch;
            }
        }
    }

    /// How many bytes a feature's value has as text.
    pub(super) fn length_of(&mut self, value: ValueRef<'_>) -> usize {
        self.scratch.clear();
        write_text(&mut self.scratch, value);
        self.scratch.len()
    }

    /// Leaves room for the head of a list or map that is told with [`Writer::close`], best for
    /// one of so many items.
    pub(super) fn open(&mut self, items: usize) -> Gap {
        let start = self.out.len();
        self.line(b'*', items);
        Gap {
            start,
            end: self.out.len(),
        }
    }

    /// Puts the head of what was written since into its room.
    pub(super) fn close(&mut self, gap: &Gap, mark: u8, items: usize) {
        let body = self.out.len();
        self.line(mark, items);
        let head = body..self.out.len();
        if head.len() == gap.end - gap.start {
            self.out.copy_within(head, gap.start);
            self.out.truncate(body);
        } else {
            self.out[gap.start..].rotate_right(head.len());
            self.out.drain(gap.start + head.len()..gap.end + head.len());
        }
    }

    fn list(&mut self, mark: u8, items: &[Reply], protocol: Protocol) {
        self.line(mark, items.len());
        for item in items {
            self.write(item, protocol);
        }
    }

    /// Begins a map of so many pairs.
    pub(super) fn map(&mut self, pairs: usize, protocol: Protocol) {
        match protocol {
            Protocol::Resp2 => self.line(b'*', pairs * 2),
            Protocol::Resp3 => self.line(b'%', pairs),
        }
    }

    /// Begins a list.
    pub(super) fn array(&mut self, length: usize) {
        self.line(b'*', length);
    }

    /// Appends null.
    pub(super) fn null(&mut self, protocol: Protocol) {
        self.out.extend_from_slice(match protocol {
            Protocol::Resp2 => b"$-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// Appends what was written before.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Appends a string of bytes.
    #[inline]
    pub(super) fn bulk(&mut self, bytes: &[u8]) {
        let length = bytes.len();
        self.out.reserve(length + 16);
        match length {
            0..10 => self
                .out
                .extend_from_slice(&[b'$', digit(length), b'\r', b'\n']),
            10..100 => {
                let [tens, ones] = [digit(length / 10), digit(length % 10)];
                self.out
                    .extend_from_slice(&[b'$', tens, ones, b'\r', b'\n']);
            }
            _ => self.line(b'$', length),
        }
        self.end(bytes);
    }

    fn line(&mut self, mark: u8, number: impl itoa::Integer) {
        self.out.push(mark);
        self.out
            .extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    fn end(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
        self.out.extend_from_slice(b"\r\n");
    }
}

fn digit(number: usize) -> u8 {
    b'0' + number as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(reply: &Reply) -> [String; 2] {
        [Protocol::Resp2, Protocol::Resp3].map(|protocol| {
            let mut writer = Writer::default();
            writer.write(reply, protocol);
            String::from_utf8(writer.out).unwrap()
        })
    }

    #[test]
    fn heads_fit_whatever_their_length() {
        for (guess, items) in [(1, 1), (100, 2), (2, 100), (0, 0)] {
            let mut writer = Writer::default();
            writer.bulk(b"before");
            let gap = writer.open(guess);
            (0..items).for_each(|_| writer.bulk(b"ab"));
            writer.close(&gap, b'%', items);
            writer.bulk(b"behind");
            let body = "$2\r\nab\r\n".repeat(items);
            let wanted = format!("$6\r\nbefore\r\n%{items}\r\n{body}$6\r\nbehind\r\n");
            assert_eq!(String::from_utf8(writer.out).unwrap(), wanted);
        }
    }

    #[test]
    fn lengths_are_told_before_the_bytes() {
        for length in [0, 9, 10, 99, 100, 1_000] {
            let text = "x".repeat(length);
            let [written, _] = written(&Reply::Text(text.clone()));
            assert_eq!(written, format!("${length}\r\n{text}\r\n"));
        }
    }

    #[test]
    fn each_protocol_has_its_forms() {
        assert_eq!(written(&Reply::Null), ["$-1\r\n", "_\r\n"]);
        assert_eq!(
            written(&Reply::Array(vec![
                Reply::Value(Value::Bool(true)),
                Reply::Value(Value::Null)
            ])),
            ["*2\r\n$4\r\nTrue\r\n$-1\r\n", "*2\r\n$4\r\nTrue\r\n_\r\n"]
        );
        assert_eq!(
            written(&Reply::Verbatim("a\r\n".to_owned())),
            ["$3\r\na\r\n\r\n", "=7\r\ntxt:a\r\n\r\n"]
        );
        assert_eq!(
            written(&Reply::Set(vec![Reply::OK])),
            ["*1\r\n+OK\r\n", "~1\r\n+OK\r\n"]
        );
        assert_eq!(written(&Reply::NullArray), ["*-1\r\n", "_\r\n"]);
    }

    #[test]
    fn an_error_stays_on_its_line() {
        let [two, three] = written(&Reply::Error("ERR a\r\n+OK".to_owned()));
        assert_eq!(two, "-ERR a  +OK\r\n");
        assert_eq!(three, two);
    }
}
