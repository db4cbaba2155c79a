//! The Redis door: bytes to commands, commands to the service, answers to bytes. RESP2 and
//! RESP3. Called by `serve`, which hands in the listener and the stop signal.

mod connection; // one client: read, have it answered, flush once
mod exchange; // requests -> replies, without the socket
pub mod listener; // accepts, counts clients, stops

mod frame; // bytes -> arguments, in pieces as they arrive
mod inline; // a line typed by hand -> arguments

mod batch; // events and values that came together
mod command; // arguments -> a command, with the table of all there are

mod cursor; // where SCANs stand
mod execute; // a command -> a reply, without a socket
mod labels; // names of features, ready to be sent
mod glob; // the patterns of KEYS and SCAN
mod slowlog; // what took long
mod session; // what a connection and the server remember

mod reply; // a reply -> bytes
pub(crate) mod text; // a value -> the text that both doors write

pub use command::{Command, Refusal};
pub use execute::{Context, execute};
pub use frame::{Arguments, Parser, ProtocolError};
pub use labels::Labels;
pub use reply::{Protocol, Reply, Writer};
pub use session::{Peer, Server, Session};

/// The names of all commands, by their places.
pub(crate) fn command_names() -> Vec<&'static str> {
    command::table().iter().map(|spec| spec.name).collect()
}
