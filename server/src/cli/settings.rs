//! `granary.yaml`: a flat list of settings beneath the environment and the flags. A file is
//! the same as flags with other defaults, so a setting has one name everywhere.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};
use clap::{ArgAction, Command};
use saphyr::{LoadableYamlNode, Scalar, Yaml};

const FILE: &str = "granary.yaml";

/// Puts the file's settings beneath a command line, if there is a file.
pub(super) fn beneath(command: Command) -> anyhow::Result<Command> {
    if !Path::new(FILE).exists() {
        return Ok(command);
    }
    let text = fs::read_to_string(FILE).with_context(|| format!("read {FILE}"))?;
    apply(command, &text).with_context(|| format!("read {FILE}"))
}

fn apply(mut command: Command, text: &str) -> anyhow::Result<Command> {
    for (name, value) in settings(text)? {
        let id = name.clone();
        if !has(&command, &id) {
            let known: Vec<String> = known(&command);
            bail!("unknown setting `{name}`; there are: {}", known.join(", "));
        }
        command = with_default(command, &id, &value);
    }
    Ok(command)
}

fn settings(text: &str) -> anyhow::Result<Vec<(String, String)>> {
    let documents = Yaml::load_from_str(text)?;
    let Some(document) = documents.first() else {
        return Ok(Vec::new());
    };
    let Some(mapping) = document.as_mapping() else {
        bail!("it must be a list of `setting: value` lines");
    };
    mapping
        .iter()
        .map(|(name, value)| {
            let name = name.as_str().context("a setting's name must be text")?;
            let value = match value {
                Yaml::Value(Scalar::String(text)) => text.to_string(),
                Yaml::Value(Scalar::Integer(number)) => number.to_string(),
                Yaml::Value(Scalar::Boolean(flag)) => flag.to_string(),
                Yaml::Value(Scalar::FloatingPoint(number)) => number.to_string(),
                _ => bail!("setting `{name}` must be a text, a number, true or false"),
            };
            Ok((name.to_owned(), value))
        })
        .collect()
}

/// Settings are the flags with an environment variable, of any subcommand.
fn known(command: &Command) -> Vec<String> {
    let mut names: Vec<String> = command
        .get_arguments()
        .chain(command.get_subcommands().flat_map(Command::get_arguments))
        .filter(|argument| argument.get_env().is_some())
        .map(|argument| argument.get_id().to_string())
        .collect();
    names.sort();
    names.dedup();
    names
}

fn has(command: &Command, id: &str) -> bool {
    known(command).iter().any(|name| name == id)
}

fn with_default(command: Command, id: &str, value: &str) -> Command {
    let set = |command: Command| {
        let there = command
            .get_arguments()
            .find(|argument| argument.get_id() == id);
        let Some(argument) = there else {
            return command;
        };
        let flag = matches!(argument.get_action(), ArgAction::SetTrue);
        let value = value.to_owned();
        command.mut_arg(id, move |argument| {
            if flag {
                argument.default_value(value).default_missing_value("true")
            } else {
                argument.default_value(value)
            }
        })
    };
    let names: Vec<String> = command
        .get_subcommands()
        .map(|sub| sub.get_name().to_owned())
        .collect();
    names.into_iter().fold(set(command), |command, name| {
        command.mut_subcommand(name, set)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Tool {
        #[arg(
            long,
            global = true,
            env = "GRANARY_TEST_SETTING_A",
            default_value = "built in"
        )]
        place: String,
    }

    fn parse(file: &str, flags: &[&str]) -> anyhow::Result<String> {
        use clap::{CommandFactory, FromArgMatches};
        let command = apply(Tool::command(), file)?;
        let flags = std::iter::once("tool").chain(flags.iter().copied());
        Ok(Tool::from_arg_matches(&command.try_get_matches_from(flags)?)?.place)
    }

    #[test]
    fn flags_beat_the_file_and_the_file_beats_the_default() {
        assert_eq!(parse("", &[]).unwrap(), "built in");
        assert_eq!(parse("place: there", &[]).unwrap(), "there");
        assert_eq!(parse("place: there", &["--place", "here"]).unwrap(), "here");
    }

    #[test]
    fn unknown_settings_are_errors_that_name_the_known_ones() {
        let error = parse("plce: there", &[]).unwrap_err().to_string();
        assert!(
            error.contains("`plce`") && error.contains("place"),
            "{error}"
        );
    }
}
