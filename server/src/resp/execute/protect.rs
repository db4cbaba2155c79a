//! Keeps writes of plain keys off the rows of entities, naming the right way. Called by
//! `execute` before any command that changes keys but those that `values` does.

use super::is_entity;
use crate::resp::command::Spec;
use crate::resp::{Arguments, Reply};
use crate::service::Catalog;

/// The refusal of a request that would change a row of features.
pub(super) fn refused(spec: &Spec, arguments: Arguments<'_>, catalog: &Catalog) -> Option<Reply> {
    let key = spec
        .keys_of(arguments)
        .find(|key| is_entity(catalog, key))?;
    let key = String::from_utf8_lossy(key);
    let way = right_way(spec.name);
    Some(Reply::Error(format!(
        "ERR '{key}' is a row of features of entity {}: {way}",
        catalog.entity
    )))
}

fn right_way(command: &str) -> &'static str {
    match command {
        "del" | "unlink" | "getdel" | "move" => {
            "a row goes when its entity is gone from the raw data; run `granary build` and \
             `granary push`"
        }
        "expire" | "expireat" | "pexpire" | "pexpireat" | "persist" | "getex" | "hexpire"
        | "hexpireat" | "hpexpire" | "hpexpireat" | "hpersist" | "hgetex" | "hsetex" => {
            "rows do not expire; set max_age on the feature group in the registry"
        }
        "hdel" | "hgetdel" => {
            "features are not deleted; write another value by HSET, or send events by XADD or \
             POST /events"
        }
        _ => "its prefix is reserved for rows of features; choose another key",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::command::Command;
    use crate::resp::frame::Parser;

    fn refusal(line: &str) -> Option<String> {
        let catalog = Catalog {
            prefix: "user:".to_owned(),
            entity: "user".to_owned(),
            ..Catalog::default()
        };
        let bytes = format!("{line}\n");
        let mut parser = Parser::default();
        parser.next(bytes.as_bytes()).unwrap().unwrap();
        let arguments = parser.arguments(bytes.as_bytes());
        let (_, spec) = Command::parse(arguments).unwrap();
        assert!(spec.writes(), "{line}");
        match refused(spec, arguments, &catalog)? {
            Reply::Error(text) => Some(text),
            other => panic!("{other:?} is no refusal"),
        }
    }

    #[test]
    fn any_key_of_the_entity_is_protected() {
        for line in [
            "DEL a user:7",
            "RENAME a user:7",
            "RENAME user:7 a",
            "COPY user:7 b",
            "MSET a 1 user:7 2",
            "SET user:7 x",
            "EXPIRE user:7 10",
            "HDEL user:7 age",
            "HEXPIRE user:7 10 FIELDS 1 age",
        ] {
            let refusal = refusal(line).unwrap();
            assert!(
                refusal.starts_with("ERR 'user:7' is a row of features"),
                "{line}"
            );
        }
        assert!(refusal("EXPIRE user:7 10").unwrap().contains("max_age"));
        assert!(refusal("HDEL user:7 age").unwrap().contains("POST /events"));
    }

    #[test]
    fn other_keys_and_values_are_plain() {
        for line in [
            "DEL a b",
            "SET a user:7",
            "MSET a user:7 b user:8",
            "HSET a user:7 1",
        ] {
            assert_eq!(refusal(line), None, "{line}");
        }
    }
}
