//! Columns of values, statuses and instants, written as JSON while the rows are read. Called by
//! `online_features`.

use granary_registry::{EventTime, Span, ValueRef};

use super::request::Asked;
use crate::http::json::{write_string, write_value};
use crate::monitor::FeastMetrics;
use crate::resp::text::write_display;
use crate::service::{Catalog, Reader, ServiceError};

/// The instant that is told where there is none.
const NEVER: EventTime = EventTime(0);

/// The states of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Present,
    NotFound,
    OutsideMaxAge,
}

/// What Feast calls them, by their order.
const STATUSES: [&str; 3] = ["PRESENT", "NOT_FOUND", "OUTSIDE_MAX_AGE"];

/// An instant as JSON: the features of a group have the same, so it is written once for them.
struct Stamp {
    time: EventTime,
    json: Vec<u8>,
}

impl Stamp {
    fn new() -> Stamp {
        Stamp {
            time: NEVER,
            json: format!("\"{NEVER}\"").into_bytes(),
        }
    }

    fn of(&mut self, time: EventTime) -> &[u8] {
        if self.time != time {
            self.time = time;
            self.json.clear();
            self.json.push(b'"');
            write_display(&mut self.json, time);
            self.json.push(b'"');
        }
        &self.json
    }
}

/// Room for what is told of one cell.
const CELL: usize = 48;

/// What is known of each feature of all entities.
pub(super) struct Answer {
    columns: Vec<Column>,
}

#[derive(Default)]
struct Column {
    /// By position in [`STATUSES`], how many values have it.
    counts: [u64; STATUSES.len()],
    values: Vec<u8>,
    statuses: Vec<u8>,
    times: Vec<u8>,
}

impl Column {
    fn add(&mut self, value: ValueRef<'_>, status: Status, time: &[u8]) {
        if !self.values.is_empty() {
            for list in [&mut self.values, &mut self.statuses, &mut self.times] {
                list.push(b',');
            }
        }
        self.counts[status as usize] += 1;
        self.statuses.push(b'"');
        self.statuses
            .extend_from_slice(STATUSES[status as usize].as_bytes());
        self.statuses.push(b'"');
        self.times.extend_from_slice(time);
        match value {
            // As Feast tells them: each the nearest number of 64 bits.
            ValueRef::Vector(elements) => {
                let elements: Vec<f64> = elements.iter().map(|x| f64::from(*x)).collect();
                let written = serde_json::to_writer(&mut self.values, &elements);
                written.expect("numbers have a JSON form and a Vec takes it");
            }
            value => write_value(&mut self.values, value),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"values\":[");
        out.extend_from_slice(&self.values);
        out.extend_from_slice(b"],\"statuses\":[");
        out.extend_from_slice(&self.statuses);
        out.extend_from_slice(b"],\"event_timestamps\":[");
        out.extend_from_slice(&self.times);
        out.extend_from_slice(b"]}");
    }
}

impl Answer {
    pub(super) fn read(
        asked: &Asked,
        catalog: &Catalog,
        reader: &mut Reader<'_>,
    ) -> Result<Answer, ServiceError> {
        let room = || Vec::with_capacity(CELL * asked.keys.len());
        let column = |_: &usize| Column {
            counts: Default::default(),
            values: room(),
            statuses: room(),
            times: room(),
        };
        let mut columns: Vec<Column> = asked.features.iter().map(column).collect();
        let mut newest = Vec::with_capacity(columns.len());
        let mut stamp = Stamp::new();
        for key in &asked.keys {
            let shown = reader.show(key, Some(&asked.features), |shown| {
                newest.clear();
                newest.extend(asked.features.iter().map(|&at| shown.newest(at)));
                let as_of = shown.as_of();
                let mut cells = columns.iter_mut().zip(&newest);
                shown.each(|at, value| {
                    if let Some((column, newest)) = cells.next() {
                        let max_age = catalog.features[at].max_age;
                        let (status, time) = status(value, *newest, as_of, max_age);
                        column.add(value, status, stamp.of(time));
                    }
                })
            })?;
            if shown.is_none() {
                for column in &mut columns {
                    column.add(ValueRef::Null, Status::NotFound, stamp.of(NEVER));
                }
            }
        }
        Ok(Answer { columns })
    }

    /// Counts the values of each feature view by their status.
    pub(super) fn count(&self, asked: &Asked, catalog: &Catalog, metrics: &FeastMetrics) {
        for view in asked.views(catalog) {
            let columns = asked.features.iter().zip(&self.columns);
            let of_view = columns.filter(|(at, _)| *catalog.features[**at].group == *view);
            let mut counts = [0; STATUSES.len()];
            for (_, column) in of_view {
                for (all, more) in counts.iter_mut().zip(column.counts) {
                    *all += more;
                }
            }
            let found = STATUSES.iter().zip(counts).filter(|(_, count)| *count > 0);
            for (status, count) in found {
                metrics.status(view, status, count);
            }
        }
    }

    pub(super) fn into_json(self, asked: &Asked, catalog: &Catalog) -> Vec<u8> {
        let (mut keys, mut stamp) = (Column::default(), Stamp::new());
        for key in &asked.keys {
            let number = if catalog.has_number_keys {
                key.parse().ok()
            } else {
                None
            };
            let value = number.map_or(ValueRef::Text(key), ValueRef::Int);
            keys.add(value, Status::Present, stamp.of(NEVER));
        }
        let size =
            |column: &Column| column.values.len() + column.statuses.len() + column.times.len();
        let columns = || std::iter::once(&keys).chain(&self.columns);
        let mut out =
            Vec::with_capacity(columns().map(size).sum::<usize>() + 96 * columns().count());
        out.extend_from_slice(b"{\"results\":[");
        separated(&mut out, columns(), |out, column| column.write(out));
        out.extend_from_slice(b"],\"metadata\":{\"feature_names\":[");
        let names = asked.features.iter().map(|&at| asked.name(catalog, at));
        let names = std::iter::once(catalog.key.clone()).chain(names);
        separated(&mut out, names, |out, name| write_string(out, &name));
        out.push(b']');
        if asked.lists_views {
            let views = asked.views(catalog);
            out.extend_from_slice(b",\"feature_view_metadata\":[");
            separated(&mut out, views, |out, view| {
                out.extend_from_slice(b"{\"name\":");
                write_string(out, view);
                out.push(b'}');
            });
            out.push(b']');
        }
        out.extend_from_slice(b"}}");
        out
    }
}

/// The state of a value, and when it was.
fn status(
    value: ValueRef<'_>,
    newest: Option<EventTime>,
    as_of: EventTime,
    max_age: Option<Span>,
) -> (Status, EventTime) {
    let Some(time) = newest else {
        // Counts of nothing are numbers; what was never told is not there.
        let status = if value.is_null() {
            Status::NotFound
        } else {
            Status::Present
        };
        return (status, NEVER);
    };
    let is_old = |limit: Span| as_of.0.saturating_sub(time.0) > limit.0;
    match time {
        EventTime::MIN => (Status::Present, NEVER),
        time if value.is_null() && max_age.is_some_and(is_old) => (Status::OutsideMaxAge, time),
        time => (Status::Present, time),
    }
}

fn separated<T>(
    out: &mut Vec<u8>,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(out, item);
    }
}
