//! Text to a tree of nodes that know their lines, within limits: no document can exhaust the
//! stack or the memory. Called by `check`.

use std::collections::HashMap;

use saphyr::Scalar as Resolved;
use saphyr_parser::{Event, Parser, ScanError};

use crate::Problem;

/// Longest file, in bytes.
const MAX_TEXT: usize = 4 << 20;
/// Deepest nesting; a registry needs eight.
const MAX_DEPTH: usize = 32;
/// Most nodes, those that aliases repeat included.
const MAX_NODES: usize = 200_000;

/// A part of the document.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) line: usize,
    pub(crate) content: Content,
}

/// What a node is.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key with its value; keys of one map may repeat, which `shape` reports.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) line: usize,
    pub(crate) key: String,
    pub(crate) value: Node,
}

/// Reads the one document of a file.
pub(crate) fn read(text: &str) -> Result<Node, Problem> {
    if text.len() > MAX_TEXT {
        return Err(limit(
            1,
            format!("a file of {} bytes", text.len()),
            MAX_TEXT,
            "bytes",
        ));
    }
    let mut reader = Reader::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| syntax(&error))?;
        reader.line = span.start.line().max(1);
        reader.take(event)?;
    }
    Ok(reader.document.unwrap_or(Node {
        line: 1,
        content: Content::Null,
    }))
}

impl Node {
    /// The value under a key of a map; the first, if the key repeats.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entries()
            .iter()
            .find(|entry| entry.key == key)
            .map(|entry| &entry.value)
    }

    /// The entries of a map; none for anything else.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.content {
            Content::Map(entries) => entries,
            _ => &[],
        }
    }

    fn size(&self) -> usize {
        1 + match &self.content {
            Content::List(items) => items.iter().map(Node::size).sum(),
            Content::Map(entries) => entries.iter().map(|entry| 1 + entry.value.size()).sum(),
            _ => 0,
        }
    }

    fn depth(&self) -> usize {
        1 + match &self.content {
            Content::List(items) => items.iter().map(Node::depth).max().unwrap_or(0),
            Content::Map(entries) => entries
                .iter()
                .map(|entry| entry.value.depth())
                .max()
                .unwrap_or(0),
            _ => 0,
        }
    }
}

/// A list or map whose end has not come yet.
struct Open {
    node: Node,
    anchor: usize,
    /// In a map: the key whose value comes next.
    key: Option<(usize, String)>,
}

#[derive(Default)]
struct Reader {
    line: usize,
    nodes: usize,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    document: Option<Node>,
}

impl Reader {
    fn take(&mut self, event: Event<'_>) -> Result<(), Problem> {
        match event {
            Event::DocumentStart(_) if self.document.is_some() => {
                Err(self.problem("a second document", "one document in the file"))
            }
            Event::Scalar(text, style, anchor, tag) => {
                let resolved = Resolved::parse_from_cow_and_metadata(text, style, tag.as_ref());
                let Some(resolved) = resolved else {
                    return Err(self.problem("a value that its tag does not allow", "no tag"));
                };
                self.add(content(resolved), anchor)
            }
            Event::SequenceStart(anchor, _) => self.start(Content::List(Vec::new()), anchor),
            Event::MappingStart(anchor, _) => self.start(Content::Map(Vec::new()), anchor),
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(done) = self.open.pop() else {
                    return Ok(());
                };
                self.close(done.node, done.anchor)
            }
            Event::Alias(anchor) => self.repeat(anchor),
            _ => Ok(()),
        }
    }

    fn start(&mut self, content: Content, anchor: usize) -> Result<(), Problem> {
        self.count(1)?;
        if self.open.len() >= MAX_DEPTH {
            return Err(limit(
                self.line,
                "deeper nesting".to_owned(),
                MAX_DEPTH,
                "levels",
            ));
        }
        self.open.push(Open {
            node: Node {
                line: self.line,
                content,
            },
            anchor,
            key: None,
        });
        Ok(())
    }

    fn add(&mut self, content: Content, anchor: usize) -> Result<(), Problem> {
        self.count(1)?;
        self.close(
            Node {
                line: self.line,
                content,
            },
            anchor,
        )
    }

    fn repeat(&mut self, anchor: usize) -> Result<(), Problem> {
        let Some(node) = self.anchors.get(&anchor) else {
            return Err(self.problem(
                "an alias inside its own anchor",
                "an alias of a finished part",
            ));
        };
        let (size, depth) = (node.size(), node.depth());
        self.count(size)?;
        if self.open.len() + depth > MAX_DEPTH {
            return Err(limit(
                self.line,
                "deeper nesting".to_owned(),
                MAX_DEPTH,
                "levels",
            ));
        }
        let content = self.anchors[&anchor].content.clone();
        self.close(
            Node {
                line: self.line,
                content,
            },
            0,
        )
    }

    /// Hands a finished node to the list or map that it belongs to.
    fn close(&mut self, node: Node, anchor: usize) -> Result<(), Problem> {
        if anchor > 0 {
            self.count(node.size())?;
            self.anchors.insert(anchor, node.clone());
        }
        let line = node.line;
        let Some(parent) = self.open.last_mut() else {
            self.document = Some(node);
            return Ok(());
        };
        match &mut parent.node.content {
            Content::List(items) => items.push(node),
            Content::Map(entries) => match parent.key.take() {
                Some((line, key)) => entries.push(Entry {
                    line,
                    key,
                    value: node,
                }),
                None => match key_text(node.content) {
                    Some(key) => parent.key = Some((line, key)),
                    None => return Err(self.problem("a key that is no text", "a name")),
                },
            },
            _ => {}
        }
        Ok(())
    }

    fn count(&mut self, nodes: usize) -> Result<(), Problem> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            return Err(limit(
                self.line,
                "more values".to_owned(),
                MAX_NODES,
                "values in all",
            ));
        }
        Ok(())
    }

    fn problem(&self, found: &str, expected: &str) -> Problem {
        Problem {
            line: self.line,
            path: String::new(),
            found: found.to_owned(),
            expected: expected.to_owned(),
            suggestion: None,
        }
    }
}

fn content(scalar: Resolved<'_>) -> Content {
    match scalar {
        Resolved::Null => Content::Null,
        Resolved::Boolean(value) => Content::Bool(value),
        Resolved::Integer(value) => Content::Int(value),
        Resolved::FloatingPoint(value) => Content::Float(value.into_inner()),
        Resolved::String(value) => Content::Text(value.into_owned()),
    }
}

/// Keys are names, or numbers in tables by score.
fn key_text(content: Content) -> Option<String> {
    match content {
        Content::Text(text) => Some(text),
        Content::Int(number) => Some(number.to_string()),
        Content::Float(number) => Some(number.to_string()),
        Content::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

fn syntax(error: &ScanError) -> Problem {
    Problem {
        line: error.marker().line().max(1),
        path: String::new(),
        found: format!(
            "no YAML in column {}: {}",
            error.marker().col() + 1,
            error.info()
        ),
        expected: "YAML".to_owned(),
        suggestion: None,
    }
}

fn limit(line: usize, found: String, most: usize, unit: &str) -> Problem {
    Problem {
        line,
        path: String::new(),
        found,
        expected: format!("at most {most} {unit}"),
        suggestion: None,
    }
}
