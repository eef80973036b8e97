//! The prototype's test client grown up: many users who follow each other and move at random or
//! on a course, and a check of every delivery. Decides what is sent and when; uses nothing but the
//! public protocol.

pub mod course;
pub mod crowd;
pub mod demo;
pub mod descriptors;
pub mod faults;
pub mod joggers;
pub mod lake;
pub mod ledger;
pub mod report;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use tungstenite::Message;

use self::course::motion::{Motion, RATE_ON_COURSE_MAX, Race};
use self::course::track;
use self::course::wander::POSITIONS_MAX;
use self::crowd::{Crowd, Round, SILENCE_MAX};
use self::faults::Fault;
use self::ledger::Ledger;
use self::report::Report;
use crate::client::credentials::{Credentials, MintFlags};
use crate::client::endpoint::Endpoint;
use crate::client::{URL_DEFAULT, unix_ms};
use crate::duration;

/// How many positions are sent if neither a number nor a time is given.
const MESSAGES_DEFAULT: u64 = 1000;

/// Longest wait for the next position if its time is beyond what a clock can tell.
const RATE_WAIT_MAX: Duration = Duration::from_secs(3600);

/// Flags of `spectate simulate`.
#[derive(clap::Args, Debug, Clone)]
pub struct Config {
    /// Number of users, each following itself and the next; their ids, 0 to N-1, must be free on the server
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = parse_users)]
    users: u32,

    /// Number of positions to send, each of a random user [default: 1000, or no limit with --duration or --course]
    #[arg(long, value_name = "N", value_parser = parse_messages)]
    messages: Option<u64>,

    /// Where the server is
    #[arg(long, value_name = "URL", default_value = URL_DEFAULT)]
    url: Endpoint,

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

    /// Instead of a check, show: users 1 to N run round a lake until stdin is closed, as with serve --demo
    #[arg(long, conflicts_with_all = ["messages", "rate", "duration", "course", "speed", "json"])]
    demo: bool,

    /// Print the summary as one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    mint: MintFlags,
}

/// Most users: more than any machine has ports for.
const USERS_MAX: u32 = 1_000_000;

fn parse_users(text: &str) -> Result<u32, String> {
    let users = text
        .parse()
        .ok()
        .filter(|users| (1..=USERS_MAX).contains(users));
    users.ok_or_else(|| format!("{text:?} is no whole number from 1 to {USERS_MAX} (try 100)"))
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
pub fn run(config: &Config) -> Result<ExitCode, String> {
    let users = config.users as usize;
    let credentials = Credentials::load(&config.mint, users)?;
    if config.demo {
        return demo::run(&config.url, credentials, users);
    }
    let (pace, motion) = plan(config)?;
    let mut ledger = Ledger::new(users, motion);
    let progress = progress_bar(users as u64, "{pos} of {len} users connected");
    let mut crowd = Crowd::gather(&config.url, credentials, &mut ledger, &progress)?;
    progress.finish_and_clear();

    let begun_at = Instant::now();
    ledger.begin(unix_ms());
    publish(&Schedule::new(pace, begun_at), &mut crowd, &mut ledger)?;
    let published_at = Instant::now();
    crowd.settle(Round::Published, &mut ledger)?;
    crowd.settle(Round::Delivered, &mut ledger)?;
    crowd.leave(&mut ledger)?;
    ledger.close();

    let ended_at = ledger
        .arrived_last()
        .map_or(published_at, |last| last.max(published_at));
    let report = Report::new(&ledger, ended_at - begun_at);
    print(&report, config.json);
    Ok(if report.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// How many positions are sent, how fast and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Pace {
    positions: u64,
    rate: Option<f64>,
    duration: Option<Duration>,
}

/// What the flags come to together.
fn plan(config: &Config) -> Result<(Pace, Motion), String> {
    let Some(file) = &config.course else {
        let unlimited = config.duration.map_or(MESSAGES_DEFAULT, |_| POSITIONS_MAX);
        let pace = Pace {
            positions: config.messages.unwrap_or(unlimited),
            rate: config.rate,
            duration: config.duration,
        };
        return Ok((pace, Motion::random(rand::random())));
    };
    let users = f64::from(config.users);
    let rate = config.rate.unwrap_or(users);
    if rate > users * RATE_ON_COURSE_MAX {
        return Err(format!(
            "--rate {rate} is {} a second of each user, and on a course at most {RATE_ON_COURSE_MAX} are sent: try --rate {users}",
            rate / users
        ));
    }
    let course = track::load(file)?;
    let once = Duration::try_from_secs_f64(course.once_s() / config.speed);
    let pace = Pace {
        positions: config.messages.unwrap_or(POSITIONS_MAX),
        rate: Some(rate),
        duration: match config.messages {
            None => config.duration.or(once.ok()),
            Some(_) => config.duration,
        },
    };
    let race = Race::new(course, config.users as usize, config.speed, rate);
    Ok((pace, Motion::Course(race)))
}

/// Sends the positions, each of the user whose turn it is or a random one. The next one waits
/// while too many are on their way: a server that has to wait for its readers may leave positions
/// out, so that whoever checks must read faster than it writes.
fn publish(schedule: &Schedule, crowd: &mut Crowd, ledger: &mut Ledger) -> Result<(), String> {
    let progress = schedule.progress_bar();
    let mut user = next_user(ledger);
    let mut sent_at = schedule.begun_at;
    let mut held_back = false;
    while ledger.sent() < schedule.positions {
        let now = Instant::now();
        let due = schedule.due(now);
        while ledger.sent() < due && ledger.has_room(user) {
            // One that was held back waited for the server, which is part of its latency.
            let due_at = if held_back {
                schedule.due_at(ledger.sent(), now)
            } else {
                now
            };
            let text = ledger.publish(user, due_at);
            crowd.send(user, Message::text(text), ledger)?;
            user = next_user(ledger);
            sent_at = now;
        }
        crowd.flush();
        held_back = ledger.sent() < due;
        if crowd.has_lost() {
            stopped(ledger, "a connection ended");
            break;
        }
        if schedule.ends_at.is_some_and(|end| now >= end) {
            break;
        }
        if held_back && crowd.is_silent_since(sent_at, ledger)? {
            stopped(ledger, "nothing was delivered any more");
            break;
        }
        let wake_at = if held_back {
            now + SILENCE_MAX
        } else {
            schedule.due_at(ledger.sent(), now)
        };
        let wake_at = schedule.ends_at.map_or(wake_at, |end| wake_at.min(end));
        crowd.turn(wake_at.saturating_duration_since(now), ledger)?;
        schedule.show(&progress, ledger.sent(), now);
    }
    progress.finish_and_clear();
    Ok(())
}

fn stopped(ledger: &mut Ledger, reason: &str) {
    let sent = ledger.sent();
    ledger.faults.note(Fault::Stopped, || {
        format!("after {sent} positions: {reason}")
    });
}

fn next_user(ledger: &Ledger) -> usize {
    let random = || rand::random_range(0..ledger.users());
    ledger.turn().unwrap_or_else(random)
}

/// When positions are due.
#[derive(Debug)]
struct Schedule {
    begun_at: Instant,
    ends_at: Option<Instant>,
    positions: u64,
    rate: Option<f64>,
}

impl Schedule {
    fn new(pace: Pace, begun_at: Instant) -> Schedule {
        Schedule {
            begun_at,
            // A track can take longer than a clock can tell.
            ends_at: pace
                .duration
                .and_then(|duration| begun_at.checked_add(duration)),
            positions: pace.positions,
            rate: pace.rate,
        }
    }

    /// How many positions should be sent by now.
    fn due(&self, now: Instant) -> u64 {
        let Some(rate) = self.rate else {
            let over = self.ends_at.is_some_and(|end| now >= end);
            return if over { 0 } else { self.positions };
        };
        let until = self.ends_at.map_or(now, |end| now.min(end));
        let due = (until - self.begun_at).as_secs_f64() * rate;
        (due.ceil() as u64).min(self.positions)
    }

    /// When the position of this number is due; `now` if that is as soon as there is room.
    fn due_at(&self, number: u64, now: Instant) -> Instant {
        match self.rate {
            // A rate can be so low that the next one is due in no time that a clock can tell.
            Some(rate) => {
                let after = Duration::try_from_secs_f64(number as f64 / rate);
                let due_at = after
                    .ok()
                    .and_then(|after| self.begun_at.checked_add(after));
                due_at.unwrap_or(now + RATE_WAIT_MAX)
            }
            None => now,
        }
    }

    fn progress_bar(&self) -> ProgressBar {
        match self.ends_at {
            Some(end) if self.positions == POSITIONS_MAX => {
                progress_bar((end - self.begun_at).as_millis() as u64, "{msg} positions")
            }
            _ => progress_bar(self.positions, "{pos} of {len} positions"),
        }
    }

    fn show(&self, progress: &ProgressBar, sent: u64, now: Instant) {
        if self.positions == POSITIONS_MAX {
            progress.set_message(HumanCount(sent).to_string());
            progress.set_position((now - self.begun_at).as_millis() as u64);
        } else {
            progress.set_position(sent);
        }
    }
}

/// A bar on stderr, if that is a terminal.
fn progress_bar(length: u64, label: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(&format!("{{bar:40}} {label}"));
    ProgressBar::new(length).with_style(style.expect("the template is well-formed"))
}

fn print(report: &Report, json: bool) {
    let text = match json {
        true => serde_json::to_string(report).expect("numbers and strings are always JSON") + "\n",
        false => report.to_string(),
    };
    // Nobody is left to tell when stdout is closed; the exit code still says how it went.
    let _ = io::stdout().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(rate: Option<f64>, duration_s: Option<u64>) -> Schedule {
        let begun_at = Instant::now();
        let ends_at = duration_s.map(|seconds| begun_at + Duration::from_secs(seconds));
        Schedule {
            begun_at,
            ends_at,
            positions: 1000,
            rate,
        }
    }

    #[test]
    fn a_rate_spreads_positions_evenly_up_to_the_end() {
        let schedule = schedule(Some(10.0), Some(2));
        let due = |ms| schedule.due(schedule.begun_at + Duration::from_millis(ms));
        assert_eq!(
            [
                due(0),
                due(1),
                due(100),
                due(101),
                due(1999),
                due(2000),
                due(9000)
            ],
            [0, 1, 1, 2, 20, 20, 20]
        );
        let due_at = schedule.due_at(15, schedule.begun_at);
        assert_eq!(due_at - schedule.begun_at, Duration::from_millis(1500));
    }

    #[test]
    fn without_a_rate_everything_is_due_until_the_end() {
        let schedule = schedule(None, Some(2));
        assert_eq!(schedule.due(schedule.begun_at), 1000);
        assert_eq!(schedule.due(schedule.begun_at + Duration::from_secs(2)), 0);
    }

    #[test]
    fn a_rate_of_next_to_nothing_waits_and_does_not_panic() {
        let schedule = schedule(Some(f64::MIN_POSITIVE), None);
        assert_eq!(schedule.due(schedule.begun_at + Duration::from_secs(1)), 1);
        assert!(schedule.due_at(1, schedule.begun_at) > schedule.begun_at);
    }

    #[test]
    fn a_rate_is_a_number_above_0() {
        assert_eq!(parse_rate("0.5"), Ok(0.5));
        for text in ["0", "-1", "nan", "inf", "x", ""] {
            assert!(parse_rate(text).is_err(), "{text}");
        }
    }
}
