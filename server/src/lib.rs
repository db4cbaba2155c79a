//! everything with a socket or a clock; the granary binary
