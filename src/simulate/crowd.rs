//! Many connections on one poll loop: opens them a few at a time, introduces each with a token if
//! the server asks for one, renews the tokens, and hands on what comes. Must never know what a
//! message says, or what is to be sent besides.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use std::{fmt, io};

use mio::net::TcpStream;
use mio::{Events, Poll, Token};
use tungstenite::{Bytes, Message, Utf8Bytes};

use super::descriptors::allow_descriptors;
use crate::client::connection::{Connection, Input, connect_to_any};
use crate::client::credentials::Credentials;
use crate::client::destination::Destination;
use crate::client::ended::Ended;
use crate::client::message;
use crate::client::plain;

/// Events taken from the kernel at once.
const EVENTS_MAX: usize = 1024;

/// Connections under way at the same time: less than the backlog of a common server, so that no
/// connect has to be repeated after a second.
const CONNECTS_IN_FLIGHT_MAX: usize = 256;

/// Longest time in which nobody comes further while connections are opened.
pub(crate) const OPENING_WAIT: Duration = Duration::from_secs(10);

/// Who the members of a crowd are. The loop counts them from 0.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Population {
    /// Users with ids from this one on, each following itself and the next.
    Users { first_id: usize },
    /// Runners with ids from this one on, who follow nobody.
    Runners { first_id: usize },
}

impl Population {
    fn id(self, member: usize) -> usize {
        match self {
            Population::Users { first_id } | Population::Runners { first_id } => first_id + member,
        }
    }

    /// Whom a member follows besides itself.
    fn also_follows(self, id: usize) -> Option<usize> {
        match self {
            Population::Users { .. } => Some(id + 1),
            Population::Runners { .. } => None,
        }
    }

    fn hello(self, id: usize, token: Option<&str>) -> Message {
        match self.also_follows(id) {
            Some(next) => message::hello(id, &[id, next], token),
            None => message::hello(id, &[], token),
        }
    }
}

impl fmt::Display for Population {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Population::Users { .. } => "users",
            Population::Runners { .. } => "runners",
        })
    }
}

/// What came to a member.
#[derive(Debug)]
pub(crate) enum Event {
    /// The connection is open, and the hello is on its way.
    Opened,
    /// A text message.
    Text(Utf8Bytes),
    /// A binary message.
    Binary,
    /// The answer to a ping, with the ping's payload.
    Pong(Bytes),
    /// The connection is over.
    Ended(Ended),
}

/// The connections, by member.
pub(crate) struct Crowd<'a> {
    /// Where the members are, in turn.
    destinations: &'a [Destination],
    credentials: Option<Credentials>,
    population: Population,
    size: usize,
    /// Their addresses, in the same order.
    addresses: Vec<SocketAddr>,
    poll: Poll,
    events: Events,
    /// Whose connections are not yet read until they block.
    readable: VecDeque<usize>,
    members: Vec<Connection>,
    /// Members to whom something was sent since the last flush, one perhaps several times.
    unflushed: Vec<usize>,
    /// How many members are connected, and when the last of them became so.
    connected: usize,
    connected_at: Instant,
}

impl<'a> Crowd<'a> {
    /// Connects the first of so many members; [`connect_more`](Self::connect_more) lets the others
    /// follow. Each shows a token if there are credentials.
    ///
    /// # Errors
    /// A line that says why nobody can connect.
    pub(crate) fn new(
        destinations: &'a [Destination],
        credentials: Option<Credentials>,
        population: Population,
        size: usize,
    ) -> Result<Crowd<'a>, String> {
        allow_descriptors(size)?;
        let mut streams = Vec::new();
        for destination in destinations {
            let refused = |ended: Ended| format!("cannot connect to {destination}: {ended}");
            streams.push(connect_to_any(&destination.addresses()?).map_err(refused)?);
        }
        let addresses = streams.iter().map(|(_, address)| *address).collect();
        let poll = Poll::new().map_err(|error| format!("cannot poll: {}", plain(&error)))?;
        let mut crowd = Crowd {
            destinations,
            credentials,
            population,
            size,
            addresses,
            poll,
            events: Events::with_capacity(EVENTS_MAX),
            readable: VecDeque::new(),
            members: Vec::with_capacity(size),
            unflushed: Vec::new(),
            connected: 0,
            connected_at: Instant::now(),
        };
        // As many as there are members; the other connections end here.
        for (stream, _) in streams.into_iter().take(size) {
            crowd.admit(Ok(stream))?;
        }
        Ok(crowd)
    }

    /// Where a member is.
    fn destination(&self, index: usize) -> &'a Destination {
        &self.destinations[index % self.destinations.len()]
    }

    fn admit(&mut self, stream: io::Result<TcpStream>) -> Result<(), String> {
        let index = self.members.len();
        let connection = stream.and_then(|stream| {
            let destination = self.destination(index);
            Connection::new(stream, destination, self.poll.registry(), Token(index))
        });
        let connection =
            connection.map_err(|error| self.failure(index, &Ended::Unreachable(error)))?;
        self.members.push(connection);
        Ok(())
    }

    /// Connects more of the members, but not too many at the same time. How many count as
    /// `connected` is the caller's to say: when they are open, or not before they are answered.
    ///
    /// # Errors
    /// A line, if a socket cannot be had, or nobody has come further for [`OPENING_WAIT`].
    pub(crate) fn connect_more(&mut self, connected: usize) -> Result<(), String> {
        if connected > self.connected {
            self.connected = connected;
            self.connected_at = Instant::now();
        }
        while self.members.len() < self.size
            && self.members.len() - connected < CONNECTS_IN_FLIGHT_MAX
        {
            let next = self.members.len() % self.addresses.len();
            self.admit(TcpStream::connect(self.addresses[next]))?;
        }
        if connected < self.size && self.connected_at.elapsed() >= OPENING_WAIT {
            return Err(format!(
                "{}: {connected} of {} {} connected, then nothing for {} s",
                self.destination(connected),
                self.size,
                self.population,
                OPENING_WAIT.as_secs()
            ));
        }
        Ok(())
    }

    /// Writes what was sent, and waits for something to come or to do, at most this long.
    ///
    /// # Errors
    /// A line, if the poll fails.
    pub(crate) fn wait(&mut self, timeout: Duration) -> Result<(), String> {
        self.flush();
        let renewal_at = self.credentials.as_ref().map(Credentials::next_due_at);
        let until_renewal = renewal_at.map(|at| at.saturating_duration_since(Instant::now()));
        let timeout = until_renewal.map_or(timeout, |until| until.min(timeout));
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                return Err(format!("cannot poll: {}", plain(&error)));
            }
            _ => {}
        }
        for event in &self.events {
            let index = event.token().0;
            // Writable again, perhaps: what an earlier flush left may go now.
            self.members[index].flush();
            self.readable.push_back(index);
        }
        Ok(())
    }

    /// What came next, and to whom; asked until there is nothing more before the next
    /// [`wait`](Self::wait).
    ///
    /// # Errors
    /// A line, if a token cannot be made.
    pub(crate) fn next_event(&mut self) -> Result<Option<(usize, Event)>, String> {
        while let Some(&index) = self.readable.front() {
            let event = match self.members[index].read() {
                Ok(Input::Blocked) => {
                    self.readable.pop_front();
                    continue;
                }
                Ok(Input::Ping) => continue,
                Ok(Input::Opened) => self.introduce(index)?,
                Ok(Input::Text(text)) => Event::Text(text),
                Ok(Input::Binary) => Event::Binary,
                Ok(Input::Pong(payload)) => Event::Pong(payload),
                Err(ended) => Event::Ended(ended),
            };
            return Ok(Some((index, event)));
        }
        self.renew_tokens()
    }

    fn introduce(&mut self, index: usize) -> Result<Event, String> {
        let id = self.population.id(index);
        let token = self.mint(id)?;
        let hello = self.population.hello(id, token.as_deref());
        Ok(match self.send(index, hello) {
            Ok(()) => Event::Opened,
            Err(ended) => Event::Ended(ended),
        })
    }

    /// Sends the tokens that are due, up to one whose connection is over by that.
    fn renew_tokens(&mut self) -> Result<Option<(usize, Event)>, String> {
        let now = Instant::now();
        while let Some(credentials) = &mut self.credentials
            && let Some(index) = credentials.due(now)
        {
            let token = self.mint(self.population.id(index))?;
            // Whoever is not connected yet gets a fresh one with its hello.
            let renewal = token.map(|token| message::renewal(&token));
            if let Some(Err(ended)) = renewal.map(|renewal| self.send(index, renewal)) {
                return Ok(Some((index, Event::Ended(ended))));
            }
        }
        Ok(None)
    }

    fn mint(&mut self, id: usize) -> Result<Option<String>, String> {
        let next = self.population.also_follows(id);
        let credentials = self.credentials.as_mut();
        let token = credentials.map(|credentials| credentials.mint(id, next.as_slice()));
        token.transpose()
    }

    /// Sends one message, if the member's connection is open; it is written with all others of
    /// the member before the next wait.
    ///
    /// # Errors
    /// Why the connection is over now. [`next_event`](Self::next_event) does not tell it again.
    pub(crate) fn send(&mut self, index: usize, message: Message) -> Result<(), Ended> {
        let Some(member) = self.members.get_mut(index) else {
            return Ok(());
        };
        member.send(message)?;
        self.unflushed.push(index);
        Ok(())
    }

    fn flush(&mut self) {
        for index in self.unflushed.drain(..) {
            self.members[index].flush();
        }
    }

    /// Whether messages reach this member's server.
    pub(crate) fn is_open(&self, index: usize) -> bool {
        let member = self.members.get(index);
        member.is_some_and(Connection::is_open)
    }

    /// Says goodbye to this member's server, whose answer is an [`Event::Ended`].
    pub(crate) fn close(&mut self, index: usize) {
        if let Some(member) = self.members.get_mut(index) {
            member.close();
        }
    }

    /// The end of all connections, and what made their tokens.
    pub(crate) fn into_credentials(self) -> Option<Credentials> {
        self.credentials
    }

    /// The line that says why everything ends with this member.
    pub(crate) fn failure(&self, index: usize, reason: &dyn fmt::Display) -> String {
        let (id, destination) = (self.population.id(index), self.destination(index));
        match self.population {
            Population::Users { .. } => {
                format!("cannot connect user {id} to {destination}: {reason}")
            }
            Population::Runners { .. } => format!("runner {id} at {destination}: {reason}"),
        }
    }
}
