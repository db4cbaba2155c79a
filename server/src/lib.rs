//! Everything with a socket or a clock: the use cases, the two front doors, the command line.

use std::process::ExitCode;

pub mod cli; // one file per subcommand
pub mod control; // how commands talk to a running server
pub mod http; // the JSON door
pub mod monitor; // what the server counts about itself
pub mod resp; // the Redis door
pub mod service; // one function per use case

mod background; // threads that end when they are told to
mod tail; // files that grow

mod doors; // both doors at once
mod telemetry; // what it tells of its work
mod tls; // what they speak on a network
mod ui; // the page

#[cfg(test)]
mod testing; // what the doors' tests share

pub use doors::{Doors, Limits, serve};
pub use tls::{Tls, TlsError};

/// Runs the command line: 0 done, 1 failed, 2 wrong usage. Logs go to the standard error.
pub fn main() -> ExitCode {
    let _telemetry = telemetry::Telemetry::start();
    match cli::run(std::env::args_os()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("granary: {error:#}");
            ExitCode::FAILURE
        }
    }
}
