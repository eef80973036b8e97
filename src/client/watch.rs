//! Follows users in a terminal: one line on stdout for each position. Decides when to connect
//! again; uses nothing but the public protocol.

use std::convert::Infallible;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};
use tungstenite::{Bytes, Message};

use super::connection::{Connection, Input, connect_to_any};
use super::ended::Ended;
use super::endpoint::Endpoint;
use super::message::{self, ServerMessage, Sighting, quoted};
use super::{is_hung_up, plain, printable, tell};
use crate::auth::{self, load_token};
use crate::fix::Extra;
use crate::user::{UserId, is_id};

/// Longest random delay before the first attempt to connect again. It doubles with each.
const DELAY_MAX_FIRST: Duration = Duration::from_millis(500);
/// Longest random delay before any attempt. It is also how long a connection must have lasted
/// for the next one to begin with short delays again.
const DELAY_MAX: Duration = Duration::from_secs(5);
/// Longest wait for the answer to the upgrade request.
const UPGRADE_WAIT: Duration = Duration::from_secs(10);
/// Longest silence before we ping: longer than a server's own ping interval of 25 s.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// Longest wait for a sign of life after that ping.
const PONG_WAIT: Duration = Duration::from_secs(10);
/// How often we look whether stdout still has a reader.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Ids in one message: well under 64 KiB, whatever they are.
const IDS_PER_HELLO_MAX: usize = 100;
/// The only connection's token.
const CONNECTION: Token = Token(0);

/// Flags of `spectate watch`.
#[derive(clap::Args, Debug, Clone)]
pub struct WatchFlags {
    /// Ids of the users to follow
    #[arg(value_name = "USER", required = true, allow_negative_numbers = true, value_parser = parse_id)]
    users: Vec<String>,

    /// Where the server is
    #[arg(long, value_name = "URL", default_value = super::URL_DEFAULT)]
    url: Endpoint,

    /// File with the token for a server that asks for one; read again for each connection, and when the token is no longer good
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// The id as JSON: a number if it is written as JSON writes one, or else a string. A server
/// takes both for the same user.
fn parse_id(text: &str) -> Result<String, String> {
    if UserId::from_integer(text).is_some() {
        return Ok(text.to_owned());
    }
    match is_id(text) {
        true => Ok(quoted(text)),
        false => Err(format!(
            "{text:?} is no user id: 1 to 64 bytes without control characters (try 5)"
        )),
    }
}

/// Follows the users until stdout is closed.
///
/// # Errors
/// A line, when the server says that connecting again will not help, or stdout takes no more.
pub fn run(flags: &WatchFlags) -> Result<ExitCode, String> {
    let mut watch = Watch::new(flags)?;
    let mut delay_max = DELAY_MAX_FIRST;
    loop {
        let begun_at = Instant::now();
        let ended = match watch.session() {
            Stop::StdoutClosed => return Ok(ExitCode::SUCCESS),
            Stop::Broken(line) => return Err(line),
            Stop::Ended(ended) => ended,
        };
        if let Some(advice) = ended.advice()
            && !(ended.wants_token() && watch.has_another_token())
        {
            let try_this = match ended.wants_token() {
                true => " (try --token-file FILE; spectate token makes them)",
                false => "",
            };
            return Err(format!("{}: {ended}; {advice}{try_this}", flags.url));
        }
        watch.tell_lost(&ended);
        if ended.wants_backoff() {
            delay_max = DELAY_MAX;
        } else if begun_at.elapsed() > DELAY_MAX {
            delay_max = DELAY_MAX_FIRST;
        }
        if watch.pause(delay_max.mul_f64(rand::random())).is_err() {
            return Ok(ExitCode::SUCCESS);
        }
        delay_max = (delay_max * 2).min(DELAY_MAX);
    }
}

struct Watch<'a> {
    flags: &'a WatchFlags,
    poll: Poll,
    events: Events,
    /// What was told last; `None` before anything was.
    told_connected: Option<bool>,
    /// Whether it was told what is wrong with the token file.
    warned: bool,
    /// The token that this connection showed.
    shown: Option<auth::Token<'static>>,
}

enum Stop {
    StdoutClosed,
    Broken(String),
    Ended(Ended),
}

impl From<Ended> for Stop {
    fn from(ended: Ended) -> Stop {
        Stop::Ended(ended)
    }
}

impl<'a> Watch<'a> {
    fn new(flags: &'a WatchFlags) -> Result<Watch<'a>, String> {
        let poll = Poll::new().map_err(|error| format!("cannot poll: {}", plain(&error)))?;
        Ok(Watch {
            flags,
            poll,
            events: Events::with_capacity(4),
            told_connected: None,
            warned: false,
            shown: None,
        })
    }

    /// Connects once and follows until the end.
    fn session(&mut self) -> Stop {
        match self.connect() {
            Ok(connection) => match self.follow(connection) {
                Ok(never) => match never {},
                Err(stop) => stop,
            },
            Err(ended) => Stop::Ended(ended),
        }
    }

    fn connect(&mut self) -> Result<Connection, Ended> {
        self.shown = None;
        let endpoint = &self.flags.url;
        let addresses = endpoint.addresses().map_err(Ended::Lost)?;
        let (stream, _) = connect_to_any(&addresses)?;
        Connection::new(stream, endpoint, self.poll.registry(), CONNECTION)
            .map_err(Ended::Unreachable)
    }

    fn follow(&mut self, mut connection: Connection) -> Result<Infallible, Stop> {
        let mut liveness = Liveness {
            heard_at: Instant::now(),
            pinged: false,
        };
        loop {
            let wait = liveness
                .deadline(&connection)
                .saturating_duration_since(Instant::now());
            self.wait(wait)?;
            connection.flush();
            while self.receive(&mut connection)? {
                liveness = Liveness {
                    heard_at: Instant::now(),
                    pinged: false,
                };
            }
            if Instant::now() < liveness.deadline(&connection) {
                continue;
            }
            if liveness.pinged || !connection.is_open() {
                return Err(Ended::Lost("the server does not answer".to_owned()).into());
            }
            liveness.pinged = true;
            connection.send(Message::Ping(Bytes::new()))?;
            connection.flush();
        }
    }

    /// Waits for the connection or for the time to pass; fails when stdout has no reader any more.
    fn wait(&mut self, time: Duration) -> Result<(), Stop> {
        match self
            .poll
            .poll(&mut self.events, Some(time.min(LOOK_INTERVAL)))
        {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                Err(Stop::Broken(format!("cannot poll: {}", plain(&error))))
            }
            _ if is_hung_up(io::stdout()) => Err(Stop::StdoutClosed),
            _ => Ok(()),
        }
    }

    /// Without a connection there is nothing to wait for but the time.
    fn pause(&mut self, time: Duration) -> Result<(), Stop> {
        let until = Instant::now() + time;
        while let Some(left) = until
            .checked_duration_since(Instant::now())
            .filter(|left| !left.is_zero())
        {
            self.wait(left)?;
        }
        Ok(())
    }

    /// Takes one input, if there is one.
    fn receive(&mut self, connection: &mut Connection) -> Result<bool, Stop> {
        match connection.read()? {
            Input::Blocked => return Ok(false),
            Input::Opened => {
                self.tell_connected();
                let mut token = self.token()?;
                for ids in self.flags.users.chunks(IDS_PER_HELLO_MAX) {
                    // What comes after the first is for the same connection.
                    let token = token.take().unwrap_or_default();
                    let hello = format!(
                        r#"{{"initialRequest":true{token},"following":[{}]}}"#,
                        ids.join(",")
                    );
                    connection.send(Message::text(hello))?;
                }
                connection.flush();
            }
            Input::Text(text) => show(&text)?,
            Input::Binary | Input::Ping | Input::Pong(_) => {}
        }
        Ok(true)
    }

    /// The field of a hello that shows the token, if there is a file with one.
    fn token(&mut self) -> Result<Option<String>, Stop> {
        let Some(file) = &self.flags.token_file else {
            return Ok(None);
        };
        let mut warnings = Vec::new();
        let token = load_token(file, &mut warnings).map_err(Stop::Broken)?;
        if !std::mem::replace(&mut self.warned, true) {
            warnings.iter().for_each(|line| tell(line));
        }
        let field = format!(r#","token":{}"#, quoted(token.text()));
        self.shown = Some(token);
        Ok(Some(field))
    }

    /// Whether the file has another token by now than the one that was of no use.
    fn has_another_token(&self) -> bool {
        let (Some(file), Some(shown)) = (&self.flags.token_file, &self.shown) else {
            return false;
        };
        let now = load_token(file, &mut Vec::new());
        now.is_ok_and(|now| now != *shown)
    }

    fn tell_connected(&mut self) {
        if self.told_connected != Some(true) {
            tell(&format!("connected to {}", self.flags.url));
            self.told_connected = Some(true);
        }
    }

    fn tell_lost(&mut self, ended: &Ended) {
        let first = match self.told_connected {
            Some(false) => return,
            Some(true) => "lost",
            None => "cannot connect to",
        };
        tell(&format!(
            "{first} {}: {ended} (trying again)",
            self.flags.url
        ));
        self.told_connected = Some(false);
    }
}

/// When a connection last gave a sign of life.
struct Liveness {
    heard_at: Instant,
    pinged: bool,
}

impl Liveness {
    fn deadline(&self, connection: &Connection) -> Instant {
        match (connection.is_open(), self.pinged) {
            (false, _) => self.heard_at + UPGRADE_WAIT,
            (true, false) => self.heard_at + SILENCE_MAX,
            (true, true) => self.heard_at + SILENCE_MAX + PONG_WAIT,
        }
    }
}

fn show(text: &str) -> Result<(), Stop> {
    let seen = match message::decode(text) {
        ServerMessage::Position(seen) => seen,
        ServerMessage::Error { code, message } => {
            tell(&format!("the server says {code}: {message}"));
            return Ok(());
        }
        ServerMessage::Other => return Ok(()),
    };
    let mut stdout = io::stdout().lock();
    let written = stdout
        .write_all((line(&seen) + "\n").as_bytes())
        .and_then(|()| stdout.flush());
    written.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Stop::StdoutClosed,
        _ => Stop::Broken(format!("cannot write to stdout: {}", plain(&error))),
    })
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

    #[test]
    fn ids_are_numbers_where_json_has_such_numbers_and_strings_elsewhere() {
        for (text, json) in [
            ("5", "5"),
            ("-5", "-5"),
            ("0", "0"),
            ("007", "\"007\""),
            ("a b", "\"a b\""),
            ("\"", "\"\\\"\""),
        ] {
            assert_eq!(parse_id(text).as_deref(), Ok(json));
        }
        for text in ["", "\u{1}", &"x".repeat(65)] {
            assert!(parse_id(text).is_err(), "{text}");
        }
    }
}
