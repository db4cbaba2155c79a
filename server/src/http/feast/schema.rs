//! The shapes of Feast's dialect, for the OpenAPI document; the answers are written by hand.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::http::schema::FeatureValue;

/// Whom and what to look up.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct OnlineFeaturesRequest {
    /// The join key with its values, texts or whole numbers.
    #[schema(example = json!({"user_id": ["u000042", "u000043"]}))]
    pub entities: BTreeMap<String, Vec<FeatureValue>>,
    /// References of the form `feature_view:feature`; a feature view is a feature group.
    #[schema(example = json!(["user_activity_features:purchases_7d"]))]
    pub features: Option<Vec<String>>,
    /// The name of a feature service, instead.
    pub feature_service: Option<String>,
    /// Tell names as `feature_view__feature`.
    pub full_feature_names: Option<bool>,
    /// List the feature views in the metadata.
    pub include_feature_view_version_metadata: Option<bool>,
}

/// Columns.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct OnlineFeatures {
    /// A column for the join key, then one for each feature, in the order asked for.
    pub results: Vec<OnlineFeatureColumn>,
    /// What the columns are.
    pub metadata: OnlineFeaturesMetadata,
}

/// What is known of one feature, entity by entity.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct OnlineFeatureColumn {
    /// Null where nothing is known.
    pub values: Vec<FeatureValue>,
    /// `PRESENT`, `NOT_FOUND` or `OUTSIDE_MAX_AGE`.
    pub statuses: Vec<String>,
    /// When the group last learnt of the entity; 1970 where that is not known.
    pub event_timestamps: Vec<String>,
}

/// What the columns are.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct OnlineFeaturesMetadata {
    /// Their names.
    pub feature_names: Vec<String>,
    /// The feature views, if they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feature_view_metadata: Option<Vec<FeatureViewName>>,
}

/// A feature view.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct FeatureViewName {
    /// Its name.
    pub name: String,
}

/// Rows for a push source.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct FeastPush {
    /// A source of the registry: of events, or a table whose columns are values.
    #[schema(example = "event_logs")]
    pub push_source_name: String,
    /// Columns by name, all of one length.
    pub df: BTreeMap<String, Vec<FeatureValue>>,
    /// `online`, `offline` or `online_and_offline`, which are one here.
    pub to: Option<String>,
}

/// Values of a feature view.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct FeastWrite {
    /// The feature group, whose features must be values.
    #[schema(example = "user_profile_features")]
    pub feature_view_name: String,
    /// Columns by name, all of one length: the join key, the features, and perhaps
    /// `event_timestamp`, from when on the values hold.
    pub df: BTreeMap<String, Vec<FeatureValue>>,
}

/// What to build, and the window of time that Feast's clients name.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct FeastMaterialize {
    /// The window's start; `/materialize` alone needs it. Features are folds over whole histories,
    /// so it changes nothing.
    pub start_ts: Option<String>,
    /// The window's end.
    #[schema(example = "2026-01-01T00:00:00")]
    pub end_ts: Option<String>,
    /// The feature groups; all of them if it is null.
    pub feature_views: Option<Vec<String>>,
    /// The window may be left out.
    pub disable_event_timestamp: Option<bool>,
}

/// How it is done.
#[derive(Serialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct MaterializeQuery {
    /// Answer at once with 202.
    #[param(rename = "async")]
    pub is_async: Option<bool>,
    /// Wait for a build that is running.
    pub force: Option<bool>,
}

/// What is being built.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Materializing {
    /// `accepted`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The feature groups.
    pub feature_views: Vec<String>,
}

/// Why a request was refused: its faults, or a text that holds one of Feast's exceptions.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "answers are written by hand")]
pub(in crate::http) enum FeastUnprocessable {
    Faults(FeastRefusal),
    Text(String),
}

/// What is wrong with a request.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct FeastRefusal {
    /// Each fault.
    pub detail: Vec<FeastFault>,
}

/// A fault and its place.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct FeastFault {
    /// `missing`, `value_error`
    #[serde(rename = "type")]
    pub kind: String,
    /// From `body` inwards.
    pub loc: Vec<String>,
    /// For people.
    pub msg: String,
}
