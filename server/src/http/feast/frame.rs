//! The columns of a frame, as Feast's clients send rows. Called by `push` and `write`.

use granary_registry::EventTime;
use serde_json::{Map, Value as Json};

use super::error::FeastError;

/// The column of instants in every frame of Feast's.
pub(super) const EVENT_TIMESTAMP: &str = "event_timestamp";

/// The columns with which Feast's client says when a row was made; the log knows that itself.
pub(super) const CREATED: [&str; 2] = ["created", "created_timestamp"];

/// Columns of one length.
pub(super) struct Frame {
    pub(super) columns: Vec<(String, Vec<Json>)>,
    pub(super) rows: usize,
}

impl Frame {
    /// Checks that they are lists of one length.
    pub(super) fn read(df: Map<String, Json>) -> Result<Frame, FeastError> {
        let mut columns = Vec::with_capacity(df.len());
        for (name, values) in df {
            let Json::Array(values) = values else {
                return Err(FeastError::wrong(
                    &["df", &name],
                    "Input should be a valid list",
                ));
            };
            columns.push((name, values));
        }
        let rows = columns.first().map_or(0, |(_, values)| values.len());
        if let Some((name, values)) = columns.iter().find(|(_, values)| values.len() != rows) {
            let said = format!("has {} rows, the first column has {rows}", values.len());
            return Err(FeastError::wrong(&["df", name], said));
        }
        Ok(Frame { columns, rows })
    }

    /// The column of this name, taken out.
    pub(super) fn take(&mut self, name: &str) -> Option<Vec<Json>> {
        let place = self.columns.iter().position(|(held, _)| held == name)?;
        Some(self.columns.remove(place).1)
    }

    /// Feast's own columns, taken out: the instants, none where a row has none.
    pub(super) fn take_times(&mut self) -> Result<Vec<Option<EventTime>>, FeastError> {
        for name in CREATED {
            self.take(name);
        }
        let Some(values) = self.take(EVENT_TIMESTAMP) else {
            return Ok(vec![None; self.rows]);
        };
        let time = |(row, value): (usize, Json)| match value {
            Json::Null => Ok(None),
            Json::String(text) => EventTime::parse(&text).map(Some).map_err(|error| {
                let place = ["df", EVENT_TIMESTAMP];
                FeastError::wrong(&place, format!("row {row}: {error}"))
            }),
            other => {
                let said = format!("row {row} is {other}, wants an ISO-8601 instant as a string");
                Err(FeastError::wrong(&["df", EVENT_TIMESTAMP], said))
            }
        };
        values.into_iter().enumerate().map(time).collect()
    }
}
