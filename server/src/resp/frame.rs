//! Bytes to arguments. Requests arrive in pieces: the parser keeps its place, so no byte is
//! looked at twice and nothing is copied. Called by `connection` with the unread bytes.

use super::inline;

/// Most arguments of one request.
const MAX_ARGUMENTS: usize = 1024 * 1024;
/// Longest argument. Redis allows 512 MB; nothing here takes values of that size.
pub(super) const MAX_BULK: usize = 64 * 1024 * 1024;
/// Longest request as a whole, so that many long arguments cannot fill the memory.
const MAX_REQUEST: usize = 256 * 1024 * 1024;
/// Longest line: an inline request, or the header of an argument.
const MAX_LINE: usize = 64 * 1024;

/// Why the bytes are no request, in Redis's words. The connection cannot go on after one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// `*` without a usable count.
    #[error("Protocol error: invalid multibulk length")]
    MultibulkLength,
    /// `$` without a usable length.
    #[error("Protocol error: invalid bulk length")]
    BulkLength,
    /// No end of the line that holds the count.
    #[error("Protocol error: too big mbulk count string")]
    LongMultibulkHeader,
    /// No end of the line that holds a length.
    #[error("Protocol error: too big bulk count string")]
    LongBulkHeader,
    /// Something else where an argument should begin.
    #[error("Protocol error: expected '$', got '{}'", .0.escape_ascii())]
    ExpectedBulk(u8),
    /// No end of a line typed by hand.
    #[error("Protocol error: too big inline request")]
    LongInline,
    /// A quote that is not closed.
    #[error("Protocol error: unbalanced quotes in request")]
    Quotes,
    /// More than `MAX_REQUEST` in one request.
    #[error("Protocol error: too big request")]
    LongRequest,
}

/// The arguments of one request, the command's name first.
#[derive(Clone, Copy, Debug)]
pub struct Arguments<'a> {
    bytes: &'a [u8],
    ends: &'a [(usize, usize)],
}

impl<'a> Arguments<'a> {
    /// Of bytes in which each begins and ends there.
    pub(super) fn new(bytes: &'a [u8], ends: &'a [(usize, usize)]) -> Arguments<'a> {
        Arguments { bytes, ends }
    }

    /// Whether the request was empty: a bare newline, `*0`.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// How many there are, the name included.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// One of them.
    pub fn get(&self, index: usize) -> Option<&'a [u8]> {
        let (start, end) = *self.ends.get(index)?;
        self.bytes.get(start..end)
    }

    /// Those from one position on, as a request of their own.
    pub fn after(&self, index: usize) -> Arguments<'a> {
        Arguments {
            bytes: self.bytes,
            ends: self.ends.get(index..).unwrap_or_default(),
        }
    }

    /// All from one position on.
    pub fn from(&self, index: usize) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let bytes = self.bytes;
        let ends = self.ends.get(index..).unwrap_or_default();
        ends.iter().map(move |&(start, end)| &bytes[start..end])
    }
}

/// Reads requests off the front of a growing buffer.
#[derive(Debug, Default)]
pub struct Parser {
    stage: Stage,
    /// First byte not yet understood, from the start of the request.
    at: usize,
    /// First byte not yet searched for the end of a line.
    searched: usize,
    /// Start and end of each argument.
    ends: Vec<(usize, usize)>,
    /// The arguments of an inline request, which may be written with escapes.
    unquoted: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Start,
    /// This many arguments are still to come.
    Header(usize),
    /// An argument of this length, then this many more.
    Body { length: usize, more: usize },
    /// A request is out; the next call begins anew.
    Done { inline: bool },
}

impl Parser {
    /// The length of the next request, or none while bytes are missing. Its arguments are then
    /// had from [`Parser::arguments`]; the next call must pass the bytes after it. An empty
    /// request (a bare newline, `*0`) has no arguments.
    pub fn next(&mut self, bytes: &[u8]) -> Result<Option<usize>, ProtocolError> {
        if let Stage::Done { .. } = self.stage {
            self.begin();
        }
        loop {
            let moved = match self.stage {
                Stage::Start if bytes.is_empty() => false,
                Stage::Start if bytes[0] == b'*' => self.count(bytes)?,
                Stage::Start => self.line_by_hand(bytes)?,
                Stage::Header(more) => self.header(bytes, more)?,
                Stage::Body { length, more } => self.body(bytes, length, more),
                Stage::Done { .. } => return Ok(Some(self.at)),
            };
            if !moved {
                return Ok(None);
            }
        }
    }

    /// The arguments of the request that [`Parser::next`] has just found in these bytes.
    pub fn arguments<'a>(&'a self, bytes: &'a [u8]) -> Arguments<'a> {
        let inline = self.stage == Stage::Done { inline: true };
        let bytes = if inline {
            self.unquoted.as_slice()
        } else {
            bytes
        };
        Arguments {
            bytes,
            ends: &self.ends,
        }
    }

    fn begin(&mut self) {
        self.stage = Stage::Start;
        self.at = 0;
        self.searched = 0;
        self.ends.clear();
        self.unquoted.clear();
    }

    fn count(&mut self, bytes: &[u8]) -> Result<bool, ProtocolError> {
        let Some(line) = self.line(bytes, ProtocolError::LongMultibulkHeader)? else {
            return Ok(false);
        };
        let count = integer(&line[1..]).ok_or(ProtocolError::MultibulkLength)?;
        if count > MAX_ARGUMENTS as i64 {
            return Err(ProtocolError::MultibulkLength);
        }
        // As in Redis, a count of none or less is a request without arguments.
        self.stage = usize::try_from(count).map_or(Stage::Header(0), Stage::Header);
        Ok(true)
    }

    fn header(&mut self, bytes: &[u8], more: usize) -> Result<bool, ProtocolError> {
        if more == 0 {
            self.stage = Stage::Done { inline: false };
            return Ok(true);
        }
        match bytes.get(self.at) {
            None => return Ok(false),
            Some(b'$') => {}
            Some(other) => return Err(ProtocolError::ExpectedBulk(*other)),
        }
        let Some(line) = self.line(bytes, ProtocolError::LongBulkHeader)? else {
            return Ok(false);
        };
        let length = integer(&line[1..])
            .and_then(|length| usize::try_from(length).ok())
            .filter(|length| *length <= MAX_BULK)
            .ok_or(ProtocolError::BulkLength)?;
        if self.at + length > MAX_REQUEST {
            return Err(ProtocolError::LongRequest);
        }
        self.stage = Stage::Body {
            length,
            more: more - 1,
        };
        Ok(true)
    }

    fn body(&mut self, bytes: &[u8], length: usize, more: usize) -> bool {
        let end = self.at + length;
        if bytes.len() < end + 2 {
            return false;
        }
        self.ends.push((self.at, end));
        // Like Redis, the two bytes of the newline are skipped unread.
        self.at = end + 2;
        self.searched = self.at;
        self.stage = Stage::Header(more);
        true
    }

    fn line_by_hand(&mut self, bytes: &[u8]) -> Result<bool, ProtocolError> {
        let found = bytes[self.searched..]
            .iter()
            .position(|byte| *byte == b'\n');
        let Some(found) = found else {
            self.searched = bytes.len();
            return if bytes.len() > MAX_LINE {
                Err(ProtocolError::LongInline)
            } else {
                Ok(false)
            };
        };
        let end = self.searched + found;
        if end > MAX_LINE {
            return Err(ProtocolError::LongInline);
        }
        let line = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
        inline::split(line, &mut self.unquoted, &mut self.ends).ok_or(ProtocolError::Quotes)?;
        self.at = end + 1;
        self.stage = Stage::Done { inline: true };
        Ok(true)
    }

    /// The line from the current place, which is then left behind with its `\r\n`.
    fn line<'a>(
        &mut self,
        bytes: &'a [u8],
        too_long: ProtocolError,
    ) -> Result<Option<&'a [u8]>, ProtocolError> {
        let from = self.searched.max(self.at);
        let Some(found) = bytes[from..].iter().position(|byte| *byte == b'\r') else {
            self.searched = bytes.len();
            return if bytes.len() - self.at > MAX_LINE {
                Err(too_long)
            } else {
                Ok(None)
            };
        };
        let end = from + found;
        if end - self.at > MAX_LINE {
            return Err(too_long);
        }
        if bytes.len() < end + 2 {
            self.searched = end;
            return Ok(None);
        }
        let line = &bytes[self.at..end];
        self.at = end + 2;
        self.searched = self.at;
        Ok(Some(line))
    }
}

/// A decimal number with nothing around it, as Redis reads one: no plus, no leading zeros.
pub(super) fn integer(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let canonical = match digits {
        [b'0'] => text.len() == 1,
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if !canonical {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Outcome = Result<Vec<Vec<Vec<u8>>>, ProtocolError>;

    /// Feeds the bytes in the given pieces, as a connection would.
    fn parse(bytes: &[u8], cuts: &[usize]) -> Outcome {
        let mut parser = Parser::default();
        let mut requests = Vec::new();
        let (mut start, mut seen) = (0, 0);
        let ends = cuts.iter().copied().chain([bytes.len()]);
        for end in ends {
            seen = seen.max(end.min(bytes.len()));
            while let Some(length) = parser.next(&bytes[start..seen])? {
                let arguments = parser.arguments(&bytes[start..seen]);
                requests.push(arguments.from(0).map(<[u8]>::to_vec).collect());
                start += length;
            }
        }
        Ok(requests)
    }

    fn encode(request: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = format!("*{}\r\n", request.len()).into_bytes();
        for argument in request {
            bytes.extend(format!("${}\r\n", argument.len()).into_bytes());
            bytes.extend(argument);
            bytes.extend(b"\r\n");
        }
        bytes
    }

    fn words(request: &str) -> Vec<Vec<u8>> {
        request
            .split(' ')
            .map(|word| word.as_bytes().to_vec())
            .collect()
    }

    fn requests() -> impl Strategy<Value = Vec<Vec<Vec<u8>>>> {
        let argument = proptest::collection::vec(any::<u8>(), 0..24);
        proptest::collection::vec(proptest::collection::vec(argument, 1..6), 0..6)
    }

    proptest! {
        #[test]
        fn a_stream_cut_anywhere_reads_the_same(requests in requests()) {
            let bytes: Vec<u8> = requests.iter().flat_map(|request| encode(request)).collect();
            for cut in 0..=bytes.len() {
                prop_assert_eq!(parse(&bytes, &[cut]), Ok(requests.clone()));
            }
            let single: Vec<usize> = (0..bytes.len()).collect();
            prop_assert_eq!(parse(&bytes, &single), Ok(requests));
        }

        #[test]
        fn arbitrary_bytes_never_panic_and_cuts_change_nothing(
            bytes in proptest::collection::vec(
                prop_oneof![
                    Just(b'*'), Just(b'$'), Just(b'\r'), Just(b'\n'), Just(b'1'), Just(b'-'),
                    Just(b'"'), Just(b'\''), Just(b'\\'), Just(b'x'), any::<u8>(),
                ],
                0..64,
            ),
            cuts in proptest::collection::vec(0usize..64, 0..8),
        ) {
            let mut cuts = cuts;
            cuts.sort_unstable();
            // The error is the same; what was read before it is too, as the order is.
            prop_assert_eq!(parse(&bytes, &cuts), parse(&bytes, &[]));
        }

        #[test]
        fn integers_are_what_the_standard_library_writes(number: i64) {
            prop_assert_eq!(integer(number.to_string().as_bytes()), Some(number));
        }
    }

    #[test]
    fn protocol_errors_speak_as_redis_does() {
        let say = |bytes: &[u8]| parse(bytes, &[]).map_err(|error| error.to_string());
        let no = |text: &str| Err(format!("Protocol error: {text}"));
        assert_eq!(say(b"*3000000000\r\n"), no("invalid multibulk length"));
        assert_eq!(say(b"*abc\r\n"), no("invalid multibulk length"));
        assert_eq!(say(b"*\r\n"), no("invalid multibulk length"));
        assert_eq!(say(b"*1\r\n$-1\r\n"), no("invalid bulk length"));
        assert_eq!(say(b"*1\r\n$2000000000\r\n"), no("invalid bulk length"));
        assert_eq!(
            say(b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$blabla\r\n"),
            no("invalid bulk length")
        );
        assert_eq!(say(b"*1\r\nfoo\r\n"), no("expected '$', got 'f'"));
        assert_eq!(
            say(b"set \"\"\"test\"\"\"\r\n"),
            no("unbalanced quotes in request")
        );
        assert_eq!(say(&vec![b'x'; MAX_LINE + 1]), no("too big inline request"));
        let endless = [b"*1\r\n$".as_slice(), &vec![b'1'; MAX_LINE + 1]].concat();
        assert_eq!(say(&endless), no("too big bulk count string"));
    }

    #[test]
    fn empty_requests_have_no_arguments() {
        let read = parse(b"\r\n*0\r\n*-10\r\nPING\r\n", &[]);
        assert_eq!(read, Ok(vec![vec![], vec![], vec![], words("PING")]));
    }

    #[test]
    fn inline_and_framed_requests_mix() {
        let bytes = [b"ECHO \"a\\x00b\"\n".to_vec(), encode(&words("GET k"))].concat();
        let typed = vec![b"ECHO".to_vec(), b"a\0b".to_vec()];
        assert_eq!(parse(&bytes, &[3, 7, 20]), Ok(vec![typed, words("GET k")]));
    }
}
