//! Columns of a table to subjects of predictions: the join key, features by name, or both. Called
//! by `inference` and `mlflow`.

use serde_json::Value as Json;

use super::error::ApiError;
use super::input::{MAX_ROWS, key, key_name, position};
use crate::service::{Catalog, Prediction, Service, ServiceError, Subject, of_json, of_text};

/// Up to this many are predicted on the thread where the request arrived.
pub(super) const INLINE_SUBJECTS: usize = 64;

/// A table of JSON values, column by column, all of one length.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) columns: Vec<(String, Vec<Json>)>,
    /// Whether its texts stand for values of any type, as in CSV.
    pub(super) is_text: bool,
}

impl Table {
    /// Of values that have their types.
    pub(super) fn of(columns: Vec<(String, Vec<Json>)>) -> Table {
        Table {
            columns,
            is_text: false,
        }
    }

    /// The rows as subjects.
    pub(super) fn subjects(self, catalog: &Catalog) -> Result<Vec<Subject>, ApiError> {
        if catalog.features.is_empty() {
            return Err(ServiceError::NothingLoaded.into());
        }
        let rows = self.columns.first().map_or(0, |(_, values)| values.len());
        if rows > MAX_ROWS {
            let reason = format!("has {rows} rows, at most {MAX_ROWS} are answered at once");
            return Err(ApiError::field("body", reason));
        }
        let mut subjects = vec![Subject::default(); rows];
        for (name, values) in self.columns {
            if values.len() != rows {
                let reason = format!("has {} rows, the first column has {rows}", values.len());
                return Err(ApiError::field(name, reason));
            }
            let place = |row: usize| format!("{name}[{row}]");
            if name == key_name(catalog) {
                for (row, (subject, value)) in subjects.iter_mut().zip(&values).enumerate() {
                    subject.key = Some(key(&place(row), value)?);
                }
                continue;
            }
            let feature = &catalog.features[position(catalog, &name)?];
            for (row, (subject, value)) in subjects.iter_mut().zip(&values).enumerate() {
                let value = match value {
                    Json::String(text) if self.is_text => of_text(text.as_bytes(), feature.dtype),
                    value => of_json(value, feature.dtype),
                };
                let value = value.map_err(|reason| ApiError::field(place(row), reason))?;
                subject.features.push((name.clone(), value));
            }
        }
        Ok(subjects)
    }
}

/// Predictions for all subjects; one that fails refuses the request.
pub(super) fn predictions(
    service: &Service,
    subjects: &[Subject],
) -> Result<Vec<Prediction>, ApiError> {
    let found = service.predict(subjects)?;
    Ok(found.into_iter().collect::<Result<_, _>>()?)
}
