//! The byte stream under a connection, and what is true of it alone: when a socket is known to be
//! empty, and that one which takes nothing now has not failed. Works on any reader and writer.

use std::io::{self, ErrorKind, IoSlice, Read, Write};

/// What one read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// So many bytes; with `is_all`, an event will tell when there are more.
    Bytes {
        /// How many.
        count: usize,
        /// Whether the socket is known to be empty now.
        is_all: bool,
    },
    /// Nothing now; an event will tell when there is more.
    Nothing,
    /// The peer's end of the stream.
    End,
}

/// A plain stream.
#[derive(Debug)]
pub struct Stream<S>(S);

impl<S> Stream<S> {
    /// A stream over a socket that does not block.
    pub fn new(socket: S) -> Stream<S> {
        Stream(socket)
    }

    /// The socket, for what is no reading and no writing.
    pub fn socket_mut(&mut self) -> &mut S {
        &mut self.0
    }
}

impl<S: Read> Stream<S> {
    /// read(2). `hung_up` says that the peer's end may already be in the queue, which a short
    /// read does not show.
    pub fn read(&mut self, room: &mut [u8], hung_up: bool) -> io::Result<Received> {
        loop {
            match self.0.read(room) {
                Ok(0) => return Ok(Received::End),
                Ok(count) => {
                    // A short read has emptied the socket, so the next event is certain
                    // (epoll(7), Q9).
                    let is_all = count < room.len() && !hung_up;
                    return Ok(Received::Bytes { count, is_all });
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Ok(Received::Nothing);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl<S: Write> Stream<S> {
    /// write(2), where a socket that takes nothing now takes 0 bytes.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        taken(|| self.0.write(bytes))
    }

    /// The same with bytes that lie in two places (writev(2)).
    pub(super) fn write_both(&mut self, first: &[u8], second: &[u8]) -> io::Result<usize> {
        let both = [IoSlice::new(first), IoSlice::new(second)];
        taken(|| self.0.write_vectored(&both))
    }
}

/// What a write took.
fn taken(mut write: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match write() {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
