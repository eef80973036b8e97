//! Where events come from, and the tokens that name it to the poll.

use mio::Token;

use super::connections::ConnectionId;

const _: () = assert!(usize::BITS == 64, "tokens hold a slot and a serial number");

/// Set in the tokens of what is no connection.
const NO_CONNECTION: usize = 1 << 63;

/// Set besides in those of other processes.
const BUS: usize = NO_CONNECTION | 1 << 62;

/// Where an event comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// SIGTERM, SIGINT, SIGHUP.
    Signals,
    /// A listening socket, by its number.
    Listener(usize),
    /// Whoever started this process.
    Parent,
    /// An engine of the bus, by its number.
    Bus(usize),
    /// A connection, which may be gone by now.
    Connection(ConnectionId),
}

impl Source {
    /// The token that its events carry.
    pub(super) fn token(self) -> Token {
        Token(match self {
            Source::Signals => NO_CONNECTION,
            Source::Listener(index) => NO_CONNECTION + 1 + index,
            Source::Parent => BUS,
            Source::Bus(index) => BUS + 1 + index,
            Source::Connection(id) => id.to_bits() as usize,
        })
    }
}

impl From<Token> for Source {
    fn from(token: Token) -> Source {
        match token.0 {
            NO_CONNECTION => Source::Signals,
            BUS => Source::Parent,
            bus if bus > BUS => Source::Bus(bus - BUS - 1),
            listener if listener > NO_CONNECTION => Source::Listener(listener - NO_CONNECTION - 1),
            connection => Source::Connection(ConnectionId::from_bits(connection as u64)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_one_source() {
        let last = ConnectionId::from_bits(u64::MAX >> 1);
        for source in [
            Source::Signals,
            Source::Listener(0),
            Source::Listener(7),
            Source::Parent,
            Source::Bus(0),
            Source::Bus(7),
            Source::Connection(ConnectionId::from_bits(0)),
            Source::Connection(ConnectionId::from_bits(5 << 32 | 3)),
            Source::Connection(last),
        ] {
            assert_eq!(Source::from(source.token()), source);
        }
    }
}
