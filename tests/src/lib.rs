//! end to end, over the built binary and real clients
