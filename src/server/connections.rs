//! The slab of connections, and ids that answer nothing once their connection is gone.

use std::net::SocketAddr;
use std::time::Instant;

use mio::net::TcpStream;
use slab::Slab;

use super::bad_row::BadRow;
use super::config::Entrance;
use super::postponed::Postponed;
use super::waits::Waits;
use super::wire::connection::Connection;
use super::wire::stream::Stream;
use crate::relay::{Authority, MemberKey};

/// Serial numbers use this many bits, so that a token with the top bit set is no connection.
const SERIAL_BITS: u32 = 31;

/// Names one connection and never another: slots are used again, serial numbers are not (within
/// 2 thousand million connections).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ConnectionId {
    slot: u32,
    serial: u32,
}

impl ConnectionId {
    /// Its place among all connections, which another has later.
    pub(super) fn slot(self) -> u32 {
        self.slot
    }

    /// The number that logs know the connection by.
    pub(super) fn serial(self) -> u32 {
        self.serial
    }

    /// Both parts in one number, whose top bit is 0.
    pub(super) fn to_bits(self) -> u64 {
        u64::from(self.serial) << 32 | u64::from(self.slot)
    }

    /// The same back again.
    pub(super) fn from_bits(bits: u64) -> ConnectionId {
        ConnectionId {
            slot: bits as u32,
            serial: (bits >> 32) as u32,
        }
    }
}

/// A connection and what the server knows of it.
#[derive(Debug)]
pub(super) struct Entry {
    serial: u32,
    /// The connection itself.
    pub(super) connection: Connection<TcpStream>,
    /// The peer's address.
    pub(super) peer: SocketAddr,
    /// Where it came in.
    pub(super) entrance: Entrance,
    /// When it was accepted.
    pub(super) accepted_at: Instant,
    /// Who it is for the relay, and what it may do.
    pub(super) authority: Authority,
    /// Messages in a row of which each brought an error.
    pub(super) bad_row: BadRow,
    /// Text messages received.
    pub(super) received: u64,
    /// Positions sent.
    pub(super) sent: u64,
    /// Whether the peer's end of the stream may be in the socket's queue.
    pub(super) is_hung_up: bool,
    /// Whether it counts among the connections of plain HTTP.
    pub(super) is_http: bool,
    /// Costly work that waits to be carried out, before anything else is read.
    pub(super) postponed: Option<Box<Postponed>>,
    /// Which steps of the tick it waits for.
    pub(super) waits: Waits,
}

/// All connections.
#[derive(Debug, Default)]
pub(super) struct Connections {
    entries: Slab<Entry>,
    /// Slots by the member that the relay knows the connection as.
    members: Vec<u32>,
    next_serial: u32,
}

impl Connections {
    /// Adds a connection that was just accepted.
    pub(super) fn insert(
        &mut self,
        stream: Stream<TcpStream>,
        peer: SocketAddr,
        entrance: Entrance,
        now: Instant,
    ) -> ConnectionId {
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
            entrance,
            accepted_at: now,
            authority: Authority::default(),
            bad_row: BadRow::default(),
            received: 0,
            sent: 0,
            is_hung_up: false,
            is_http: false,
            postponed: None,
            waits: Waits::default(),
        });
        id
    }

    /// The connection of this id, unless it is gone.
    pub(super) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Entry> {
        self.entries
            .get_mut(id.slot as usize)
            .filter(|entry| entry.serial == id.serial)
    }

    /// The connection in this slot, with its id.
    pub(super) fn in_slot(&mut self, slot: u32) -> Option<(ConnectionId, &mut Entry)> {
        let entry = self.entries.get_mut(slot as usize)?;
        let serial = entry.serial;
        Some((ConnectionId { slot, serial }, entry))
    }

    /// Notes that the relay knows a connection as this member from now on.
    pub(super) fn join(&mut self, id: ConnectionId, member: MemberKey) {
        if self.members.len() <= member.index() {
            self.members.resize(member.index() + 1, u32::MAX);
        }
        self.members[member.index()] = id.slot;
    }

    /// The connection of a member that has not left, with its id.
    pub(super) fn by_member(&mut self, member: MemberKey) -> Option<(ConnectionId, &mut Entry)> {
        let slot = *self.members.get(member.index())?;
        self.in_slot(slot)
    }

    /// Takes the connection out.
    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<Entry> {
        self.get_mut(id)?;
        self.entries.try_remove(id.slot as usize)
    }

    /// All of them, with their ids.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (ConnectionId, &mut Entry)> {
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

    /// Gives back room that a burst needed.
    pub(super) fn shrink(&mut self) {
        if self.entries.capacity() > 4 * self.entries.len() + 1024 {
            self.entries.shrink_to_fit();
            let last = self
                .entries
                .iter()
                .filter_map(|(_, entry)| entry.authority.member());
            let members = last
                .map(|member| member.index() + 1)
                .max()
                .unwrap_or_default();
            self.members.truncate(members);
            self.members.shrink_to_fit();
        }
    }
}
