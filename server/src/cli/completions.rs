//! `granary completions`: completion scripts for shells.

use clap::Command;
use clap_complete::Shell;

/// Print a completion script for your shell
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:
  granary completions bash > /etc/bash_completion.d/granary")]
pub(super) struct Args {
    /// The shell
    pub shell: Shell,
}

/// Runs it.
pub(super) fn run(args: &Args, command: &mut Command) {
    clap_complete::generate(args.shell, command, "granary", &mut std::io::stdout());
}
