//! What the doors' tests share. Called by tests alone.

use crate::service::Service;

/// A service with nothing loaded.
pub(crate) fn empty_service() -> Service {
    Service {}
}
