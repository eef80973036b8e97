//! The yardstick: what the release binary needs for each delivery, beside two floors that run in
//! the same minutes: relays that do nothing but write(2).

mod connection;
mod crowd;
mod figures;
mod flight;
mod floor;
mod follow;
mod idle;
mod machine;
mod process;
mod relay;
mod report;
mod scenario;
mod slow;
mod wire;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::figures::Outcome;
use crate::floor::Floor;
use crate::machine::Cores;
use crate::report::{Group, Row};
use crate::scenario::Setting;

/// Makes this program one of the floors.
const FLOOR_ARGUMENT: &str = "--floor";

/// What a delivery costs, beside the least that it can cost
#[derive(Parser)]
#[command(name = "fanout", bin_name = "cargo bench --")]
struct Options {
    /// Scenarios to run [default: all]
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(scenario::NAMES))]
    scenarios: Vec<String>,

    /// How often each server runs each case; they take turns
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,

    /// Length of a run, where it is a matter of time
    #[arg(long, default_value_t = 2.0, value_parser = seconds)]
    seconds: f64,

    /// One JSON object for each row on stdout; the tables then go to stderr
    #[arg(long)]
    json: bool,

    /// Another server binary to set beside ours (may be given several times)
    #[arg(long = "server", value_name = "PATH")]
    servers: Vec<PathBuf>,

    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,

    #[arg(long, hide = true)]
    floor: Option<String>,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.1..=600.0).contains(&seconds) => Ok(seconds),
        _ => Err("a time from 0.1 to 600 seconds, please".to_owned()),
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    if let Some(floor) = options.floor.as_deref().and_then(Floor::from_word) {
        machine::connections_max();
        return match floor::serve(floor) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{} floor: {error}", floor.word());
                ExitCode::FAILURE
            }
        };
    }
    let cores = Cores::choose();
    let setting = Setting {
        seconds: options.seconds,
        connections_max: machine::connections_max(),
        server: env!("CARGO_BIN_EXE_spectate").into(),
        others: options.servers,
    };
    let show = |text: &str| match options.json {
        true => eprintln!("{text}"),
        false => println!("{text}"),
    };
    show(&format!("{}\n", machine::words(cores)));
    let mut is_right = true;
    for name in scenario::NAMES {
        if !options.scenarios.is_empty() && !options.scenarios.iter().any(|wanted| wanted == name) {
            continue;
        }
        for case in scenario::cases(name, &setting) {
            let rows = case.contenders(&setting).into_iter();
            let mut rows: Vec<Row> = rows
                .map(|contender| Row {
                    contender,
                    rounds: Vec::new(),
                })
                .collect();
            // Whoever comes first in one round comes last in the next.
            for round in 0..options.rounds as usize {
                for turn in 0..rows.len() {
                    let index = (round + turn) % rows.len();
                    let row = &mut rows[index];
                    let outcome = case.run(&row.contender.program, cores);
                    row.rounds.push(outcome.unwrap_or_else(|error| Outcome {
                        wrong: vec![error],
                        ..Outcome::default()
                    }));
                }
            }
            let group = Group { case: &case, rows };
            is_right &= group.rows.iter().all(|row| row.wrong().is_empty());
            show(&group.table());
            if options.json {
                for row in group.json() {
                    println!("{row}");
                }
            }
            let _ = std::io::stdout().flush();
        }
    }
    show(&report::legend());
    match is_right {
        true => ExitCode::SUCCESS,
        false => {
            eprintln!("some runs were WRONG: see their rows");
            ExitCode::FAILURE
        }
    }
}
