//! The records of one group: its history is gathered once for all of them, then every entity
//! is swept, asked of the oracle, and compared.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use granary_registry::{EventTime, FeatureGroup, Source};
use granary_storage::Offset;
use rayon::prelude::*;

use super::known::{Unknown, late};
use super::report::{Comparison, Tally};
use super::standing::Standings;
use super::{Report, Served, Verification};
use crate::error::Error;
use crate::fold::{Columns, Events, GroupFold};
use crate::history::History;
use crate::job::Job;
use crate::oracle::{EntityRows, GroupOracle, OracleRows};
use crate::point_in_time::sweep_entity;
use crate::reading::{Reading, Rows, Since};

const UNSETTLED: &str = "events of the entity were being folded in at that moment";

/// A record to be held against the history of its entity.
#[derive(Clone, Copy)]
struct Asked {
    record: usize,
    built_until: Offset,
}

/// Entities by their numbers, each with its records.
#[derive(Default)]
struct Entities {
    keys: Vec<Arc<str>>,
    asked: Vec<Vec<Asked>>,
}

/// Everything that the comparison of an entity needs.
struct Check<'a> {
    group: &'a FeatureGroup,
    source: &'a Source,
    fold: GroupFold,
    slots: HashMap<&'a str, usize>,
    records: &'a [Served],
    entities: Entities,
    /// None if it is not asked.
    oracle: Option<(GroupOracle, OracleRows)>,
}

/// Compares every value of this group.
pub(super) fn verify(
    job: &Job<'_>,
    group: &FeatureGroup,
    verification: Verification<'_>,
    report: &mut Report,
) -> Result<(), Error> {
    let names = group.features.iter().enumerate();
    let slots: HashMap<&str, usize> = names.map(|(at, feature)| (&*feature.name, at)).collect();
    let entities = ask(job, group, &slots, verification.records, report)?;
    let keys = &entities.keys;
    if keys.is_empty() {
        return Ok(());
    }
    let source = job.source_of(group).0;
    let reading = Reading::open(job, group, Since::default())?;
    reading.number(keys);
    let history = History::read(&reading, Rows::Known)?;
    let oracle = if verification.oracle {
        let oracle = GroupOracle::new(group, source, &job.embedder)?;
        let rows = oracle.read(job, group, keys)?;
        Some((oracle, rows))
    } else {
        None
    };
    let check = Check {
        group,
        source,
        fold: reading.into_parts().0,
        slots,
        records: verification.records,
        entities,
        oracle,
    };
    report.add(group, check.run(&history)?);
    Ok(())
}

/// Which records are asked of whom; others are counted as skipped.
fn ask(
    job: &Job<'_>,
    group: &FeatureGroup,
    slots: &HashMap<&str, usize>,
    records: &[Served],
    report: &mut Report,
) -> Result<Entities, Error> {
    let mut standings = Standings::new(job, group);
    let mut numbers: HashMap<Arc<str>, usize> = HashMap::new();
    let mut entities = Entities::default();
    let Entities { keys, asked } = &mut entities;
    for (record, served) in records.iter().enumerate() {
        let names = served.features.iter().map(|(name, _)| &**name);
        let values = names.filter(|name| slots.contains_key(name)).count();
        if values == 0 {
            continue;
        }
        let built_until = match standings.of(served)? {
            Ok(offset) => offset,
            Err(reason) => {
                report.skip(&reason, values as u64);
                continue;
            }
        };
        let number = *numbers.entry(served.key.clone()).or_insert(keys.len());
        if number == keys.len() {
            keys.push(served.key.clone());
            asked.push(Vec::new());
        }
        asked[number].push(Asked {
            record,
            built_until,
        });
    }
    Ok(entities)
}

impl Check<'_> {
    /// Entities without rows have the values of an empty history.
    fn run(&self, history: &History) -> Result<Vec<Tally>, Error> {
        let tally = || Tally::new(self.group.features.len());
        let begin = || (tally(), Vec::new());
        let with_rows = history.map(begin, |(tally, met), entity, events| {
            met.push(entity);
            self.entity(tally, entity as usize, events);
            Ok(())
        })?;
        let mut empty = vec![true; self.entities.keys.len()];
        let mut tallies = Vec::with_capacity(with_rows.len());
        for (tally, met) in with_rows {
            tallies.push(tally);
            for entity in met {
                empty[entity as usize] = false;
            }
        }
        let empty: Vec<usize> = (0..empty.len()).filter(|&entity| empty[entity]).collect();
        let columns = Columns::default();
        let without_rows = empty.par_chunks(1024).map(|entities| {
            let mut tally = tally();
            for &entity in entities {
                self.entity(&mut tally, entity, &Events::new(&columns, 0..0));
            }
            tally
        });
        tallies.extend(without_rows.collect::<Vec<Tally>>());
        Ok(tallies)
    }

    /// Compares all records of an entity, given its events in order and without copies.
    fn entity(&self, tally: &mut Tally, entity: usize, events: &Events<'_>) {
        let logged = events.rows.clone().map(|row| events.position(row));
        let logged: Vec<u64> = logged.filter(|&position| position > 0).collect();
        let is_event = |row: &usize| !self.fold.is_written(events.columns, *row);
        let times = events.rows.clone().filter(is_event);
        let times = times.map(|row| (events.columns.times[row], events.position(row)));
        let mut late_for = LateFor::new(times.collect(), self.source);
        let mut alike: BTreeMap<Unknown, Vec<Asked>> = BTreeMap::new();
        for &asked in &self.entities.asked[entity] {
            let served = &self.records[asked.record];
            let (from, until) = (served.known_from.0, served.known_until.0);
            if logged
                .iter()
                .any(|&position| position > from && position <= until)
            {
                tally.skip(UNSETTLED, self.places(served).count() as u64);
                continue;
            }
            let late = late_for.build(asked.built_until);
            if !served.from_log && late.iter().any(|&position| position <= until) {
                tally.pending_late.insert(served.key.clone());
            }
            let unknown = Unknown::of(served, &logged, late);
            alike.entry(unknown).or_default().push(asked);
        }
        for (unknown, asked) in alike {
            if unknown.is_empty() {
                self.compare(tally, entity, events, asked);
                continue;
            }
            let known = events.rows.clone();
            let known = known.filter(|&row| !unknown.has(events.position(row)));
            let known: Vec<u32> = known.map(|row| row as u32).collect();
            let columns = events.columns.take(&known);
            let events = Events::new(&columns, 0..columns.rows());
            self.compare(tally, entity, &events, asked);
        }
    }

    /// Compares records that knew exactly these events.
    fn compare(
        &self,
        tally: &mut Tally,
        entity: usize,
        events: &Events<'_>,
        mut asked: Vec<Asked>,
    ) {
        let as_of = |asked: &Asked| self.records[asked.record].as_of;
        asked.sort_by_key(as_of);
        let naive = self.naive(entity, asked[0]);
        let naive = naive.as_ref();
        let instants: Vec<EventTime> = asked.iter().map(as_of).collect();
        let rows: Vec<u32> = (0..asked.len() as u32).collect();
        sweep_entity(&self.fold, events, &rows, &instants, |row, state, as_of| {
            let record = asked[row as usize].record;
            let served = &self.records[record];
            for (place, slot) in self.places(served) {
                let (feature, value) = &served.features[place];
                let oracle = naive.and_then(|(oracle, rows)| oracle.answer(slot, rows, as_of));
                tally.compare(Comparison {
                    group: &self.group.name,
                    slot,
                    record,
                    served,
                    feature,
                    value,
                    recomputed: self.fold.value(slot, state, as_of),
                    oracle,
                });
            }
        });
    }

    /// The oracle's rows of an entity, as far as they were known to a record: found out from
    /// its own rows, copies included.
    fn naive(&self, entity: usize, asked: Asked) -> Option<(&GroupOracle, EntityRows)> {
        let (oracle, all) = self.oracle.as_ref()?;
        let lateness = self.source.allowed_lateness;
        let late = late(all.times(entity, true), asked.built_until, lateness);
        let positions: Vec<u64> = all
            .times(entity, false)
            .map(|(_, position)| position)
            .collect();
        let unknown = Unknown::of(&self.records[asked.record], &positions, &late);
        let rows = oracle.entity(all, entity, |position| !unknown.has(position));
        Some((oracle, rows))
    }

    /// Which features of a record are the group's, and their slots.
    fn places<'s>(&'s self, served: &'s Served) -> impl Iterator<Item = (usize, usize)> + 's {
        let features = served.features.iter().enumerate();
        features.filter_map(|(place, (name, _))| Some((place, *self.slots.get(&**name)?)))
    }
}

/// Late events of an entity by the build that its states began from; mostly there is one.
struct LateFor<'a> {
    rows: Vec<(i64, u64)>,
    source: &'a Source,
    found: Vec<(Offset, Vec<u64>)>,
}

impl LateFor<'_> {
    fn new(rows: Vec<(i64, u64)>, source: &Source) -> LateFor<'_> {
        LateFor {
            rows,
            source,
            found: Vec::new(),
        }
    }

    fn build(&mut self, until: Offset) -> &[u64] {
        let held = self.found.iter().position(|(held, _)| *held == until);
        let place = held.unwrap_or_else(|| {
            let rows = self.rows.iter().copied();
            let late = late(rows, until, self.source.allowed_lateness);
            self.found.push((until, late));
            self.found.len() - 1
        });
        &self.found[place].1
    }
}
