//! The binary under test: the same command line as `granary`, built in the profile of the
//! tests, so that cargo knows where it is.

use std::process::ExitCode;

fn main() -> ExitCode {
    granary_server::main()
}
