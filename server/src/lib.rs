//! everything with a socket or a clock; the granary binary

pub mod service;
