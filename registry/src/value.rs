//! What a feature, a cell of a source or a literal can be. Called by every crate.

use std::fmt;
use std::sync::Arc;

use crate::EventTime;

/// The type of a column or feature, as the registry writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DType {
    /// 64-bit signed integer (`int`).
    Int,
    /// 64-bit float (`float`).
    Float,
    /// `bool`.
    Bool,
    /// Free text or an identifier (`text`, `string`).
    Text,
    /// Text from a small set (`categorical`): encoded as a category by models.
    Categorical,
    /// An instant (`timestamp`).
    Timestamp,
    /// A list of 32-bit floats of one length (`vector`).
    Vector,
}

impl DType {
    /// Every type with the names that the registry uses for it, the one to write first.
    pub const NAMES: [(&'static str, DType); 8] = [
        ("int", DType::Int),
        ("float", DType::Float),
        ("bool", DType::Bool),
        ("text", DType::Text),
        ("string", DType::Text),
        ("categorical", DType::Categorical),
        ("timestamp", DType::Timestamp),
        ("vector", DType::Vector),
    ];

    /// The type of this name.
    pub fn named(name: &str) -> Option<DType> {
        Self::NAMES
            .into_iter()
            .find(|(known, _)| *known == name)
            .map(|(_, dtype)| dtype)
    }

    /// Whether arithmetic is defined on it.
    pub fn is_numeric(self) -> bool {
        matches!(self, DType::Int | DType::Float)
    }

    /// Whether its values are strings.
    pub fn is_text(self) -> bool {
        matches!(self, DType::Text | DType::Categorical)
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.iter().find(|(_, dtype)| dtype == self);
        f.write_str(name.map_or("unknown", |(name, _)| name))
    }
}

/// A value that is looked at where it lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ValueRef<'a> {
    /// Nothing known.
    Null,
    /// `int`
    Int(i64),
    /// `float`; never NaN.
    Float(f64),
    /// `bool`
    Bool(bool),
    /// `text` and `categorical`
    Text(&'a str),
    /// `timestamp`
    Timestamp(EventTime),
    /// `vector`
    Vector(&'a [f32]),
}

/// One value. Null is a value: stores and reads never impute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing known.
    Null,
    /// `int`
    Int(i64),
    /// `float`; never NaN, which is read as null.
    Float(f64),
    /// `bool`
    Bool(bool),
    /// `text` and `categorical`
    Text(Arc<str>),
    /// `timestamp`
    Timestamp(EventTime),
    /// `vector`
    Vector(Arc<[f32]>),
}

impl Value {
    /// Whether there is nothing.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// The type it has; none for null. Texts are `Text`, never `Categorical`.
    pub fn dtype(&self) -> Option<DType> {
        match self {
            Value::Null => None,
            Value::Int(_) => Some(DType::Int),
            Value::Float(_) => Some(DType::Float),
            Value::Bool(_) => Some(DType::Bool),
            Value::Text(_) => Some(DType::Text),
            Value::Timestamp(_) => Some(DType::Timestamp),
            Value::Vector(_) => Some(DType::Vector),
        }
    }

    /// A float, or null for NaN and infinities.
    pub fn float(x: f64) -> Value {
        if x.is_finite() {
            Value::Float(x)
        } else {
            Value::Null
        }
    }

    /// The number it stands for: ints, floats and bools; none otherwise.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Int(x) => Some(*x as f64),
            Value::Float(x) => Some(*x),
            Value::Bool(x) => Some(f64::from(u8::from(*x))),
            _ => None,
        }
    }
}

impl ValueRef<'_> {
    /// Whether there is nothing.
    pub fn is_null(self) -> bool {
        matches!(self, ValueRef::Null)
    }

    /// A copy that stays.
    pub fn to_value(self) -> Value {
        match self {
            ValueRef::Null => Value::Null,
            ValueRef::Int(x) => Value::Int(x),
            ValueRef::Float(x) => Value::Float(x),
            ValueRef::Bool(x) => Value::Bool(x),
            ValueRef::Text(x) => Value::Text(x.into()),
            ValueRef::Timestamp(x) => Value::Timestamp(x),
            ValueRef::Vector(x) => Value::Vector(x.into()),
        }
    }
}

impl<'a> From<&'a Value> for ValueRef<'a> {
    fn from(value: &'a Value) -> ValueRef<'a> {
        match value {
            Value::Null => ValueRef::Null,
            Value::Int(x) => ValueRef::Int(*x),
            Value::Float(x) => ValueRef::Float(*x),
            Value::Bool(x) => ValueRef::Bool(*x),
            Value::Text(x) => ValueRef::Text(x),
            Value::Timestamp(x) => ValueRef::Timestamp(*x),
            Value::Vector(x) => ValueRef::Vector(x),
        }
    }
}
