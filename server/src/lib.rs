//! everything with a socket or a clock; the granary binary

pub mod monitor; // what the server counts about itself
pub mod resp; // the Redis door
pub mod service; // one function per use case

#[cfg(test)]
mod testing; // what the doors' tests share
