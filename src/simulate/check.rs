//! A run of simulated users whose every delivery is checked. Decides who sends when, how long an
//! answer is waited for and what ends the run early; whether a delivery is right is the ledger's
//! to know, and who is connected the crowd's.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tungstenite::Message;

use super::crowd::{Crowd, Event, OPENING_WAIT, Population};
use super::faults::Fault;
use super::ledger::Ledger;
use super::progress;
use super::schedule::{Pace, Schedule};
use crate::client::credentials::Credentials;
use crate::client::destination::Destination;
use crate::client::ended::Ended;
use crate::client::message::{self, ServerMessage};
use crate::client::{printable, unix_ms};

/// Longest silence of all connections before what has not come is given up.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// Longest wait for the answers to our goodbyes.
const GOODBYE_WAIT: Duration = Duration::from_secs(2);

/// Longest time in which we see which ids somebody else publishes, once we know that somebody does:
/// runners send every second.
const IN_USE_WAIT: Duration = Duration::from_secs(2);

/// What came of a run.
pub(crate) enum Outcome {
    /// The ledger, closed, and how long it took from the first position to the last delivery.
    Checked(Ledger, Duration),
    /// The server takes latitudes on Earth alone. These tokens are for the users of another run.
    Refused(Option<Credentials>),
}

/// A run whose users are connected.
pub(crate) struct Check<'a> {
    destinations: &'a [Destination],
    crowd: Crowd<'a>,
    ledger: Ledger,
    round: Round,
    /// Users who have not yet answered this round's ping.
    awaited: BTreeSet<usize>,
    /// Connections that ended before their time.
    lost: usize,
    /// When a delivery or an awaited answer last came.
    heard_at: Instant,
    /// When it was sure that somebody else publishes ids of ours.
    in_use_at: Option<Instant>,
}

/// What a ping asks. Its number is the ping's payload, and comes back in the pong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Round {
    /// Sent right behind the hello. A server takes a connection's messages one after the other,
    /// so whoever is answered has its follows in force.
    Hello,
    /// Sent behind the last position: whoever is answered has had all its positions taken.
    Published,
    /// Sent when all deliveries are there: one too many would be ahead of the answer.
    Delivered,
    /// Goodbyes are said; connections that end are no fault.
    Goodbye,
}

impl Round {
    fn ping(self) -> Message {
        Message::Ping(vec![self as u8].into())
    }
}

impl<'a> Check<'a> {
    /// Connects all users of the ledger, and returns when every follow is in force.
    ///
    /// # Errors
    /// A line that says why they cannot connect.
    pub(crate) fn connect(
        destinations: &'a [Destination],
        credentials: Option<Credentials>,
        ledger: Ledger,
    ) -> Result<Check<'a>, String> {
        let users = ledger.users();
        let population = Population::Users {
            first_id: ledger.id(0),
        };
        let progress = progress::of_connects(users);
        let mut check = Check {
            destinations,
            crowd: Crowd::new(destinations, credentials, population, users)?,
            ledger,
            round: Round::Hello,
            awaited: (0..users).collect(),
            lost: 0,
            heard_at: Instant::now(),
            in_use_at: None,
        };
        while !check.awaited.is_empty() {
            check.crowd.connect_more(users - check.awaited.len())?;
            check.turn(OPENING_WAIT)?;
            progress.set_position((users - check.awaited.len()) as u64);
        }
        progress.finish_and_clear();
        check.round = Round::Published;
        Ok(check)
    }

    /// Has all users send at this pace, waits for what is due and takes leave.
    ///
    /// # Errors
    /// A line that says why no run came about, or that ids were in use.
    pub(crate) fn run(mut self, pace: Pace) -> Result<Outcome, String> {
        let begun_at = Instant::now();
        self.ledger.begin(unix_ms());
        self.publish(&Schedule::new(pace, begun_at))?;
        let published_at = Instant::now();
        if !self.ledger.is_refused() {
            self.settle(Round::Published)?;
            self.settle(Round::Delivered)?;
        }
        while let Some(left) = self.until_in_use_is_known() {
            self.turn(left)?;
        }
        self.leave()?;
        if let Some(ids) = self.ledger.in_use() {
            return Err(in_use(ids, self.destinations));
        }
        if self.ledger.is_refused() {
            return Ok(Outcome::Refused(self.crowd.into_credentials()));
        }
        let mut ledger = self.ledger;
        ledger.close();
        let ended_at = ledger
            .arrived_last()
            .map_or(published_at, |last| last.max(published_at));
        Ok(Outcome::Checked(ledger, ended_at - begun_at))
    }

    /// How long to look on whose ids are in use; `None` if none are, or they were seen.
    fn until_in_use_is_known(&self) -> Option<Duration> {
        let left = IN_USE_WAIT.checked_sub(self.in_use_at?.elapsed());
        left.filter(|left| !left.is_zero())
    }

    /// Sends the positions, each of the user whose turn it is or a random one. The next one waits
    /// while too many are on their way: a server that has to wait for its readers may leave
    /// positions out, so that whoever checks must read faster than it writes.
    fn publish(&mut self, schedule: &Schedule) -> Result<(), String> {
        let progress = progress::of_positions(schedule);
        let mut user = self.next_user();
        let mut sent_at = schedule.begun_at;
        let mut held_back = false;
        while self.ledger.sent() < schedule.positions {
            let now = Instant::now();
            let due = schedule.due_by(now);
            while self.ledger.sent() < due && self.ledger.has_room(user) {
                // One that was held back waited for the server, which is part of its latency.
                let due_at = if held_back {
                    schedule.due_at(self.ledger.sent(), now)
                } else {
                    now
                };
                let text = self.ledger.publish(user, due_at);
                self.send(user, Message::text(text))?;
                user = self.next_user();
                sent_at = now;
            }
            held_back = self.ledger.sent() < due;
            if self.lost > 0 {
                self.stopped("a connection ended");
                break;
            }
            if schedule.ends_at.is_some_and(|end| now >= end) || self.ledger.is_refused() {
                break;
            }
            let until_known = self.until_in_use_is_known();
            if self.in_use_at.is_some() && until_known.is_none() {
                break;
            }
            if held_back && self.is_silent_since(sent_at)? {
                self.stopped("nothing was delivered any more");
                break;
            }
            let wake_at = match held_back {
                true => now + SILENCE_MAX,
                false => schedule.due_at(self.ledger.sent(), now),
            };
            let wake_at = schedule.ends_at.map_or(wake_at, |end| wake_at.min(end));
            let timeout = wake_at.saturating_duration_since(now);
            self.turn(until_known.map_or(timeout, |left| left.min(timeout)))?;
            progress::show(&progress, schedule, self.ledger.sent(), now);
        }
        progress.finish_and_clear();
        Ok(())
    }

    fn next_user(&self) -> usize {
        let random = || rand::random_range(0..self.ledger.users());
        self.ledger.next_user().unwrap_or_else(random)
    }

    fn stopped(&mut self, reason: &str) {
        let sent = self.ledger.sent();
        self.ledger.faults.note(Fault::Stopped, || {
            format!("after {sent} positions: {reason}")
        });
    }

    fn send(&mut self, user: usize, message: Message) -> Result<(), String> {
        match self.crowd.send(user, message) {
            Ok(()) => Ok(()),
            Err(ended) => self.end(user, &ended),
        }
    }

    /// Waits for events at most this long, and enters into the ledger what came.
    fn turn(&mut self, timeout: Duration) -> Result<(), String> {
        self.crowd.wait(timeout)?;
        while let Some((user, event)) = self.crowd.next_event()? {
            match event {
                Event::Opened => self.send(user, Round::Hello.ping())?,
                Event::Text(text) => self.receive(user, &text)?,
                Event::Binary => {
                    let id = self.ledger.id(user);
                    let told = || format!("user {id} got a binary message");
                    self.ledger.faults.note(Fault::Unexpected, told);
                }
                Event::Pong(payload) if payload.as_ref() == [self.round as u8] => {
                    self.answered(user);
                }
                Event::Pong(_) => {}
                Event::Ended(ended) => self.end(user, &ended)?,
            }
        }
        Ok(())
    }

    fn receive(&mut self, user: usize, text: &str) -> Result<(), String> {
        if self.round == Round::Hello
            && let ServerMessage::Error { code, message } = message::decode(text)
        {
            let try_this = match code.as_str() {
                "unauthorized" => " (try --jwt-hs256-secret-file FILE)",
                _ => "",
            };
            let told = printable(&format!("{code}: {message}"));
            let reason = format!("the server says {told}{try_this}");
            return Err(self.crowd.failure(user, &reason));
        }
        let (now, arrived) = (Instant::now(), self.ledger.arrived());
        self.ledger.receive(user, text, now);
        if self.ledger.arrived() > arrived {
            self.heard_at = now;
        }
        if self.in_use_at.is_none() && self.ledger.in_use().is_some() {
            self.in_use_at = Some(now);
        }
        Ok(())
    }

    fn answered(&mut self, user: usize) {
        if self.awaited.remove(&user) {
            self.heard_at = Instant::now();
        }
    }

    fn end(&mut self, user: usize, ended: &Ended) -> Result<(), String> {
        if self.round == Round::Hello {
            return Err(self.crowd.failure(user, ended));
        }
        self.answered(user);
        self.ledger.disconnect(user);
        if self.round != Round::Goodbye {
            self.lost += 1;
            let id = self.ledger.id(user);
            (self.ledger.faults).note(Fault::Closed, || format!("user {id}: {ended}"));
        }
        Ok(())
    }

    /// Whether no delivery and no awaited answer has come for [`SILENCE_MAX`], nor since then.
    fn is_silent_since(&mut self, since: Instant) -> Result<bool, String> {
        if since.max(self.heard_at).elapsed() < SILENCE_MAX {
            return Ok(false);
        }
        // The silence may be our own: after a pause of this process all is there to be read.
        self.turn(Duration::ZERO)?;
        Ok(since.max(self.heard_at).elapsed() >= SILENCE_MAX)
    }

    /// Pings on every connection, and waits until each is answered or nothing has come for
    /// [`SILENCE_MAX`]. In the round [`Round::Published`] it waits for the outstanding deliveries
    /// as well: a server may answer a ping ahead of the positions that wait in line, so that the
    /// answers alone prove too little.
    fn settle(&mut self, round: Round) -> Result<(), String> {
        self.round = round;
        for user in 0..self.ledger.users() {
            if self.crowd.is_open(user) {
                self.awaited.insert(user);
                self.send(user, round.ping())?;
            }
        }
        let asked_at = Instant::now();
        while !self.awaited.is_empty()
            || (round == Round::Published && self.ledger.outstanding() > 0)
        {
            if self.is_silent_since(asked_at)? {
                break;
            }
            self.turn(SILENCE_MAX)?;
        }
        for user in std::mem::take(&mut self.awaited) {
            let (id, wait_s) = (self.ledger.id(user), SILENCE_MAX.as_secs());
            self.ledger.faults.note(Fault::Unanswered, || {
                format!("user {id}: no answer to a ping for {wait_s} s")
            });
        }
        Ok(())
    }

    /// Says goodbye on every connection, and waits a moment for the answers, so that the server
    /// sees its clients leave and not break.
    fn leave(&mut self) -> Result<(), String> {
        self.round = Round::Goodbye;
        for user in 0..self.ledger.users() {
            self.crowd.close(user);
            if self.crowd.is_open(user) {
                self.awaited.insert(user);
            }
        }
        let begun_at = Instant::now();
        while !self.awaited.is_empty() {
            let Some(left) = GOODBYE_WAIT.checked_sub(begun_at.elapsed()) else {
                break;
            };
            self.turn(left)?;
        }
        Ok(())
    }
}

/// The line for somebody whose users' ids are others' too.
fn in_use((lowest, highest): (usize, usize), destinations: &[Destination]) -> String {
    let ids = match lowest == highest {
        true => format!("id {lowest} is in use"),
        false => format!("ids {lowest} to {highest} are in use"),
    };
    let next = highest + 1;
    let destination: Vec<String> = destinations.iter().map(Destination::to_string).collect();
    let destination = destination.join(", ");
    format!("{ids}: somebody else publishes them at {destination} (try --first-id {next})")
}
