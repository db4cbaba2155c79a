//! End to end, over the built binary and real clients. One binary, one comment per module.

mod arrows; // which crate may use what, held against manifests, sources and ARCHITECTURE.md
