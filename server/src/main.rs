//! The `granary` binary.
fn main() {}
