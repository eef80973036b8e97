//! The yardstick: what the release binary needs for each delivery, beside two floors that run in
//! the same minutes: relays that do nothing but write(2).

mod app;
mod attack;
mod badge;
mod bus;
mod bystander;
#[path = "../certificates.rs"]
#[expect(dead_code, reason = "the load believes every CA")]
mod certificates;
mod cluster;
mod connection;
mod crowd;
mod crowds;
mod engine;
mod figures;
mod flight;
mod floor;
mod follow;
mod idle;
mod line;
mod machine;
mod nodes;
mod peer;
mod phone;
mod phones;
mod process;
mod proxy;
#[path = "../redis.rs"]
mod redis;
mod relay;
mod report;
mod rush;
mod scenario;
mod scrape;
#[path = "../tokens/scratch.rs"]
mod scratch;
mod secure;
mod slow;
mod span;
mod state;
mod tls;
mod wire;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::figures::Outcome;
use crate::floor::Floor;
use crate::machine::Cores;
use crate::report::{Group, Row};
use crate::scenario::{Case, Contender, Setting};

/// The argument with which this program starts itself as a floor.
const FLOOR_ARGUMENT: &str = "--floor";

/// What a delivery costs, beside the least that it can cost
#[derive(Parser)]
#[command(name = "fanout", bin_name = "cargo bench --")]
struct Options {
    /// Scenarios to run [default: all]
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(scenario::NAMES))]
    scenarios: Vec<String>,

    /// How often each server runs each case; they take turns
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,

    /// How many more rounds may replace those in which others kept the machine busy
    #[arg(long, value_name = "N", default_value_t = 3)]
    extra_rounds: u16,

    /// Length of a run, where it is a matter of time
    #[arg(long, value_name = "S", default_value_t = 2.0, value_parser = seconds)]
    seconds: f64,

    /// One JSON object for each row on stdout; the tables then go to stderr
    #[arg(long)]
    json: bool,

    /// Another server binary to set beside ours (may be given several times)
    #[arg(long = "server", value_name = "PATH")]
    servers: Vec<PathBuf>,

    /// What `cargo bench` adds, and `cargo test --benches` does not
    #[arg(long, hide = true)]
    bench: bool,

    /// Makes this program a floor, to be measured
    #[arg(long, hide = true)]
    floor: Option<String>,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.1..=600.0).contains(&seconds) => Ok(seconds),
        _ => Err("a time from 0.1 to 600 seconds, please".to_owned()),
    }
}

/// The rounds of a case: the calmest, if some were repeated. A round that went wrong stays.
fn run(case: &Case, setting: &Setting, cores: Cores) -> Vec<Row> {
    let contenders = case.contenders(setting);
    let mut rounds: Vec<Vec<Outcome>> = Vec::new();
    let mut calm = 0;
    while calm < setting.rounds && rounds.len() < setting.rounds + setting.extra_rounds {
        let round = round(case, &contenders, rounds.len(), cores);
        calm += usize::from(others(&round) <= report::DISTURBED_FROM);
        rounds.push(round);
    }
    rounds.sort_by(|one, other| {
        let is_right = |round: &[Outcome]| round.iter().all(|outcome| outcome.wrong.is_empty());
        let by_right = is_right(one).cmp(&is_right(other));
        by_right.then(others(one).total_cmp(&others(other)))
    });
    rounds.truncate(setting.rounds);
    let rows = contenders.into_iter().enumerate();
    rows.map(|(index, contender)| Row {
        contender,
        rounds: rounds.iter().map(|round| round[index].clone()).collect(),
    })
    .collect()
}

/// One run of each contender. Whoever comes first in one round comes last in the next.
fn round(case: &Case, contenders: &[Contender], number: usize, cores: Cores) -> Vec<Outcome> {
    let mut outcomes = vec![Outcome::default(); contenders.len()];
    for turn in 0..contenders.len() {
        let index = (number + turn) % contenders.len();
        let outcome = case.run(&contenders[index].program, cores);
        outcomes[index] = outcome.unwrap_or_else(|error| Outcome {
            wrong: vec![error],
            ..Outcome::default()
        });
    }
    outcomes
}

/// How busy others kept the machine in the worst run of a round.
fn others(round: &[Outcome]) -> f64 {
    round
        .iter()
        .map(|outcome| outcome.others)
        .fold(0.0, f64::max)
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
    if !options.bench {
        println!("not a test: cargo bench runs it");
        return ExitCode::SUCCESS;
    }
    let cores = Cores::choose();
    let setting = Setting {
        seconds: options.seconds,
        rounds: options.rounds.into(),
        extra_rounds: options.extra_rounds.into(),
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
        if let Some(line) = scenario::missing(name) {
            show(&line);
        }
        for case in scenario::cases(name, &setting) {
            let rows = run(&case, &setting, cores);
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
