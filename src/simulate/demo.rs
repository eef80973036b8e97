//! Runners for somebody to look at: each an ordinary client that sends where it is once a second,
//! follows nobody and checks nothing. Ends with whoever holds the other end of stdin.

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Poll, Token};
use tungstenite::Message;

use super::descriptors::{CONNECTS_IN_FLIGHT_MAX, OPENING_WAIT, allow_descriptors};
use super::joggers::Joggers;
use super::lake::Lake;
use crate::client::connection::{Connection, Input, connect_to_any};
use crate::client::credentials::Credentials;
use crate::client::ended::Ended;
use crate::client::endpoint::Endpoint;
use crate::client::message::{self, ServerMessage};
use crate::client::{is_hung_up, plain, tell, unix_ms};

/// Events taken from the kernel at once.
const EVENTS_MAX: usize = 256;
/// Longest time until we see that stdin is closed.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Runs until stdin is closed.
///
/// # Errors
/// A line that says which connection ended, and why.
pub fn run(
    endpoint: &Endpoint,
    credentials: Option<Credentials>,
    runners: usize,
) -> Result<ExitCode, String> {
    let mut demo = Demo::connect(endpoint, credentials, runners)?;
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
    endpoint: &'a Endpoint,
    credentials: Option<Credentials>,
    address: SocketAddr,
    poll: Poll,
    runners: usize,
    /// By runner, of whom the first has the id 1.
    connections: Vec<Connection>,
    /// How many of them are open, and when the last became so.
    opened: usize,
    opened_at: Instant,
    joggers: Joggers,
    begun_at: Instant,
    begun_at_ms: u64,
    /// Positions that are sent or left out: all runners' first ones, then all their second ones.
    past: u64,
    /// The last error that was told.
    told: Option<String>,
}

impl<'a> Demo<'a> {
    fn connect(
        endpoint: &'a Endpoint,
        credentials: Option<Credentials>,
        runners: usize,
    ) -> Result<Demo<'a>, String> {
        allow_descriptors(runners)?;
        let refused = |ended: Ended| format!("cannot connect to {endpoint}: {ended}");
        let poll = Poll::new().map_err(|error| format!("cannot poll: {}", plain(&error)))?;
        let (first, address) = connect_to_any(&endpoint.addresses()?).map_err(refused)?;
        let mut demo = Demo {
            endpoint,
            credentials,
            address,
            poll,
            runners,
            connections: Vec::with_capacity(runners),
            opened: 0,
            opened_at: Instant::now(),
            joggers: Joggers::round(Lake::central_park()),
            begun_at: Instant::now(),
            begun_at_ms: unix_ms(),
            past: 0,
            told: None,
        };
        demo.admit(Ok(first))?;
        Ok(demo)
    }

    fn admit(&mut self, stream: io::Result<TcpStream>) -> Result<(), String> {
        let index = self.connections.len();
        let connection = stream.and_then(|stream| {
            Connection::new(stream, self.endpoint, self.poll.registry(), Token(index))
        });
        let connection =
            connection.map_err(|error| self.over(index, &Ended::Unreachable(error)))?;
        self.connections.push(connection);
        Ok(())
    }

    /// Connects more of the runners, but not too many at the same time.
    fn connect_more(&mut self) -> Result<(), String> {
        while self.connections.len() < self.runners
            && self.connections.len() - self.opened < CONNECTS_IN_FLIGHT_MAX
        {
            self.admit(TcpStream::connect(self.address))?;
        }
        if self.opened < self.runners && self.opened_at.elapsed() >= OPENING_WAIT {
            return Err(format!(
                "{}: {} of {} runners connected, then nothing for {} s",
                self.endpoint,
                self.opened,
                self.runners,
                OPENING_WAIT.as_secs()
            ));
        }
        Ok(())
    }

    /// Waits for the next thing to do, and does it.
    fn turn(&mut self) -> Result<(), String> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        let renewal = self.credentials.as_ref().map(Credentials::next_due_at);
        let next_at = renewal.map_or(self.due_at(), |renewal| renewal.min(self.due_at()));
        let wait = next_at.saturating_duration_since(Instant::now());
        match self.poll.poll(&mut events, Some(wait.min(LOOK_INTERVAL))) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                return Err(format!("cannot poll: {}", plain(&error)));
            }
            _ => {}
        }
        for event in &events {
            self.read(event.token().0)?;
        }
        self.connect_more()?;
        self.renew_tokens()?;
        self.publish()
    }

    fn read(&mut self, index: usize) -> Result<(), String> {
        self.connections[index].flush();
        loop {
            match self.connections[index].read() {
                Ok(Input::Blocked) => return Ok(()),
                Ok(Input::Opened) => {
                    let runner = index + 1;
                    self.opened += 1;
                    self.opened_at = Instant::now();
                    let token = match &mut self.credentials {
                        Some(credentials) => Some(credentials.mint(runner, &[])?),
                        None => None,
                    };
                    self.send(index, message::hello(runner, &[], token.as_deref()))?;
                }
                Ok(Input::Text(text)) => self.tell_error(&text),
                Ok(Input::Binary | Input::Ping | Input::Pong(_)) => {}
                Err(ended) => return Err(self.over(index, &ended)),
            }
        }
    }

    /// Sends one message, if the connection is open by now.
    fn send(&mut self, index: usize, message: Message) -> Result<(), String> {
        let Some(connection) = self.connections.get_mut(index) else {
            return Ok(());
        };
        connection
            .send(message)
            .map_err(|ended| self.over(index, &ended))?;
        self.connections[index].flush();
        Ok(())
    }

    fn over(&self, index: usize, ended: &Ended) -> String {
        format!("runner {} at {}: {ended}", index + 1, self.endpoint)
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
                false => self.joggers.text(index + 1, time_s, self.begun_at_ms),
            };
            if let Some(text) = text {
                self.send(index, Message::text(text))?;
            }
        }
        Ok(())
    }

    fn renew_tokens(&mut self) -> Result<(), String> {
        let now = Instant::now();
        while let Some(credentials) = &mut self.credentials
            && let Some(index) = credentials.due(now)
        {
            let token = credentials.mint(index + 1, &[])?;
            self.send(index, message::renewal(&token))?;
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
