//! The folds of one generation of the online store, compiled: what turns stored rows into
//! features. Called by `push` and by every read; it holds no store, only the arithmetic between
//! bytes. How events change rows is in `live`.

use std::ops::Range;
use std::sync::Arc;

use granary_registry::{Entity, EventTime, FeatureGroup, Registry, Source, Value};

use granary_storage::Offset;

use crate::error::Error;
use crate::fold::{GroupFold, GroupState};
use crate::intake::Intake;
use crate::row::Row;
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
    /// How live events become columns; none for tables, which take no events.
    pub(crate) intake: Option<Intake>,
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
}

/// A stored row with its states decoded as far as a request needs them.
pub struct OpenRow<'a> {
    serving: &'a Serving,
    states: Vec<Option<GroupState>>,
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

    /// Whether any of these features needs the entity's vectors.
    pub fn needs_vectors(&self, features: &[usize]) -> bool {
        features.iter().any(|&at| {
            let feature = &self.features[at];
            self.groups[feature.group].fold.needs_vectors(feature.slot)
        })
    }

    /// Decodes what these features need of a stored row.
    pub fn open<'a>(
        &'a self,
        key: &str,
        row: &[u8],
        vectors: Option<&[u8]>,
        features: &[usize],
    ) -> Result<OpenRow<'a>, Error> {
        let failed = |group: &str, source| Error::State {
            key: key.to_owned(),
            group: group.to_owned(),
            source,
        };
        let parsed = Row::parse(row).map_err(|source| failed("all", source))?;
        let mut states: Vec<Option<GroupState>> = vec![None; self.groups.len()];
        let mut newest = i64::MIN;
        for part in parsed.parts() {
            let Some(served) = self.groups.get(part.group) else {
                continue;
            };
            newest = newest.max(GroupFold::newest_of(part.state).unwrap_or(i64::MIN));
            if features
                .iter()
                .any(|&at| self.features[at].group == part.group)
            {
                let vectors = vectors.map(|all| slice(all, &part.vectors));
                let state = served.fold.decode(part.state, vectors);
                states[part.group] =
                    Some(state.map_err(|source| failed(&served.fold.name, source))?);
            }
        }
        Ok(OpenRow {
            serving: self,
            states,
            newest,
        })
    }
}

impl ServedGroup {
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
        let intake = match source.event_time {
            Some(_) => Some(Intake::new(&fold, source, entity, &present, embedder)?),
            None => None,
        };
        let empty = fold.new_state();
        Ok(ServedGroup {
            fold,
            source: group.source.clone(),
            built_until: Offset(0),
            intake,
            empty,
        })
    }
}

impl OpenRow<'_> {
    /// The newest event of all the entity's groups, if it has any.
    pub fn newest(&self) -> Option<EventTime> {
        (self.newest != i64::MIN).then_some(EventTime(self.newest))
    }

    /// A feature's value as of an instant later than the newest event. The feature must be
    /// among those that the row was opened for.
    pub fn value(&self, feature: usize, as_of: EventTime) -> Value {
        let feature = &self.serving.features[feature];
        let served = &self.serving.groups[feature.group];
        let state = self.states[feature.group].as_ref().unwrap_or(&served.empty);
        served.fold.value(feature.slot, state, as_of)
    }
}

/// The part of a row's vectors that a range names.
pub(crate) fn slice<'a>(bytes: &'a [u8], range: &Range<usize>) -> &'a [u8] {
    bytes.get(range.clone()).unwrap_or_default()
}
