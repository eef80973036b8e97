//! Records whom it follows: a line in a file for each position, as long as nobody stops it. Uses
//! nothing but the public protocol.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::following::{Following, parse_id};
use super::link::{Event, Link, LinkFlags};
use super::message::{self, ServerMessage, Sighting};
use super::recording;
use super::recording::file::RecordingFile;
use super::recording::newest::Newest;
use super::{plain, tell, unix_ms};
use crate::duration::parse_above_zero;

/// Longest time until we see that we are to stop, should a signal come just before a wait.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How long a server may take to say goodbye: what it sent before that is still recorded.
const GOODBYE_WAIT: Duration = Duration::from_secs(5);

/// Flags of `spectate record`.
#[derive(clap::Args, Clone, Debug)]
pub struct RecordFlags {
    /// Ids of the users to record; everyone if there are none
    #[arg(value_name = "USER", allow_negative_numbers = true, value_parser = parse_id)]
    users: Vec<String>,

    /// The recording: what is there is kept, and positions are appended
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    /// Rename the recording to FILE.YYYYMMDDTHHMMSSZ and begin a new one whenever the time (UTC) is a multiple of this
    #[arg(long, value_name = "TIME", value_parser = parse_above_zero)]
    rotate: Option<Duration>,

    #[command(flatten)]
    link: LinkFlags,
}

/// Records until SIGINT or SIGTERM comes.
///
/// # Errors
/// A line, when the file takes no more, or the server says that connecting again will not help.
pub fn run(flags: &RecordFlags) -> Result<ExitCode, String> {
    let is_stopped = stop_flag()?;
    let mut recorder = Recorder::new(flags)?;
    let mut link = Link::new(&flags.link)?;
    let followed = recorder.follow(&mut link, &is_stopped);
    let synced = recorder.file.sync();
    followed.and(synced).map(|()| ExitCode::SUCCESS)
}

/// Set by the first signal to stop; the second one ends the process at once.
fn stop_flag() -> Result<Arc<AtomicBool>, String> {
    let is_stopped = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_default(signal, Arc::clone(&is_stopped))
            .and_then(|_| flag::register(signal, Arc::clone(&is_stopped)))
            .map_err(|error| format!("cannot handle signals: {}", plain(&error)))?;
    }
    Ok(is_stopped)
}

struct Recorder<'a> {
    following: Following<'a>,
    file: RecordingFile,
    newest: Newest,
}

impl<'a> Recorder<'a> {
    fn new(flags: &'a RecordFlags) -> Result<Recorder<'a>, String> {
        let file = RecordingFile::open(&flags.out, flags.rotate, unix_ms())?;
        let newest = file.newest()?;
        let following = match flags.users.as_slice() {
            [] => Following::Everyone,
            users => Following::Users(users),
        };
        Ok(Recorder {
            following,
            file,
            newest,
        })
    }

    fn follow(&mut self, link: &mut Link, is_stopped: &AtomicBool) -> Result<(), String> {
        while !is_stopped.load(Ordering::Relaxed) {
            let now = Instant::now();
            let due = self.file.next_due(now, unix_ms());
            let until = due.map_or(now + LOOK_INTERVAL, |due| due.min(now + LOOK_INTERVAL));
            if let Some(event) = link.next(until)? {
                self.take(event, link)?;
            }
            self.file.keep(Instant::now(), unix_ms())?;
        }
        self.say_goodbye(link)
    }

    fn say_goodbye(&mut self, link: &mut Link) -> Result<(), String> {
        if !link.is_open() {
            return Ok(());
        }
        link.leave();
        let until = Instant::now() + GOODBYE_WAIT;
        while Instant::now() < until {
            match link.next(until) {
                Ok(Some(Event::Closed)) | Err(_) => break,
                Ok(Some(event)) => self.take(event, link)?,
                Ok(None) => {}
            }
        }
        Ok(())
    }

    fn take(&mut self, event: Event, link: &mut Link) -> Result<(), String> {
        let text = match event {
            Event::Opened { token } => {
                self.following.say(link, &token);
                return Ok(());
            }
            Event::Text(text) => text,
            Event::Lost | Event::Closed => return Ok(()),
        };
        match message::decode(&text) {
            ServerMessage::Position(seen) => self.record(&text, &seen),
            ServerMessage::Error { code, message } => self.judge(&code, &message),
            ServerMessage::Other => Ok(()),
        }
    }

    fn record(&mut self, text: &str, seen: &Sighting) -> Result<(), String> {
        // What could not be read again is no position.
        let (Some(user), Some(_)) = (seen.user_id(), seen.fix()) else {
            return Ok(());
        };
        let mut received_ms = unix_ms();
        if let Some(age) = seen.age {
            let age_s: f64 = age.parse().unwrap_or_default();
            received_ms = received_ms.saturating_sub((age_s * 1000.0).round() as u64);
            if !self.newest.is_news(user.text(), seen, received_ms) {
                return Ok(());
            }
        }
        let line = recording::line(text, seen, received_ms);
        self.file.append(&line, Instant::now())?;
        self.newest.note(user.text(), seen, received_ms);
        Ok(())
    }

    /// A server that does not let everyone be followed has nothing to record.
    fn judge(&self, code: &str, message: &str) -> Result<(), String> {
        let says = format!("the server says {code}: {message}");
        let is_refused = ["not_allowed", "bad_message", "bad_id"].contains(&code);
        if is_refused && matches!(self.following, Following::Everyone) {
            return Err(format!(
                "{says}; name the users to record, or start the server with --follow-all \
                 (where it asks for tokens, give one that was made with --follow '*')"
            ));
        }
        tell(&says);
        Ok(())
    }
}
