//! The slab of connections, and ids that answer nothing once their connection is gone.

use std::net::SocketAddr;
use std::time::Instant;

use mio::Token;
use mio::net::TcpStream;
use slab::Slab;

use super::connection::Connection;
use super::rate::Bucket;
use crate::auth::Grant;

/// Serial numbers use this many bits, so that a token with the top bit set is no connection.
const SERIAL_BITS: u32 = 31;

/// Names one connection and never another: slots are used again, serial numbers are not (within
/// 2 thousand million connections).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionId {
    slot: u32,
    serial: u32,
}

impl ConnectionId {
    /// The number that the hub knows the connection by.
    pub fn slot(self) -> u32 {
        self.slot
    }

    /// The number that logs know the connection by.
    pub fn serial(self) -> u32 {
        self.serial
    }

    /// The token that the connection's events carry.
    pub fn token(self) -> Token {
        Token((self.serial as usize) << 32 | self.slot as usize)
    }

    /// The connection that an event is about.
    pub fn from_token(token: Token) -> ConnectionId {
        ConnectionId {
            slot: token.0 as u32,
            serial: (token.0 >> 32) as u32,
        }
    }
}

/// A connection and what the server knows of it.
#[derive(Debug)]
pub struct Entry {
    serial: u32,
    /// The connection itself.
    pub connection: Connection<TcpStream>,
    /// The peer's address.
    pub peer: SocketAddr,
    /// When it was accepted.
    pub accepted_at: Instant,
    /// The id that its hello declared, as the hello wrote it.
    pub declared: Option<Box<str>>,
    /// What its token lets it do, once it has shown one, where tokens are asked for.
    pub grant: Option<Box<Grant>>,
    /// Messages in a row of which each brought an error.
    pub bad_in_row: u8,
    /// How fast it may send positions, once it has sent one and if there is a limit.
    pub bucket: Option<Box<Bucket>>,
    /// Text messages received.
    pub received: u64,
    /// Positions sent.
    pub sent: u64,
    /// Whether it waits for a turn of reads.
    pub is_readable: bool,
    /// Whether the peer's end of the stream may be in the socket's queue.
    pub is_hung_up: bool,
    /// Whether it waits for a flush.
    pub is_dirty: bool,
    /// Whether it waits for the next flush of held positions.
    pub is_held: bool,
    /// Whether it ends with this tick.
    pub is_doomed: bool,
}

/// All connections.
#[derive(Debug, Default)]
pub struct Connections {
    entries: Slab<Entry>,
    next_serial: u32,
}

impl Connections {
    /// Adds a connection that was just accepted.
    pub fn insert(&mut self, stream: TcpStream, peer: SocketAddr, now: Instant) -> ConnectionId {
        let vacant = self.entries.vacant_entry();
        let id = ConnectionId {
            slot: vacant.key() as u32,
            serial: self.next_serial,
        };
        self.next_serial = (self.next_serial + 1) % (1 << SERIAL_BITS);
        vacant.insert(Entry {
            serial: id.serial,
            connection: Connection::new(stream, now),
            peer,
            accepted_at: now,
            declared: None,
            grant: None,
            bad_in_row: 0,
            bucket: None,
            received: 0,
            sent: 0,
            is_readable: false,
            is_hung_up: false,
            is_dirty: false,
            is_held: false,
            is_doomed: false,
        });
        id
    }

    /// The connection of this id, unless it is gone.
    pub fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Entry> {
        self.entries
            .get_mut(id.slot as usize)
            .filter(|entry| entry.serial == id.serial)
    }

    /// The connection that the hub knows by this number, with its id.
    pub fn by_slot(&mut self, slot: u32) -> Option<(ConnectionId, &mut Entry)> {
        let entry = self.entries.get_mut(slot as usize)?;
        Some((
            ConnectionId {
                slot,
                serial: entry.serial,
            },
            entry,
        ))
    }

    /// Takes the connection out.
    pub fn remove(&mut self, id: ConnectionId) -> Option<Entry> {
        self.get_mut(id)?;
        self.entries.try_remove(id.slot as usize)
    }

    /// All of them, with their ids.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (ConnectionId, &mut Entry)> {
        self.entries.iter_mut().map(|(slot, entry)| {
            (
                ConnectionId {
                    slot: slot as u32,
                    serial: entry.serial,
                },
                entry,
            )
        })
    }

    /// Gives back room at the end of the slab that a burst needed.
    pub fn shrink(&mut self) {
        if self.entries.capacity() > 4 * self.entries.len() + 1024 {
            self.entries.shrink_to_fit();
        }
    }
}
