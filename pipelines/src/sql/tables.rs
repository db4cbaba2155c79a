//! The tables that the query reads: events with their columns typed and freed of copies, and
//! the spine.

use granary_registry::{DType, Expression, Source};

use super::{SqlFiles, SqlSpine, expression, literal, quoted};

/// `_time` of a table without an event time: before every instant.
const BEFORE_ALL: &str = "(-9223372036854775807 - 1)";

/// The events of the source; `is_in_sql` says which derived columns can be computed.
pub(super) fn events(
    source: &Source,
    key: &str,
    files: SqlFiles<'_>,
    is_in_sql: fn(&Expression) -> bool,
) -> String {
    let mut columns = vec![format!("cast({} as varchar) as _key", quoted(key))];
    columns.push(match &source.event_time {
        Some(time) => format!("epoch_us(cast({} as timestamp)) as _time", quoted(time)),
        None => format!("{BEFORE_ALL} as _time"),
    });
    let id = source.id.as_ref().map(|id| {
        let declared = source.columns.iter().find(|column| column.name == *id);
        let dtype = declared.map_or(DType::Text, |column| column.dtype);
        typed(id, dtype)
    });
    columns.push(format!("{} as _id", id.as_deref().unwrap_or("null")));
    let present = |name: &String| files.columns.contains(name);
    for column in source.columns.iter().filter(|column| present(&column.name)) {
        let text = typed(&column.name, column.dtype);
        columns.push(format!("{text} as {}", quoted(&column.name)));
    }
    // A derived column may read those before it, so each is a query around the last.
    let mut inner = format!("select _n, {} from files", columns.join(",\n    "));
    for column in source
        .derived
        .iter()
        .filter(|column| is_in_sql(&column.expression))
    {
        let text = expression::sql(&column.expression);
        inner = format!(
            "select *, {text} as {} from ({inner})",
            quoted(&column.name)
        );
    }
    format!(
        "with files as (
  select row_number() over () as _n, * from {}
),
events as (
  select * from ({inner})
  qualify _id is null or row_number() over (partition by _key, _time, _id order by _n) = 1
),
",
        table(files.paths, true),
    )
}

/// A column of a file in the type that the registry gives it.
fn typed(name: &str, dtype: DType) -> String {
    let name = quoted(name);
    match dtype {
        DType::Int => format!("cast({name} as bigint)"),
        DType::Float => {
            let float = format!("cast({name} as double)");
            expression::finite(&float)
        }
        DType::Bool => format!("cast({name} as boolean)"),
        DType::Text | DType::Categorical => format!("cast({name} as varchar)"),
        DType::Timestamp => format!("cast({name} as timestamp)"),
        DType::Vector => name,
    }
}

/// A function that reads files by their kind.
fn table(paths: &[String], as_text: bool) -> String {
    let listed: Vec<String> = paths.iter().map(|path| literal(path)).collect();
    let listed = listed.join(", ");
    let first = paths.first().map_or("", String::as_str);
    let is = |ending: &str| {
        let plain = first.trim_end_matches(".gz").trim_end_matches(".zst");
        plain.ends_with(ending)
    };
    if is(".csv") {
        let options = if as_text { ", all_varchar = true" } else { "" };
        format!("read_csv([{listed}], header = true{options})")
    } else if is(".jsonl") || is(".ndjson") || is(".json") {
        format!("read_json([{listed}])")
    } else {
        format!("read_parquet([{listed}])")
    }
}

/// The rows to answer.
pub(super) fn spine(key: &str, spine: &SqlSpine) -> String {
    let rows = match spine {
        SqlSpine::At(instant) => format!(
            "select row_number() over (order by _key) as _row, _key, {}::bigint as _at
  from (select distinct _key from events)",
            instant.0
        ),
        SqlSpine::File { path, instant } => format!(
            "select row_number() over () as _row, cast({} as varchar) as _key,
    epoch_us(cast({} as timestamp)) as _at
  from {}",
            quoted(key),
            quoted(instant),
            table(std::slice::from_ref(path), false)
        ),
    };
    format!("spine as (\n  {rows}\n),\n")
}
