//! The folds of one generation of the online store, compiled: what turns stored rows into
//! features. Called by `push` and by every read; it holds no store, only the arithmetic between
//! bytes. How events change rows is in `live`.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use granary_registry::{Entity, EventTime, FeatureGroup, Registry, Source, Value, ValueRef};

use granary_storage::Offset;

use crate::error::Error;
use crate::fold::{Bytes, DecodeError, GroupFold, GroupState, Reading};
use crate::intake::Intake;
use crate::row;
use crate::text::Embedder;

/// Everything served of one entity kind.
#[derive(Debug)]
pub struct Serving {
    /// The registry that the generation was built from.
    pub registry: Registry,
    /// The entity whose rows these are.
    pub entity: Entity,
    /// Its groups; their positions are the group numbers in stored rows.
    pub groups: Vec<ServedGroup>,
    /// Every feature of every group, in order.
    pub features: Vec<ServedFeature>,
}

/// One group of a generation.
#[derive(Debug)]
pub struct ServedGroup {
    /// Its folds.
    pub fold: GroupFold,
    /// Name of its source.
    pub source: String,
    /// The log's records before this are in the version that was pushed.
    pub built_until: Offset,
    /// The newest event folded since it is served; the smallest instant if there is none.
    newest: AtomicI64,
    /// How live events and written values become columns.
    pub(crate) intake: Intake,
    /// Whether it takes events: tables do not.
    pub(crate) takes_events: bool,
    pub(crate) empty: GroupState,
}

/// Where a feature stands.
#[derive(Clone, Debug)]
pub struct ServedFeature {
    /// Its name.
    pub name: Arc<str>,
    /// Position of its group.
    pub group: usize,
    /// Position in the group.
    pub slot: usize,
    /// Whether it cannot be answered without the vectors of its state.
    needs_vectors: bool,
    /// How many of the group's states it is made of.
    depth: usize,
}

/// The features that a read asks for, and what they need of a stored row.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    features: Vec<usize>,
    /// By group, how many of its states the features are made of.
    depths: Vec<usize>,
    /// By group, whether one of them needs vectors.
    needs_vectors: Vec<bool>,
}

/// The memory of reads, kept from one to the next.
#[derive(Debug, Default)]
pub struct RowMemory {
    groups: Vec<GroupMemory>,
    floats: Vec<f32>,
}

/// What a read found of one group.
#[derive(Debug, Default)]
struct GroupMemory {
    /// Where its state and vectors lie in the row, if it has them and they are wanted.
    found: Option<(Range<usize>, Range<usize>)>,
    reading: Reading,
}

/// What was found of a stored row.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    newest: i64,
    /// Whether vectors that the entity has are needed to read it.
    pub needs_vectors: bool,
}

/// A stored row, read as far as a request needs it.
#[derive(Debug)]
pub struct OpenRow<'a> {
    serving: &'a Serving,
    key: &'a str, // for messages
    row: &'a [u8],
    vectors: Option<&'a [u8]>,
    memory: &'a mut RowMemory,
    newest: i64,
}

impl Serving {
    /// Compiles the groups of an entity.
    pub fn new(
        registry: Registry,
        entity: &Entity,
        embedder: &Arc<dyn Embedder>,
    ) -> Result<Serving, Error> {
        let of_entity = |group: &&FeatureGroup| group.entity == entity.name;
        let groups = registry
            .groups
            .iter()
            .filter(of_entity)
            .map(|group| ServedGroup::new(&registry, group, entity, embedder))
            .collect::<Result<Vec<_>, Error>>()?;
        let features = groups.iter().enumerate().flat_map(|(group, served)| {
            served
                .fold
                .slots
                .iter()
                .enumerate()
                .map(move |(slot, held)| ServedFeature {
                    name: held.name.clone(),
                    group,
                    slot,
                    needs_vectors: served.fold.needs_vectors(slot),
                    depth: served.fold.depth(slot),
                })
        });
        Ok(Serving {
            features: features.collect(),
            groups,
            entity: entity.clone(),
            registry,
        })
    }

    /// The source of a group.
    pub fn source(&self, group: &ServedGroup) -> &Source {
        self.registry
            .source(&group.source)
            .expect("checked: a group's source exists")
    }

    /// The position of a feature by name.
    pub fn feature(&self, name: &str) -> Option<usize> {
        self.features
            .iter()
            .position(|feature| &*feature.name == name)
    }

    /// What these features need.
    pub fn wanted(&self, features: &[usize]) -> Wanted {
        let mut wanted = Wanted::default();
        self.want(features.iter().copied(), &mut wanted);
        wanted
    }

    /// The same in memory that was used before.
    pub fn want(&self, features: impl Iterator<Item = usize>, wanted: &mut Wanted) {
        let groups = self.groups.len();
        wanted.features.clear();
        wanted.depths.clear();
        wanted.depths.resize(groups, 0);
        wanted.needs_vectors.clear();
        wanted.needs_vectors.resize(groups, false);
        for at in features {
            let feature = &self.features[at];
            wanted.features.push(at);
            let depth = &mut wanted.depths[feature.group];
            *depth = feature.depth.max(*depth);
            wanted.needs_vectors[feature.group] |= feature.needs_vectors;
        }
    }

    /// Finds what is wanted of a stored row.
    pub fn find(
        &self,
        key: &str,
        row: &[u8],
        wanted: &Wanted,
        memory: &mut RowMemory,
    ) -> Result<Found, Error> {
        let groups = self.groups.len();
        memory.groups.resize_with(groups, GroupMemory::default);
        for group in &mut memory.groups {
            group.found = None;
        }
        let mut found = Found {
            newest: i64::MIN,
            needs_vectors: false,
        };
        for part in row::parts(row).map_err(|source| failed(key, "all", source))? {
            let part = part.map_err(|source| failed(key, "all", source))?;
            let Some(group) = memory.groups.get_mut(part.group) else {
                continue;
            };
            let newest = GroupFold::newest_of(part.state).unwrap_or(i64::MIN);
            found.newest = newest.max(found.newest);
            if wanted.depths[part.group] > 0 {
                found.needs_vectors |= wanted.needs_vectors[part.group] && !part.vectors.is_empty();
                group.found = Some((part.place, part.vectors));
            }
        }
        Ok(found)
    }

    /// Reads what was found. Without vectors, features that are made of them answer null.
    pub fn open<'a>(
        &'a self,
        key: &'a str,
        row: &'a [u8],
        vectors: Option<&'a [u8]>,
        wanted: &Wanted,
        found: Found,
        memory: &'a mut RowMemory,
    ) -> Result<OpenRow<'a>, Error> {
        let groups = self.groups.iter().zip(&mut memory.groups);
        for ((served, group), &depth) in groups.zip(&wanted.depths) {
            if let Some((state, part)) = &group.found {
                let encoded = encoded(slice(row, state), vectors, part);
                let read = served.fold.read(encoded, depth, &mut group.reading);
                read.map_err(|source| failed(key, &served.fold.name, source))?;
            }
        }
        Ok(OpenRow {
            serving: self,
            key,
            row,
            vectors,
            memory,
            newest: found.newest,
        })
    }
}

impl Wanted {
    /// The features, in the order asked for.
    pub fn features(&self) -> &[usize] {
        &self.features
    }
}

fn failed(key: &str, group: &str, source: DecodeError) -> Error {
    Error::State {
        key: key.to_owned(),
        group: group.to_owned(),
        source,
    }
}

/// A group's state with its part of the entity's vectors.
fn encoded<'a>(state: &'a [u8], vectors: Option<&'a [u8]>, part: &Range<usize>) -> Bytes<'a> {
    Bytes::new(state, vectors.map(|all| slice(all, part)))
}

impl ServedGroup {
    /// The newest event folded since it is served.
    pub fn newest(&self) -> Option<i64> {
        let newest = self.newest.load(Ordering::Relaxed);
        (newest > i64::MIN).then_some(newest)
    }

    /// An event was folded.
    pub(crate) fn move_on(&self, newest: i64) {
        self.newest.fetch_max(newest, Ordering::Relaxed);
    }

    fn new(
        registry: &Registry,
        group: &FeatureGroup,
        entity: &Entity,
        embedder: &Arc<dyn Embedder>,
    ) -> Result<ServedGroup, Error> {
        let source = registry
            .source(&group.source)
            .expect("checked: a group's source exists");
        let fold = GroupFold::compile(group, source, embedder)?;
        let present: Vec<String> = source
            .columns
            .iter()
            .map(|column| column.name.clone())
            .collect();
        let intake = Intake::new(&fold, source, entity, &present, embedder)?;
        let empty = fold.new_state();
        Ok(ServedGroup {
            newest: AtomicI64::new(i64::MIN),
            fold,
            source: group.source.clone(),
            built_until: Offset(0),
            intake,
            takes_events: source.event_time.is_some(),
            empty,
        })
    }
}

impl OpenRow<'_> {
    /// The newest event or written value of all the entity's groups, if it has any.
    pub fn newest(&self) -> Option<EventTime> {
        (self.newest != i64::MIN).then_some(EventTime(self.newest))
    }

    /// The newest event of a feature's group; none if the entity has no state there. The feature
    /// must be among those that the row was opened for.
    pub fn newest_of(&self, feature: usize) -> Option<EventTime> {
        let group = &self.memory.groups[self.serving.features[feature].group];
        let newest = || EventTime(group.reading.newest());
        group.found.as_ref().map(|_| newest())
    }

    /// Shows features' values as of an instant later than the newest event. They must be among
    /// those that the row was opened for.
    pub fn each(
        &mut self,
        features: &[usize],
        as_of: EventTime,
        mut take: impl FnMut(usize, ValueRef<'_>),
    ) -> Result<(), Error> {
        let serving = self.serving;
        let mut rest = features;
        // Features of a group stand together: it is looked up once for all of them.
        while let Some(&first) = rest.first() {
            let group = serving.features[first].group;
            let same = |at: &&usize| serving.features[**at].group == group;
            let (run, behind) = rest.split_at(rest.iter().take_while(same).count());
            rest = behind;
            let served = &serving.groups[group];
            let held = &self.memory.groups[group];
            let Some((state, vectors)) = &held.found else {
                for &at in run {
                    let slot = serving.features[at].slot;
                    let value = served.fold.value(slot, &served.empty, as_of);
                    take(at, ValueRef::from(&value));
                }
                continue;
            };
            let encoded = encoded(slice(self.row, state), self.vectors, vectors);
            let (reading, floats) = (&held.reading, &mut self.memory.floats);
            for &at in run {
                let take = |value: ValueRef<'_>| take(at, value);
                let slot = serving.features[at].slot;
                let shown = served
                    .fold
                    .show(slot, encoded, reading, as_of, floats, take);
                shown.map_err(|source| failed(self.key, &served.fold.name, source))?;
            }
        }
        Ok(())
    }

    /// Copies of them.
    pub fn values(&mut self, features: &[usize], as_of: EventTime) -> Result<Vec<Value>, Error> {
        let mut values = Vec::with_capacity(features.len());
        self.each(features, as_of, |_, value| values.push(value.to_value()))?;
        Ok(values)
    }
}

/// The bytes that a range names.
pub(crate) fn slice<'a>(bytes: &'a [u8], range: &Range<usize>) -> &'a [u8] {
    bytes.get(range.clone()).unwrap_or_default()
}
