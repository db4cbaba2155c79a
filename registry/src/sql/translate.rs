//! From sqlparser's tree to ours, with types; all faults of a tree are found in one pass.
//! Called by `read`.

use sqlparser::ast::{self, DataType, Expr, FunctionArg, FunctionArgExpr, FunctionArguments};
use sqlparser::ast::{CeilFloorKind, DateTimeField, Ident, Spanned, Value as Constant};

use super::{ALLOWED, Fault, Parsed, Scope, fault, place};
use crate::problem::{listed, nearest, quoted};
use crate::typing::{self, Typed};
use crate::{BinaryOp, DType, EventTime, Expression, ScalarFunction, UnaryOp, Value};

/// Most nodes of a tree; `between` and `case x when` repeat their operand.
const MAX_NODES: usize = 2_000;

/// Goes through a tree once and collects what is wrong with it.
pub(super) struct Translator<'a> {
    scope: &'a Scope<'a>,
    nodes: usize,
    pub(super) faults: Vec<Fault>,
}

impl<'a> Translator<'a> {
    pub(super) fn new(scope: &'a Scope<'a>) -> Translator<'a> {
        Translator {
            scope,
            nodes: 0,
            faults: Vec::new(),
        }
    }

    /// The typed expression; none if something in it is a fault.
    pub(super) fn translate(&mut self, tree: &Expr) -> Option<Parsed> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            if self.nodes == MAX_NODES + 1 {
                let expected = format!("at most {MAX_NODES} operations");
                self.faults
                    .push(fault("a larger expression".to_owned(), expected));
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
                let Some(op) = binary_op(op) else {
                    return self.unsupported(tree);
                };
                self.binary(tree, op, left, right)
            }
            Expr::InList {
                expr,
                list,
                negated,
            } => self.in_list(tree, expr, list, *negated),
            Expr::Between {
                expr,
                negated,
                low,
                high,
            } => self.between(tree, expr, low, high, *negated),
            Expr::Case {
                operand,
                conditions,
                else_result,
                ..
            } => self.case(tree, operand.as_deref(), conditions, else_result.as_deref()),
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
        Some(Parsed {
            expression,
            dtype: *dtype,
        })
    }

    fn constant(&mut self, tree: &Expr, constant: &Constant, sign: &str) -> Option<Parsed> {
        let value = match constant {
            Constant::Number(digits, _) => number(&format!("{sign}{digits}")),
            Constant::SingleQuotedString(text) => Some(Value::Text(text.as_str().into())),
            Constant::Boolean(value) => Some(Value::Bool(*value)),
            Constant::Null => Some(Value::Null),
            _ => None,
        };
        let Some(value) = value else {
            return self.unsupported(tree);
        };
        let dtype = value.dtype();
        Some(Parsed {
            expression: Expression::Literal(value),
            dtype,
        })
    }

    fn timestamp(&mut self, tree: &Expr, typed: &ast::TypedString) -> Option<Parsed> {
        let (DataType::Timestamp(None, _) | DataType::Date, Constant::SingleQuotedString(text)) =
            (&typed.data_type, &typed.value.value)
        else {
            return self.unsupported(tree);
        };
        let value = Value::Timestamp(self.instant(text)?);
        Some(Parsed {
            expression: Expression::Literal(value),
            dtype: Some(DType::Timestamp),
        })
    }

    fn instant(&mut self, text: &str) -> Option<EventTime> {
        let instant = EventTime::parse(text);
        if instant.is_err() {
            let expected = "an ISO-8601 instant such as 2026-01-31T12:00:00Z".to_owned();
            self.faults.push(fault(quoted(text), expected));
        }
        instant.ok()
    }

    fn unary_operator(
        &mut self,
        tree: &Expr,
        op: ast::UnaryOperator,
        operand: &Expr,
    ) -> Option<Parsed> {
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
        let rule = typing::unary(op, operand.dtype);
        let types = [operand.dtype];
        let operand = Box::new(operand.expression);
        self.typed(tree, rule, &types, Expression::Unary { op, operand })
    }

    fn binary(&mut self, tree: &Expr, op: BinaryOp, left: &Expr, right: &Expr) -> Option<Parsed> {
        let (left, right) = (self.translate(left), self.translate(right));
        self.joined(tree, op, left?, right?)
    }

    fn joined(&mut self, tree: &Expr, op: BinaryOp, left: Parsed, right: Parsed) -> Option<Parsed> {
        let (left, right) = (self.as_instant_like(left, right.dtype)?, right);
        let right = self.as_instant_like(right, left.dtype)?;
        let rule = typing::binary(op, left.dtype, right.dtype);
        let types = [left.dtype, right.dtype];
        let (left, right) = (Box::new(left.expression), Box::new(right.expression));
        self.typed(tree, rule, &types, Expression::Binary { op, left, right })
    }

    /// A text literal beside a timestamp is an instant.
    fn as_instant_like(&mut self, parsed: Parsed, other: Option<DType>) -> Option<Parsed> {
        match (&parsed.expression, other) {
            (Expression::Literal(Value::Text(text)), Some(DType::Timestamp)) => {
                let value = Value::Timestamp(self.instant(text)?);
                let expression = Expression::Literal(value);
                Some(Parsed {
                    expression,
                    dtype: Some(DType::Timestamp),
                })
            }
            _ => Some(parsed),
        }
    }

    fn in_list(
        &mut self,
        tree: &Expr,
        operand: &Expr,
        list: &[Expr],
        negated: bool,
    ) -> Option<Parsed> {
        let operand = self.translate(operand)?;
        let mut values = Vec::with_capacity(list.len());
        for item in list {
            let item = self.translate(item)?;
            let item = self.as_instant_like(item, operand.dtype)?;
            if !typing::comparable(operand.dtype, item.dtype) {
                return self.refused(tree, "values of one type", &[operand.dtype, item.dtype]);
            }
            let Expression::Literal(value) = item.expression else {
                let expected = "literals in the list of `in`".to_owned();
                self.faults.push(fault(quoted(&tree.to_string()), expected));
                return None;
            };
            values.push(value);
        }
        let expression = Expression::In {
            operand: Box::new(operand.expression),
            list: values,
            negated,
        };
        Some(Parsed {
            expression,
            dtype: Some(DType::Bool),
        })
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
        Some(Parsed {
            expression: Expression::Unary {
                op: UnaryOp::Not,
                operand,
            },
            ..both
        })
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
            if typing::unary(UnaryOp::Not, condition.dtype).is_err() {
                return self.refused(tree, "a condition behind `when`", &[condition.dtype]);
            }
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
        let rule = typing::common(types.iter().copied());
        let expression = Expression::Case {
            branches,
            otherwise,
        };
        self.typed(tree, rule, &types, expression)
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
        let known = ScalarFunction::NAMES
            .into_iter()
            .find(|(known, _)| *known == name);
        let Some((_, scalar)) = known else {
            let names = || ScalarFunction::NAMES.into_iter().map(|(known, _)| known);
            self.faults.push(Fault {
                found: format!(
                    "function {}{}",
                    quoted(&name),
                    place(function.name.span().start)
                ),
                expected: listed(names()),
                suggestion: nearest(&name, names()),
            });
            // Its arguments may have faults of their own.
            for argument in plain_arguments(function).unwrap_or_default() {
                self.translate(argument);
            }
            return None;
        };
        let Some(arguments) = plain_arguments(function) else {
            return self.unsupported(tree);
        };
        self.call(tree, scalar, &arguments)
    }

    fn call(
        &mut self,
        tree: &Expr,
        function: ScalarFunction,
        arguments: &[&Expr],
    ) -> Option<Parsed> {
        let is_model = matches!(function, ScalarFunction::Vader | ScalarFunction::Embed);
        if is_model && !self.scope.text_models {
            let expected = "a column under `derived` of the source, computed once per row";
            self.faults
                .push(fault(quoted(&tree.to_string()), expected.to_owned()));
            return None;
        }
        let (least, most) = typing::arity(function);
        if !(least..=most).contains(&arguments.len()) {
            let found = format!(
                "{} with {} arguments",
                quoted(&tree.to_string()),
                arguments.len()
            );
            let expected = if least == most {
                least.to_string()
            } else {
                format!("{least} to {most}")
            };
            self.faults.push(fault(found, expected));
            return None;
        }
        let parsed: Vec<_> = arguments
            .iter()
            .map(|argument| self.translate(argument))
            .collect();
        let parsed: Vec<Parsed> = parsed.into_iter().collect::<Option<_>>()?;
        let types: Vec<_> = parsed.iter().map(|argument| argument.dtype).collect();
        let rule = typing::call(function, &types);
        let arguments = parsed
            .into_iter()
            .map(|argument| argument.expression)
            .collect();
        let expression = Expression::Call {
            function,
            arguments,
        };
        self.typed(tree, rule, &types, expression)
    }

    /// The expression with its type; a rule that the operands break becomes a fault.
    fn typed(
        &mut self,
        tree: &Expr,
        rule: Typed,
        operands: &[Option<DType>],
        expression: Expression,
    ) -> Option<Parsed> {
        match rule {
            Ok(dtype) => Some(Parsed { expression, dtype }),
            Err(expected) => self.refused(tree, expected, operands),
        }
    }

    fn refused(
        &mut self,
        tree: &Expr,
        expected: &str,
        operands: &[Option<DType>],
    ) -> Option<Parsed> {
        let name =
            |dtype: &Option<DType>| dtype.map_or("null".to_owned(), |dtype| dtype.to_string());
        let names: Vec<String> = operands.iter().map(name).collect();
        let place = place(tree.span().start);
        let shown = quoted(&tree.to_string());
        let found = format!("{shown}{place} with {}", names.join(", "));
        self.faults.push(fault(found, expected.to_owned()));
        None
    }

    fn unsupported(&mut self, tree: &Expr) -> Option<Parsed> {
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
    let FunctionArguments::List(list) = &function.args else {
        return None;
    };
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
