//! The edge of the process: arguments in, exit status out.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use spectate::cli::{self, Command, Parsed};
use spectate::client::{export, lookup, record, replay, token, watch};
use spectate::{server, simulate};

fn main() -> ExitCode {
    let command = match cli::parse(std::env::args_os()) {
        Parsed::Run(command) => *command,
        Parsed::Print(text) => {
            return match io::stdout().write_all(text.as_bytes()) {
                Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                    let _ = writeln!(io::stderr(), "spectate: cannot write to stdout: {error}");
                    ExitCode::FAILURE
                }
                // Who reads no further has seen enough.
                _ => ExitCode::SUCCESS,
            };
        }
        Parsed::Refuse(line) => {
            let _ = writeln!(io::stderr(), "spectate: {line}");
            return ExitCode::from(2);
        }
    };
    let outcome = match command {
        Command::Serve(config) => server::serve(*config),
        Command::Simulate(flags) => simulate::run(&flags),
        Command::Watch(flags) => watch::run(&flags),
        Command::Record(flags) => record::run(&flags),
        Command::Replay(flags) => replay::run(&flags),
        Command::Export(flags) => export::run(&flags),
        Command::Token(flags) => token::run(&flags),
        Command::Lookup(flags) => lookup::run(&flags),
    };
    outcome.unwrap_or_else(|line| {
        let _ = writeln!(io::stderr(), "spectate: {line}");
        ExitCode::FAILURE
    })
}
