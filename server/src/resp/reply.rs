//! A reply to bytes, in RESP2 or RESP3. Feature rows are written straight from the service's
//! answer. Called by `connection`; made by `execute`.

use granary_registry::Value;

use super::text::write_text;
use crate::service::FeatureRow;

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
    /// Features in the order asked for, nulls included.
    Values(Vec<Value>),
    /// An entity's features that are not null.
    Row(FeatureRow, Part),
}

/// What of a row is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Names and values: a map under RESP3.
    Map,
    /// Names and values as a flat list under both protocols, as `HSCAN` has it.
    Pairs,
    /// Names alone.
    Names,
    /// Values alone.
    Values,
}

/// The bytes that go out, with room to measure a value before its length is written.
#[derive(Debug, Default)]
pub struct Writer {
    /// What was written.
    pub out: Vec<u8>,
    scratch: Vec<u8>,
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
            Reply::Value(value) => self.value(value, protocol),
            Reply::Values(values) => {
                self.line(b'*', values.len());
                for value in values {
                    self.value(value, protocol);
                }
            }
            Reply::Row(row, part) => self.row(row, *part, protocol),
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

    fn row(&mut self, row: &FeatureRow, part: Part, protocol: Protocol) {
        let present = || row.features.iter().filter(|(_, value)| !value.is_null());
        let count = present().count();
        match part {
            Part::Map => self.map(count, protocol),
            Part::Pairs => self.line(b'*', count * 2),
            Part::Names | Part::Values => self.line(b'*', count),
        }
        for (name, value) in present() {
            if part != Part::Values {
                self.bulk(name.as_bytes());
            }
            if part != Part::Names {
                self.value(value, protocol);
            }
        }
    }

    fn value(&mut self, value: &Value, protocol: Protocol) {
        match value {
            Value::Null => self.null(protocol),
            Value::Text(text) => self.bulk(text.as_bytes()),
            other => {
                let mut scratch = std::mem::take(&mut self.scratch);
                scratch.clear();
                write_text(&mut scratch, other);
                self.bulk(&scratch);
                self.scratch = scratch;
            }
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

    /// Appends a string of bytes.
    pub(super) fn bulk(&mut self, bytes: &[u8]) {
        self.line(b'$', bytes.len());
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

#[cfg(test)]
mod tests {
    use granary_registry::EventTime;

    use super::*;
    use crate::service::Origin;

    fn written(reply: &Reply) -> [String; 2] {
        [Protocol::Resp2, Protocol::Resp3].map(|protocol| {
            let mut writer = Writer::default();
            writer.write(reply, protocol);
            String::from_utf8(writer.out).unwrap()
        })
    }

    fn row() -> FeatureRow {
        let features = vec![
            ("age".into(), Value::Int(27)),
            ("income".into(), Value::Null),
            ("event_vector".into(), Value::Vector(vec![1.0, 0.5].into())),
        ];
        FeatureRow {
            key: "7".to_owned(),
            as_of: EventTime(0),
            from: Origin::Online,
            features,
        }
    }

    #[test]
    fn rows_leave_nulls_out() {
        let pairs = "$3\r\nage\r\n$2\r\n27\r\n$12\r\nevent_vector\r\n$9\r\n[1.0,0.5]\r\n";
        let [two, three] = written(&Reply::Row(row(), Part::Map));
        assert_eq!(two, format!("*4\r\n{pairs}"));
        assert_eq!(three, format!("%2\r\n{pairs}"));
        let [two, three] = written(&Reply::Row(row(), Part::Pairs));
        assert_eq!(two, format!("*4\r\n{pairs}"));
        assert_eq!(three, two);
        let [names, _] = written(&Reply::Row(row(), Part::Names));
        assert_eq!(names, "*2\r\n$3\r\nage\r\n$12\r\nevent_vector\r\n");
        let [values, _] = written(&Reply::Row(row(), Part::Values));
        assert_eq!(values, "*2\r\n$2\r\n27\r\n$9\r\n[1.0,0.5]\r\n");
    }

    #[test]
    fn each_protocol_has_its_forms() {
        assert_eq!(written(&Reply::Null), ["$-1\r\n", "_\r\n"]);
        assert_eq!(
            written(&Reply::Values(vec![Value::Bool(true), Value::Null])),
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
