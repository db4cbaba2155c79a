//! SQL text to a typed `Expression`. Called by `check` for `where`, `input`, `expression` and
//! derived columns; everything wrong with a text is reported at once.

use sqlparser::ast::{self, DataType, Expr, FunctionArg, FunctionArgExpr, FunctionArguments};
use sqlparser::ast::{CeilFloorKind, DateTimeField, Ident, Spanned, Value as Constant};
use sqlparser::dialect::Dialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token};

use crate::problem::{listed, nearest, quoted};
use crate::typing::{self, Typed};
use crate::{BinaryOp, DType, EventTime, Expression, ScalarFunction, UnaryOp, Value};

/// Longest text, in bytes: left-leaning chains nest as deep as they are long.
const MAX_TEXT: usize = 2_000;
/// Most nodes of a tree; `between` and `case x when` repeat their operand.
const MAX_NODES: usize = 2_000;
/// Deepest nesting of parentheses and calls.
const MAX_DEPTH: usize = 60;

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
    let mut translator = Translator { scope, nodes: 0, faults: Vec::new() };
    match translator.translate(&tree) {
        Some(parsed) if translator.faults.is_empty() => Ok(parsed),
        _ => Err(translator.faults),
    }
}

/// Whether SQL reads the text as a name without quotes.
pub(crate) fn is_bare_name(name: &str) -> bool {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    // The parser is the judge of what is a keyword, so that the two cannot disagree.
    plain && matches!(parse(name), Ok(Expr::Identifier(ident)) if ident.value == name)
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
    let attempt = Parser::new(&Plain).with_recursion_limit(MAX_DEPTH).try_with_sql(text);
    let tree = attempt.and_then(|mut parser| {
        let tree = parser.parse_expr()?;
        let rest = parser.peek_token();
        if rest.token == Token::EOF {
            return Ok(tree);
        }
        let place = place(rest.span.start);
        Err(ParserError::ParserError(format!("{} behind the expression{place}", rest.token)))
    });
    tree.map_err(|error| match error {
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => {
            format!("{} ({})", quoted(text), message.replace("Line: 1, Column: ", "character "))
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
    Fault { found, expected, suggestion: None }
}

struct Translator<'a> {
    scope: &'a Scope<'a>,
    nodes: usize,
    faults: Vec<Fault>,
}

impl Translator<'_> {
    fn translate(&mut self, tree: &Expr) -> Option<Parsed> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            if self.nodes == MAX_NODES + 1 {
                let expected = format!("at most {MAX_NODES} operations");
                self.faults.push(fault("a larger expression".to_owned(), expected));
            }
            return None;
        }
        match tree {
            Expr::Nested(inner) => self.translate(inner),
            Expr::Identifier(ident) => self.column(ident),
            Expr::Value(constant) => self.constant(tree, &constant.value, ""),
            Expr::TypedString(typed) => self.timestamp(tree, typed),
            Expr::UnaryOp { op, expr } => self.unary_operator(tree, *op, expr),
            Expr::IsNull(operand) => self.unary(tree, UnaryOp::IsNull, operand),
            Expr::IsNotNull(operand) => self.unary(tree, UnaryOp::IsNotNull, operand),
            Expr::BinaryOp { left, op, right } => {
                let Some(op) = binary_op(op) else { return self.unsupported(tree) };
                self.binary(tree, op, left, right)
            }
            Expr::InList { expr, list, negated } => self.in_list(tree, expr, list, *negated),
            Expr::Between { expr, negated, low, high } => {
                self.between(tree, expr, low, high, *negated)
            }
            Expr::Case { operand, conditions, else_result, .. } => {
                self.case(tree, operand.as_deref(), conditions, else_result.as_deref())
            }
            Expr::Ceil { expr, field } => self.rounded(tree, ScalarFunction::Ceil, expr, field),
            Expr::Floor { expr, field } => self.rounded(tree, ScalarFunction::Floor, expr, field),
            Expr::Function(function) => self.function(tree, function),
            _ => self.unsupported(tree),
        }
    }

    fn column(&mut self, ident: &Ident) -> Option<Parsed> {
        let name = ident.value.as_str();
        let Some((_, dtype)) = self.scope.columns.iter().find(|(known, _)| *known == name) else {
            let names = || self.scope.columns.iter().map(|(known, _)| *known);
            self.faults.push(Fault {
                found: format!("{}{}", quoted(name), place(ident.span.start)),
                expected: format!("{}: {}", self.scope.what, listed(names().take(40))),
                suggestion: nearest(name, names()),
            });
            return None;
        };
        // The type of a column with a problem does not matter: nothing comes of this file.
        let expression = Expression::Column {
            name: name.to_owned(),
            dtype: dtype.unwrap_or(DType::Text),
        };
        Some(Parsed { expression, dtype: *dtype })
    }

    fn constant(&mut self, tree: &Expr, constant: &Constant, sign: &str) -> Option<Parsed> {
        let value = match constant {
            Constant::Number(digits, _) => number(&format!("{sign}{digits}")),
            Constant::SingleQuotedString(text) => Some(Value::Text(text.as_str().into())),
            Constant::Boolean(value) => Some(Value::Bool(*value)),
            Constant::Null => Some(Value::Null),
            _ => None,
        };
        let Some(value) = value else { return self.unsupported(tree) };
        let dtype = value.dtype();
        Some(Parsed { expression: Expression::Literal(value), dtype })
    }

    fn timestamp(&mut self, tree: &Expr, typed: &ast::TypedString) -> Option<Parsed> {
        let (DataType::Timestamp(None, _) | DataType::Date, Constant::SingleQuotedString(text)) =
            (&typed.data_type, &typed.value.value)
        else {
            return self.unsupported(tree);
        };
        let value = Value::Timestamp(self.instant(text)?);
        Some(Parsed { expression: Expression::Literal(value), dtype: Some(DType::Timestamp) })
    }

    fn instant(&mut self, text: &str) -> Option<EventTime> {
        let instant = EventTime::parse(text);
        if instant.is_err() {
            let expected = "an ISO-8601 instant such as 2026-01-31T12:00:00Z".to_owned();
            self.faults.push(fault(quoted(text), expected));
        }
        instant.ok()
    }

    fn unary_operator(&mut self, tree: &Expr, op: ast::UnaryOperator, operand: &Expr) -> Option<Parsed> {
        match (op, operand) {
            (ast::UnaryOperator::Not, _) => self.unary(tree, UnaryOp::Not, operand),
            (ast::UnaryOperator::Minus, Expr::Value(constant))
                if matches!(constant.value, Constant::Number(..)) =>
            {
                self.constant(tree, &constant.value, "-")
            }
            (ast::UnaryOperator::Minus, _) => self.unary(tree, UnaryOp::Negate, operand),
            _ => self.unsupported(tree),
        }
    }

    fn unary(&mut self, tree: &Expr, op: UnaryOp, operand: &Expr) -> Option<Parsed> {
        let operand = self.translate(operand)?;
        let dtype = self.typed(tree, typing::unary(op, operand.dtype), &[operand.dtype])?;
        let operand = Box::new(operand.expression);
        Some(Parsed { expression: Expression::Unary { op, operand }, dtype })
    }

    fn binary(&mut self, tree: &Expr, op: BinaryOp, left: &Expr, right: &Expr) -> Option<Parsed> {
        let (left, right) = (self.translate(left), self.translate(right));
        self.joined(tree, op, left?, right?)
    }

    fn joined(&mut self, tree: &Expr, op: BinaryOp, left: Parsed, right: Parsed) -> Option<Parsed> {
        let (left, right) = (self.as_instant_like(left, right.dtype)?, right);
        let right = self.as_instant_like(right, left.dtype)?;
        let result = typing::binary(op, left.dtype, right.dtype);
        let dtype = self.typed(tree, result, &[left.dtype, right.dtype])?;
        let (left, right) = (Box::new(left.expression), Box::new(right.expression));
        Some(Parsed { expression: Expression::Binary { op, left, right }, dtype })
    }

    /// A text literal beside a timestamp is an instant.
    fn as_instant_like(&mut self, parsed: Parsed, other: Option<DType>) -> Option<Parsed> {
        match (&parsed.expression, other) {
            (Expression::Literal(Value::Text(text)), Some(DType::Timestamp)) => {
                let value = Value::Timestamp(self.instant(text)?);
                let expression = Expression::Literal(value);
                Some(Parsed { expression, dtype: Some(DType::Timestamp) })
            }
            _ => Some(parsed),
        }
    }

    fn in_list(&mut self, tree: &Expr, operand: &Expr, list: &[Expr], negated: bool) -> Option<Parsed> {
        let operand = self.translate(operand)?;
        let mut values = Vec::with_capacity(list.len());
        for item in list {
            let item = self.translate(item)?;
            let item = self.as_instant_like(item, operand.dtype)?;
            let fits = typing::comparable(operand.dtype, item.dtype);
            self.typed(tree, if fits { Ok(None) } else { Err("values of one type") }, &[
                operand.dtype,
                item.dtype,
            ])?;
            let Expression::Literal(value) = item.expression else {
                let expected = "literals in the list of `in`".to_owned();
                self.faults.push(fault(quoted(&tree.to_string()), expected));
                return None;
            };
            values.push(value);
        }
        let expression =
            Expression::In { operand: Box::new(operand.expression), list: values, negated };
        Some(Parsed { expression, dtype: Some(DType::Bool) })
    }

    fn between(
        &mut self,
        tree: &Expr,
        operand: &Expr,
        low: &Expr,
        high: &Expr,
        negated: bool,
    ) -> Option<Parsed> {
        let low = self.binary(tree, BinaryOp::GreaterOrEqual, operand, low)?;
        let high = self.binary(tree, BinaryOp::LessOrEqual, operand, high)?;
        let both = self.joined(tree, BinaryOp::And, low, high)?;
        if !negated {
            return Some(both);
        }
        let operand = Box::new(both.expression);
        Some(Parsed { expression: Expression::Unary { op: UnaryOp::Not, operand }, ..both })
    }

    fn case(
        &mut self,
        tree: &Expr,
        operand: Option<&Expr>,
        conditions: &[ast::CaseWhen],
        otherwise: Option<&Expr>,
    ) -> Option<Parsed> {
        let mut branches = Vec::with_capacity(conditions.len());
        let mut types = Vec::with_capacity(conditions.len() + 1);
        for branch in conditions {
            let condition = match operand {
                Some(operand) => self.binary(tree, BinaryOp::Equal, operand, &branch.condition),
                None => self.translate(&branch.condition),
            };
            let result = self.translate(&branch.result);
            let (condition, result) = (condition?, result?);
            let rule = typing::unary(UnaryOp::Not, condition.dtype);
            let rule = rule.map_err(|_| "a condition behind `when`");
            self.typed(tree, rule, &[condition.dtype])?;
            types.push(result.dtype);
            branches.push((condition.expression, result.expression));
        }
        let otherwise = match otherwise {
            Some(otherwise) => {
                let otherwise = self.translate(otherwise)?;
                types.push(otherwise.dtype);
                Some(Box::new(otherwise.expression))
            }
            None => None,
        };
        let dtype = self.typed(tree, typing::common(types.iter().copied()), &types)?;
        Some(Parsed { expression: Expression::Case { branches, otherwise }, dtype })
    }

    /// `ceil(x)` and `floor(x)`, which SQL has a syntax of its own for.
    fn rounded(
        &mut self,
        tree: &Expr,
        function: ScalarFunction,
        operand: &Expr,
        field: &CeilFloorKind,
    ) -> Option<Parsed> {
        match field {
            CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) => {
                self.call(tree, function, &[operand])
            }
            _ => self.unsupported(tree),
        }
    }

    fn function(&mut self, tree: &Expr, function: &ast::Function) -> Option<Parsed> {
        let name = function.name.to_string().to_lowercase();
        let known = ScalarFunction::NAMES.into_iter().find(|(known, _)| *known == name);
        let Some((_, scalar)) = known else {
            let names = || ScalarFunction::NAMES.into_iter().map(|(known, _)| known);
            self.faults.push(Fault {
                found: format!("function {}{}", quoted(&name), place(function.name.span().start)),
                expected: listed(names()),
                suggestion: nearest(&name, names()),
            });
            return None;
        };
        let Some(arguments) = plain_arguments(function) else { return self.unsupported(tree) };
        self.call(tree, scalar, &arguments)
    }

    fn call(&mut self, tree: &Expr, function: ScalarFunction, arguments: &[&Expr]) -> Option<Parsed> {
        let is_model = matches!(function, ScalarFunction::Vader | ScalarFunction::Embed);
        if is_model && !self.scope.text_models {
            let expected = "a column under `derived` of the source, computed once per row";
            self.faults.push(fault(quoted(&tree.to_string()), expected.to_owned()));
            return None;
        }
        let (least, most) = typing::arity(function);
        if !(least..=most).contains(&arguments.len()) {
            let found = format!("{} with {} arguments", quoted(&tree.to_string()), arguments.len());
            let expected = if least == most { least.to_string() } else { format!("{least} to {most}") };
            self.faults.push(fault(found, expected));
            return None;
        }
        let parsed: Vec<_> = arguments.iter().map(|argument| self.translate(argument)).collect();
        let parsed: Vec<Parsed> = parsed.into_iter().collect::<Option<_>>()?;
        let types: Vec<_> = parsed.iter().map(|argument| argument.dtype).collect();
        let dtype = self.typed(tree, typing::call(function, &types), &types)?;
        let arguments = parsed.into_iter().map(|argument| argument.expression).collect();
        Some(Parsed { expression: Expression::Call { function, arguments }, dtype })
    }

    /// The type of a result; a rule that the operands break becomes a fault.
    fn typed(&mut self, tree: &Expr, rule: Typed, operands: &[Option<DType>]) -> Option<Option<DType>> {
        match rule {
            Ok(dtype) => Some(dtype),
            Err(expected) => {
                let names: Vec<String> = operands
                    .iter()
                    .map(|dtype| dtype.map_or("null".to_owned(), |dtype| dtype.to_string()))
                    .collect();
                let place = place(tree.span().start);
                let found = format!("{}{place} with {}", quoted(&tree.to_string()), names.join(", "));
                self.faults.push(fault(found, expected.to_owned()));
                None
            }
        }
    }

    fn unsupported<T>(&mut self, tree: &Expr) -> Option<T> {
        let found = format!("{}{}", quoted(&tree.to_string()), place(tree.span().start));
        self.faults.push(fault(found, ALLOWED.to_owned()));
        None
    }
}

fn number(digits: &str) -> Option<Value> {
    if digits.contains(['.', 'e', 'E']) {
        let number: f64 = digits.parse().ok()?;
        return number.is_finite().then_some(Value::Float(number));
    }
    digits.parse().ok().map(Value::Int)
}

/// The arguments of a call without `distinct`, `over`, names and the like.
fn plain_arguments(function: &ast::Function) -> Option<Vec<&Expr>> {
    let FunctionArguments::List(list) = &function.args else { return None };
    let extras = function.uses_odbc_syntax
        || function.parameters != FunctionArguments::None
        || !function.within_group.is_empty()
        || function.filter.is_some()
        || function.null_treatment.is_some()
        || function.over.is_some()
        || list.duplicate_treatment.is_some()
        || !list.clauses.is_empty();
    if extras {
        return None;
    }
    let expression = |argument| match argument {
        &FunctionArg::Unnamed(FunctionArgExpr::Expr(ref expression)) => Some(expression),
        _ => None,
    };
    list.args.iter().map(expression).collect()
}

fn binary_op(op: &ast::BinaryOperator) -> Option<BinaryOp> {
    use ast::BinaryOperator as Sql;
    Some(match op {
        Sql::Plus => BinaryOp::Add,
        Sql::Minus => BinaryOp::Subtract,
        Sql::Multiply => BinaryOp::Multiply,
        Sql::Divide => BinaryOp::Divide,
        Sql::Modulo => BinaryOp::Modulo,
        Sql::Eq => BinaryOp::Equal,
        Sql::NotEq => BinaryOp::NotEqual,
        Sql::Lt => BinaryOp::Less,
        Sql::LtEq => BinaryOp::LessOrEqual,
        Sql::Gt => BinaryOp::Greater,
        Sql::GtEq => BinaryOp::GreaterOrEqual,
        Sql::And => BinaryOp::And,
        Sql::Or => BinaryOp::Or,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scope() -> Scope<'static> {
        let columns = vec![
            ("event_type", Some(DType::Categorical)),
            ("timestamp", Some(DType::Timestamp)),
            ("rating", Some(DType::Float)),
            ("votes", Some(DType::Int)),
            ("premium", Some(DType::Bool)),
            ("embedding", Some(DType::Vector)),
            ("broken", None),
        ];
        Scope { columns, what: "a column of source `s`".to_owned(), text_models: false }
    }

    fn dtype(text: &str) -> Option<DType> {
        match read(text, &scope()) {
            Ok(parsed) => parsed.dtype,
            Err(faults) => panic!("{text}: {} / {}", faults[0].found, faults[0].expected),
        }
    }

    fn faults(text: &str) -> Vec<Fault> {
        read(text, &scope()).err().unwrap_or_else(|| panic!("{text} is no fault"))
    }

    #[test]
    fn types_follow_from_the_operands() {
        assert_eq!(dtype("votes + 1"), Some(DType::Int));
        assert_eq!(dtype("votes / 2"), Some(DType::Float));
        assert_eq!(dtype("-votes * rating"), Some(DType::Float));
        assert_eq!(dtype("coalesce(votes, 0.5)"), Some(DType::Float));
        assert_eq!(dtype("nullif(event_type, 'x')"), Some(DType::Categorical));
        assert_eq!(dtype("length(lower(event_type)) > 3 and not premium"), Some(DType::Bool));
        assert_eq!(dtype("timestamp > '2026-01-01'"), Some(DType::Bool));
        assert_eq!(dtype("timestamp between date '2026-01-01' and timestamp '2026-02-01T00:00:00Z'"), Some(DType::Bool));
        assert_eq!(dtype("case event_type when 'a' then 1 when 'b' then 2.5 end"), Some(DType::Float));
        assert_eq!(dtype("premium is null"), Some(DType::Bool));
        assert_eq!(dtype("floor(rating) = ceil(rating)"), Some(DType::Bool));
        assert_eq!(dtype("broken + 1"), Some(DType::Int));
        assert_eq!(dtype("embedding"), Some(DType::Vector));
    }

    #[test]
    fn what_has_no_type_is_refused() {
        for text in [
            "rating = 'a'", "not rating", "premium + 1", "-event_type", "embedding = embedding",
            "event_type in (1)", "votes in (rating)", "abs(event_type)", "lower(votes)",
            "coalesce(votes, 'a')", "case when votes then 1 end", "timestamp > 'yesterday'",
            "votes and premium", "nullif(votes)", "case when premium then 1 else 'a' end",
        ] {
            assert_eq!(faults(text).len(), 1, "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in [
            "", "votes +", "votes votes", "select 1", "(select 1)", "sum(votes) over ()", "a.b",
            "count(*)", "votes like 'x'", "cast(votes as float)", "vader(event_type)", "'open",
            "votes || 'a'", "(1, 2)", "99999999999999999999", "1e999", "x'00'", "$1", "abs(distinct votes)",
        ] {
            assert!(!faults(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn every_fault_comes_back_with_its_place_and_the_nearest_name() {
        let faults = faults("ratin > 1 and evnt_type = 'a' or vots = 2 or abss(votes) = 1");
        let summary: Vec<_> =
            faults.iter().map(|fault| (fault.found.as_str(), fault.suggestion.as_deref())).collect();
        assert_eq!(summary, [
            ("`ratin` at character 1", Some("rating")),
            ("`evnt_type` at character 15", Some("event_type")),
            ("`vots` at character 34", Some("votes")),
            ("function `abss` at character 46", Some("abs")),
        ]);
    }

    #[test]
    fn no_expression_is_too_deep_or_too_large_for_the_stack() {
        for (open, close) in [("(", ")"), ("not ", ""), ("- ", ""), ("abs(", ")"), ("case when premium then ", " end"), ("case ", " when 1 then 1 end"), ("[", "]")] {
            let times = 1_900 / (open.len() + close.len());
            let _ = read(&format!("{}votes{}", open.repeat(times), close.repeat(times)), &scope());
        }
        for chain in ["1+", "1 between ", "premium or ", "1=", "votes is null = "] {
            let _ = read(&(chain.repeat(1_990 / chain.len()) + "1"), &scope());
        }
        let nested = (0..20).fold("votes".to_owned(), |text, _| {
            format!("case {text} when 1 then 1 end")
        });
        let _ = read(&nested, &scope());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(
            text in "([a-z]{1,6}|votes|rating|[-+*/%=<>(),' ]|and|or|not|case|when|then|end|in|between|is null|[0-9.]{1,4}| ){0,30}|\\PC{0,60}",
        ) {
            if let Err(faults) = read(&text, &scope()) {
                prop_assert!(!faults.is_empty());
            }
        }
    }
}
