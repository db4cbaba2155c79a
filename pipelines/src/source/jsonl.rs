//! Splits a block of JSON lines into the wanted cells.
//! Called by `files` for the names of the columns and by `records` for the rows.
//!
//! A key that a line lacks is null, as is `null`. Lists and objects in text columns stay the
//! JSON text that they are. Blank lines are skipped; of a repeated key the last one counts.

use std::fmt;
use std::io::{self, Read};

use granary_registry::DType;
use memchr::memchr;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::cells::{Cell, Cells};
use super::format::read_full;
use super::{Reason, Wanted};

/// How much of a file is looked at for the names of its columns.
const SAMPLE: usize = 1 << 20;

/// What the first lines of a file tell.
#[derive(Clone, Debug)]
pub(super) struct Head {
    /// Keys of the sampled lines, in order of appearance.
    pub(super) names: Vec<String>,
    /// Where the first row begins in the unpacked bytes.
    pub(super) start: u64,
    /// Whether the file has no lines at all.
    pub(super) empty: bool,
}

/// Which keys go to which wanted columns.
pub(super) struct Keys<'a> {
    columns: &'a [Wanted],
}

impl Head {
    /// Samples the first lines.
    pub(super) fn read(input: &mut dyn Read) -> io::Result<Head> {
        let mut sample = vec![0; SAMPLE];
        let filled = read_full(input, &mut sample)?;
        sample.truncate(filled);
        let start = if sample.starts_with(b"\xef\xbb\xbf") {
            3
        } else {
            0
        };
        let mut names = Vec::new();
        for line in sample[start..].split(|byte| *byte == b'\n') {
            // A broken line, or one cut by the end of the sample, is met again when decoding.
            let _ = read_object(line, NamesVisitor { names: &mut names });
        }
        let empty = sample[start..].trim_ascii().is_empty() && filled < SAMPLE;
        Ok(Head {
            names,
            start: start as u64,
            empty,
        })
    }
}

impl<'a> Keys<'a> {
    pub(super) fn of(columns: &'a [Wanted]) -> Keys<'a> {
        Keys { columns }
    }

    /// Takes all lines that end in the block into `cells`; `last` if nothing follows it.
    /// Returns the number of bytes used up.
    pub(super) fn split(&self, block: &[u8], last: bool, cells: &mut Cells) -> usize {
        let mut row = vec![None; self.columns.len()];
        let mut at = 0;
        while at < block.len() {
            let (end, next) = match memchr(b'\n', &block[at..]) {
                Some(found) => (at + found, at + found + 1),
                None if last => (block.len(), block.len()),
                None => break,
            };
            if !block[at..end].trim_ascii().is_empty() {
                self.split_line(block, at..end, &mut row, cells);
            }
            at = next;
        }
        at
    }

    fn split_line<'b>(
        &self,
        block: &'b [u8],
        line: std::ops::Range<usize>,
        row: &mut [Option<&'b str>],
        cells: &mut Cells,
    ) {
        row.fill(None);
        let visitor = RowVisitor {
            columns: self.columns,
            row: &mut *row,
        };
        match read_object(&block[line.clone()], visitor) {
            Ok(()) => {
                for (column, raw) in row.iter().enumerate() {
                    self.push(block, column, *raw, cells);
                }
            }
            Err(reason) => cells.flaw(None, reason),
        }
        cells.end_record(line.start);
    }

    fn push(&self, block: &[u8], column: usize, raw: Option<&str>, cells: &mut Cells) {
        let wanted = self.columns[column].dtype;
        let cell = match raw.map(|raw| (kind(raw), raw)) {
            None | Some((Kind::Null, _)) => Cell::NULL,
            Some((found, raw)) if !accepts(wanted, found, raw) => {
                let flaw = Reason::Kind {
                    found: found.name(),
                    wanted,
                };
                cells.flaw(Some(column), flaw);
                in_block(block, raw)
            }
            Some((Kind::Text, raw)) if raw.contains('\\') => unescaped(raw, cells),
            Some((Kind::Text, raw)) => in_block(block, &raw[1..raw.len() - 1]),
            Some((_, raw)) => in_block(block, raw),
        };
        cells.push(column, cell);
    }
}

/// What a JSON value is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Null,
    Bool,
    Number,
    Text,
    List,
    Object,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Null => "null",
            Kind::Bool => "bool",
            Kind::Number => "number",
            Kind::Text => "text",
            Kind::List => "list",
            Kind::Object => "object",
        }
    }
}

/// The parser has checked the value, so that its first byte tells what it is.
fn kind(raw: &str) -> Kind {
    match raw.as_bytes().first() {
        Some(b'"') => Kind::Text,
        Some(b'[') => Kind::List,
        Some(b'{') => Kind::Object,
        Some(b't' | b'f') => Kind::Bool,
        Some(b'n') | None => Kind::Null,
        Some(_) => Kind::Number,
    }
}

fn accepts(wanted: DType, found: Kind, raw: &str) -> bool {
    match wanted {
        DType::Int | DType::Float => found == Kind::Number,
        DType::Bool => matches!(found, Kind::Bool | Kind::Number | Kind::Text),
        DType::Timestamp => found == Kind::Text,
        DType::Vector => found == Kind::List,
        DType::Text | DType::Categorical => match found {
            Kind::Number => !raw.contains(['.', 'e', 'E']),
            Kind::Null | Kind::Bool => false,
            Kind::Text | Kind::List | Kind::Object => true,
        },
    }
}

/// A part of the block as a cell: `raw` is borrowed from it.
fn in_block(block: &[u8], raw: &str) -> Cell {
    let start = raw.as_ptr() as usize - block.as_ptr() as usize;
    Cell::in_block(start, start + raw.len())
}

fn unescaped(raw: &str, cells: &mut Cells) -> Cell {
    let bytes = cells.unescaped();
    let start = bytes.len();
    // A lone surrogate is legal JSON but no text.
    match serde_json::from_str::<String>(raw) {
        Ok(text) => bytes.extend_from_slice(text.as_bytes()),
        Err(_) => bytes.push(0xff),
    }
    Cell::unescaped(start, bytes.len())
}

fn read_object<'de>(line: &'de [u8], visitor: impl Visitor<'de, Value = ()>) -> Result<(), Reason> {
    let line = std::str::from_utf8(line).map_err(|_| Reason::NotUtf8)?;
    let mut json = serde_json::Deserializer::from_str(line);
    let read = json.deserialize_map(visitor).and_then(|()| json.end());
    read.map_err(|error| Reason::Json(error.to_string()))
}

/// Takes the raw values of the wanted keys.
struct RowVisitor<'a, 'b> {
    columns: &'a [Wanted],
    row: &'a mut [Option<&'b str>],
}

impl<'de> Visitor<'de> for RowVisitor<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let columns = self.columns;
        let find = |key: &str| columns.iter().position(|column| column.name == key);
        while let Some(found) = map.next_key_seed(KeySeed(find))? {
            let Some(first) = found else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let raw = map.next_value::<&RawValue>()?.get();
            for (column, cell) in columns.iter().zip(self.row.iter_mut()) {
                if column.name == columns[first].name {
                    *cell = Some(raw);
                }
            }
        }
        Ok(())
    }
}

/// Collects keys that are new.
struct NamesVisitor<'a> {
    names: &'a mut Vec<String>,
}

impl<'de> Visitor<'de> for NamesVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let names = self.names;
        let add = |key: &str| {
            if !names.iter().any(|name| name == key) {
                names.push(key.to_owned());
            }
        };
        let mut add = add;
        while map.next_key_seed(KeySeed(&mut add))?.is_some() {
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

/// Looks at a key without keeping it.
struct KeySeed<F>(F);

impl<'de, T, F: FnMut(&str) -> T> DeserializeSeed<'de> for KeySeed<F> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<T, F: FnMut(&str) -> T> Visitor<'_> for KeySeed<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: serde::de::Error>(mut self, key: &str) -> Result<T, E> {
        Ok((self.0)(key))
    }
}
