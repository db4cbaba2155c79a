//! Which features of a catalog a key may see. Called by both doors for every read of features.

use std::sync::Arc;

use super::Identity;
use crate::service::{Catalog, ServiceError};

/// What may be seen of one catalog.
#[derive(Clone, Debug, Default)]
pub struct Sight {
    /// Positions of the features that may be seen; none means all.
    visible: Option<Vec<usize>>,
    /// Name of the key.
    name: Arc<str>,
}

impl Sight {
    /// Of a key, or of whoever came where none is needed, who sees everything.
    pub fn of(identity: Option<&Identity>, catalog: &Catalog) -> Sight {
        let Some(identity) = identity else {
            return Sight::default();
        };
        let features = catalog.features.iter().enumerate();
        let seen = features.filter(|(_, feature)| identity.sees(&feature.group, feature.is_pii));
        let visible: Vec<usize> = seen.map(|(at, _)| at).collect();
        Sight {
            visible: (visible.len() < catalog.features.len()).then_some(visible),
            name: Arc::clone(&identity.name),
        }
    }

    /// What a read of everything reads; none means all.
    pub fn all(&self) -> Option<&[usize]> {
        self.visible.as_deref()
    }

    /// Whether a feature may be seen.
    pub fn shows(&self, feature: usize) -> bool {
        let visible = self.visible.as_ref();
        visible.is_none_or(|visible| visible.binary_search(&feature).is_ok())
    }

    /// Refuses features that may not be seen.
    pub fn check(&self, features: &[usize], catalog: &Catalog) -> Result<(), ServiceError> {
        let Some(&hidden) = features.iter().find(|&&feature| !self.shows(feature)) else {
            return Ok(());
        };
        let feature = &catalog.features[hidden];
        Err(ServiceError::Hidden {
            key: self.name.to_string(),
            feature: feature.name.to_string(),
            group: feature.group.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use granary_registry::DType;

    use super::super::{KeyFile, Role, Roles};
    use super::*;
    use crate::service::CatalogFeature;

    fn catalog() -> Catalog {
        let feature = |name: &str, group: &str, is_pii| CatalogFeature {
            name: name.into(),
            group: group.into(),
            dtype: DType::Int,
            description: String::new(),
            is_value: true,
            is_pii,
            max_age: None,
        };
        let features = [
            feature("age", "profile", true),
            feature("visits", "activity", false),
            feature("rating", "reviews", false),
        ];
        Catalog {
            features: features.into_iter().collect(),
            ..Catalog::default()
        }
    }

    fn sight(groups: &[&str]) -> Sight {
        let mut keys = KeyFile::default();
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        keys.add("shop", Roles::of(&[Role::Read]), groups, None)
            .unwrap();
        Sight::of(Some(&Identity::of(&keys.keys()[0])), &catalog())
    }

    #[test]
    fn pii_is_seen_by_keys_that_name_it_alone() {
        assert_eq!(Sight::of(None, &catalog()).all(), None);
        assert_eq!(sight(&[]).all(), Some(&[1, 2][..]));
        assert_eq!(sight(&["profile"]).all(), Some(&[0][..]));
        assert_eq!(sight(&["profile", "activity", "reviews"]).all(), None);
    }

    #[test]
    fn a_refusal_names_key_feature_and_group() {
        let sight = sight(&[]);
        assert!(sight.check(&[1, 2], &catalog()).is_ok());
        let said = sight.check(&[1, 0], &catalog()).unwrap_err().to_string();
        assert_eq!(
            said,
            "key `shop` may neither read nor write feature `age`: group `profile` is not among its groups"
        );
    }
}
