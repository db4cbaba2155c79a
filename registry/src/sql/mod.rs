//! SQL text to a typed `Expression`. Called by `check` for `where`, `input`, `expression` and
//! derived columns; everything wrong with a text is reported at once.

#[cfg(test)]
mod tests;
mod translate; // sqlparser's tree to ours, typed

use sqlparser::ast::Expr;
use sqlparser::dialect::Dialect;
use sqlparser::keywords::ALL_KEYWORDS;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token};

use crate::problem::quoted;
use crate::{DType, Expression};
use translate::Translator;

/// Longest text, in bytes: left-leaning chains nest as deep as they are long.
const MAX_TEXT: usize = 2_000;
/// Deepest nesting of parentheses and calls.
const MAX_DEPTH: usize = 60;

/// What an expression may consist of.
const ALLOWED: &str = "columns, literals, + - * / %, = <> < <= > >=, and, or, not, is null, \
                       in (…), between, case, or a function such as abs, coalesce or nullif";

/// What the names in an expression mean.
pub(crate) struct Scope<'a> {
    /// Names with their types; none where the type has a problem of its own.
    pub(crate) columns: Vec<(&'a str, Option<DType>)>,
    /// What the names are: "a column of source `event_logs`".
    pub(crate) what: String,
    /// Whether `vader` and `embed`, which are too slow to run per use, may be called.
    pub(crate) text_models: bool,
}

/// Something wrong with an expression.
pub(crate) struct Fault {
    pub(crate) found: String,
    pub(crate) expected: String,
    pub(crate) suggestion: Option<String>,
}

/// An expression with its type; none for a bare `null` or where a column's type is unknown.
pub(crate) struct Parsed {
    pub(crate) expression: Expression,
    pub(crate) dtype: Option<DType>,
}

/// Reads an expression over the names in scope.
pub(crate) fn read(text: &str, scope: &Scope<'_>) -> Result<Parsed, Vec<Fault>> {
    if text.len() > MAX_TEXT {
        let found = format!("an expression of {} bytes", text.len());
        return Err(vec![fault(found, format!("at most {MAX_TEXT}"))]);
    }
    let tree = parse(text).map_err(|found| vec![fault(found, ALLOWED.to_owned())])?;
    let mut translator = Translator::new(scope);
    match translator.translate(&tree) {
        Some(parsed) if translator.faults.is_empty() => Ok(parsed),
        _ => Err(translator.faults),
    }
}

/// Whether SQL reads the text as a name without quotes, wherever it stands: what is a keyword
/// in some places only is quoted in all.
pub(crate) fn is_bare_name(name: &str) -> bool {
    let is_plain = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let begins_plain = name
        .bytes()
        .next()
        .is_some_and(|byte| !byte.is_ascii_digit());
    let is_keyword = ALL_KEYWORDS
        .binary_search(&name.to_ascii_uppercase().as_str())
        .is_ok();
    is_plain && begins_plain && !is_keyword
}

/// Standard SQL and nothing else.
#[derive(Debug)]
struct Plain;

impl Dialect for Plain {
    fn is_identifier_start(&self, ch: char) -> bool {
        ch.is_alphabetic() || ch == '_'
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        ch.is_alphanumeric() || ch == '_'
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        ch == '"'
    }
}

fn parse(text: &str) -> Result<Expr, String> {
    let attempt = Parser::new(&Plain)
        .with_recursion_limit(MAX_DEPTH)
        .try_with_sql(text);
    let tree = attempt.and_then(|mut parser| {
        let tree = parser.parse_expr()?;
        let rest = parser.peek_token();
        if rest.token == Token::EOF {
            return Ok(tree);
        }
        let place = place(rest.span.start);
        Err(ParserError::ParserError(format!(
            "{} behind the expression{place}",
            rest.token
        )))
    });
    tree.map_err(|error| match error {
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => {
            format!(
                "{} ({})",
                quoted(text),
                message.replace("Line: 1, Column: ", "character ")
            )
        }
        ParserError::RecursionLimitExceeded => {
            format!("{} (nested too deeply)", quoted(text))
        }
    })
}

fn place(start: Location) -> String {
    match (start.line, start.column) {
        (0, _) => String::new(),
        (1, column) => format!(" at character {column}"),
        (line, column) => format!(" at line {line}, character {column}"),
    }
}

fn fault(found: String, expected: String) -> Fault {
    Fault {
        found,
        expected,
        suggestion: None,
    }
}
