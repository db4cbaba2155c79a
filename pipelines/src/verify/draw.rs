//! Random entities and instants, for a verification without a serving log: now, later, in the
//! past, and at the edges, where an off-by-one would show: at an event, where an event leaves
//! a window, and where the tail of a window moves.

use std::sync::Arc;

use granary_registry::{EventTime, FeatureGroup, FeatureKind, Span, Window};

use crate::error::Error;
use crate::job::Job;
use crate::piece::Piece;
use crate::reading::{Reading, Rows};
use crate::synth::random::Random;

/// Instants of one entity, at least and at most. Many cost little more than one, because its
/// history is found once.
const INSTANTS: (u64, u64) = (16, 64);

/// So many entities are drawn before they get more than the fewest instants.
const ENTITIES: u64 = 1_000;

/// How far past an entity's newest event it may be asked for.
const AHEAD: f64 = 60.0 * Span::DAY.0 as f64;

/// What is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Draw {
    /// The same seed draws the same of the same data.
    pub seed: u64,
    /// Pairs of entity and instant.
    pub samples: u64,
}

/// An entity with the instants that it shall be asked for.
#[derive(Clone, Debug)]
pub struct Drawn {
    /// Its key.
    pub key: Arc<str>,
    /// Instants; none means now.
    pub instants: Vec<Option<EventTime>>,
    /// How many of them are at an edge.
    pub edges: usize,
}

impl Draw {
    /// Some of the entities, each once.
    pub fn entities(self, mut keys: Vec<Arc<str>>) -> Vec<Arc<str>> {
        let mut random = Random::stream(self.seed, 0);
        let instants = (self.samples / ENTITIES).clamp(INSTANTS.0, INSTANTS.1);
        let wanted = self.samples.div_ceil(instants).min(keys.len() as u64) as usize;
        for place in 0..wanted {
            let from = place + random.below(keys.len() - place);
            keys.swap(place, from);
        }
        keys.truncate(wanted);
        keys
    }

    /// Instants for these entities, as many as there are samples in all.
    pub fn instants(
        self,
        job: &Job<'_>,
        groups: &[&FeatureGroup],
        keys: Vec<Arc<str>>,
        now: EventTime,
    ) -> Result<Vec<Drawn>, Error> {
        let times = event_times(job, groups, &keys)?;
        let windows = windows(groups);
        let count = keys.len() as u64;
        let drawn = keys.into_iter().zip(times).enumerate();
        Ok(drawn
            .map(|(at, (key, times))| {
                let at = at as u64;
                let mut entity = Entity {
                    times: &times,
                    windows: &windows,
                    next_window: at as usize,
                    now,
                    random: Random::stream(self.seed, at + 1),
                };
                let samples = self.samples / count + u64::from(at < self.samples % count);
                entity.draw(key, samples)
            })
            .collect())
    }
}

/// An entity while its instants are drawn.
struct Entity<'a> {
    /// Of its events, ascending.
    times: &'a [i64],
    windows: &'a [Window],
    next_window: usize,
    now: EventTime,
    random: Random,
}

impl Entity<'_> {
    fn draw(&mut self, key: Arc<str>, samples: u64) -> Drawn {
        let mut instants = Vec::with_capacity(samples as usize);
        let mut edges = 0;
        for sample in 0..samples {
            let (instant, edge) = match sample % 8 {
                0 => (None, false),
                1 => (Some(self.later()), false),
                2 => (Some(self.earlier()), false),
                at => match self.edge(at) {
                    Some(edge) => (Some(edge), true),
                    None => (Some(self.earlier()), false),
                },
            };
            edges += usize::from(edge);
            instants.push(instant.map(EventTime));
        }
        Drawn {
            key,
            instants,
            edges,
        }
    }

    fn later(&mut self) -> i64 {
        let newest = self.times.last().copied().unwrap_or(self.now.0);
        newest
            .saturating_add(1)
            .saturating_add((self.random.unit() * AHEAD) as i64)
    }

    /// Between the first event and now.
    fn earlier(&mut self) -> i64 {
        let oldest = self.times.first().copied();
        let oldest = oldest.unwrap_or(self.now.0.saturating_sub(AHEAD as i64));
        let span = self.now.0.saturating_sub(oldest).max(0) as f64;
        oldest.saturating_add((self.random.unit() * span) as i64)
    }

    /// At an edge, or a microsecond beside it.
    fn edge(&mut self, which: u64) -> Option<i64> {
        if self.times.is_empty() {
            return None;
        }
        let time = self.times[self.random.below(self.times.len())];
        let beside = self.random.below(3) as i64 - 1;
        let edge = match self.window() {
            // The event itself.
            None => time,
            Some(_) if which == 3 => time,
            // It would leave a window without hops.
            Some(window) if which < 6 => time.saturating_add(window.length.0),
            // It leaves the window: its hop has passed.
            Some(window) if which == 6 => (time.div_euclid(window.hop.0).saturating_add(1))
                .saturating_mul(window.hop.0)
                .saturating_add(window.length.0),
            // A tail moves, events or not.
            Some(window) => self.earlier().div_euclid(window.hop.0) * window.hop.0,
        };
        Some(edge.saturating_add(beside))
    }

    /// One after another, so that every window has its turn.
    fn window(&mut self) -> Option<Window> {
        self.next_window += 1;
        let windows = self.windows.len().max(1);
        self.windows.get(self.next_window % windows).copied()
    }
}

/// Every window of the groups once.
fn windows(groups: &[&FeatureGroup]) -> Vec<Window> {
    let features = groups.iter().flat_map(|group| &group.features);
    let mut windows: Vec<Window> = features
        .filter_map(|feature| match &feature.kind {
            FeatureKind::Aggregate(aggregation) => aggregation.window,
            _ => None,
        })
        .collect();
    windows.sort_by_key(|window| (window.length, window.hop));
    windows.dedup();
    windows
}

/// The instants of each entity's events, ascending; tables have none.
fn event_times(
    job: &Job<'_>,
    groups: &[&FeatureGroup],
    keys: &[Arc<str>],
) -> Result<Vec<Vec<i64>>, Error> {
    let mut times = vec![Vec::new(); keys.len()];
    let mut read: Vec<&str> = Vec::new();
    for group in groups {
        if read.contains(&&*group.source) {
            continue;
        }
        read.push(&group.source);
        let reading = Reading::open_for(job, group, &[], &[])?;
        reading.number(keys);
        for piece in reading.pieces(Rows::Known)? {
            let Piece {
                entities, columns, ..
            } = piece;
            for (entity, time) in entities.iter().zip(columns.times) {
                times[*entity as usize].push(time);
            }
        }
    }
    for times in &mut times {
        times.retain(|&time| time != i64::MIN);
        times.sort_unstable();
        times.dedup();
    }
    Ok(times)
}
