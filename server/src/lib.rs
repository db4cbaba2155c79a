//! Everything with a socket or a clock: the use cases, the two front doors, the command line.

pub mod cli; // one file per subcommand
pub mod control; // how commands talk to a running server
pub mod http; // HTTP: one file per resource
pub mod resp; // RESP: any Redis client
pub mod service; // one function per use case

use std::process::ExitCode;

/// Runs the command line: 0 done, 1 failed, 2 wrong usage.
pub fn main() -> ExitCode {
    match cli::run(std::env::args_os()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("granary: {error:#}");
            ExitCode::FAILURE
        }
    }
}
