//! everything with a socket or a clock; the granary binary

pub mod http; // the JSON door
pub mod monitor; // what the server counts about itself
pub mod resp; // the Redis door
pub mod service; // one function per use case
mod ui; // the page

#[cfg(test)]
mod testing; // what the doors' tests share
