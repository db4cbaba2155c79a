//! The lines of a tailed file to events: JSON objects, or CSV under a header. Called by `tail`.

use serde_json::value::RawValue;

use crate::service::{Checked, Gate};

/// How a file is written, by the ending of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A JSON object a line.
    Json,
    /// CSV; no field holds a line break.
    Csv,
}

/// Why a line is no event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The field at fault, if it is one.
    pub(super) column: Option<String>,
    pub(super) reason: String,
}

impl Refusal {
    pub(super) fn line(reason: impl Into<String>) -> Refusal {
        Refusal {
            column: None,
            reason: reason.into(),
        }
    }
}

/// The event of a line without its line break; `header` is the file's first line.
pub(super) fn event(
    form: Form,
    header: &[u8],
    line: &[u8],
    gate: &Gate,
) -> Result<Checked, Refusal> {
    let checked = match form {
        Form::Json => {
            let no = |reason: &str| Refusal::line(format!("not a JSON object: {reason}"));
            let json: &RawValue =
                serde_json::from_slice(line).map_err(|error| no(&error.to_string()))?;
            if !json.get().starts_with('{') {
                return Err(no("the line holds another value"));
            }
            gate.json(json)
        }
        Form::Csv => {
            let (names, values) = (fields(header)?, fields(line)?);
            if names.len() != values.len() {
                let (found, wanted) = (values.len(), names.len());
                let reason = format!("the row has {found} fields, the header {wanted}");
                return Err(Refusal::line(reason));
            }
            let pairs = names.iter().zip(&values);
            let present = pairs.filter(|(_, value)| !value.is_empty());
            gate.text(present.map(|(name, value)| (&**name, &**value)))
        }
    };
    checked.map_err(|fault| {
        let (column, reason) = fault.parts();
        Refusal {
            column: Some(column),
            reason,
        }
    })
}

/// The fields of a CSV line (RFC 4180): a quote opens a quoted field only as its first byte.
fn fields(line: &[u8]) -> Result<Vec<Vec<u8>>, Refusal> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut fields = Vec::new();
    let mut rest = Some(line);
    while let Some(text) = rest {
        let (field, after) = if let Some(quoted) = text.strip_prefix(b"\"") {
            quoted_field(quoted)?
        } else {
            let end = memchr::memchr(b',', text).unwrap_or(text.len());
            (text[..end].to_vec(), &text[end..])
        };
        fields.push(field);
        rest = match after {
            [] => None,
            [b',', after @ ..] => Some(after),
            _ => return Err(Refusal::line("text follows a closing quote")),
        };
    }
    Ok(fields)
}

/// A field behind its opening quote, and what follows its closing one.
fn quoted_field(mut text: &[u8]) -> Result<(Vec<u8>, &[u8]), Refusal> {
    let mut field = Vec::new();
    loop {
        let Some(end) = memchr::memchr(b'"', text) else {
            return Err(Refusal::line("a quote is never closed on its line"));
        };
        field.extend_from_slice(&text[..end]);
        text = &text[end + 1..];
        match text.strip_prefix(b"\"") {
            Some(after) => {
                field.push(b'"');
                text = after;
            }
            None => return Ok((field, text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::empty_service;

    #[test]
    fn both_forms_are_held_to_the_same_rules() {
        let service = empty_service();
        let gate = service.gate(Some("review_table")).unwrap();
        let csv = |line: &str| {
            event(
                Form::Csv,
                b"user_id,rating,summary\r",
                line.as_bytes(),
                &gate,
            )
        };
        let json = |line: &str| event(Form::Json, b"", line.as_bytes(), &gate);
        let both = [
            csv("u,4.5,\"good, \"\"really\"\"\"\r").unwrap(),
            json(r#"{"user_id": "u", "rating": 4.5, "summary": "good, \"really\""}"#).unwrap(),
        ];
        let [csv_fields, json_fields] = both.map(|Checked(event)| {
            let mut fields = event.fields;
            fields.sort_by(|a, b| a.0.cmp(&b.0));
            fields
        });
        assert_eq!(csv_fields, json_fields);
        let refused = |refusal: Result<Checked, Refusal>| {
            let Refusal { column, reason } = refusal.unwrap_err();
            (column.unwrap_or_default(), reason)
        };
        assert_eq!(
            refused(csv("u,much,")),
            ("rating".to_owned(), "\"much\" is no float".to_owned())
        );
        assert_eq!(refused(csv(",4,")).0, "user_id");
        assert!(refused(csv("u,4")).1.contains("2 fields, the header 3"));
        assert!(refused(csv("u,4,\"x")).1.contains("never closed"));
        assert!(
            refused(csv("u,4,\"x\"y"))
                .1
                .contains("follows a closing quote")
        );
        assert!(
            refused(json("{\"user_id\": "))
                .1
                .starts_with("not a JSON object")
        );
        assert!(refused(json("[1]")).1.starts_with("not a JSON object"));
        assert_eq!(refused(json(r#"{"user_id": "u", "stars": 5}"#)).0, "stars");
    }

    proptest! {
        #[test]
        fn quoted_fields_come_back(wanted in prop::collection::vec("[a-z\", ]{0,6}", 1..6)) {
            let quoted = wanted.iter().map(|field| format!("\"{}\"", field.replace('"', "\"\"")));
            let line = quoted.collect::<Vec<_>>().join(",");
            let found = fields(line.as_bytes()).unwrap();
            let wanted: Vec<Vec<u8>> = wanted.into_iter().map(String::into_bytes).collect();
            prop_assert_eq!(found, wanted);
        }

        #[test]
        fn no_line_is_a_panic(line: Vec<u8>) {
            let _ = fields(&line);
        }
    }
}
