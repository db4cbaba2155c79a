//! One column of the query for each feature: aggregates over the events before the row's
//! instant, each with the condition of its window and `where`.

use granary_registry::{
    Aggregation, DType, Expression, Feature, FeatureGroup, Function, Span, Window,
};

use super::expression::{finite, sql, value_sql};
use super::{literal, quoted};

/// The columns so far.
pub(super) struct Columns<'a> {
    group: &'a FeatureGroup,
    has_event_time: bool,
    /// Computed over the joined events, by name.
    aggregates: Vec<(String, String)>,
    /// Conditions under which sessions are counted; each is a query of its own.
    sessions: Vec<String>,
    /// What the last query selects, in order of the registry.
    selected: Vec<String>,
}

/// No SQL for it, and why.
type Refused = &'static str;

impl<'a> Columns<'a> {
    pub(super) fn new(group: &'a FeatureGroup, has_event_time: bool) -> Self {
        Columns {
            group,
            has_event_time,
            aggregates: Vec::new(),
            sessions: Vec::new(),
            selected: Vec::new(),
        }
    }

    /// A value: the column as it stands in the newest row.
    pub(super) fn latest(&mut self, feature: &Feature, column: &str) {
        let text = format!("last({} order by _time, _n)", quoted(column));
        let text = format!("{text} filter (where _time is not null)");
        let age = self.group.max_age.filter(|_| self.has_event_time);
        self.add(
            feature,
            match age {
                Some(age) => format!("case when _at - max(_time) <= {} then {text} end", age.0),
                None => text,
            },
        );
    }

    /// A fold.
    pub(super) fn aggregate(
        &mut self,
        feature: &Feature,
        aggregation: &Aggregation,
    ) -> Result<(), Refused> {
        let condition = condition(aggregation);
        let only = format!("filter (where {condition})");
        let input = aggregation.input.as_ref();
        let is_vector = input.and_then(Expression::dtype) == Some(DType::Vector);
        let is_bool = input.and_then(Expression::dtype) == Some(DType::Bool);
        let x = match input {
            Some(input) if is_bool => format!("{}::int", sql(input)),
            Some(input) => sql(input),
            None => "1".to_owned(),
        };
        let text = match &aggregation.function {
            Function::ApproxCountDistinct | Function::ApproxPercentile { .. } => {
                return Err("a sketch, which other engines estimate otherwise");
            }
            _ if is_vector => return Err("elements of vectors"),
            Function::Count => format!("count({x}) {only}"),
            Function::Sum => format!("coalesce(sum({x}) {only}, 0)"),
            Function::Mean => format!("avg({x}) {only}"),
            Function::Min => format!("min({x}) {only}"),
            Function::Max => format!("max({x}) {only}"),
            Function::Variance => format!("var_samp({x}) {only}"),
            Function::Stddev => format!("stddev_samp({x}) {only}"),
            Function::First | Function::Last => {
                edges(&aggregation.function, &x, &condition, "first")
            }
            Function::FirstK { k } | Function::LastK { k } => {
                let list = edges(&aggregation.function, &x, &condition, "list");
                if feature.dtype == DType::Vector {
                    format!("list_resize(list_slice({list}, 1, {k}), {k})")
                } else {
                    format!("to_json(list_slice({list}, 1, {k}))")
                }
            }
            Function::CountDistinct { .. } => format!("count(distinct {x}) {only}"),
            Function::CountBy { categories } => {
                let count = |name: &std::sync::Arc<str>| {
                    format!(
                        "count(*) filter (where {condition} and {x} = {})",
                        literal(name)
                    )
                };
                let counts: Vec<String> = categories.iter().map(count).collect();
                format!("list_value({})", counts.join(", "))
            }
            Function::Histogram { edges } => histogram(&x, edges, &condition),
            Function::Sessions | Function::SessionLength => {
                self.session(feature, &aggregation.function, condition);
                return Ok(());
            }
            Function::DaysSinceLast => {
                format!("(_at - max(_time) {only}) // {}", Span::DAY.0)
            }
            Function::DecayedSum { half_life } => {
                let weight = format!("pow(0.5::double, (_at - _time)::double / {})", half_life.0);
                format!("coalesce(sum({x} * {weight}) {only}, 0)")
            }
            Function::Rate { per } => {
                let span = match aggregation.window {
                    Some(window) => window.length.0.to_string(),
                    None => format!("(_at - min(_time) {only})"),
                };
                format!("count(*) {only} * {}::double / {span}", per.0)
            }
            Function::Trend { per } => {
                let time = format!("(_time - _at)::double / {}", per.0);
                finite(&format!("regr_slope({x}, {time}) {only}"))
            }
        };
        self.add(feature, text);
        Ok(())
    }

    /// The rest of the query.
    pub(super) fn query(&self, key: &str, derived: &[String]) -> String {
        let sessions = self.sessions.iter().enumerate();
        let gap = self.group.session_gap;
        let sessions = sessions.map(|(number, condition)| session_query(number, condition, gap));
        let aggregates = self.aggregates.iter();
        let aggregates = aggregates.map(|(name, text)| format!("{text} as {name}"));
        let aggregates = listed("_row", aggregates);
        let head = format!(
            "_row, spine._key as {}, make_timestamp(_at) as as_of",
            quoted(key)
        );
        let selected = listed(&head, self.selected.iter().cloned());
        let joins = 0..self.sessions.len();
        let joins = joins.map(|number| format!(" left join sessions_{number} using (_row)"));
        let derived = listed("* exclude (_row)", derived.iter().cloned());
        format!(
            "joined as (
  select spine._row, spine._at, events.*
  from spine left join events on events._key = spine._key and events._time < spine._at
),
{sessions}folded as (
  select {aggregates}
  from joined group by _row, _at
),
features as (
  select {selected}
  from spine join folded using (_row){joins}
)
select {derived}
from features order by _row;
",
            sessions = sessions.collect::<Vec<_>>().concat(),
            joins = joins.collect::<Vec<_>>().concat(),
        )
    }

    fn add(&mut self, feature: &Feature, text: String) {
        let name = quoted(&feature.name);
        let dtype = match feature.dtype {
            DType::Int => "bigint",
            DType::Float => "double",
            DType::Bool => "boolean",
            DType::Text | DType::Categorical => "varchar",
            DType::Timestamp => "timestamp",
            DType::Vector => "double[]",
        };
        self.selected.push(format!("{name}::{dtype} as {name}"));
        self.aggregates.push((name, text));
    }

    fn session(&mut self, feature: &Feature, function: &Function, condition: String) {
        let known = self.sessions.iter().position(|held| *held == condition);
        let number = known.unwrap_or_else(|| {
            self.sessions.push(condition);
            self.sessions.len() - 1
        });
        let name = quoted(&feature.name);
        self.selected.push(if *function == Function::Sessions {
            format!("coalesce(sessions_{number}._count, 0) as {name}")
        } else {
            format!("sessions_{number}._total / 60e6 / sessions_{number}._count as {name}")
        });
    }
}

/// One item a line.
fn listed(first: &str, items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = std::iter::once(first.to_owned()).chain(items).collect();
    items.join(",\n    ")
}

/// Which of the joined events count.
fn condition(aggregation: &Aggregation) -> String {
    let mut parts = vec!["_time is not null".to_owned()];
    if let Some(Window { length, hop }) = aggregation.window {
        let start = format!("(_at - {})", length.0);
        let rest = format!("(({start} % {hop} + {hop}) % {hop})", hop = hop.0);
        parts.push(format!("_time >= {start} - {rest}"));
    }
    if let Some(filter) = &aggregation.filter {
        parts.push(sql(filter));
    }
    parts.join(" and ")
}

/// The first by order of (event time, dedupe key, input), or by its reverse.
fn edges(function: &Function, x: &str, condition: &str, take: &str) -> String {
    let order = match function {
        Function::First | Function::FirstK { .. } => format!("_time, _id nulls first, {x}"),
        _ => format!("_time desc, _id desc nulls last, {x} desc"),
    };
    format!("{take}({x} order by {order}) filter (where {condition} and {x} is not null)")
}

fn histogram(x: &str, edges: &[f64], condition: &str) -> String {
    let edge = |edge: f64| value_sql(&granary_registry::Value::Float(edge));
    let bucket = |number: usize| {
        let mut within = vec![format!("{condition} and {x} is not null")];
        if let Some(from) = number.checked_sub(1) {
            within.push(format!("{x} >= {}", edge(edges[from])));
        }
        if let Some(&to) = edges.get(number) {
            within.push(format!("{x} < {}", edge(to)));
        }
        let within = within.join(" and ");
        format!("count(*) filter (where {within})")
    };
    let buckets: Vec<String> = (0..=edges.len()).map(bucket).collect();
    format!("list_value({})", buckets.join(", "))
}

/// A session begins where the gap is too long; its length is the sum of the gaps inside.
fn session_query(number: usize, condition: &str, gap: Span) -> String {
    let gap = gap.0;
    format!(
        "sessions_{number} as (
  select _row, count(*) filter (where pause is null or pause > {gap}) as _count,
    coalesce(sum(pause) filter (where pause <= {gap}), 0) as _total
  from (
    select _row, _time - lag(_time) over (partition by _row order by _time) as pause
    from joined where {condition}
  )
  group by _row
),
"
    )
}
