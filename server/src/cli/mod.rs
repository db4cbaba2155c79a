//! The command line: one file per subcommand. Each reads its flags, calls a job or the
//! service, and prints.

mod backup; // and restore
mod build;
mod completions;
mod delete_entity; // one entity, erased
mod feast_registry; // the registry as Feast has it
mod context; // what every subcommand begins with
mod get;
mod health;
mod ingest;
mod keys;
mod materialize;
mod offline;
mod predict;
mod push;
mod registry;
mod serve;
mod settings; // granary.yaml beneath environment and flags
mod show; // tables, figures and progress bars
mod sql;
mod stage; // what a stage of the pipeline did, or why it was skipped
mod synth;
mod train;
mod up;
mod verified; // what `verify` prints
mod verify;

use std::ffi::OsString;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

pub use context::Common;

/// A self-contained feature store: raw tables to served churn predictions in one binary.
#[derive(Parser, Debug)]
#[command(name = "granary", version, max_term_width = 100, after_help = EXAMPLES)]
pub struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  granary up                          the whole job: demo data, build, train, serve
  granary up --users 1000 --no-serve  the same, small, without serving
  granary get 4b3f0c2a91de            one user's features on the terminal
  granary verify                      served values against recomputations
  granary registry check              every problem of registry.yaml at once";

#[derive(Subcommand, Debug)]
enum Command {
    Up(up::Args),
    Synth(synth::Args),
    Ingest(ingest::Args),
    Build(build::Args),
    Materialize(materialize::Args),
    Push(push::Args),
    Train(train::Args),
    Serve(serve::Args),
    Health(health::Args),
    Get(get::Args),
    Predict(predict::Args),
    Registry(registry::Args),
    Keys(keys::Args),
    Offline(offline::Args),
    Sql(sql::Args),
    Verify(verify::Args),
    Backup(backup::BackupArgs),
    Restore(backup::RestoreArgs),
    DeleteEntity(delete_entity::Args),
    FeastRegistry(feast_registry::Args),
    Completions(completions::Args),
}

/// Reads the command line and the settings beneath it, and runs the command. Usage errors
/// end the process with 2.
pub fn run(args: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> anyhow::Result<()> {
    let command = settings::beneath(Cli::command())?;
    let matches = command.get_matches_from(args);
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    context::start_threads(cli.common.threads)?;
    match cli.command {
        Command::Up(args) => up::run(&cli.common, &args),
        Command::Synth(args) => synth::run(&cli.common, &args),
        Command::Ingest(args) => ingest::run(&cli.common, &args),
        Command::Build(args) => build::run(&cli.common, &args),
        Command::Materialize(args) => materialize::run(&cli.common, &args),
        Command::Push(args) => push::run(&cli.common, &args),
        Command::Train(args) => train::run(&cli.common, &args),
        Command::Serve(args) => serve::run(&cli.common, &args),
        Command::Health(args) => health::run(&cli.common, &args),
        Command::Get(args) => get::run(&cli.common, &args),
        Command::Predict(args) => predict::run(&cli.common, &args),
        Command::Keys(args) => keys::run(&cli.common, &args),
        Command::Registry(args) => registry::run(&cli.common, &args),
        Command::Offline(args) => offline::run(&cli.common, &args),
        Command::Sql(args) => sql::run(&cli.common, &args),
        Command::Verify(args) => verify::run(&cli.common, &args),
        Command::Backup(args) => backup::backup(&cli.common, &args),
        Command::Restore(args) => backup::restore(&cli.common, &args),
        Command::DeleteEntity(args) => delete_entity::run(&cli.common, &args),
        Command::FeastRegistry(args) => feast_registry::run(&cli.common, &args),
        Command::Completions(args) => {
            completions::run(&args, &mut Cli::command());
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
