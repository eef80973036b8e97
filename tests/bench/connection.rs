//! One connection of the load: its handshake, its frames, and what it hands on of them. It knows
//! no poll and no other connection.

use std::io::{ErrorKind, Read, Write};
use std::time::Instant;

use mio::net::TcpStream;

use crate::wire::{self, ACCEPT, CLOSE, PING, PONG, POSITION_BYTES, REQUEST, TEXT};

/// Takes the positions that arrive.
pub(crate) trait Sink {
    fn delivery(&mut self, connection: usize, runner: u32, number: u64, now_ns: u64);
}

/// Takes nothing: for the times when no position is due.
pub(crate) struct Nobody;

impl Sink for Nobody {
    fn delivery(&mut self, _: usize, _: u32, _: u64, _: u64) {}
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Connecting,
    Upgrading,
    Open,
    Closed,
}

pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    pub(crate) state: State,
    pub(crate) is_paused: bool,
    input: Vec<u8>,
    output: Vec<u8>,
    /// The last byte of a message whose others are sent.
    end: Option<u8>,
}

/// What one turn of reading brought besides positions.
#[derive(Default)]
pub(crate) struct Brought {
    pub(crate) reads: u64,
    pub(crate) pongs: usize,
    pub(crate) opened: bool,
    pub(crate) closed: Option<String>,
    pub(crate) unexpected: Option<String>,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream) -> Connection {
        Connection {
            stream,
            state: State::Connecting,
            is_paused: false,
            input: Vec::new(),
            output: Vec::new(),
            end: None,
        }
    }

    /// Asks for the upgrade, now that the socket is connected.
    pub(crate) fn upgrade(&mut self) {
        self.state = State::Upgrading;
        self.output.extend_from_slice(REQUEST);
    }

    pub(crate) fn send(&mut self, opcode: u8, payload: &[u8]) {
        let waits = !self.output.is_empty();
        wire::append_client_frame(opcode, payload, &mut self.output);
        if !waits {
            self.write();
        }
    }

    /// Sends a text message but for its last byte.
    pub(crate) fn send_all_but_the_end(&mut self, message: &[u8]) {
        wire::append_client_frame(TEXT, message, &mut self.output);
        self.end = self.output.pop();
        self.write();
    }

    /// Sends the byte that was kept back, if there is one.
    pub(crate) fn send_end(&mut self) -> bool {
        let end = self.end.take();
        self.output.extend(end);
        self.write();
        end.is_some()
    }

    /// Whether the kernel has taken all that was sent.
    pub(crate) fn is_written(&self) -> bool {
        self.output.is_empty()
    }

    /// Writes what the kernel takes of the output.
    pub(crate) fn write(&mut self) {
        if self.output.is_empty() || self.state == State::Connecting {
            return;
        }
        match self.stream.write(&self.output) {
            Ok(taken) if taken == self.output.len() => self.output.clear(),
            Ok(taken) => drop(self.output.drain(..taken)),
            // A connection that is gone shows at a read; a full one comes back as an event.
            Err(_) => {}
        }
    }

    /// Reads all there is.
    pub(crate) fn read(
        &mut self,
        index: usize,
        hung_up: bool,
        buffer: &mut [u8],
        began: Instant,
        sink: &mut impl Sink,
    ) -> Brought {
        let mut outcome = Brought::default();
        while self.state != State::Closed {
            let kept = self.input.len();
            buffer[..kept].copy_from_slice(&self.input);
            let room = &mut buffer[kept..];
            let asked = room.len();
            let read = match self.stream.read(room) {
                Ok(read @ 1..) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Ok(0) => {
                    self.close(&mut outcome, "the server hung up".to_owned());
                    break;
                }
                Err(error) => {
                    self.close(&mut outcome, error.to_string());
                    break;
                }
            };
            outcome.reads += 1;
            let now_ns = began.elapsed().as_nanos() as u64;
            let bytes = &buffer[..kept + read];
            let used = self.take(index, bytes, now_ns, &mut outcome, sink);
            self.input.clear();
            self.input.extend_from_slice(&bytes[used..]);
            // A short read has emptied the socket.
            if read < asked && !hung_up {
                break;
            }
        }
        outcome
    }

    fn close(&mut self, outcome: &mut Brought, why: String) {
        self.state = State::Closed;
        outcome.closed = Some(why);
    }

    /// Takes what is complete, and says how much that was.
    fn take(
        &mut self,
        index: usize,
        bytes: &[u8],
        now_ns: u64,
        outcome: &mut Brought,
        sink: &mut impl Sink,
    ) -> usize {
        let mut at = 0;
        if self.state == State::Upgrading {
            let Some(end) = wire::end_of(bytes, b"\r\n\r\n") else {
                return 0;
            };
            let head = &bytes[..end];
            if !head.starts_with(b"HTTP/1.1 101 ") || wire::end_of(head, ACCEPT).is_none() {
                self.close(outcome, String::from_utf8_lossy(head).into_owned());
                return end;
            }
            self.state = State::Open;
            outcome.opened = true;
            at = end;
        }
        while let Some((first, payload, rest)) = wire::split_server_frame(&bytes[at..]) {
            at = bytes.len() - rest.len();
            if first == 0x80 | TEXT
                && let Some((runner, number)) = match payload.len() {
                    POSITION_BYTES => wire::read_position(payload),
                    _ => wire::read_long_position(payload),
                }
            {
                sink.delivery(index, runner, number, now_ns);
                continue;
            }
            match first & 0x0f {
                PONG => outcome.pongs += 1,
                PING => self.send(PONG, payload),
                CLOSE => {
                    let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                    self.close(outcome, format!("closed with {code:?}"));
                }
                _ => {
                    outcome.unexpected = Some(String::from_utf8_lossy(payload).into_owned());
                }
            }
        }
        // No message to the load is longer.
        if bytes[at..].get(1).is_some_and(|&length| length > 126) {
            self.close(outcome, "a frame of an unknown kind".to_owned());
        }
        at
    }
}
