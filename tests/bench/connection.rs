//! One connection of the load: its handshake, its frames, and what it hands on of them. It knows
//! no poll and no other connection.

use std::time::Instant;

use crate::line::{Came, Line};
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
    ShakingHands,
    Upgrading,
    Open,
    Closed,
}

pub(crate) struct Connection {
    pub(crate) line: Line,
    pub(crate) state: State,
    pub(crate) is_paused: bool,
    input: Vec<u8>,
    /// The last byte of a message whose others are sent.
    end: Option<u8>,
}

/// What one turn of reading brought besides positions.
#[derive(Default)]
pub(crate) struct Brought {
    pub(crate) reads: u64,
    pub(crate) pongs: usize,
    pub(crate) opened: bool,
    pub(crate) resumed: bool,
    pub(crate) closed: Option<String>,
    pub(crate) unexpected: Option<String>,
}

impl Connection {
    pub(crate) fn new(line: Line) -> Connection {
        Connection {
            line,
            state: State::Connecting,
            is_paused: false,
            input: Vec::new(),
            end: None,
        }
    }

    /// Goes on now that the socket is connected.
    pub(crate) fn begin(&mut self) {
        self.state = State::ShakingHands;
        self.line.begin();
        self.upgrade_if_ready();
    }

    /// Asks for the upgrade, once TLS lets it.
    fn upgrade_if_ready(&mut self) {
        if self.state == State::ShakingHands && self.line.is_ready() {
            self.state = State::Upgrading;
            self.line.put(REQUEST);
        }
    }

    pub(crate) fn send(&mut self, opcode: u8, payload: &[u8]) {
        let waits = !self.line.is_written();
        let mut frame = Vec::with_capacity(wire::CLIENT_HEAD_BYTES_MAX + payload.len());
        wire::append_client_frame(opcode, payload, &mut frame);
        self.line.put(&frame);
        if !waits {
            self.write();
        }
    }

    /// Sends a text message but for its last byte.
    pub(crate) fn send_all_but_the_end(&mut self, message: &[u8]) {
        let mut frame = Vec::new();
        wire::append_client_frame(TEXT, message, &mut frame);
        self.end = frame.pop();
        self.line.put(&frame);
        self.write();
    }

    /// Sends the byte that was kept back, if there is one.
    pub(crate) fn send_end(&mut self) -> bool {
        let end = self.end.take();
        self.line.put(end.as_slice());
        self.write();
        end.is_some()
    }

    /// Whether the kernel has taken all that was sent.
    pub(crate) fn is_written(&self) -> bool {
        self.line.is_written()
    }

    /// Writes what the kernel takes of the output.
    pub(crate) fn write(&mut self) {
        if self.state != State::Connecting {
            self.line.write();
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
            let (count, is_all) = match self.line.read(&mut buffer[kept..]) {
                Ok(Came::Bytes { count, is_all }) => (count, is_all),
                Ok(Came::Nothing) => break,
                Ok(Came::End) => {
                    self.close(&mut outcome, "the server hung up".to_owned());
                    break;
                }
                Err(why) => {
                    self.close(&mut outcome, why);
                    break;
                }
            };
            outcome.reads += 1;
            if self.state == State::ShakingHands {
                self.upgrade_if_ready();
                self.write();
            }
            let now_ns = began.elapsed().as_nanos() as u64;
            let bytes = &buffer[..kept + count];
            let used = self.take(index, bytes, now_ns, &mut outcome, sink);
            self.input.clear();
            self.input.extend_from_slice(&bytes[used..]);
            if is_all && !hung_up {
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
            outcome.resumed = self.line.is_resumed();
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
