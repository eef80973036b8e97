//! One engine: its socket, which is opened again for ever, and what is said over it. Must never
//! know what nodes say to one another.

use std::io::{self, ErrorKind};
use std::time::Instant;

use log::{info, warn};
use mio::{Registry, Token};

use super::access::Access;
use super::address::EngineAddress;
use super::distrust;
use super::questions::{Question, Questions};
use super::resync::Resync;
use super::socket::Socket;
use crate::bus::{
    Incoming, Link, Names, News, Node, NotTaken, Tag, Trouble, VALUE_BYTES_MAX, Value,
};
use crate::server::memory::BUS_IN_BYTES_MAX;
use crate::server::wire::stream::Received;
use crate::server::wire::tls::SESSION_BYTES_MAX;

/// Read in one tick at most, so that much of it delays the others by little. It is more than what
/// makes positions be passed over that newer ones follow.
const READ_BYTES_MAX: usize = 512 * 1024;
const _: () = assert!(
    BUS_IN_BYTES_MAX as usize >= 2 * (VALUE_BYTES_MAX + READ_BYTES_MAX) + SESSION_BYTES_MAX,
    "also by TLS"
);

/// So much of what a link may hold is left to positions of this tick.
pub(super) const PENDING_BYTES_MAX: usize = 64 * 1024;

/// Answers come in the order of the questions: there is nothing to find them by.
const TAG: Tag = Tag(0);

/// Room for one read.
const PIECE_BYTES: usize = 64 * 1024;

/// How who speaks TLS may answer to who does not: the first byte of an alert (RFC 8446, 5.1).
const TLS_ALERT: u8 = 21;

/// A connection to one engine, or the next attempt at one.
#[derive(Debug)]
pub(super) struct Engine {
    address: EngineAddress,
    pub(super) link: Link,
    pub(super) incoming: Incoming,
    socket: Socket,
    /// Room to read into.
    piece: Vec<u8>,
    /// Whether there may be something to read.
    is_readable: bool,
    /// Whether anything was said over this connection.
    has_spoken: bool,
    /// Whether the engine's end of the connection may be behind what is to be read.
    is_hung_up: bool,
    /// What was asked and not answered yet.
    pub(super) questions: Questions,
    pub(super) resync: Resync,
    /// How often it was connected anew.
    pub(super) reconnects: u64,
    was_up: bool,
    /// The mark that it had when it was last connected.
    pub(super) life: Option<String>,
    /// Whether it has lost all that it had before this connection.
    pub(super) has_lost_all: bool,
    /// As counted on connections before this one.
    passed_over_before: u64,
}

impl Engine {
    /// An engine to be connected at once.
    pub(super) fn new(
        address: EngineAddress,
        names: Names,
        out_bytes_max: usize,
        seed: u64,
        now: Instant,
    ) -> Engine {
        Engine {
            address,
            link: Link::new(names, out_bytes_max, seed, now),
            incoming: Incoming::default(),
            socket: Socket::None,
            piece: Vec::new(),
            is_readable: false,
            has_spoken: false,
            is_hung_up: false,
            questions: Questions::default(),
            resync: Resync::new(),
            reconnects: 0,
            was_up: false,
            life: None,
            has_lost_all: false,
            passed_over_before: 0,
        }
    }

    /// Where it is.
    pub(super) fn address(&self) -> &EngineAddress {
        &self.address
    }

    /// Whether it is time to connect.
    pub(super) fn is_to_connect(&self, now: Instant) -> bool {
        self.link.is_due(now)
    }

    /// Connects, or begins with looking up where to.
    pub(super) fn connect(&mut self, registry: &Registry, token: Token, now: Instant) {
        self.link.connecting(now);
        self.has_spoken = false;
        self.is_hung_up = false;
        match Socket::begin(&self.address, registry, token) {
            Ok(socket) => self.socket = socket,
            Err(line) => self.link.failed(Trouble::Lost(line), now),
        }
    }

    /// Notes that the poll has something to say about the socket: that it is hung up, perhaps.
    pub(super) fn note_event(&mut self, is_hung_up: bool) {
        self.is_readable = true;
        self.is_hung_up |= is_hung_up;
    }

    /// Whether there is something to do by now.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.is_readable || self.deadline().is_some_and(|deadline| now >= deadline)
    }

    /// When there is something to do if nothing happens until then.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let deadlines = [self.link.deadline(), self.resync.deadline()];
        deadlines.into_iter().flatten().min()
    }

    /// Whether something happened that was not looked at yet.
    pub(super) fn has_events(&self) -> bool {
        self.is_readable
    }

    /// Looks after the connection attempt, and reads what came.
    pub(super) fn read(
        &mut self,
        node: Node,
        access: &mut Access,
        registry: &Registry,
        token: Token,
        now: Instant,
    ) {
        self.is_readable = false;
        let outcome = (self.socket)
            .go_on(&self.address, access, registry, token)
            .map_err(Trouble::Lost)
            .and_then(|()| self.fill(node, access, now));
        if let Err(trouble) = outcome {
            self.link.failed(trouble, now);
        }
    }

    /// Reads until there is nothing more for now, or enough.
    fn fill(&mut self, node: Node, access: &mut Access, now: Instant) -> Result<(), Trouble> {
        self.piece.resize(PIECE_BYTES, 0);
        let mut left = READ_BYTES_MAX;
        while left > 0 {
            self.greet(node, access, now);
            let Socket::Open(stream) = &mut self.socket else {
                return Ok(());
            };
            let received = stream.read(&mut self.piece, self.is_hung_up);
            // A handshake goes on, or an alert goes out. Of a failure the next reading tells.
            let _ = stream.drain();
            match received {
                Ok(Received::Bytes {
                    count,
                    taken,
                    is_all,
                }) => {
                    self.take(count)?;
                    self.link.received(now);
                    left = left.saturating_sub(taken);
                    if is_all {
                        self.greet(node, access, now);
                        self.link.drained(now);
                        return Ok(());
                    }
                }
                Ok(Received::Nothing) => {
                    self.link.drained(now);
                    return Ok(());
                }
                Ok(Received::End) => {
                    return Err(self.hung_up("the engine closed the connection".to_owned()));
                }
                Ok(Received::NoTls) => return Err(Trouble::NoTls),
                Err(error) => return Err(self.trouble(&error)),
            }
        }
        self.is_readable = true;
        Ok(())
    }

    /// Introduces this node as soon as anything can be said.
    fn greet(&mut self, node: Node, access: &mut Access, now: Instant) {
        match &self.socket {
            Socket::Open(stream) if self.link.is_connecting() => match stream.is_shaking_hands() {
                true => self.link.reached(now),
                false => self.link.connected(&access.login(&self.address, node), now),
            },
            _ => {}
        }
    }

    /// Takes in what is in the piece.
    fn take(&mut self, count: usize) -> Result<(), Trouble> {
        let bytes = &self.piece[..count];
        let is_first = !self.has_spoken && self.address.certified().is_none();
        if is_first && bytes.first() == Some(&TLS_ALERT) {
            return Err(Trouble::WantsTls);
        }
        self.has_spoken |= count > 0;
        self.incoming.extend(bytes);
        Ok(())
    }

    /// What an error of the stream means.
    fn trouble(&self, error: &io::Error) -> Trouble {
        if let Socket::Open(stream) = &self.socket
            && let Some(fault) = stream.fault()
        {
            return distrust::trouble(fault.error(), self.link.is_connecting());
        }
        match error.kind() {
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => self.hung_up(error.to_string()),
            _ => Trouble::Lost(error.to_string()),
        }
    }

    /// What it means that there is no connection any more.
    fn hung_up(&self, how: String) -> Trouble {
        match self.has_spoken || self.address.certified().is_some() {
            true => Trouble::Lost(how),
            false => Trouble::WantsTls,
        }
    }

    /// The next value that came; says so to the link if what came is none.
    pub(super) fn next<'a>(
        incoming: &'a mut Incoming,
        link: &mut Link,
        now: Instant,
    ) -> Option<Value<'a>> {
        match incoming.next() {
            Ok(value) => value,
            Err(_) => {
                link.failed(Trouble::Malformed, now);
                None
            }
        }
    }

    /// Does what is due by now, and says whether the link came up or went down.
    pub(super) fn tick(&mut self, now: Instant) -> Option<Changed> {
        self.link.tick(now);
        let mut changed = None;
        while let Some(news) = self.link.news() {
            let address = &self.address;
            match news {
                News::Up => {
                    info!("bus up server={address}");
                    self.reconnects += u64::from(self.was_up);
                    self.was_up = true;
                    changed = Some(Changed::Up);
                }
                News::Down(trouble) => warn!("bus down server={address} error=\"{trouble}\""),
            }
        }
        if self.link.is_down() && !matches!(self.socket, Socket::None) {
            self.hang_up();
            self.passed_over_before = self.passed_over();
            self.incoming = Incoming::default();
            self.questions = Questions::default();
            self.resync.lost();
            changed = Some(Changed::Down);
        }
        changed
    }

    /// Writes what waits, as far as the socket takes it.
    pub(super) fn write(&mut self, now: Instant) {
        let Socket::Open(stream) = &mut self.socket else {
            return;
        };
        if self.link.pending_bytes() == 0 {
            return;
        }
        let written = (stream.resume()).and_then(|()| stream.write(self.link.pending()));
        match written {
            Ok(count) => self.link.wrote(count, stream.owed(), now),
            Err(error) => self.link.failed(self.trouble(&error), now),
        }
    }

    /// Ends the connection, and says so where TLS wants that said.
    pub(super) fn hang_up(&mut self) {
        if let Socket::Open(mut stream) = std::mem::replace(&mut self.socket, Socket::None) {
            // It may be long gone.
            let _ = stream.finish();
        }
    }

    /// Asks something, and keeps in mind what.
    pub(super) fn ask(&mut self, arguments: &[&[u8]], question: Question) -> Result<(), NotTaken> {
        self.link.ask(arguments, TAG)?;
        self.questions.push(question);
        Ok(())
    }

    /// Whether more may be asked now: it is up, and neither what is written nor what is awaited is much.
    pub(super) fn may_be_asked(&self) -> bool {
        let has_room = self.link.pending_bytes() <= PENDING_BYTES_MAX;
        self.link.is_up() && has_room && !self.questions.are_many()
    }

    /// Positions of which newer ones had come with them.
    pub(super) fn passed_over(&self) -> u64 {
        self.passed_over_before + self.incoming.conflated()
    }
}

/// What became of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Changed {
    /// It takes commands, and has none of our subscriptions.
    Up,
    /// It is away.
    Down,
}
