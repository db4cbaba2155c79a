//! The verbs that Redis does not have: features at an instant, predictions, what is served.
//! Called by `command`, done by `execute::feature_store`.

use granary_registry::EventTime;

use super::{Arguments, Command, Refusal, Spec, at};

/// About features, as no command of Redis is.
#[derive(Clone, Debug)]
pub enum FeatureStoreCommand<'a> {
    /// `FS.GET`, `FS.MGET`
    Read(FeatureRead),
    /// `FS.PREDICT`: the whole key.
    Predict(&'a [u8]),
    /// `FS.VERSION`
    Version,
}

/// Which features of whom, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureRead {
    /// Whole keys, with their prefix.
    pub keys: Vec<String>,
    /// Names; all if there are none.
    pub features: Vec<String>,
    /// None means now.
    pub as_of: Option<EventTime>,
    /// Whether the answer is a list of rows.
    pub many: bool,
}

pub(super) const SPECS: &[Spec] = &[
    spec(
        "fs.get",
        -2,
        (1, 1, 1),
        "Returns features of an entity, now or at an instant: FS.GET key [feature ...] [ASOF instant]",
        get,
    ),
    spec(
        "fs.mget",
        -2,
        (1, 1, 1),
        "Returns features of several entities: FS.MGET key [key ...] [FEATURES feature ...] [ASOF instant]",
        mget,
    ),
    spec(
        "fs.predict",
        2,
        (1, 1, 1),
        "Returns the probability that an entity churns: FS.PREDICT key",
        |_, arguments| {
            Ok(Command::FeatureStore(FeatureStoreCommand::Predict(at(
                arguments, 1,
            ))))
        },
    ),
    spec(
        "fs.version",
        1,
        (0, 0, 0),
        "Returns what is served: program, generation, instant, model: FS.VERSION",
        |_, _| Ok(Command::FeatureStore(FeatureStoreCommand::Version)),
    ),
];

const fn spec(
    name: &'static str,
    arity: i64,
    keys: (i64, i64, i64),
    summary: &'static str,
    parse: super::Parse,
) -> Spec {
    Spec {
        name,
        arity,
        flags: &["readonly"],
        keys,
        group: "hash",
        since: "0.1.0",
        summary,
        parse,
    }
}

fn get<'a>(_: &'static Spec, arguments: Arguments<'a>) -> Result<Command<'a>, Refusal> {
    let mut words = words(arguments);
    let as_of = as_of(&mut words)?;
    let features = words.split_off(1);
    read(words, features, as_of, false)
}

fn mget<'a>(_: &'static Spec, arguments: Arguments<'a>) -> Result<Command<'a>, Refusal> {
    let mut words = words(arguments);
    let as_of = as_of(&mut words)?;
    let is_mark = |word: &String| word.eq_ignore_ascii_case("features");
    let features = match words.iter().position(is_mark) {
        None => Vec::new(),
        Some(mark) => {
            let features = words.split_off(mark + 1);
            words.truncate(mark);
            if features.is_empty() {
                return Err(Refusal::Syntax);
            }
            features
        }
    };
    read(words, features, as_of, true)
}

fn read<'a>(
    keys: Vec<String>,
    features: Vec<String>,
    as_of: Option<EventTime>,
    many: bool,
) -> Result<Command<'a>, Refusal> {
    if keys.is_empty() {
        return Err(Refusal::Syntax);
    }
    Ok(Command::FeatureStore(FeatureStoreCommand::Read(
        FeatureRead {
            keys,
            features,
            as_of,
            many,
        },
    )))
}

fn words(arguments: Arguments<'_>) -> Vec<String> {
    let text = |word: &[u8]| String::from_utf8_lossy(word).into_owned();
    arguments.from(1).map(text).collect()
}

/// Takes `ASOF instant` off the end.
fn as_of(words: &mut Vec<String>) -> Result<Option<EventTime>, Refusal> {
    let Some(mark) = words.len().checked_sub(2).filter(|mark| *mark > 0) else {
        return Ok(None);
    };
    if !words[mark].eq_ignore_ascii_case("asof") {
        return Ok(None);
    }
    let instant = EventTime::parse(&words[mark + 1])
        .map_err(|error| Refusal::Instant(format!("{}: {error}", words[mark + 1])))?;
    words.truncate(mark);
    Ok(Some(instant))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::command::tests::refused;
    use crate::resp::frame::Parser;

    fn parsed(line: &str) -> FeatureRead {
        let bytes = format!("{line}\n");
        let mut parser = Parser::default();
        parser.next(bytes.as_bytes()).unwrap().unwrap();
        match Command::parse(parser.arguments(bytes.as_bytes()))
            .unwrap()
            .0
        {
            Command::FeatureStore(FeatureStoreCommand::Read(read)) => read,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn reads_name_keys_features_and_an_instant() {
        let read = parsed("FS.GET user:1 age income asof 2026-01-31");
        assert_eq!(read.keys, ["user:1"]);
        assert_eq!(read.features, ["age", "income"]);
        assert_eq!(read.as_of, EventTime::parse("2026-01-31").ok());
        let read = parsed("FS.MGET user:1 user:2 FEATURES age");
        assert_eq!((read.keys.len(), read.features.len()), (2, 1));
        assert!(read.many && read.as_of.is_none());
        let read = parsed("FS.MGET user:1 ASOF 2026-01-31");
        assert!(read.features.is_empty() && read.as_of.is_some());
    }

    #[test]
    fn what_is_no_read_is_refused() {
        let said = |line| refused(line).unwrap();
        assert_eq!(said("FS.MGET FEATURES age"), "ERR syntax error");
        assert_eq!(said("FS.MGET user:1 FEATURES"), "ERR syntax error");
        assert!(said("FS.GET user:1 ASOF yesterday").starts_with("ERR ASOF yesterday: "));
        assert!(said("FS.VERSION 1").contains("wrong number of arguments"));
    }
}
