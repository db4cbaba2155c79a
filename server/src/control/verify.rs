//! What a verification asks of a service: whom it serves, and what it answers for them. Called
//! for a command by the listener, and by the command itself without a server.

use granary_registry::EventTime;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::instant;
use crate::service::{ServedRow, Service};

/// What is now.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Moment {
    /// By the registry's clock, in microseconds.
    pub now: i64,
    /// The log's end.
    pub log_end: u64,
}

/// What is now.
pub fn moment(service: &Service) -> Moment {
    Moment {
        now: service.now().0,
        log_end: service.status().log_offset,
    }
}

/// Keys of entities in order, after one, at most `limit`.
pub fn keys(service: &Service, after: Option<&str>, limit: usize) -> Result<Vec<String>, String> {
    service
        .keys(after, limit)
        .map_err(|error| error.to_string())
}

/// Answers as lines of the serving log: for each entity one for each of its instants.
pub fn served(
    service: &Service,
    entities: &[(String, Vec<Option<i64>>)],
) -> Result<Vec<String>, String> {
    let answers = entities.par_iter().map(|(key, instants)| {
        let instants: Vec<Option<EventTime>> = instants.iter().copied().map(instant).collect();
        let rows = service.served(key, &instants);
        let rows = rows.map_err(|error| error.to_string())?;
        Ok(rows.iter().map(ServedRow::to_line).collect::<Vec<String>>())
    });
    let answers: Vec<Vec<String>> = answers.collect::<Result<_, String>>()?;
    Ok(answers.concat())
}
