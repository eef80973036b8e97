//! One engine: its socket, which is opened again for ever, and what is said over it. Must never
//! know what nodes say to one another.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Instant;

use log::{info, warn};
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::address::EngineAddress;
use super::lookup::Lookup;
use super::topic::Question;
use crate::bus::{Incoming, Link, Login, Names, News, Trouble, Value};

/// Read in one tick at most, so that much of it delays the others by little. It is more than what
/// makes positions be passed over that newer ones follow.
const READ_BYTES_MAX: usize = 512 * 1024;

/// Room for one read.
const PIECE_BYTES: usize = 64 * 1024;

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
    /// Whether the engine's end of the connection may be behind what is to be read.
    is_hung_up: bool,
    /// What was asked and not answered yet.
    pub(super) questions: VecDeque<Question>,
    /// How often it was connected anew.
    pub(super) reconnects: u64,
    was_up: bool,
    /// As counted on connections before this one.
    passed_over_before: u64,
}

#[derive(Debug)]
enum Socket {
    None,
    /// Its host's address is being looked up.
    LookingUp(Lookup),
    Connecting(TcpStream),
    Open(TcpStream),
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
            is_hung_up: false,
            questions: VecDeque::new(),
            reconnects: 0,
            was_up: false,
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
        match self.address.literal() {
            Some(address) => self.connect_to(address, registry, token, now),
            None => match Lookup::begin(self.address.host(), registry, token) {
                Ok(lookup) => self.socket = Socket::LookingUp(lookup),
                Err(line) => self.link.failed(Trouble::Lost(line), now),
            },
        }
    }

    fn connect_to(&mut self, address: SocketAddr, registry: &Registry, token: Token, now: Instant) {
        let opened = TcpStream::connect(address).and_then(|mut stream| {
            let interests = Interest::READABLE | Interest::WRITABLE;
            registry.register(&mut stream, token, interests)?;
            // Each write is a whole turn's.
            stream.set_nodelay(true)?;
            Ok(stream)
        });
        self.is_hung_up = false;
        match opened {
            Ok(stream) => self.socket = Socket::Connecting(stream),
            Err(error) => self.link.failed(Trouble::Lost(error.to_string()), now),
        }
    }

    /// Notes that the poll has something to say about the socket: that it is hung up, perhaps.
    pub(super) fn note_event(&mut self, is_hung_up: bool) {
        self.is_readable = true;
        self.is_hung_up |= is_hung_up;
    }

    /// Whether there is something to do by now.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.is_readable || self.link.deadline().is_some_and(|deadline| now >= deadline)
    }

    /// Whether something happened that was not looked at yet.
    pub(super) fn has_events(&self) -> bool {
        self.is_readable
    }

    /// Looks after the connection attempt, and reads what came.
    pub(super) fn read(
        &mut self,
        login: impl FnOnce() -> Login,
        registry: &Registry,
        token: Token,
        now: Instant,
    ) {
        self.is_readable = false;
        self.go_on_connecting(login, registry, token, now);
        self.fill(now);
    }

    fn go_on_connecting(
        &mut self,
        login: impl FnOnce() -> Login,
        registry: &Registry,
        token: Token,
        now: Instant,
    ) {
        if let Socket::LookingUp(lookup) = &mut self.socket {
            match lookup.answer() {
                None => {}
                Some(Ok(address)) => {
                    let address = self.address.at(address);
                    self.connect_to(address, registry, token, now);
                }
                Some(Err(line)) => self.link.failed(Trouble::Lost(line), now),
            }
        }
        let Socket::Connecting(stream) = &self.socket else {
            return;
        };
        if let Ok(Some(error)) | Err(error) = stream.take_error() {
            self.link.failed(Trouble::Lost(error.to_string()), now);
        } else if stream.peer_addr().is_ok() {
            let Socket::Connecting(stream) = std::mem::replace(&mut self.socket, Socket::None)
            else {
                return;
            };
            self.socket = Socket::Open(stream);
            self.link.connected(&login(), now);
        }
    }

    fn fill(&mut self, now: Instant) {
        let Socket::Open(stream) = &mut self.socket else {
            return;
        };
        self.piece.resize(PIECE_BYTES, 0);
        let mut left = READ_BYTES_MAX;
        loop {
            match stream.read(&mut self.piece) {
                Ok(0) => {
                    let line = "the engine closed the connection".to_owned();
                    return self.link.failed(Trouble::Lost(line), now);
                }
                Ok(count) => {
                    self.incoming.extend(&self.piece[..count]);
                    self.link.received(now);
                    left = left.saturating_sub(count);
                    // A short read has emptied the socket (epoll(7), Q9).
                    if count < PIECE_BYTES && !self.is_hung_up {
                        return self.link.drained(now);
                    }
                    if left == 0 {
                        self.is_readable = true;
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return self.link.drained(now);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return self.link.failed(Trouble::Lost(error.to_string()), now),
            }
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
            self.socket = Socket::None;
            self.passed_over_before = self.passed_over();
            self.incoming = Incoming::default();
            self.questions.clear();
            changed = Some(Changed::Down);
        }
        changed
    }

    /// Writes what waits, as far as the socket takes it.
    pub(super) fn write(&mut self, now: Instant) {
        let Socket::Open(stream) = &mut self.socket else {
            return;
        };
        while self.link.pending_bytes() > 0 {
            let before = self.link.pending_bytes();
            match stream.write(self.link.pending()) {
                Ok(count) => {
                    self.link.wrote(count, now);
                    if count < before {
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return self.link.wrote(0, now);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return self.link.failed(Trouble::Lost(error.to_string()), now),
            }
        }
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
