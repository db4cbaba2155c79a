//! The JSON Schema at the repository root is the one that the key tables give, and says the
//! same as the parser about both forms and about misspelt keys.

use std::path::Path;

use granary_registry::{Registry, json_schema};
use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Value, json};

const SHIPPED: &str = include_str!("../../registry.yaml");
const ORIGINAL: &str = include_str!("original_feature_registry.yaml");

/// `UPDATE=1 cargo test -p granary-registry` writes the file anew.
#[test]
fn the_file_at_the_root_is_the_generated_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../registry.schema.json");
    let generated = serde_json::to_string_pretty(&json_schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &generated).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    assert!(
        kept == generated,
        "registry.schema.json is out of date; run with UPDATE=1"
    );
}

#[test]
fn both_forms_are_valid() {
    assert_eq!(faults(SHIPPED), Vec::<String>::new());
    assert_eq!(faults(ORIGINAL), Vec::<String>::new());
}

/// Every key of both files, misspelt in turn, is refused by schema and parser alike.
#[test]
fn misspelt_keys_are_refused() {
    for (text, keys) in [
        (
            SHIPPED,
            vec![
                "project",
                "clock",
                "entities",
                "sources",
                "feature_groups",
                "labels",
                "feature_services",
                "key",
                "type",
                "prefix",
                "path",
                "entity",
                "event_time",
                "id",
                "allowed_lateness",
                "columns",
                "derived",
                "description",
                "source",
                "owner",
                "tags",
                "freshness",
                "session_gap",
                "features",
                "name",
                "dtype",
                "aggregation",
                "input",
                "where",
                "windows",
                "categories",
                "expression",
                "imputation",
                "expect",
                "range",
                "min",
                "null_share",
                "severity",
                "column",
                "instant",
                "split",
                "train",
                "by",
                "label",
            ],
        ),
        (
            ORIGINAL,
            vec![
                "keys",
                "source",
                "freshness",
                "features",
                "name",
                "dtype",
                "description",
            ],
        ),
    ] {
        for key in keys {
            let misspelt = misspell(text, key);
            assert!(!faults(&misspelt).is_empty(), "the schema takes {key}_");
            assert!(
                Registry::parse(&misspelt).is_err(),
                "the parser takes {key}_"
            );
        }
    }
}

/// The first place where the word is a key.
fn misspell(text: &str, key: &str) -> String {
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    let text: String = lines.flat_map(|line| ["\n", line]).collect();
    let body = text
        .find("\nproject")
        .or_else(|| text.find("\nfeature_groups"))
        .expect("a file has groups");
    let places = [format!("\n{key}:"), format!(" {key}:"), format!("{{{key}:")];
    let place = places
        .iter()
        .find(|place| text[body..].contains(*place))
        .expect("the word is a key of the file");
    let wrong = place.replace(':', "_:");
    text[..body].to_owned() + &text[body..].replacen(place.as_str(), &wrong, 1)
}

fn faults(text: &str) -> Vec<String> {
    let validator = jsonschema::validator_for(&json_schema()).expect("the schema is one");
    let documents = Yaml::load_from_str(text).expect("the text is YAML");
    validator
        .iter_errors(&json(&documents[0]))
        .map(|error| error.to_string())
        .collect()
}

fn json(yaml: &Yaml<'_>) -> Value {
    match yaml {
        Yaml::Value(Scalar::Boolean(value)) => json!(value),
        Yaml::Value(Scalar::Integer(number)) => json!(number),
        Yaml::Value(Scalar::FloatingPoint(number)) => json!(number.into_inner()),
        Yaml::Value(Scalar::String(text)) => json!(text),
        Yaml::Sequence(items) => items.iter().map(json).collect(),
        Yaml::Mapping(entries) => {
            let entry = |(key, value)| match json(key) {
                Value::String(text) => (text, json(value)),
                other => (other.to_string(), json(value)),
            };
            Value::Object(entries.iter().map(entry).collect())
        }
        _ => Value::Null,
    }
}
