//! The simulated users' connections, all on one poll loop. Decides who is connected and when an
//! answer is awaited; whether a delivery is right is the ledger's to know.

use std::net::SocketAddr;
use std::time::{Duration, Instant};
use std::{fmt, io};

use indicatif::ProgressBar;
use mio::net::TcpStream;
use mio::{Events, Poll, Token};
use tungstenite::Message;

use super::descriptors::{CONNECTS_IN_FLIGHT_MAX, OPENING_WAIT, allow_descriptors};
use super::faults::Fault;
use super::ledger::Ledger;
use crate::client::connection::{Connection, Input, connect_to_any};
use crate::client::credentials::Credentials;
use crate::client::ended::Ended;
use crate::client::endpoint::Endpoint;
use crate::client::message::{self, ServerMessage};
use crate::client::{plain, printable};

/// Events taken from the kernel at once.
const EVENTS_MAX: usize = 1024;

/// Longest silence of all connections before what has not come is given up.
pub const SILENCE_MAX: Duration = Duration::from_secs(5);
/// Longest wait for the answers to our goodbyes.
const GOODBYE_WAIT: Duration = Duration::from_secs(2);

/// The connections, by user.
pub struct Crowd<'a> {
    endpoint: &'a Endpoint,
    credentials: Option<Credentials>,
    address: SocketAddr,
    poll: Poll,
    events: Events,
    ready: Vec<usize>,
    members: Vec<Member>,
    unflushed: Vec<usize>,
    round: Round,
    /// Connections that have not yet answered this round's ping.
    awaited: usize,
    lost: usize,
    heard_at: Instant,
}

struct Member {
    connection: Connection,
    awaited: bool,
    unflushed: bool,
}

/// What a ping asks. Its number is the ping's payload, and comes back in the pong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
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

impl<'a> Crowd<'a> {
    /// Connects all users of the ledger, with a token each if there are credentials, and returns
    /// when every follow is in force.
    ///
    /// # Errors
    /// A line that says which user could not be connected, and why.
    pub fn gather(
        endpoint: &'a Endpoint,
        credentials: Option<Credentials>,
        ledger: &mut Ledger,
        progress: &ProgressBar,
    ) -> Result<Crowd<'a>, String> {
        let users = ledger.users();
        allow_descriptors(users)?;
        let refused = |ended: Ended| format!("cannot connect to {endpoint}: {ended}");
        let (stream, address) = connect_to_any(&endpoint.addresses()?).map_err(refused)?;
        let poll = Poll::new().map_err(|error| format!("cannot poll: {}", plain(&error)))?;
        let mut crowd = Crowd {
            endpoint,
            credentials,
            address,
            poll,
            events: Events::with_capacity(EVENTS_MAX),
            ready: Vec::new(),
            members: Vec::with_capacity(users),
            unflushed: Vec::new(),
            round: Round::Hello,
            awaited: 0,
            lost: 0,
            heard_at: Instant::now(),
        };
        crowd.admit(stream)?;
        while crowd.awaited > 0 || crowd.members.len() < users {
            while crowd.awaited < CONNECTS_IN_FLIGHT_MAX && crowd.members.len() < users {
                let stream = TcpStream::connect(crowd.address).map_err(|error| {
                    crowd.refused(crowd.members.len(), &Ended::Unreachable(error))
                })?;
                crowd.admit(stream)?;
            }
            crowd.turn(OPENING_WAIT, ledger)?;
            let connected = crowd.members.len() - crowd.awaited;
            progress.set_position(connected as u64);
            if crowd.heard_at.elapsed() >= OPENING_WAIT {
                let wait_s = OPENING_WAIT.as_secs();
                return Err(format!(
                    "{endpoint}: {connected} of {users} users connected, then nothing for {wait_s} s"
                ));
            }
        }
        crowd.round = Round::Published;
        Ok(crowd)
    }

    fn admit(&mut self, stream: TcpStream) -> Result<(), String> {
        let token = Token(self.members.len());
        let connection = Connection::new(stream, self.endpoint, self.poll.registry(), token)
            .map_err(|error| self.refused(token.0, &Ended::Unreachable(error)))?;
        self.members.push(Member {
            connection,
            awaited: true,
            unflushed: false,
        });
        self.awaited += 1;
        Ok(())
    }

    fn refused(&self, user: usize, reason: &dyn fmt::Display) -> String {
        format!("cannot connect user {user} to {}: {reason}", self.endpoint)
    }

    /// Sends one message from a user's connection; it is written at the end of the next turn, or
    /// by [`flush`](Self::flush).
    pub fn send(
        &mut self,
        user: usize,
        message: Message,
        ledger: &mut Ledger,
    ) -> Result<(), String> {
        let member = &mut self.members[user];
        if let Err(ended) = member.connection.send(message) {
            return self.end(user, ended, ledger);
        }
        if !member.unflushed {
            member.unflushed = true;
            self.unflushed.push(user);
        }
        Ok(())
    }

    /// Writes what was sent: one write for each connection.
    pub fn flush(&mut self) {
        for user in self.unflushed.drain(..) {
            let member = &mut self.members[user];
            member.unflushed = false;
            member.connection.flush();
        }
    }

    /// Waits for events at most this long, and enters into the ledger what came.
    ///
    /// # Errors
    /// A line, if the poll fails or, while connections are opened, if one of them ends.
    pub fn turn(&mut self, timeout: Duration, ledger: &mut Ledger) -> Result<(), String> {
        let renewal = self.credentials.as_ref().map(Credentials::next_due_at);
        let until_renewal =
            renewal.map(|renewal| renewal.saturating_duration_since(Instant::now()));
        let timeout = until_renewal.map_or(timeout, |until| until.min(timeout));
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(format!("cannot poll: {}", plain(&error))),
        }
        self.ready.clear();
        self.ready
            .extend(self.events.iter().map(|event| event.token().0));
        for index in 0..self.ready.len() {
            self.read(self.ready[index], ledger)?;
        }
        self.renew_tokens(ledger)?;
        self.flush();
        Ok(())
    }

    fn renew_tokens(&mut self, ledger: &mut Ledger) -> Result<(), String> {
        let now = Instant::now();
        while let Some(credentials) = &mut self.credentials
            && let Some(user) = credentials.due(now)
        {
            let token = credentials.mint(user, &[user + 1])?;
            // Whoever is not connected yet gets a fresh one with its hello.
            if user < self.members.len() {
                self.send(user, message::renewal(&token), ledger)?;
            }
        }
        Ok(())
    }

    fn read(&mut self, user: usize, ledger: &mut Ledger) -> Result<(), String> {
        // Writable again, perhaps: what an earlier flush left may go now.
        self.members[user].connection.flush();
        loop {
            match self.members[user].connection.read() {
                Ok(Input::Blocked) => return Ok(()),
                Ok(Input::Opened) => {
                    let next = user + 1;
                    let token = match &mut self.credentials {
                        Some(credentials) => Some(credentials.mint(user, &[next])?),
                        None => None,
                    };
                    let hello = message::hello(user, &[user, next], token.as_deref());
                    self.send(user, hello, ledger)?;
                    self.send(user, Round::Hello.ping(), ledger)?;
                }
                Ok(Input::Text(text)) => {
                    if self.round == Round::Hello
                        && let ServerMessage::Error { code, message } = message::decode(&text)
                    {
                        let try_this = match code.as_str() {
                            "unauthorized" => " (try --jwt-hs256-secret-file FILE)",
                            _ => "",
                        };
                        let told = printable(&format!("{code}: {message}"));
                        let reason = format!("the server says {told}{try_this}");
                        return Err(self.refused(user, &reason));
                    }
                    let (now, arrived) = (Instant::now(), ledger.arrived());
                    ledger.receive(user, &text, now);
                    if ledger.arrived() > arrived {
                        self.heard_at = now;
                    }
                }
                Ok(Input::Pong(payload)) => {
                    if payload.as_ref() == [self.round as u8] {
                        self.answered(user);
                    }
                }
                Ok(Input::Ping) => {}
                Ok(Input::Binary) => {
                    ledger.faults.note(Fault::Unexpected, || {
                        format!("user {user} got a binary message")
                    });
                }
                Err(ended) => return self.end(user, ended, ledger),
            }
        }
    }

    fn answered(&mut self, user: usize) {
        let member = &mut self.members[user];
        if member.awaited {
            member.awaited = false;
            self.awaited -= 1;
            self.heard_at = Instant::now();
        }
    }

    fn end(&mut self, user: usize, ended: Ended, ledger: &mut Ledger) -> Result<(), String> {
        if self.round == Round::Hello {
            return Err(self.refused(user, &ended));
        }
        self.answered(user);
        ledger.lose(user);
        if self.round != Round::Goodbye {
            self.lost += 1;
            ledger
                .faults
                .note(Fault::Closed, || format!("user {user}: {ended}"));
        }
        Ok(())
    }

    /// Whether a connection has ended before its time.
    pub fn has_lost(&self) -> bool {
        self.lost > 0
    }

    /// Whether no delivery and no awaited answer has come for [`SILENCE_MAX`], nor since then.
    ///
    /// # Errors
    /// A line, if the poll fails.
    pub fn is_silent_since(&mut self, since: Instant, ledger: &mut Ledger) -> Result<bool, String> {
        if since.max(self.heard_at).elapsed() < SILENCE_MAX {
            return Ok(false);
        }
        // The silence may be our own: after a pause of this process all is there to be read.
        self.turn(Duration::ZERO, ledger)?;
        Ok(since.max(self.heard_at).elapsed() >= SILENCE_MAX)
    }

    /// Pings on every connection, and waits until each is answered or nothing has come for
    /// [`SILENCE_MAX`]. In the round [`Round::Published`] it waits for the outstanding deliveries
    /// as well: a server may answer a ping ahead of the positions that wait in line, so that the
    /// answers alone prove too little.
    ///
    /// # Errors
    /// A line, if the poll fails.
    pub fn settle(&mut self, round: Round, ledger: &mut Ledger) -> Result<(), String> {
        self.round = round;
        for user in 0..self.members.len() {
            let member = &mut self.members[user];
            if member.connection.is_open() {
                self.awaited += usize::from(!member.awaited);
                member.awaited = true;
                self.send(user, round.ping(), ledger)?;
            }
        }
        self.flush();
        let asked_at = Instant::now();
        while self.awaited > 0 || (round == Round::Published && ledger.outstanding() > 0) {
            if self.is_silent_since(asked_at, ledger)? {
                break;
            }
            self.turn(SILENCE_MAX, ledger)?;
        }
        for (user, member) in self
            .members
            .iter_mut()
            .enumerate()
            .filter(|(_, member)| member.awaited)
        {
            member.awaited = false;
            let wait_s = SILENCE_MAX.as_secs();
            ledger.faults.note(Fault::Unanswered, || {
                format!("user {user}: no answer to a ping for {wait_s} s")
            });
        }
        self.awaited = 0;
        Ok(())
    }

    /// Says goodbye on every connection, and waits a moment for the answers, so that the server
    /// sees its clients leave and not break.
    ///
    /// # Errors
    /// A line, if the poll fails.
    pub fn leave(mut self, ledger: &mut Ledger) -> Result<(), String> {
        self.round = Round::Goodbye;
        for member in &mut self.members {
            member.connection.close();
            member.awaited = member.connection.is_open();
            self.awaited += usize::from(member.awaited);
        }
        let begun_at = Instant::now();
        while self.awaited > 0 {
            let Some(left) = GOODBYE_WAIT.checked_sub(begun_at.elapsed()) else {
                break;
            };
            self.turn(left, ledger)?;
        }
        Ok(())
    }
}

impl Round {
    fn ping(self) -> Message {
        Message::Ping(vec![self as u8].into())
    }
}
