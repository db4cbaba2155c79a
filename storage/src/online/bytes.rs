//! Bytes found in memory or in redb, without copying them. Returned by views.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use redb::OwnedAccessGuard;

/// Bytes of the online store, borrowed from wherever they lie.
pub struct Bytes(Place);

enum Place {
    /// From there on.
    Memory(Arc<[u8]>, usize),
    Stored(OwnedAccessGuard<&'static [u8]>),
}

impl Bytes {
    pub(super) fn memory(bytes: Arc<[u8]>) -> Bytes {
        Bytes(Place::Memory(bytes, 0))
    }

    /// What follows so many bytes.
    pub(super) fn behind((bytes, start): (Arc<[u8]>, usize)) -> Bytes {
        Bytes(Place::Memory(bytes, start))
    }

    pub(super) fn stored(guard: OwnedAccessGuard<&'static [u8]>) -> Bytes {
        Bytes(Place::Stored(guard))
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Place::Memory(bytes, start) => &bytes[*start..],
            Place::Stored(guard) => guard.value(),
        }
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bytes({})", self.len()) // feature values appear in no log
    }
}
