//! `granary feast-registry`: the registry as Feast's SDK reads it, so that its unmodified client
//! finds what is served here.

mod proto; // the messages of Feast's registry file

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use granary_registry::{DType, Entity, Feature, FeatureGroup, FeatureKind, Registry, Source};
use granary_storage::write_atomic;
use prost::Message;

use self::proto::{DataSource, FeatureSpec, Meta, Timestamp, source_type, value_type};
use super::context::Common;

/// What files of batch sources are to Feast; it reads none of them for online features.
const FILE_SOURCE: &str = "feast.infra.offline_stores.file_source.FileSource";
const PUSH_SOURCE: &str = "feast.data_source.PushSource";

/// Write a Feast registry and feature_store.yaml, for Feast's SDK with the remote online store
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  granary feast-registry                                  into ./feast
  granary feast-registry --out shop --url http://features:8000")]
pub(super) struct Args {
    /// Directory of the two files; made if it is not there
    #[arg(long, value_name = "DIR", default_value = "feast")]
    pub out: PathBuf,
    /// Where the server's HTTP door is
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8000")]
    pub url: String,
}

/// Runs it.
pub(super) fn run(common: &Common, args: &Args) -> anyhow::Result<()> {
    let (registry, _) = common.read_registry()?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let writer = Writer {
        registry: &registry,
        data_dir: std::path::absolute(&common.data_dir)?,
        now: Timestamp {
            seconds: since.as_secs() as i64,
            nanos: 0,
        },
    };
    let made = writer.registry()?.encode_to_vec();
    fs::create_dir_all(&args.out).with_context(|| format!("make {}", args.out.display()))?;
    let (database, settings) = (
        args.out.join("registry.db"),
        args.out.join("feature_store.yaml"),
    );
    write_atomic(&database, &made)?;
    write_atomic(&settings, writer.settings(&args.url).as_bytes())?;
    tell(common, &registry, [&database, &settings]);
    Ok(())
}

fn tell(common: &Common, registry: &Registry, files: [&Path; 2]) {
    let [database, settings] = files.map(|path| path.display().to_string());
    if common.json {
        let told = serde_json::json!({
            "registry": database, "settings": settings, "feature_views": registry.groups.len(),
            "feature_services": registry.services.len(),
        });
        println!("{told}");
        return;
    }
    println!(
        "{database}: {} feature views, {} feature services",
        registry.groups.len(),
        registry.services.len()
    );
    println!(
        "{settings}: the remote online store; FeatureStore(repo_path=...) takes its directory"
    );
}

/// Makes the messages.
struct Writer<'a> {
    registry: &'a Registry,
    data_dir: PathBuf,
    now: Timestamp,
}

impl Writer<'_> {
    fn settings(&self, url: &str) -> String {
        format!(
            "# Written by `granary feast-registry`; write it again when the registry has changed.
project: {}
provider: local
registry: registry.db
online_store:
  type: remote
  path: {url}
entity_key_serialization_version: 3
",
            self.registry.project
        )
    }

    fn registry(&self) -> anyhow::Result<proto::Registry> {
        let registry = self.registry;
        let groups = registry.groups.iter().map(|group| self.view(group));
        let sources = registry
            .sources
            .iter()
            .filter(|source| is_folded(registry, source));
        let data_sources = sources.flat_map(|source| {
            let push = self.push_source(source);
            [Some(self.file_source(source)), push]
        });
        Ok(proto::Registry {
            entities: registry.entities.iter().map(|it| self.entity(it)).collect(),
            schema_version: "1".to_owned(),
            version_id: registry.fingerprint().to_string(),
            last_updated: Some(self.now),
            feature_views: groups.collect::<anyhow::Result<_>>()?,
            feature_services: registry
                .services
                .iter()
                .map(|it| self.service(it))
                .collect(),
            data_sources: data_sources.flatten().collect(),
            project_metadata: vec![proto::ProjectMetadata {
                project: registry.project.clone(),
                project_uuid: registry.fingerprint().to_string(),
            }],
            projects: vec![proto::Project {
                spec: Some(proto::ProjectSpec {
                    name: registry.project.clone(),
                }),
                meta: self.meta(),
            }],
        })
    }

    fn entity(&self, entity: &Entity) -> proto::Entity {
        proto::Entity {
            spec: Some(proto::EntitySpec {
                name: entity.name.clone(),
                value_type: of_dtype(entity.dtype),
                join_key: entity.key.clone(),
                project: self.project(),
            }),
            meta: self.meta(),
        }
    }

    fn view(&self, group: &FeatureGroup) -> anyhow::Result<proto::FeatureView> {
        let entity = self.registry.entity(&group.entity);
        let entity = entity.context("checked: a group's entity exists")?;
        let source = self.registry.source(&group.source);
        let source = source.context("checked: a group's source exists")?;
        let ttl = group.max_age.map(|age| Timestamp {
            seconds: age.0 / 1_000_000,
            nanos: (age.0 % 1_000_000 * 1000) as i32,
        });
        let tags = group
            .tags
            .iter()
            .map(|tag| (tag.clone(), "true".to_owned()));
        let spec = proto::FeatureViewSpec {
            name: group.name.clone(),
            project: self.project(),
            entities: vec![entity.name.clone()],
            features: group.features.iter().map(feature).collect(),
            tags: tags.collect(),
            // None at all would be taken for one that has run out.
            ttl: Some(ttl.unwrap_or_default()),
            batch_source: Some(self.file_source(source)),
            online: true,
            stream_source: self.push_source(source),
            description: group.description.clone(),
            owner: group.owner.clone(),
            entity_columns: vec![FeatureSpec {
                name: entity.key.clone(),
                value_type: of_dtype(entity.dtype),
                description: String::new(),
            }],
        };
        Ok(proto::FeatureView {
            spec: Some(spec),
            meta: self.meta(),
        })
    }

    fn service(&self, service: &granary_registry::FeatureService) -> proto::FeatureService {
        let mut projections: Vec<proto::FeatureViewProjection> = Vec::new();
        for (group, name) in &service.features {
            let held = self.registry.group(group);
            let Some(held) = held.and_then(|group| group.feature(name)) else {
                continue;
            };
            let place = projections
                .iter()
                .position(|view| view.feature_view_name == *group);
            let place = place.unwrap_or_else(|| {
                projections.push(proto::FeatureViewProjection {
                    feature_view_name: group.clone(),
                    feature_columns: Vec::new(),
                });
                projections.len() - 1
            });
            projections[place].feature_columns.push(feature(held));
        }
        proto::FeatureService {
            spec: Some(proto::FeatureServiceSpec {
                name: service.name.clone(),
                project: self.project(),
                features: projections,
                description: service.description.clone(),
            }),
            meta: self.meta(),
        }
    }

    /// Where the raw rows are; Feast's name for it must differ from that of the push source.
    fn file_source(&self, source: &Source) -> DataSource {
        let path = source.paths.first().cloned().unwrap_or_default();
        DataSource {
            kind: source_type::BATCH_FILE,
            // A table without instants of its own is pushed to with Feast's.
            timestamp_field: source
                .event_time
                .as_deref()
                .unwrap_or("event_timestamp")
                .to_owned(),
            file_options: Some(proto::FileOptions {
                uri: self.data_dir.join(path).display().to_string(),
            }),
            class_type: FILE_SOURCE.to_owned(),
            name: format!("{}_files", source.name),
            project: self.project(),
            ..DataSource::default()
        }
    }

    /// A source of values can be pushed to by Feast's client, which sends values alone.
    fn push_source(&self, source: &Source) -> Option<DataSource> {
        let groups = self
            .registry
            .groups
            .iter()
            .filter(|it| it.source == source.name);
        let mut features = groups.flat_map(|group| &group.features);
        let has_values = features.any(|it| matches!(it.kind, FeatureKind::Value { .. }));
        has_values.then(|| DataSource {
            kind: source_type::PUSH_SOURCE,
            class_type: PUSH_SOURCE.to_owned(),
            name: source.name.clone(),
            project: self.project(),
            push_options: Some(proto::PushOptions {}),
            batch_source: Some(Box::new(self.file_source(source))),
            ..DataSource::default()
        })
    }

    fn project(&self) -> String {
        self.registry.project.clone()
    }

    #[expect(
        clippy::unnecessary_wraps,
        reason = "a field of a message may be absent"
    )]
    fn meta(&self) -> Option<Meta> {
        Some(Meta {
            created_timestamp: Some(self.now),
            last_updated_timestamp: Some(self.now),
        })
    }
}

fn is_folded(registry: &Registry, source: &Source) -> bool {
    registry
        .groups
        .iter()
        .any(|group| group.source == source.name)
}

fn feature(feature: &Feature) -> FeatureSpec {
    FeatureSpec {
        name: feature.name.to_string(),
        value_type: of_dtype(feature.dtype),
        description: feature.description.clone(),
    }
}

fn of_dtype(dtype: DType) -> i32 {
    match dtype {
        DType::Int => value_type::INT64,
        DType::Float => value_type::DOUBLE,
        DType::Bool => value_type::BOOL,
        DType::Text | DType::Categorical => value_type::STRING,
        DType::Timestamp => value_type::UNIX_TIMESTAMP,
        DType::Vector => value_type::FLOAT_LIST,
    }
}
