//! What the doors' tests share. Called by tests alone.

use granary_registry::Registry;
use granary_storage::DataDir;

use crate::service::{Service, ServiceOptions};

/// A service with nothing loaded. Its directory is gone when this returns; its files stay
/// usable as long as they are open.
pub(crate) fn empty_service() -> Service {
    let home = tempfile::tempdir().unwrap();
    let text = include_str!("../../registry.yaml");
    let registry = Registry::parse(text).unwrap();
    let data = DataDir::open(home.path()).unwrap();
    Service::open(data, text, registry, ServiceOptions::default()).unwrap()
}
