//! Runners for somebody to look at: each an ordinary client that sends where it is once a second,
//! follows nobody and checks nothing. Ends with whoever holds the other end of stdin.

use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use tungstenite::Message;

use super::crowd::{Crowd, Event, Population};
use super::joggers::Joggers;
use super::lake::Lake;
use crate::client::credentials::Credentials;
use crate::client::destination::Destination;
use crate::client::message::{self, ServerMessage};
use crate::client::{is_hung_up, tell, unix_ms};

/// Longest time until we see that stdin is closed.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Runs until stdin is closed.
///
/// # Errors
/// A line that says which connection ended, and why.
pub(crate) fn run(
    destinations: &[Destination],
    credentials: Option<Credentials>,
    first_id: usize,
    runners: usize,
) -> Result<ExitCode, String> {
    let population = Population::Runners { first_id };
    let crowd = Crowd::new(destinations, credentials, population, runners)?;
    let mut demo = Demo {
        crowd,
        first_id,
        runners,
        opened: 0,
        joggers: Joggers::new(Lake::central_park()),
        begun_at: Instant::now(),
        begun_at_ms: unix_ms(),
        past: 0,
        told: None,
    };
    loop {
        let turned = demo.turn();
        // Whoever closes stdin may end the connections next: then that is no news.
        if is_hung_up(io::stdin()) {
            return Ok(ExitCode::SUCCESS);
        }
        turned?;
    }
}

struct Demo<'a> {
    crowd: Crowd<'a>,
    first_id: usize,
    runners: usize,
    /// How many of them are connected.
    opened: usize,
    joggers: Joggers,
    begun_at: Instant,
    begun_at_ms: u64,
    /// Positions that are sent or left out: all runners' first ones, then all their second ones.
    past: u64,
    /// The last error that was told.
    told: Option<String>,
}

impl Demo<'_> {
    /// Waits for the next thing to do, and does it.
    fn turn(&mut self) -> Result<(), String> {
        let until_due = self.due_at().saturating_duration_since(Instant::now());
        self.crowd.wait(until_due.min(LOOK_INTERVAL))?;
        while let Some((index, event)) = self.crowd.next_event()? {
            match event {
                Event::Opened => self.opened += 1,
                Event::Text(text) => self.tell_error(&text),
                Event::Binary | Event::Pong(_) => {}
                Event::Ended(ended) => return Err(self.crowd.failure(index, &ended)),
            }
        }
        self.crowd.connect_more(self.opened)?;
        self.publish()
    }

    /// When the next position is due: one a second of each runner, evenly.
    fn due_at(&self) -> Instant {
        let after_s = self.past as f64 / self.runners as f64;
        self.begun_at + Duration::from_secs_f64(after_s)
    }

    fn publish(&mut self) -> Result<(), String> {
        let runners = self.runners as u64;
        let now = Instant::now();
        while self.due_at() <= now {
            // After a pause of this process nobody wants to know where they were in between.
            let is_past = now - self.due_at() > Duration::from_secs(1);
            let index = (self.past % runners) as usize;
            let time_s = self.past as f64 / runners as f64;
            self.past += 1;
            let text = match is_past {
                true => None,
                false => {
                    (self.joggers).text(index + 1, self.first_id + index, time_s, self.begun_at_ms)
                }
            };
            if let Some(text) = text {
                let sent = self.crowd.send(index, Message::text(text));
                sent.map_err(|ended| self.crowd.failure(index, &ended))?;
            }
        }
        Ok(())
    }

    /// Tells an error, but not the same kind again and again.
    fn tell_error(&mut self, text: &str) {
        if let ServerMessage::Error { code, message } = message::decode(text)
            && self.told.as_ref() != Some(&code)
        {
            tell(&format!("the server says {code}: {message}"));
            self.told = Some(code);
        }
    }
}
