//! A node with its line and path: how the checks read a file and where their problems point.

use crate::problem::quoted;
use crate::yaml::{Content, Node};
use crate::{EventTime, Problem, Span};

/// A node of the file and where it stands. The readers answer nothing where something of
/// another shape stands: `shape` has reported it.
#[derive(Clone)]
pub(crate) struct Place<'a> {
    pub(crate) node: &'a Node,
    pub(crate) line: usize,
    pub(crate) path: String,
}

impl<'a> Place<'a> {
    pub(crate) fn root(node: &'a Node) -> Place<'a> {
        Place {
            node,
            line: node.line,
            path: String::new(),
        }
    }

    /// The value under a key.
    pub(crate) fn get(&self, key: &str) -> Option<Place<'a>> {
        self.entries()
            .into_iter()
            .find(|(known, _)| *known == key)
            .map(|(_, place)| place)
    }

    /// The entries of a map, repeated keys included.
    pub(crate) fn entries(&self) -> Vec<(&'a str, Place<'a>)> {
        let entry = |entry: &'a crate::yaml::Entry| {
            let path = match self.path.as_str() {
                "" => entry.key.clone(),
                path => format!("{path}.{}", entry.key),
            };
            // A key's own line is where a person looks, even if its value begins below it.
            let place = Place {
                node: &entry.value,
                line: entry.line,
                path,
            };
            (entry.key.as_str(), place)
        };
        self.node.entries().iter().map(entry).collect()
    }

    /// The entries of the map under a key.
    pub(crate) fn section(&self, key: &str) -> Vec<(&'a str, Place<'a>)> {
        self.get(key)
            .map(|place| place.entries())
            .unwrap_or_default()
    }

    /// The items of a list; anything else is a list of itself.
    pub(crate) fn items(&self) -> Vec<Place<'a>> {
        let Content::List(items) = &self.node.content else {
            return vec![self.clone()];
        };
        let item = |(index, node): (usize, &'a Node)| Place {
            node,
            line: node.line,
            path: format!("{}[{index}]", self.path),
        };
        items.iter().enumerate().map(item).collect()
    }

    /// The items of the list under a key.
    pub(crate) fn list(&self, key: &str) -> Vec<Place<'a>> {
        self.get(key).map(|place| place.items()).unwrap_or_default()
    }

    pub(crate) fn text(&self) -> Option<&'a str> {
        match &self.node.content {
            Content::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text under a key.
    pub(crate) fn text_at(&self, key: &str) -> Option<&'a str> {
        self.get(key).and_then(|place| place.text())
    }

    /// All texts of the list under a key.
    pub(crate) fn texts_at(&self, key: &str) -> Vec<String> {
        self.list(key)
            .iter()
            .filter_map(Place::text)
            .map(str::to_owned)
            .collect()
    }

    /// The text under a key, for people: none is empty.
    pub(crate) fn prose_at(&self, key: &str) -> String {
        self.text_at(key).unwrap_or_default().to_owned()
    }

    pub(crate) fn bool(&self) -> Option<bool> {
        match self.node.content {
            Content::Bool(value) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn number(&self) -> Option<f64> {
        match self.node.content {
            Content::Int(number) => Some(number as f64),
            Content::Float(number) if number.is_finite() => Some(number),
            _ => None,
        }
    }

    /// The number under a key.
    pub(crate) fn number_at(&self, key: &str) -> Option<f64> {
        self.get(key).and_then(|place| place.number())
    }

    pub(crate) fn whole(&self) -> Option<u64> {
        match self.node.content {
            Content::Int(number) => u64::try_from(number).ok(),
            _ => None,
        }
    }

    pub(crate) fn span(&self) -> Option<Span> {
        match &self.node.content {
            Content::Int(0) => Some(Span(0)),
            Content::Text(text) => Span::parse(text).ok(),
            _ => None,
        }
    }

    /// The span under a key.
    pub(crate) fn span_at(&self, key: &str) -> Option<Span> {
        self.get(key).and_then(|place| place.span())
    }

    pub(crate) fn instant(&self) -> Option<EventTime> {
        self.text().and_then(|text| EventTime::parse(text).ok())
    }

    /// What stands here, for messages.
    pub(crate) fn found(&self) -> String {
        match &self.node.content {
            Content::Null => "nothing".to_owned(),
            Content::Bool(value) => format!("`{value}`"),
            Content::Int(number) => format!("the number {number}"),
            Content::Float(number) => format!("the number {number}"),
            Content::Text(text) => quoted(text),
            Content::List(_) => "a list".to_owned(),
            Content::Map(_) => "a map".to_owned(),
        }
    }

    /// A problem with what stands here.
    pub(crate) fn wrong(&self, expected: impl Into<String>) -> Problem {
        self.problem(self.found(), expected)
    }

    pub(crate) fn problem(&self, found: impl Into<String>, expected: impl Into<String>) -> Problem {
        Problem {
            line: self.line,
            path: self.path.clone(),
            found: found.into(),
            expected: expected.into(),
            suggestion: None,
        }
    }
}
