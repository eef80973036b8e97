//! The command line: subcommands, flags and their environment variables. What a flag means is
//! said where its configuration struct stands.

mod completions;
mod man;

use std::error::Error as _;
use std::ffi::OsString;

use clap::builder::BoolishValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, CommandFactory, FromArgMatches, Parser, Subcommand};

use self::completions::Shell;
use crate::client::{export, lookup, record, replay, token, watch};
use crate::{server, simulate};

/// What the arguments ask for.
#[derive(Debug)]
pub enum Parsed {
    /// Run this subcommand.
    Run(Box<Command>),
    /// Print this text, which the command line itself holds (`--help`, `man`), and succeed.
    Print(String),
    /// Say this line, which tells what to type, and exit with status 2.
    Refuse(String),
}

/// A subcommand that does something, with its configuration.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server
    Serve(Box<server::Config>),
    /// Drive a server with many users and check every delivery
    Simulate(simulate::SimulateFlags),
    /// Follow users and print a line for each position
    Watch(watch::WatchFlags),
    /// Record the positions of users in a file
    Record(record::RecordFlags),
    /// Publish a recording again
    Replay(replay::ReplayFlags),
    /// Turn a recording into tracks, as GPX or GeoJSON
    Export(export::ExportFlags),
    /// Make a token, or explain the one on stdin
    Token(token::TokenFlags),
    /// Print the addresses of a host, as --bus finds them
    Lookup(lookup::LookupFlags),
}

#[derive(Debug, Subcommand)]
enum Subject {
    #[command(flatten)]
    Command(Box<Command>),
    /// Print this program's man page
    Man,
    /// Print what makes a shell complete subcommands and flags
    Completions {
        /// The shell
        #[arg(value_name = "SHELL")]
        shell: Shell,
    },
}

#[derive(Debug, Parser)]
#[command(
    name = "spectate",
    version,
    about,
    disable_help_subcommand = true,
    after_help = "Each flag has an environment variable: --ping-interval is SPECTATE_PING_INTERVAL; flags win. \
                  Repeatable flags take commas there.\n\
                  Times are seconds, or 500ms, 25s, 10m, 12h."
)]
struct Arguments {
    #[command(subcommand)]
    subject: Subject,
}

/// Reads arguments (the program's name first) and the environment.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Parsed {
    let command =
        Arguments::command().mut_subcommands(|subcommand| subcommand.mut_args(with_environment));
    let parsed = command
        .try_get_matches_from(arguments)
        .and_then(|matches| Arguments::from_arg_matches(&matches));
    match parsed {
        Ok(arguments) => match arguments.subject {
            Subject::Command(command) => Parsed::Run(command),
            Subject::Man => Parsed::Print(man::page(Arguments::command())),
            Subject::Completions { shell } => {
                Parsed::Print(completions::script(shell, Arguments::command()))
            }
        },
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Parsed::Print(error.to_string()),
            _ => Parsed::Refuse(refusal(&error)),
        },
    }
}

/// `SPECTATE_PING_INTERVAL` for `ping-interval`.
fn environment_variable(flag: &str) -> String {
    format!("SPECTATE_{}", flag.to_uppercase().replace('-', "_"))
}

/// Lets an argument take its value from the environment. An empty variable counts as unset.
fn with_environment(argument: Arg) -> Arg {
    let Some(name) = argument.get_long().map(environment_variable) else {
        return argument;
    };
    let argument = match argument.get_action() {
        ArgAction::SetTrue => argument.value_parser(BoolishValueParser::new()),
        // A negative number is a bad value, not another flag.
        ArgAction::Set | ArgAction::Append => argument.allow_negative_numbers(true),
        _ => return argument,
    };
    match std::env::var_os(&name) {
        Some(value) if !value.is_empty() => argument.env(name).hide_env(true),
        _ => argument,
    }
}

/// One line for a mistake in the arguments: what is wrong, and what to type instead.
fn refusal(error: &clap::Error) -> String {
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return "what to run is missing: try spectate serve, or spectate --help".to_owned();
    }
    let argument = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) => argument.split(' ').next().unwrap_or_default(),
        _ => "",
    };
    if error.kind() == ErrorKind::ValueValidation
        && let Some(reason) = error.source()
    {
        return format!("{argument}: {reason}{}", origin(error, argument));
    }
    if let (Some(ContextValue::String(value)), Some(ContextValue::Strings(values))) = (
        error.get(ContextKind::InvalidValue),
        error.get(ContextKind::ValidValue),
    ) {
        let (values, origin) = (values.join(", "), origin(error, argument));
        return format!("{argument}: {value:?} is none of {values}{origin}");
    }
    let text = error.to_string();
    let first_paragraph = text.split("\n\n").next().unwrap_or_default();
    let mut line = first_paragraph
        .trim_start_matches("error: ")
        .replace('\n', " ");
    while line.contains("  ") {
        line = line.replace("  ", " ");
    }
    for suggestion in [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand] {
        match error.get(suggestion) {
            Some(ContextValue::String(name)) => return format!("{line}; did you mean {name}?"),
            Some(ContextValue::Strings(names)) if !names.is_empty() => {
                return format!("{line}; did you mean {}?", names.join(" or "));
            }
            _ => {}
        }
    }
    format!("{}; try: spectate --help", line.trim_end_matches('.'))
}

/// Names the environment variable that a refused value came from, if it did.
fn origin(error: &clap::Error, argument: &str) -> String {
    let name = environment_variable(argument.trim_start_matches("--"));
    match (error.get(ContextKind::InvalidValue), std::env::var(&name)) {
        (Some(ContextValue::String(value)), Ok(set))
            if set.split(',').any(|part| part == value) =>
        {
            format!(" [from {name}]")
        }
        _ => String::new(),
    }
}
