//! Refuses writes, naming the right way. Called by `execute`.

use crate::resp::Reply;
use crate::resp::command::WriteCommand;
use crate::service::Catalog;

pub(super) fn execute(command: &WriteCommand<'_>, catalog: &Catalog) -> Reply {
    let reserved =
        |key: &&[u8]| !catalog.prefix.is_empty() && key.starts_with(catalog.prefix.as_bytes());
    let Some(key) = command.keys().find(reserved) else {
        return Reply::Error("ERR plain keys are not part of this version".to_owned());
    };
    let key = String::from_utf8_lossy(key);
    let way = right_way(command.spec.name);
    Reply::Error(format!(
        "ERR '{key}' is a row of features of entity {}: {way}",
        catalog.entity
    ))
}

fn right_way(command: &str) -> &'static str {
    match command {
        "del" | "unlink" | "getdel" | "move" => {
            "a row goes when its entity is gone from the raw data; run `granary build` and \
             `granary push`"
        }
        "expire" | "expireat" | "pexpire" | "pexpireat" | "persist" | "getex" => {
            "rows do not expire; set max_age on the feature group in the registry"
        }
        "hset" | "hmset" | "hsetnx" | "hdel" | "hincrby" | "hincrbyfloat" => {
            "features follow from the data; send events by POST /events or XADD, or change the raw \
             tables and run `granary build` and `granary push`"
        }
        _ => "its prefix is reserved for rows of features; choose another key",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::command::Command;
    use crate::resp::frame::Parser;

    fn refusal(line: &str) -> String {
        let catalog = Catalog {
            prefix: "user:".to_owned(),
            entity: "user".to_owned(),
            ..Catalog::default()
        };
        let bytes = format!("{line}\n");
        let mut parser = Parser::default();
        parser.next(bytes.as_bytes()).unwrap().unwrap();
        let (command, _) = Command::parse(parser.arguments(bytes.as_bytes())).unwrap();
        let Command::Write(command) = command else {
            panic!("{line} is no write")
        };
        let Reply::Error(text) = execute(&command, &catalog) else {
            panic!("not refused")
        };
        text
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
            "HSET user:7 age 3",
        ] {
            assert!(
                refusal(line).starts_with("ERR 'user:7' is a row of features"),
                "{line}"
            );
        }
        assert!(refusal("EXPIRE user:7 10").contains("max_age"));
        assert!(refusal("HSET user:7 age 3").contains("POST /events"));
    }

    #[test]
    fn other_keys_and_values_are_plain() {
        for line in [
            "DEL a b",
            "SET a user:7",
            "MSET a user:7 b user:8",
            "HSET a user:7 1",
        ] {
            assert_eq!(
                refusal(line),
                "ERR plain keys are not part of this version",
                "{line}"
            );
        }
    }
}
