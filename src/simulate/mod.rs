//! `spectate simulate`: many simulated users who follow each other, and a check of everything that
//! they receive; or runners for somebody to look at. The room stands on [`client`](crate::client)
//! and speaks the public protocol alone: it must never know the server.
//!
//! | file | what it is for |
//! |---|---|
//! | `crowd` | the connections of either, on one poll loop |
//! | `check`, `schedule`, `progress` | a checked run: who sends when, and how far it is |
//! | `ledger`, `faults`, `report` | what was sent, what is wrong with what came, and the summary |
//! | `course/` | how simulated users move: at random, or along a GPX track |
//! | `demo`, `joggers`, `lake` | the runners to look at |
//! | `descriptors` | open files, of which many connections need many |

mod check;
mod course;
mod crowd;
mod demo;
mod descriptors;
mod faults;
mod joggers;
mod lake;
mod ledger;
mod progress;
mod report;
mod schedule;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use self::check::{Check, Outcome};
use self::course::motion::{Motion, RATE_ON_COURSE_MAX, Race};
use self::course::track;
use self::course::wander::POSITIONS_MAX;
use self::ledger::Ledger;
use self::report::Report;
use self::schedule::Pace;
use crate::client::credentials::{Credentials, MintFlags};
use crate::client::destination::Destination;
use crate::client::endpoint::Endpoint;
use crate::client::{URL_DEFAULT, tell};
use crate::duration;

/// How many positions are sent if neither a number nor a time is given.
const MESSAGES_DEFAULT: u64 = 1000;

/// Flags of `spectate simulate`.
#[derive(clap::Args, Debug, Clone)]
pub struct SimulateFlags {
    /// Number of users, each following itself and the next; nobody else may publish their ids
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = parse_users)]
    users: u32,

    /// The first of their ids; the others have those behind it [default: 0, or 1 with --demo]
    #[arg(long, value_name = "N", value_parser = parse_first_id)]
    first_id: Option<u32>,

    /// Number of positions to send, each of a random user [default: 1000, or no limit with --duration or --course]
    #[arg(long, value_name = "N", value_parser = parse_messages)]
    messages: Option<u64>,

    /// Where the server is: ws:// or wss://, or the https:// of its map; of several that are one, each user is on the next
    #[arg(long, value_name = "URL", value_delimiter = ',', default_value = URL_DEFAULT)]
    url: Vec<Endpoint>,

    /// PEM file with the CA that a wss:// server's certificate is by [default: those that the system trusts]
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,

    /// Positions per second of all users together [default: as fast as they are delivered; with --course one of each user]
    #[arg(long, value_name = "N", value_parser = parse_rate)]
    rate: Option<f64>,

    /// Stop sending after this time [default with --course: what the track took, if there is no --messages]
    #[arg(long, value_name = "TIME", value_parser = duration::parse_above_zero)]
    duration: Option<Duration>,

    /// GPX file with a track for the users to run on at its recorded pace (without times, 3 m/s), each from another place of it; at the ends of one that is no loop they turn round
    #[arg(long, value_name = "FILE")]
    course: Option<PathBuf>,

    /// How many times faster than recorded they run
    #[arg(long, value_name = "N", default_value = "1", requires = "course", value_parser = parse_speed)]
    speed: f64,

    /// Instead of a check, show: users run round a lake until stdin is closed, as with serve --demo
    #[arg(long, conflicts_with_all = ["messages", "rate", "duration", "course", "speed", "json"])]
    demo: bool,

    /// Print the summary as one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    mint: MintFlags,
}

/// Most users whom the link to a map shows.
const SHOWN_MAX: usize = 1000;

/// Most users: more than any machine has ports for.
const USERS_MAX: u32 = 1_000_000;

fn parse_users(text: &str) -> Result<u32, String> {
    let users = text
        .parse()
        .ok()
        .filter(|users| (1..=USERS_MAX).contains(users));
    users.ok_or_else(|| format!("{text:?} is no whole number from 1 to {USERS_MAX} (try 100)"))
}

fn parse_first_id(text: &str) -> Result<u32, String> {
    let most = u32::MAX;
    let id = text.parse().ok();
    id.ok_or_else(|| format!("{text:?} is no whole number from 0 to {most} (try 1000)"))
}

fn parse_messages(text: &str) -> Result<u64, String> {
    let messages = text
        .parse()
        .ok()
        .filter(|messages| (1..=POSITIONS_MAX).contains(messages));
    messages
        .ok_or_else(|| format!("{text:?} is no whole number from 1 to {POSITIONS_MAX} (try 1000)"))
}

/// Highest `--speed`: round the earth in a quarter of a day.
const SPEED_MAX: f64 = 1000.0;

fn parse_speed(text: &str) -> Result<f64, String> {
    let speed = text
        .parse::<f64>()
        .ok()
        .filter(|speed| *speed > 0.0 && *speed <= SPEED_MAX);
    speed.ok_or_else(|| format!("{text:?} is no number above 0 and up to {SPEED_MAX} (try 10)"))
}

fn parse_rate(text: &str) -> Result<f64, String> {
    let rate = text
        .parse::<f64>()
        .ok()
        .filter(|rate| rate.is_finite() && *rate > 0.0);
    rate.ok_or_else(|| format!("{text:?} is no number above 0 (try 100)"))
}

/// Runs a simulation and prints its summary. The exit code is a failure if any delivery was
/// missing, came twice, late or altered, or if the server broke its protocol in another way.
///
/// # Errors
/// A line that says why no simulation came about.
pub fn run(flags: &SimulateFlags) -> Result<ExitCode, String> {
    let users = flags.users as usize;
    let ca_file = flags.ca_file.as_deref();
    let destinations = (flags.url.iter())
        .map(|url| Destination::new(url, ca_file))
        .collect::<Result<Vec<_>, String>>()?;
    let mut credentials = Credentials::load(&flags.mint, users)?;
    let first_id = |default| flags.first_id.unwrap_or(default) as usize;
    if flags.demo {
        return demo::run(&destinations, credentials, first_id(1), users);
    }
    let first_id = first_id(0);
    let (pace, mut motion) = plan(flags)?;
    let (ledger, time) = loop {
        let ledger = Ledger::new(first_id, users, motion);
        let check = Check::connect(&destinations, credentials, ledger)?;
        if flags.course.is_some() && !flags.json {
            say(&invitation(flags, first_id));
        }
        match check.run(pace)? {
            Outcome::Checked(ledger, time) => break (ledger, time),
            Outcome::Refused(theirs) => credentials = theirs,
        }
        tell("the server refuses latitudes beyond 90: begun again without them");
        motion = Motion::random_on_earth(rand::random());
    };
    let report = Report::new(&ledger, time);
    print(&report, flags.json);
    Ok(if report.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What the flags come to together.
fn plan(flags: &SimulateFlags) -> Result<(Pace, Motion), String> {
    let Some(file) = &flags.course else {
        let unlimited = flags.duration.map_or(MESSAGES_DEFAULT, |_| POSITIONS_MAX);
        let pace = Pace {
            positions: flags.messages.unwrap_or(unlimited),
            rate: flags.rate,
            duration: flags.duration,
        };
        return Ok((pace, Motion::random(rand::random())));
    };
    let users = f64::from(flags.users);
    let rate = flags.rate.unwrap_or(users);
    if rate > users * RATE_ON_COURSE_MAX {
        return Err(format!(
            "--rate {rate} is {} a second of each user, and on a course at most {RATE_ON_COURSE_MAX} are sent: try --rate {users}",
            rate / users
        ));
    }
    let course = track::load(file)?;
    let once = Duration::try_from_secs_f64(course.once_s() / flags.speed);
    let pace = Pace {
        positions: flags.messages.unwrap_or(POSITIONS_MAX),
        rate: Some(rate),
        duration: match flags.messages {
            None => flags.duration.or(once.ok()),
            Some(_) => flags.duration,
        },
    };
    let race = Race::new(course, flags.users as usize, flags.speed, rate);
    Ok((pace, Motion::Course(race)))
}

fn print(report: &Report, json: bool) {
    let text = match json {
        true => serde_json::to_string(report).expect("numbers and strings are always JSON") + "\n",
        false => report.to_string(),
    };
    say(&text);
}

/// Nobody is left to tell when stdout is closed; the exit code still says how it went.
fn say(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}

/// The line with the link that shows the users on a map, as many as a connection may follow if
/// nobody says otherwise.
fn invitation(flags: &SimulateFlags, first_id: usize) -> String {
    let shown = (flags.users as usize).min(SHOWN_MAX);
    let ids: Vec<String> = (first_id..first_id + shown)
        .map(|id| id.to_string())
        .collect();
    let (map, ids) = (flags.url[0].map(), ids.join(","));
    let token = match flags.mint.command(&ids) {
        Some(command) => format!("#token=TOKEN with a token from: {command}"),
        None => String::new(),
    };
    format!("see it move: {map}?follow={ids}{token}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_above_0() {
        assert_eq!(parse_rate("0.5"), Ok(0.5));
        for text in ["0", "-1", "nan", "inf", "x", ""] {
            assert!(parse_rate(text).is_err(), "{text}");
        }
    }
}
