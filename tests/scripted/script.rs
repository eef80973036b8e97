//! A stream that follows a script, a peer's frames, and a connection driven as the loop drives it.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use spectate::server::http::{Request, Response};
use spectate::server::wire::ceiling::Ceiling;
use spectate::server::wire::close::CloseReason;
use spectate::server::wire::connection::{Connection, Input};
use spectate::server::wire::deadlines::Timeouts;
use spectate::server::wire::flush::Flushed;
use spectate::server::wire::frames::Frames;
use spectate::server::wire::outbox::{Gather, Mark};
use spectate::server::wire::reader::Reader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};
use tungstenite::protocol::frame::{Frame, FrameHeader};

use super::peer::Peer;
use super::transport::{Cut, Transport};

/// What the next read brings.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Bytes(Vec<u8>),
    WouldBlock,
    End,
    Reset,
}

/// A stream without a socket.
#[derive(Debug, Default)]
pub(crate) struct Script {
    pub(crate) steps: VecDeque<Step>,
    /// The peer's side of TLS: with it, steps and what was written are what is inside.
    pub(crate) peer: Option<Box<Peer>>,
    pub(crate) cut: Cut,
    /// How many bytes were read.
    pub(crate) read: usize,
    /// Whether the last of them were the end of a piece, behind which an event tells of the next.
    is_cut: bool,
    /// Bytes that writes take before they block.
    pub(crate) room: usize,
    /// How many they took.
    pub(crate) taken: usize,
    /// How many of them took something.
    pub(crate) writes: usize,
    /// Whether writes fail.
    pub(crate) breaks: bool,
    pub(crate) written: Vec<u8>,
}

impl Script {
    /// One that says nothing and takes all.
    pub(crate) fn new() -> Script {
        Script {
            room: usize::MAX,
            ..Script::default()
        }
    }

    /// Whether something is to be read.
    pub(crate) fn has_more(&self) -> bool {
        match (self.steps.front(), &self.peer) {
            (_, Some(peer)) if !peer.is_silent() => true,
            (Some(Step::Bytes(_)), Some(peer)) => peer.can_speak(),
            (step, _) => step.is_some(),
        }
    }

    /// Whether it is behind a cut: an event is to tell of it.
    pub(crate) fn arrives(&self) -> bool {
        let is_silent = self.peer.as_ref().is_none_or(|peer| peer.is_silent());
        let waits = is_silent && matches!(self.steps.front(), Some(Step::WouldBlock));
        self.is_cut && self.has_more() && !waits
    }

    /// An event tells of the next piece.
    pub(crate) fn arrive(&mut self) {
        self.is_cut = false;
    }

    fn next(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(peer) = &mut self.peer
            && let Some(taken) = peer.read(&mut self.steps, buffer)?
        {
            return Ok(taken);
        }
        match self.steps.pop_front() {
            None | Some(Step::WouldBlock) => Err(ErrorKind::WouldBlock.into()),
            Some(Step::End) => {
                self.steps.push_front(Step::End);
                Ok(0)
            }
            Some(Step::Reset) => Err(ErrorKind::ConnectionReset.into()),
            Some(Step::Bytes(mut bytes)) => {
                let taken = bytes.len().min(buffer.len());
                buffer[..taken].copy_from_slice(&bytes[..taken]);
                bytes.drain(..taken);
                if !bytes.is_empty() {
                    self.steps.push_front(Step::Bytes(bytes));
                }
                Ok(taken)
            }
        }
    }
}

impl Read for Script {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_cut {
            return Err(ErrorKind::WouldBlock.into());
        }
        let piece_bytes_max = self.cut.piece_bytes_max(self.read);
        let room = buffer.len().min(piece_bytes_max);
        let taken = self.next(&mut buffer[..room])?;
        self.read += taken;
        self.is_cut = taken == piece_bytes_max;
        Ok(taken)
    }
}

impl Write for Script {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.breaks {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let taken = bytes.len().min(self.room);
        if taken == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.room -= taken;
        self.taken += taken;
        self.writes += 1;
        match &mut self.peer {
            Some(peer) => self.written.extend(peer.take(&bytes[..taken])),
            None => self.written.extend_from_slice(&bytes[..taken]),
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(crate) const TIMEOUTS: Timeouts = Timeouts {
    handshake: Duration::from_secs(5),
    ping_interval: Duration::from_secs(25),
    pong: Duration::from_secs(10),
    stall: Duration::from_secs(30),
};

pub(crate) const MESSAGE_BYTES_MAX: usize = 1024;

pub(crate) const UNSENT_BYTES_MAX: usize = 1024 * 1024;

/// A connection and what the loop lends it.
pub(crate) struct Driver {
    transport: Transport,
    pub(crate) connection: Connection<Script>,
    pub(crate) reader: Reader,
    pub(crate) frames: Frames,
    pub(crate) gather: Gather,
    pub(crate) unsent: Ceiling,
    /// Whether it may stay behind an answer.
    pub(crate) may_stay: bool,
    /// What plain requests are answered.
    pub(crate) answer: String,
    pub(crate) now: Instant,
    /// What came in, in words.
    pub(crate) heard: Vec<String>,
    pub(crate) end: Option<CloseReason>,
}

impl Driver {
    /// A connection that was just accepted.
    pub(crate) fn new(transport: Transport, steps: impl IntoIterator<Item = Step>) -> Driver {
        let now = Instant::now();
        let mut driver = Driver {
            transport,
            connection: Connection::new(transport.stream(Script::new()), now),
            reader: Reader::new(MESSAGE_BYTES_MAX),
            frames: Frames::default(),
            gather: Gather::default(),
            unsent: Ceiling::new(UNSENT_BYTES_MAX),
            may_stay: false,
            answer: "ok".to_owned(),
            now,
            heard: Vec::new(),
            end: None,
        };
        driver.then_all(steps);
        driver
    }

    /// The same with a TLS handshake, if there is one, behind it.
    pub(crate) fn ready(transport: Transport, steps: impl IntoIterator<Item = Step>) -> Driver {
        let mut driver = Driver::new(transport, []);
        while driver.connection.is_shaking_hands() || driver.connection.owes() {
            driver.turn(false);
            driver.flush();
        }
        driver.then_all(steps);
        driver
    }

    /// A connection that is open already, with nothing left to write.
    pub(crate) fn open(transport: Transport) -> Driver {
        let mut driver = Driver::new(transport, [Step::Bytes(request().to_vec())]);
        driver.run();
        assert!(driver.connection.is_open(), "{:?}", driver.heard);
        driver.written();
        driver
    }

    /// One turn, as an event would start it, and one more for each piece that comes behind a cut.
    pub(crate) fn turn(&mut self, hung_up: bool) -> bool {
        loop {
            let more = self.turn_once(hung_up);
            if more || self.end.is_some() || !self.connection.socket_mut().arrives() {
                return more;
            }
        }
    }

    pub(crate) fn turn_once(&mut self, hung_up: bool) -> bool {
        self.connection.socket_mut().arrive();
        self.connection.begin_turn(&mut self.reader);
        let more = loop {
            match self.connection.read(&mut self.reader, hung_up, self.now) {
                Ok(Input::Text(text)) => self.heard.push(text.to_string()),
                Ok(Input::Request(Request::Upgrade { accept, .. })) => {
                    self.heard.push("upgrade".to_owned());
                    self.connection.upgrade(&accept, self.now);
                }
                Ok(Input::Request(Request::Plain { route, .. })) => {
                    self.heard.push(format!("{route:?}"));
                    let response = Response::text("200 OK", &self.answer);
                    self.reply(&response);
                }
                Ok(Input::Request(Request::Report(report))) => {
                    let content = String::from_utf8_lossy(&report.content);
                    self.heard
                        .push(format!("report {} {content}", report.query));
                    self.reply(&Response::text("200 OK", "taken"));
                }
                Ok(Input::Expected) => self.connection.welcome_body(),
                Ok(Input::Request(Request::Options { route, .. })) => {
                    self.reply(&Response::options(route.allow()));
                }
                Ok(Input::Refused(refused)) => {
                    self.heard.push(refused.response.status().to_owned());
                    self.reply(&refused.response);
                }
                Ok(Input::Blocked) => break false,
                Ok(Input::TurnOver) => break true,
                Err(reason) => {
                    self.end = Some(reason);
                    break false;
                }
            }
        };
        self.connection.end_turn(&mut self.reader);
        more
    }

    fn reply(&mut self, response: &Response) {
        (self.connection).reply(response, self.may_stay, &self.unsent, self.now);
    }

    /// Turns until the script is read and answered or the connection ends, with a flush after each.
    pub(crate) fn run(&mut self) {
        let mut has_answered = false;
        while self.end.is_none() && (has_answered || self.connection.socket_mut().has_more()) {
            self.turn(false);
            self.flush();
            has_answered = self.connection.has_answered(self.now);
        }
    }

    pub(crate) fn flush(&mut self) -> Flushed {
        let newest = |_: Mark, _: &mut Vec<u8>| false;
        self.connection
            .flush(&self.frames, false, &mut self.gather, newest, self.now)
            .expect("the script takes writes")
    }

    /// What was written since the last call.
    pub(crate) fn written(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.connection.socket_mut().written)
    }

    /// The peer's side of TLS.
    pub(crate) fn peer(&mut self) -> &mut Peer {
        let peer = self.connection.socket_mut().peer.as_deref_mut();
        peer.expect("TLS")
    }

    pub(crate) fn then(&mut self, step: Step) {
        // An empty read is the end of a stream.
        if !matches!(&step, Step::Bytes(bytes) if bytes.is_empty()) {
            self.connection.socket_mut().steps.push_back(step);
        }
    }

    fn then_all(&mut self, steps: impl IntoIterator<Item = Step>) {
        steps.into_iter().for_each(|step| self.then(step));
    }
}

impl Drop for Driver {
    /// Whoever fails says over what.
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{:?}", self.transport);
        }
    }
}

/// A WebSocket handshake (the key and the answer to it are those of RFC 6455, 1.3).
pub(crate) fn request() -> &'static [u8] {
    b"GET /race HTTP/1.1\r\nHost: localhost:8080\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
      Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
}

pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

fn masked(opcode: OpCode, payload: &[u8], is_final: bool) -> Vec<u8> {
    let header = FrameHeader {
        is_final,
        opcode,
        mask: Some([1, 2, 3, 4]),
        ..FrameHeader::default()
    };
    let mut bytes = Vec::new();
    Frame::from_payload(header, payload.to_vec().into())
        .format(&mut bytes)
        .expect("a write into a Vec");
    bytes
}

pub(crate) fn text(text: &str) -> Vec<u8> {
    masked(OpCode::Data(Data::Text), text.as_bytes(), true)
}

pub(crate) fn fragment(first: bool, payload: &[u8], is_final: bool) -> Vec<u8> {
    masked(
        OpCode::Data(if first { Data::Text } else { Data::Continue }),
        payload,
        is_final,
    )
}

pub(crate) fn ping(payload: &str) -> Vec<u8> {
    masked(OpCode::Control(Control::Ping), payload.as_bytes(), true)
}

pub(crate) fn close(code: u16) -> Vec<u8> {
    close_with(&code.to_be_bytes())
}

pub(crate) fn close_with(payload: &[u8]) -> Vec<u8> {
    masked(OpCode::Control(Control::Close), payload, true)
}
