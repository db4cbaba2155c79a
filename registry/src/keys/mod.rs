//! The keys of a registry file, section by section: the one description that `shape` checks
//! files against and `schema` turns into the JSON Schema for editors.

mod granary; // the form to write
mod original; // the form without entities and sources

pub(crate) use granary::FILE;
pub(crate) use original::ORIGINAL_FILE;

/// What may stand at a place.
pub(crate) enum Shape {
    /// Any text.
    Text,
    /// A text that can be part of a file name and a key.
    Name,
    /// `true` or `false`.
    Bool,
    /// A whole number from 0.
    Whole,
    /// Any finite number.
    Number,
    /// A number, a text, `true` or `false`.
    Literal,
    /// `30d`
    Span,
    /// `2026-01-31T12:00:00Z`
    Instant,
    /// An SQL expression.
    Expression,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list.
    List(&'static Shape),
    /// A list, or one without its brackets.
    OneOrMany(&'static Shape),
    /// A map whose keys the user chooses.
    Map(MapKey, &'static Shape),
    /// A map with these keys.
    Table(&'static Table),
    /// Any of these.
    Either(&'static [Shape]),
}

/// What the keys of a map are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum MapKey {
    /// Names of the registry.
    Name,
    /// Columns of a file, which may have any name.
    Column,
    /// Scores.
    Number,
}

/// A map with fixed keys.
pub(crate) struct Table {
    /// Its name in the JSON Schema.
    pub(crate) name: &'static str,
    /// What it describes.
    pub(crate) doc: &'static str,
    /// Its keys, in the order to write them.
    pub(crate) keys: &'static [Key],
    /// Exactly one of these must be there, if there are any.
    pub(crate) one_of: &'static [&'static str],
}

/// A key of a table.
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    pub(crate) required: bool,
    pub(crate) doc: &'static str,
}

const fn required(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key {
        name,
        shape,
        required: true,
        doc,
    }
}

const fn optional(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key {
        name,
        shape,
        required: false,
        doc,
    }
}
