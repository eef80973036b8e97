//! Follows users in a terminal: one line on stdout for each position. Uses nothing but the public
//! protocol.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::following::{Following, parse_id};
use super::link::{Event, Link, LinkFlags};
use super::message::{self, ServerMessage, Sighting};
use super::{is_hung_up, plain, printable, tell};
use crate::fix::Extra;

/// How often we look whether stdout still has a reader.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Flags of `spectate watch`.
#[derive(clap::Args, Debug, Clone)]
pub struct WatchFlags {
    /// Ids of the users to follow
    #[arg(value_name = "USER", required = true, allow_negative_numbers = true, value_parser = parse_id)]
    users: Vec<String>,

    #[command(flatten)]
    link: LinkFlags,
}

/// Follows the users until stdout is closed.
///
/// # Errors
/// A line, when the server says that connecting again will not help, or stdout takes no more.
pub fn run(flags: &WatchFlags) -> Result<ExitCode, String> {
    let following = Following::Users(&flags.users);
    let mut link = Link::new(&flags.link)?;
    let mut look_at = Instant::now();
    loop {
        let is_read = match link.next(look_at)? {
            Some(Event::Opened { token }) => {
                following.say(&mut link, &token);
                true
            }
            Some(Event::Text(text)) => show(&text)?,
            Some(Event::Lost | Event::Closed) | None => true,
        };
        let now = Instant::now();
        if !is_read || (now >= look_at && is_hung_up(io::stdout())) {
            return Ok(ExitCode::SUCCESS);
        }
        if now >= look_at {
            look_at = now + LOOK_INTERVAL;
        }
    }
}

/// Shows a message, if it is for people; whether stdout still has a reader.
fn show(text: &str) -> Result<bool, String> {
    let seen = match message::decode(text) {
        ServerMessage::Position(seen) => seen,
        ServerMessage::Error { code, message } => {
            tell(&format!("the server says {code}: {message}"));
            return Ok(true);
        }
        ServerMessage::Other => return Ok(true),
    };
    let mut stdout = io::stdout().lock();
    let written = stdout
        .write_all((line(&seen) + "\n").as_bytes())
        .and_then(|()| stdout.flush());
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(format!("cannot write to stdout: {}", plain(&error))),
    }
}

/// A position in a line, with its digits as they were sent.
fn line(seen: &Sighting) -> String {
    let user = serde_json::from_str::<String>(seen.user).unwrap_or_else(|_| seen.user.to_owned());
    let mut line = format!("{user}  {} {}", seen.lat, seen.lng);
    for (extra, number) in seen.extras() {
        let (name, unit) = match extra {
            Extra::Accuracy => ("accuracy", " m"),
            Extra::Altitude => ("altitude", " m"),
            Extra::AltitudeAccuracy => ("altitude accuracy", " m"),
            Extra::Heading => ("heading", "°"),
            Extra::Speed => ("speed", " m/s"),
            Extra::Timestamp => ("timestamp", " ms"),
            Extra::Battery => ("battery", ""),
        };
        line.push_str(&format!("  {name} {number}{unit}"));
    }
    if let Some(age) = seen.age {
        line.push_str(&format!("  last known, {age} s ago"));
    }
    printable(&line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let ServerMessage::Position(seen) = message::decode(text) else {
            panic!("a position: {text}")
        };
        line(&seen)
    }

    #[test]
    fn a_position_is_a_line_with_its_own_digits_and_units() {
        assert_eq!(
            shown(r#"{"userId":5,"lat":12.30,"lng":-4.6e1}"#),
            "5  12.30 -4.6e1"
        );
        assert_eq!(
            shown(
                r#"{"userId":"Jörg","lat":1,"lng":2,"accuracy":5,"heading":90,"battery":0.5,"age":12.3}"#
            ),
            "Jörg  1 2  accuracy 5 m  heading 90°  battery 0.5  last known, 12.3 s ago"
        );
    }

    #[test]
    fn nothing_that_a_peer_sends_drives_the_terminal() {
        assert_eq!(
            shown(r#"{"userId":"\u001b[2J\u009b","lat":1,"lng":"\n"}"#),
            r#"\u{1b}[2J\u{9b}  1 "\n""#
        );
    }
}
