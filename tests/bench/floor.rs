//! The floors: the least that a relay can do. Nothing is parsed but the fixed places of the load's
//! own messages, and what each delivery costs is its share of a write(2).

use std::io::{self, ErrorKind, Read, Write};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

use crate::wire::{
    self, CLOSE, PING, POSITION_BYTES, POSITION_FRAME_BYTES, RESPONSE, RUNNERS_MAX, TEXT,
};

const EVENTS_MAX: usize = 4096;
const READ_BYTES_MAX: usize = 64 * 1024;
const LISTENER: Token = Token(usize::MAX);

/// How many positions share a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Floor {
    /// None: one write for each delivery.
    Plain,
    /// All that a connection gets in one turn of the loop.
    Coalesced,
}

impl Floor {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Floor::Plain => "plain",
            Floor::Coalesced => "coalesced",
        }
    }

    pub(crate) fn from_word(word: &str) -> Option<Floor> {
        [Floor::Plain, Floor::Coalesced]
            .into_iter()
            .find(|floor| floor.word() == word)
    }
}

struct Connection {
    stream: TcpStream,
    is_open: bool,
    /// The beginning of a request head or frame.
    input: Vec<u8>,
    /// What the kernel did not take.
    wire: Vec<u8>,
    /// Frames of this turn that are owed.
    due: Vec<u32>,
    /// Followed runners, each with the place in its list of followers.
    following: Vec<(u32, u32)>,
}

/// A follower in a runner's list, with the place in its list of followed runners.
#[derive(Clone, Copy)]
struct Follower {
    connection: u32,
    place: u32,
}

struct Relay {
    floor: Floor,
    connections: Slab<Connection>,
    followers: Vec<Vec<Follower>>,
    /// The frames of this turn, one behind the other.
    frames: Vec<u8>,
    /// Connections that are owed frames of this turn.
    dirty: Vec<u32>,
    gather: Vec<u8>,
}

/// Serves for ever, on a free port that it prints.
pub(crate) fn serve(floor: Floor) -> io::Result<()> {
    let mut listener = TcpListener::bind(([127, 0, 0, 1], 0).into())?;
    let mut poll = Poll::new()?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("listening on {}", listener.local_addr()?);
    let mut relay = Relay {
        floor,
        connections: Slab::new(),
        followers: Vec::new(),
        frames: Vec::new(),
        dirty: Vec::new(),
        gather: Vec::new(),
    };
    let mut events = Events::with_capacity(EVENTS_MAX);
    let mut buffer = vec![0; READ_BYTES_MAX];
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &events {
            if event.token() == LISTENER {
                relay.accept(&listener, &poll)?;
                continue;
            }
            let key = event.token().0;
            if event.is_writable() {
                relay.write_rest(key);
            }
            if event.is_readable() && !relay.read(key, event.is_read_closed(), &mut buffer) {
                relay.close(key);
            }
        }
        relay.flush();
    }
}

impl Relay {
    fn accept(&mut self, listener: &TcpListener, poll: &Poll) -> io::Result<()> {
        while let Ok((mut stream, _)) = listener.accept() {
            stream.set_nodelay(true)?;
            let vacant = self.connections.vacant_entry();
            poll.registry().register(
                &mut stream,
                Token(vacant.key()),
                Interest::READABLE | Interest::WRITABLE,
            )?;
            vacant.insert(Connection {
                stream,
                is_open: false,
                input: Vec::new(),
                wire: Vec::new(),
                due: Vec::new(),
                following: Vec::new(),
            });
        }
        Ok(())
    }

    /// Reads all there is. False: the connection is at its end.
    fn read(&mut self, key: usize, hung_up: bool, buffer: &mut [u8]) -> bool {
        loop {
            let Some(connection) = self.connections.get_mut(key) else {
                return true;
            };
            let kept = connection.input.len();
            buffer[..kept].copy_from_slice(&connection.input);
            let room = &mut buffer[kept..];
            let asked = room.len();
            let read = match connection.stream.read(room) {
                Ok(0) => return false,
                Ok(read) => read,
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            };
            connection.input.clear();
            let bytes = &mut buffer[..kept + read];
            let Some(used) = self.take(key, bytes) else {
                return false;
            };
            if used < bytes.len() {
                self.connections[key]
                    .input
                    .extend_from_slice(&bytes[used..]);
            }
            // A short read has emptied the socket.
            if read < asked && !hung_up {
                return true;
            }
        }
    }

    /// Takes what is complete, and says how much that was. `None`: the peer closes.
    fn take(&mut self, key: usize, bytes: &mut [u8]) -> Option<usize> {
        let mut at = 0;
        if !self.connections[key].is_open {
            let Some(end) = wire::end_of(bytes, b"\r\n\r\n") else {
                return Some(0);
            };
            at = end;
            self.connections[key].is_open = true;
            self.send(key, RESPONSE);
        }
        while let [first, second, rest @ ..] = &mut bytes[at..] {
            let (opcode, mut length, mut header) = (*first & 0x0f, usize::from(*second & 0x7f), 2);
            if length == 126 {
                let Some(long) = rest.first_chunk() else {
                    break;
                };
                length = usize::from(u16::from_be_bytes(*long));
                header = 4;
            }
            let Some(masked) = bytes[at..].get_mut(header..header + 4 + length) else {
                break;
            };
            at += header + 4 + length;
            let (mask, payload) = masked.split_at_mut(4);
            wire::unmask(payload, [mask[0], mask[1], mask[2], mask[3]]);
            match opcode {
                TEXT => self.message(key, payload),
                PING => self.send(key, &[0x8a, 0]),
                CLOSE => return None,
                _ => {}
            }
        }
        Some(at)
    }

    fn message(&mut self, key: usize, payload: &[u8]) {
        let position: Option<&[u8; POSITION_BYTES]> = payload.try_into().ok();
        match position.and_then(wire::runner_of) {
            Some(runner) => self.deliver(runner, payload),
            None => {
                if let Some(list) = wire::end_of(payload, b"\"following\":[") {
                    self.follow(key, &payload[list..]);
                }
            }
        }
    }

    fn follow(&mut self, key: usize, list: &[u8]) {
        let following = &mut self.connections[key].following;
        for runner in wire::read_ids(list) {
            let index = runner as usize;
            assert!(index < RUNNERS_MAX, "the load has no such runner: {runner}");
            if self.followers.len() <= index {
                self.followers.resize_with(index + 1, Vec::new);
            }
            let followers = &mut self.followers[index];
            followers.push(Follower {
                connection: key as u32,
                place: following.len() as u32,
            });
            following.push((runner, followers.len() as u32 - 1));
        }
    }

    fn deliver(&mut self, runner: u32, payload: &[u8]) {
        let Some(followers) = self.followers.get(runner as usize) else {
            return;
        };
        match self.floor {
            Floor::Plain => {
                let mut frame = [0; POSITION_FRAME_BYTES];
                frame[..2].copy_from_slice(&[0x81, POSITION_BYTES as u8]);
                frame[2..].copy_from_slice(payload);
                for follower in followers {
                    self.connections[follower.connection as usize].send(&frame);
                }
            }
            Floor::Coalesced => {
                let frame = (self.frames.len() / POSITION_FRAME_BYTES) as u32;
                self.frames.extend_from_slice(&[0x81, POSITION_BYTES as u8]);
                self.frames.extend_from_slice(payload);
                for follower in followers {
                    let due = &mut self.connections[follower.connection as usize].due;
                    if due.is_empty() {
                        self.dirty.push(follower.connection);
                    }
                    due.push(frame);
                }
            }
        }
    }

    /// One write for each connection that is owed something.
    fn flush(&mut self) {
        let frame = |frame: u32| {
            let start = frame as usize * POSITION_FRAME_BYTES;
            start..start + POSITION_FRAME_BYTES
        };
        for key in self.dirty.drain(..) {
            let Some(connection) = self.connections.get_mut(key as usize) else {
                continue;
            };
            if let [only] = connection.due[..] {
                connection.send(&self.frames[frame(only)]);
            } else {
                self.gather.clear();
                for &due in &connection.due {
                    self.gather.extend_from_slice(&self.frames[frame(due)]);
                }
                connection.send(&self.gather);
            }
            connection.due.clear();
        }
        self.frames.clear();
    }

    fn send(&mut self, key: usize, bytes: &[u8]) {
        self.connections[key].send(bytes);
    }

    fn write_rest(&mut self, key: usize) {
        if let Some(connection) = self.connections.get_mut(key)
            && !connection.wire.is_empty()
        {
            let wire = std::mem::take(&mut connection.wire);
            connection.send(&wire);
        }
    }

    fn close(&mut self, key: usize) {
        for (runner, index) in std::mem::take(&mut self.connections[key].following) {
            let followers = &mut self.followers[runner as usize];
            followers.swap_remove(index as usize);
            if let Some(moved) = followers.get(index as usize) {
                self.connections[moved.connection as usize].following[moved.place as usize].1 =
                    index;
            }
        }
        self.connections.remove(key);
    }
}

impl Connection {
    /// Writes what the kernel takes and keeps the rest. A peer that is gone shows at a read.
    fn send(&mut self, bytes: &[u8]) {
        let taken = match self.wire.is_empty() {
            true => self.stream.write(bytes).unwrap_or(0),
            false => 0,
        };
        if taken < bytes.len() {
            self.wire.extend_from_slice(&bytes[taken..]);
        }
    }
}
