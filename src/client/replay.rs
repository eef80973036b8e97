//! Publishes a recording as if it happened now, at its own pace or a multiple of that: a gateway,
//! one connection for all its users. Uses nothing but the public protocol.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use tungstenite::Message;

use super::link::{Event, Link, LinkFlags};
use super::message::{self, ServerMessage};
use super::recording::lines::{Flaws, Lines};
use super::{plain, tell, unix_ms};
use crate::date;
use crate::fix::Extra;

/// How much of the recording is in memory.
const BUFFER_BYTES: usize = 64 * 1024;
/// How many lines are read for a position before the connection has its turn again.
const LINES_PER_TURN: usize = 1000;
/// How much is sent in one turn.
const BYTES_PER_TURN: usize = 32 * 1024;
/// Longest wait without a look at the progress.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// What is due later than this is due then.
const PAUSE_MAX: Duration = Duration::from_secs(365 * 86_400);
/// Codes of errors after which nothing of a recording is any use to this server.
const REFUSALS: [&str; 3] = ["not_allowed", "unauthorized", "wrong_user"];

/// Flags of `spectate replay`.
#[derive(clap::Args, Clone, Debug)]
pub struct ReplayFlags {
    /// The recording
    #[arg(value_name = "FILE")]
    recording: PathBuf,

    /// How many times faster than recorded
    #[arg(long, value_name = "N", default_value = "1", value_parser = parse_speed)]
    speed: f64,

    /// Leave out what was received before this: 2026-05-01T12:00:00Z, or milliseconds since 1970
    #[arg(long, value_name = "WHEN", value_parser = parse_when)]
    from: Option<u64>,

    /// Leave out what was received after this
    #[arg(long, value_name = "WHEN", value_parser = parse_when)]
    to: Option<u64>,

    #[command(flatten)]
    link: LinkFlags,
}

fn parse_speed(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(speed) if f64::is_finite(speed) && speed > 0.0 => Ok(speed),
        _ => Err(format!("{text:?} must be a number above 0 (try 10)")),
    }
}

/// Milliseconds since the start of 1970, from those or from ISO 8601.
fn parse_when(text: &str) -> Result<u64, String> {
    let ms = match text.parse::<f64>() {
        Ok(ms) => Some(ms),
        Err(_) => date::parse(text).map(|s| s * 1000.0),
    };
    ms.and_then(date::dated).ok_or_else(|| {
        format!("{text:?} is no time (try 2026-05-01T12:00:00Z, or milliseconds since 1970)")
    })
}

/// Publishes the recording from its beginning to its end.
///
/// # Errors
/// A line, when the recording cannot be read, or the server did not take all of it.
pub fn run(flags: &ReplayFlags) -> Result<ExitCode, String> {
    let mut replay = Replay::new(flags)?;
    let mut link = Link::new(&flags.link)?;
    let outcome = replay.run(&mut link);
    replay.bar.finish_and_clear();
    replay.flaws.tell(&flags.recording);
    outcome?;
    let line = format!("{} positions published\n", replay.published);
    // Who closed stdout does not want to know.
    let _ = io::stdout().write_all(line.as_bytes());
    match replay.errors {
        0 => Ok(ExitCode::SUCCESS),
        errors => Err(format!(
            "the server did not take all positions: errors: {errors}"
        )),
    }
}

struct Replay<'a> {
    flags: &'a ReplayFlags,
    lines: Lines<BufReader<File>>,
    flaws: Flaws,
    /// The position that is published next.
    next: Option<Next>,
    /// Whether there is no other behind it.
    is_read: bool,
    pace: Pace,
    published: u64,
    /// How many errors the server sent, and the code of the last one that was told.
    errors: u64,
    told: Option<String>,
    bar: ProgressBar,
}

struct Next {
    /// The message without its timestamp and its closing brace.
    unclosed: String,
    has_timestamp: bool,
    received_ms: u64,
}

impl<'a> Replay<'a> {
    fn new(flags: &'a ReplayFlags) -> Result<Replay<'a>, String> {
        let refuse = |error: io::Error| refusal(flags, &error);
        let file = File::open(&flags.recording).map_err(refuse)?;
        let bytes = file.metadata().map_err(refuse)?.len();
        let style = ProgressStyle::with_template("{bar:40} {msg}");
        let bar = ProgressBar::new(bytes).with_style(style.expect("the template is well-formed"));
        Ok(Replay {
            flags,
            lines: Lines::new(BufReader::with_capacity(BUFFER_BYTES, file)),
            flaws: Flaws::default(),
            next: None,
            is_read: false,
            pace: Pace::new(flags.speed),
            published: 0,
            errors: 0,
            told: None,
            bar,
        })
    }

    fn run(&mut self, link: &mut Link) -> Result<(), String> {
        loop {
            let until = self.publish(link)?;
            if self.is_read && self.next.is_none() && link.is_open() && link.flush() {
                break;
            }
            if let Some(event) = link.next(until)? {
                self.take(event, link)?;
            }
        }
        link.leave();
        loop {
            match link.next(Instant::now() + LOOK_INTERVAL)? {
                Some(Event::Closed) => return Ok(()),
                Some(event) => self.take(event, link)?,
                None => {}
            }
        }
    }

    /// Sends what is due, as far as the socket takes it; says when to go on.
    fn publish(&mut self, link: &mut Link) -> Result<Instant, String> {
        let now = Instant::now();
        self.read_on()?;
        if !link.is_open() || !link.flush() {
            return Ok(now + LOOK_INTERVAL);
        }
        let mut sent_bytes = 0;
        while let Some(next) = &self.next
            && sent_bytes < BYTES_PER_TURN
        {
            let due_at = self.pace.due_at(next.received_ms, now);
            if due_at > now {
                link.flush();
                return Ok(due_at.min(now + LOOK_INTERVAL));
            }
            let message = next.message();
            sent_bytes += message.len();
            link.send(Message::text(message));
            self.published += 1;
            self.show(next.received_ms);
            self.next = None;
            self.read_on()?;
        }
        link.flush();
        Ok(now)
    }

    /// Looks for the next position to publish, but not so long that the connection must wait.
    fn read_on(&mut self) -> Result<(), String> {
        for _ in 0..LINES_PER_TURN {
            if self.is_read || self.next.is_some() {
                return Ok(());
            }
            let line = self.lines.next();
            let Some(line) = line.map_err(|error| refusal(self.flags, &error))? else {
                self.is_read = true;
                return Ok(());
            };
            let recorded = match line.content {
                Ok(recorded) => recorded,
                Err(flaw) => {
                    self.flaws.count(flaw, line.number);
                    continue;
                }
            };
            let (from, to) = (self.flags.from, self.flags.to);
            let received_ms = recorded.received_ms;
            if received_ms >= from.unwrap_or(0) && received_ms <= to.unwrap_or(u64::MAX) {
                self.next = Some(Next {
                    unclosed: recorded.seen.unclosed(Some(Extra::Timestamp)),
                    has_timestamp: recorded.fix.made_at_ms().is_some(),
                    received_ms,
                });
            }
        }
        Ok(())
    }

    fn take(&mut self, event: Event, link: &mut Link) -> Result<(), String> {
        match event {
            Event::Opened { token } => {
                self.pace.go(Instant::now());
                if !token.is_empty() {
                    let hello = format!(r#"{{"initialRequest":true{token}}}"#);
                    link.send(Message::text(hello));
                }
                Ok(())
            }
            Event::Text(text) => match message::decode(&text) {
                ServerMessage::Error { code, message } => self.judge(code, &message),
                _ => Ok(()),
            },
            Event::Lost => {
                self.pace.stop(Instant::now());
                Ok(())
            }
            Event::Closed => Ok(()),
        }
    }

    /// Tells an error, but not the same kind again and again.
    fn judge(&mut self, code: String, message: &str) -> Result<(), String> {
        if REFUSALS.contains(&code.as_str()) {
            return Err(format!(
                "the server refuses the recording: {code}: {message} (where it asks for tokens, give one \
                 that was made with --publish '*')"
            ));
        }
        self.errors += 1;
        if self.told.as_ref() != Some(&code) {
            tell(&format!("the server says {code}: {message}"));
            self.told = Some(code);
        }
        Ok(())
    }

    fn show(&self, received_ms: u64) {
        self.bar.set_position(self.lines.bytes());
        if !self.bar.is_hidden() {
            let count = HumanCount(self.published);
            let when = date::extended(received_ms / 1000 * 1000);
            self.bar.set_message(format!("{count} positions, {when}"));
        }
    }
}

impl Next {
    fn message(&self) -> String {
        let unclosed = &self.unclosed;
        match self.has_timestamp {
            true => format!(r#"{unclosed},"timestamp":{}}}"#, unix_ms()),
            false => format!("{unclosed}}}"),
        }
    }
}

/// When what was received at some time is due. It stands still without a connection.
struct Pace {
    speed: f64,
    /// When the replay began, and at which time of the recording.
    begin: Option<(Instant, u64)>,
    stopped_at: Option<Instant>,
}

impl Pace {
    fn new(speed: f64) -> Pace {
        Pace {
            speed,
            begin: None,
            stopped_at: None,
        }
    }

    /// What is asked for first is due now.
    fn due_at(&mut self, received_ms: u64, now: Instant) -> Instant {
        let (begun_at, begin_ms) = *self.begin.get_or_insert((now, received_ms));
        let since_s = received_ms.saturating_sub(begin_ms) as f64 / 1000.0 / self.speed;
        let since = Duration::try_from_secs_f64(since_s).unwrap_or(PAUSE_MAX);
        begun_at + since.min(PAUSE_MAX)
    }

    fn stop(&mut self, now: Instant) {
        self.stopped_at.get_or_insert(now);
    }

    fn go(&mut self, now: Instant) {
        if let (Some(stopped_at), Some((begun_at, _))) = (self.stopped_at.take(), &mut self.begin) {
            *begun_at += now - stopped_at;
        }
    }
}

fn refusal(flags: &ReplayFlags, error: &io::Error) -> String {
    format!("{}: {}", flags.recording.display(), plain(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_is_due_at_its_own_pace_and_stands_still_without_a_connection() {
        let begin = Instant::now();
        let after = |s| begin + Duration::from_secs(s);
        let mut pace = Pace::new(10.0);
        assert_eq!(pace.due_at(1_000_000, begin), begin);
        assert_eq!(pace.due_at(1_060_000, after(1)), after(6));
        // What was received before is due at once, and puts nothing off.
        assert_eq!(pace.due_at(900_000, after(1)), begin);
        pace.stop(after(2));
        pace.stop(after(3));
        pace.go(after(32));
        pace.go(after(40));
        assert_eq!(pace.due_at(1_060_000, after(32)), after(36));
    }

    #[test]
    fn no_speed_is_too_slow_or_too_fast() {
        let now = Instant::now();
        for (speed, wait) in [(f64::MIN_POSITIVE, PAUSE_MAX), (f64::MAX, Duration::ZERO)] {
            let mut pace = Pace::new(speed);
            pace.due_at(0, now);
            assert_eq!(pace.due_at(date::MS_MAX, now), now + wait);
        }
        for text in ["0", "-1", "inf", "NaN", "", "fast"] {
            assert!(parse_speed(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_time_is_one_of_iso_8601_or_milliseconds() {
        for (text, ms) in [
            ("1777636800000", 1_777_636_800_000),
            ("2026-05-01T12:00:00Z", 1_777_636_800_000),
            ("2026-05-01T14:00:00.5+02:00", 1_777_636_800_500),
        ] {
            assert_eq!(parse_when(text), Ok(ms));
        }
        for text in ["", "yesterday", "-1", "1e99", "NaN", "2026-13-01T12:00:00Z"] {
            let refused = parse_when(text).expect_err(text);
            assert!(refused.contains("try 2026"), "{refused}");
        }
    }
}
