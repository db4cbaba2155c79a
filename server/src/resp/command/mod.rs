//! Arguments to a command. Each file holds one family: its commands, and its part of the table
//! with arity and words. Called by `connection`; `execute` has a file for each family.

use std::collections::HashMap;
use std::sync::LazyLock;

use foldhash::fast::FixedState;

use super::frame::{Arguments, integer};

pub(super) mod connection; // PING, HELLO, CLIENT …
pub(super) mod expiry; // EXPIRE, TTL, HEXPIRE …
pub(super) mod feature_store; // FS.GET, FS.PREDICT …
pub(super) mod hash; // HGETALL, HGET …
pub(super) mod hash_write; // HSET, HDEL …
pub(super) mod keys; // EXISTS, DEL, SCAN …
pub(super) mod lifetime; // EX, PX, EXAT, PXAT
pub(super) mod scan; // the options of SCAN and HSCAN
pub(super) mod server; // INFO, CONFIG, COMMAND …
pub(super) mod stream; // XADD
pub(super) mod string; // GET, SET, INCR …
pub(super) mod transaction; // MULTI, EXEC, WATCH …

pub(super) use connection::ConnectionCommand;
pub(super) use expiry::ExpiryCommand;
pub(super) use feature_store::{FeatureRead, FeatureStoreCommand};
pub(super) use hash::HashCommand;
pub(super) use hash_write::HashWrite;
pub(super) use keys::KeyCommand;
pub(super) use scan::ScanOptions;
pub(super) use server::ServerCommand;
pub(super) use stream::StreamCommand;
pub(super) use string::StringCommand;
pub(super) use transaction::TransactionCommand;

/// A well-formed request, borrowing from the read buffer.
#[derive(Clone, Debug)]
pub enum Command<'a> {
    /// About the connection itself.
    Connection(ConnectionCommand<'a>),
    /// About the server.
    Server(ServerCommand<'a>),
    /// About keys, whatever they hold.
    Keys(KeyCommand<'a>),
    /// Reads the fields of one key.
    Hash(HashCommand<'a>),
    /// Changes the fields of one key.
    HashWrite(HashWrite<'a>),
    /// About strings.
    Strings(StringCommand<'a>),
    /// About when keys and fields expire.
    Expiry(ExpiryCommand<'a>),
    /// About transactions.
    Transaction(TransactionCommand<'a>),
    /// Appends an event.
    Stream(StreamCommand<'a>),
    /// About features, as no command of Redis is.
    FeatureStore(FeatureStoreCommand<'a>),
}

/// Why a request is no command, in Redis's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not in the table.
    #[error("ERR unknown command '{name}', with args beginning with: {arguments}")]
    UnknownCommand {
        /// As the client wrote it.
        name: String,
        /// The first of them, quoted.
        arguments: String,
    },
    /// Not under its container.
    #[error("ERR unknown subcommand '{name}'. Try {container} HELP.")]
    UnknownSubcommand {
        /// `CLIENT`
        container: &'static str,
        /// As the client wrote it.
        name: String,
    },
    /// Too few or too many.
    #[error("ERR wrong number of arguments for '{0}' command")]
    Arity(String),
    /// An option that is not known or lacks its value.
    #[error("ERR syntax error")]
    Syntax,
    /// A number was due.
    #[error("ERR value is not an integer or out of range")]
    NotAnInteger,
    /// The least number has no opposite.
    #[error("ERR decrement would overflow")]
    DecrementOverflow,
    /// Not a number.
    #[error("ERR invalid cursor")]
    Cursor,
    /// A lifetime that is none.
    #[error("ERR invalid expire time in '{0}' command")]
    ExpireTime(String),
    /// Of `EXPIRE`.
    #[error("ERR Unsupported option {0}")]
    UnsupportedOption(String),
    /// Of `EXPIRE`.
    #[error("ERR NX and XX, GT or LT options at the same time are not compatible")]
    NxWithOthers,
    /// Of `EXPIRE`.
    #[error("ERR GT and LT options at the same time are not compatible")]
    GtWithLt,
    /// Of `HEXPIRE` and its kin.
    #[error("ERR Mandatory argument FIELDS is missing or not at the right position")]
    FieldsMissing,
    /// Of `HEXPIRE` and its kin.
    #[error("ERR Parameter `numFields` should be greater than 0")]
    FieldCount,
    /// Of `HEXPIRE` and its kin.
    #[error("ERR The `numfields` parameter must match the number of arguments")]
    FieldMismatch,
    /// Of `COPY` and `MOVE`.
    #[error("ERR DB index is out of range")]
    Database,
    /// Of `SLOWLOG GET`.
    #[error("ERR count should be greater than or equal to -1")]
    SlowLogCount,
    /// Of `CLIENT KILL`.
    #[error("ERR client-id should be greater than 0")]
    ClientId,
    /// Of `HRANDFIELD`.
    #[error("ERR value is out of range")]
    OutOfRange,
    /// Of `HELLO`.
    #[error("ERR Protocol version is not an integer or out of range")]
    VersionNotAnInteger,
    /// Of `HELLO`.
    #[error("NOPROTO unsupported protocol version")]
    Version,
    /// Of `HELLO`.
    #[error("ERR Syntax error in HELLO option '{0}'")]
    HelloOption(String),
    /// Of `XADD`.
    #[error("ERR Invalid stream ID specified as stream command argument")]
    StreamId,
    /// Of `XADD`.
    #[error("ERR the id of an event is its place in the log, so none can be given; use *")]
    ExplicitId,
    /// Of `XADD`.
    #[error("ERR MAXLEN and MINID are not taken: the log keeps every event")]
    Trimming,
    /// Of `FS.GET`.
    #[error("ERR ASOF {0}")]
    Instant(String),
    /// Of `CLIENT SETINFO`.
    #[error("ERR Unrecognized option '{0}'")]
    SetInfoOption(String),
}

impl Refusal {
    /// Whether the table alone shows it: there is no such command, or never with so many
    /// arguments.
    pub(super) fn is_of_the_table(&self, arguments: Arguments<'_>) -> bool {
        match self {
            Refusal::UnknownCommand { .. } | Refusal::UnknownSubcommand { .. } => true,
            Refusal::Arity(name) if name.contains('|') => true,
            Refusal::Arity(_) => {
                let spec = find(arguments.get(0).unwrap_or_default());
                spec.is_none_or(|spec| check_arity(spec, arguments).is_err())
            }
            _ => false,
        }
    }
}

/// One row of the table of commands.
#[derive(Debug)]
pub struct Spec {
    /// In lower case.
    pub name: &'static str,
    /// The exact number of arguments with the name, or the least as a negative number.
    pub arity: i64,
    /// What clients may rely on.
    pub flags: &'static [&'static str],
    /// Position of the first key, the last (negative: from the end), and the step between.
    pub keys: (i64, i64, i64),
    /// Its family.
    pub group: &'static str,
    /// The Redis version that brought it.
    pub since: &'static str,
    /// What it does.
    pub summary: &'static str,
    /// Its arguments to the command.
    pub(super) parse: Parse,
}

impl Spec {
    /// Whether it changes keys.
    pub fn writes(&self) -> bool {
        self.flags.contains(&"write")
    }

    /// The keys of a request.
    pub fn keys_of<'a>(
        &self,
        arguments: Arguments<'a>,
    ) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let (first, last, step) = self.keys;
        let last = if last < 0 {
            arguments.len() as i64 + last
        } else {
            last
        };
        let count = if first == 0 {
            0
        } else {
            (last - first + 1).max(0)
        };
        arguments
            .from(first as usize)
            .take(count as usize)
            .step_by(step.max(1) as usize)
    }
}

type Parse = for<'a> fn(&'static Spec, Arguments<'a>) -> Result<Command<'a>, Refusal>;

/// Every command, by name.
static TABLE: LazyLock<Vec<&'static Spec>> = LazyLock::new(|| {
    let families = [
        connection::SPECS,
        server::SPECS,
        keys::SPECS,
        hash::SPECS,
        hash_write::SPECS,
        string::SPECS,
        expiry::SPECS,
        transaction::SPECS,
        stream::SPECS,
        feature_store::SPECS,
    ];
    let mut table: Vec<&Spec> = families.into_iter().flatten().collect();
    table.sort_by_key(|spec| spec.name);
    table
});

/// Every command, by name.
pub(super) fn table() -> &'static [&'static Spec] {
    &TABLE
}

/// The place of each row in the table, by where it lies in memory.
static PLACES: LazyLock<HashMap<usize, usize, FixedState>> = LazyLock::new(|| {
    let rows = TABLE.iter().map(|&spec| std::ptr::from_ref(spec).addr());
    rows.zip(0..).collect()
});

/// The place of a row in the table, by which its command is counted.
pub(super) fn place(spec: &'static Spec) -> usize {
    let place = PLACES.get(&std::ptr::from_ref(spec).addr());
    place.copied().unwrap_or_default()
}

/// The longest name, and a hash that costs little for it.
type Name = [u8; 16];
static BY_NAME: LazyLock<HashMap<Name, &'static Spec, FixedState>> = LazyLock::new(|| {
    let entry = |spec: &&'static Spec| Some((lowered(spec.name.as_bytes())?, *spec));
    TABLE.iter().filter_map(entry).collect()
});

/// The row of a command, in any case of letters.
pub(super) fn find(name: &[u8]) -> Option<&'static Spec> {
    BY_NAME.get(&lowered(name)?).copied()
}

/// In small letters, filled up with zeros.
fn lowered(name: &[u8]) -> Option<Name> {
    let mut lower = Name::default();
    lower.get_mut(..name.len())?.copy_from_slice(name);
    lower.make_ascii_lowercase();
    Some(lower)
}

impl<'a> Command<'a> {
    /// The command that a request means, with its row of the table. The request is not empty.
    pub fn parse(arguments: Arguments<'a>) -> Result<(Command<'a>, &'static Spec), Refusal> {
        let name = arguments.get(0).unwrap_or_default();
        let spec = find(name).ok_or_else(|| unknown(name, arguments))?;
        check_arity(spec, arguments)?;
        Ok(((spec.parse)(spec, arguments)?, spec))
    }
}

fn check_arity(spec: &Spec, arguments: Arguments<'_>) -> Result<(), Refusal> {
    let given = arguments.len() as i64;
    let fits = if spec.arity < 0 {
        given >= -spec.arity
    } else {
        given == spec.arity
    };
    if fits {
        Ok(())
    } else {
        Err(Refusal::Arity(spec.name.to_owned()))
    }
}

fn unknown(name: &[u8], arguments: Arguments<'_>) -> Refusal {
    const SHOWN: usize = 128;
    let mut shown = String::new();
    for argument in arguments.from(1) {
        if shown.len() >= SHOWN {
            break;
        }
        let room = argument.len().min(SHOWN - shown.len());
        shown.push('\'');
        shown.push_str(&String::from_utf8_lossy(&argument[..room]));
        shown.push_str("' ");
    }
    let name = String::from_utf8_lossy(&name[..name.len().min(SHOWN)]).into_owned();
    Refusal::UnknownCommand {
        name,
        arguments: shown,
    }
}

/// A subcommand in lower case, for matching.
fn lower(argument: &[u8]) -> String {
    String::from_utf8_lossy(argument).to_ascii_lowercase()
}

fn unknown_subcommand(container: &'static str, arguments: Arguments<'_>) -> Refusal {
    let name = String::from_utf8_lossy(arguments.get(1).unwrap_or_default()).into_owned();
    Refusal::UnknownSubcommand { container, name }
}

/// The argument at a position that the arity has vouched for.
fn at(arguments: Arguments<'_>, index: usize) -> &[u8] {
    arguments.get(index).unwrap_or_default()
}

fn number(argument: &[u8]) -> Result<i64, Refusal> {
    integer(argument).ok_or(Refusal::NotAnInteger)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::resp::frame::Parser;

    /// What the line means, typed by hand.
    pub(in crate::resp) fn refused(line: &str) -> Option<String> {
        let bytes = format!("{line}\n");
        let mut parser = Parser::default();
        parser.next(bytes.as_bytes()).unwrap().unwrap();
        let parsed = Command::parse(parser.arguments(bytes.as_bytes()));
        parsed.err().map(|refusal| refusal.to_string())
    }

    #[test]
    fn names_are_unique_short_and_found_in_any_case() {
        for spec in table() {
            let found = find(spec.name.to_uppercase().as_bytes()).unwrap();
            assert!(std::ptr::eq(found, *spec), "{}", spec.name);
        }
        assert!(find(b"a-name-far-longer-than-any-command").is_none());
        assert!(find(b"").is_none());
    }

    #[test]
    fn refusals_speak_as_redis_does() {
        let no = |line: &str| refused(line).unwrap_or_default();
        assert_eq!(
            no("foo a \"b c\""),
            "ERR unknown command 'foo', with args beginning with: 'a' 'b c' "
        );
        assert_eq!(
            no("HGET k"),
            "ERR wrong number of arguments for 'hget' command"
        );
        assert_eq!(
            no("hgetall"),
            "ERR wrong number of arguments for 'hgetall' command"
        );
        assert_eq!(
            no("PING a b"),
            "ERR wrong number of arguments for 'ping' command"
        );
        assert_eq!(
            no("SELECT x"),
            "ERR value is not an integer or out of range"
        );
        assert_eq!(no("SCAN abc"), "ERR invalid cursor");
        assert_eq!(no("SCAN 0 COUNT 0"), "ERR syntax error");
        assert_eq!(
            no("SCAN 0 COUNT x"),
            "ERR value is not an integer or out of range"
        );
        assert_eq!(no("SCAN 0 MATCH"), "ERR syntax error");
        assert_eq!(
            no("CLIENT MAINT_NOTIFICATIONS ON"),
            "ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP."
        );
        assert_eq!(
            no("CLIENT SETNAME"),
            "ERR wrong number of arguments for 'client|setname' command"
        );
        assert_eq!(no("HELLO 4"), "NOPROTO unsupported protocol version");
        assert_eq!(
            no("HELLO x"),
            "ERR Protocol version is not an integer or out of range"
        );
        assert_eq!(no("HELLO 3 FOO"), "ERR Syntax error in HELLO option 'FOO'");
    }

    #[test]
    fn long_arguments_of_unknown_commands_are_cut() {
        let refusal = refused(&format!("foo {} b", "x".repeat(500))).unwrap();
        assert!(
            refusal.ends_with(&format!("'{}' ", "x".repeat(128))),
            "{refusal}"
        );
    }
}
