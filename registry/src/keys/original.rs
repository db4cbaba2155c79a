//! The keys of the original form: groups that name their keys and features.

use super::granary::{CLOCK, DESCRIPTION, DTYPE, EXPECT, IMPUTATION, OWNER, SERVICES, TAGS};
use super::{MapKey, Shape, Table, optional, required};

/// A whole file in the original form.
pub(crate) const ORIGINAL_FILE: Table = Table {
    name: "original_registry",
    doc: "The form without entities and sources: groups with keys that declare only values.",
    keys: &[
        optional(
            "project",
            Shape::Name,
            "Name of the project. Default churn.",
        ),
        CLOCK,
        required(
            "feature_groups",
            Shape::Map(MapKey::Name, &Shape::Table(&ORIGINAL_GROUP)),
            "Tables of values. One named churn_label is the label.",
        ),
        SERVICES,
    ],
    one_of: &[],
};

const ORIGINAL_GROUP: Table = Table {
    name: "original_feature_group",
    doc: "A table of values.",
    keys: &[
        DESCRIPTION,
        required(
            "keys",
            Shape::OneOrMany(&Shape::Name),
            "The one key column; `user_id` is the key of entity `user`.",
        ),
        optional(
            "source",
            Shape::Text,
            "The raw table that the values once came from.",
        ),
        OWNER,
        TAGS,
        optional(
            "freshness",
            Shape::Either(&[Shape::Span, Shape::Choice(&["static"])]),
            "How old the group's data may be. For monitoring; never changes a value.",
        ),
        required(
            "features",
            Shape::List(&Shape::Table(&ORIGINAL_FEATURE)),
            "Its columns.",
        ),
    ],
    one_of: &[],
};

const ORIGINAL_FEATURE: Table = Table {
    name: "original_feature",
    doc: "A value: the column of the same name.",
    keys: &[
        required(
            "name",
            Shape::Name,
            "Its name, unique among all features of the entity.",
        ),
        DTYPE,
        DESCRIPTION,
        IMPUTATION,
        EXPECT,
    ],
    one_of: &[],
};
