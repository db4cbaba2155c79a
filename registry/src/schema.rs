//! The JSON Schema of a registry file, from which editors complete and check it. Made from the
//! same key tables that the parser uses, so that the two cannot drift apart.

use serde_json::{Map, Value, json};

use crate::Span;
use crate::keys::{FILE, MapKey, ORIGINAL_FILE, Shape, Table};
use crate::original::GRANARY_SECTIONS;

const NAME: &str = "^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}$";

/// The JSON Schema of a registry file, in both its forms.
pub fn json_schema() -> Value {
    let mut definitions = Map::new();
    for table in [&FILE, &ORIGINAL_FILE] {
        define(table, &mut definitions);
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "granary registry",
        "description": "Feature definitions for granary.",
        "type": "object",
        "if": original_form(),
        "then": reference(&ORIGINAL_FILE),
        "else": reference(&FILE),
        "$defs": definitions,
    })
}

/// The rule of `original::is_original`.
fn original_form() -> Value {
    let sections = GRANARY_SECTIONS.map(|section| json!({ "required": [section] }));
    let without_keys = json!({ "not": { "required": ["keys"] } });
    json!({
        "required": ["feature_groups"],
        "properties": {
            "feature_groups": { "not": { "additionalProperties": without_keys } },
        },
        "not": { "anyOf": sections },
    })
}

fn reference(table: &Table) -> Value {
    json!({ "$ref": format!("#/$defs/{}", table.name) })
}

fn define(table: &Table, definitions: &mut Map<String, Value>) {
    if definitions.contains_key(table.name) {
        return;
    }
    // Before its keys: a definition that reaches itself is defined once.
    definitions.insert(table.name.to_owned(), Value::Null);
    let mut properties = Map::new();
    for key in table.keys {
        let mut property = schema_of(&key.shape, definitions);
        if let Value::Object(property) = &mut property {
            property.insert("description".to_owned(), json!(key.doc));
        }
        properties.insert(key.name.to_owned(), property);
    }
    let required: Vec<&str> = table
        .keys
        .iter()
        .filter(|key| key.required)
        .map(|key| key.name)
        .collect();
    let mut definition = json!({
        "description": table.doc,
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    });
    if let (Value::Object(definition), false) = (&mut definition, table.one_of.is_empty()) {
        let choices = table
            .one_of
            .iter()
            .map(|name| json!({ "required": [name] }));
        definition.insert("oneOf".to_owned(), choices.collect());
    }
    definitions.insert(table.name.to_owned(), definition);
}

fn schema_of(shape: &Shape, definitions: &mut Map<String, Value>) -> Value {
    match shape {
        Shape::Text | Shape::Expression => json!({ "type": "string", "minLength": 1 }),
        Shape::Name => json!({ "type": "string", "pattern": NAME }),
        Shape::Bool => json!({ "type": "boolean" }),
        Shape::Whole => json!({ "type": "integer", "minimum": 0 }),
        Shape::Number => json!({ "type": "number" }),
        Shape::Literal => json!({ "type": ["number", "string", "boolean"] }),
        Shape::Span => json!({
            "anyOf": [{ "type": "string", "pattern": span_pattern() }, { "const": 0 }],
        }),
        Shape::Instant => json!({
            "type": "string",
            "pattern": r"^[+-]?\d{4,6}-\d{2}-\d{2}([Tt ]\d{2}:\d{2}(:\d{2}([.,]\d{1,9})?)?([Zz]|[+-]\d{2}(:?\d{2})?)?)?$",
        }),
        Shape::Choice(words) => json!({ "enum": words }),
        Shape::List(item) => json!({ "type": "array", "items": schema_of(item, definitions) }),
        Shape::OneOrMany(item) => {
            let item = schema_of(item, definitions);
            json!({ "anyOf": [item, { "type": "array", "items": item }] })
        }
        Shape::Map(key, value) => {
            let names = match key {
                MapKey::Name => NAME,
                MapKey::Column => ".",
                MapKey::Number => r"^[+-]?\d+(\.\d+)?([eE][+-]?\d+)?$",
            };
            json!({
                "type": "object",
                "propertyNames": { "pattern": names },
                "additionalProperties": schema_of(value, definitions),
            })
        }
        Shape::Table(table) => {
            define(table, definitions);
            reference(table)
        }
        Shape::Either(shapes) => {
            let shapes: Vec<Value> = shapes
                .iter()
                .map(|shape| schema_of(shape, definitions))
                .collect();
            json!({ "anyOf": shapes })
        }
    }
}

fn span_pattern() -> String {
    let units: Vec<&str> = Span::UNITS.iter().map(|(unit, _)| *unit).collect();
    format!(r"^(0|\d+({}))$", units.join("|"))
}
