//! A stream that follows a script, a peer's frames, and a connection driven as the loop drives it.

use std::any::Any;
use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt::Debug;
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
use spectate::server::wire::stream::Stream;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};
use tungstenite::protocol::frame::{Frame, FrameHeader};

/// What lies between what the script says and the connection: the peer's side of TLS.
pub(crate) trait Layer: Debug + Any {
    /// The next bytes for the connection; `None` if what comes next is no bytes.
    fn read(&mut self, steps: &mut VecDeque<Step>, buffer: &mut [u8]) -> io::Result<Option<usize>>;

    /// What is inside the bytes that the connection wrote.
    fn take(&mut self, bytes: &[u8]) -> Vec<u8>;

    /// Whether there is nothing to read that it has said already.
    fn is_silent(&self) -> bool;
}

/// Makes a connection that this script is for.
pub(crate) type Maker = fn(Vec<Step>) -> Driver;

thread_local! {
    /// What makes connections if they are not plain though a test does not say so.
    pub(crate) static MAKER: Cell<Option<Maker>> = const { Cell::new(None) };
}

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
    /// If there is one, steps and what was written are what is inside.
    pub(crate) layer: Option<Box<dyn Layer>>,
    /// Bytes that writes take before they block.
    pub(crate) room: usize,
    /// How many took something.
    pub(crate) writes: usize,
    /// Whether writes fail.
    pub(crate) breaks: bool,
    pub(crate) written: Vec<u8>,
}

impl Script {
    /// Whether nothing comes any more.
    fn is_read(&self) -> bool {
        let is_silent = self.layer.as_ref().is_none_or(|layer| layer.is_silent());
        self.steps.is_empty() && is_silent
    }
}

impl Read for Script {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(layer) = &mut self.layer
            && let Some(taken) = layer.read(&mut self.steps, buffer)?
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
        self.writes += 1;
        if let Some(layer) = &mut self.layer {
            self.written.extend(layer.take(&bytes[..taken]));
            return Ok(taken);
        }
        self.written.extend_from_slice(&bytes[..taken]);
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
    pub(crate) fn new(steps: impl IntoIterator<Item = Step>) -> Driver {
        match MAKER.get() {
            Some(make) => make(steps.into_iter().collect()),
            None => Driver::with(steps, None, Stream::plain),
        }
    }

    /// The same with a layer between.
    pub(crate) fn with(
        steps: impl IntoIterator<Item = Step>,
        layer: Option<Box<dyn Layer>>,
        stream: impl FnOnce(Script) -> Stream<Script>,
    ) -> Driver {
        let now = Instant::now();
        // An empty read is the end of a stream.
        let steps = steps
            .into_iter()
            .filter(|step| !matches!(step, Step::Bytes(bytes) if bytes.is_empty()));
        let script = Script {
            steps: steps.collect(),
            room: usize::MAX,
            layer,
            ..Script::default()
        };
        Driver {
            connection: Connection::new(stream(script), now),
            reader: Reader::new(MESSAGE_BYTES_MAX),
            frames: Frames::default(),
            gather: Gather::default(),
            unsent: Ceiling::new(UNSENT_BYTES_MAX),
            may_stay: false,
            answer: "ok".to_owned(),
            now,
            heard: Vec::new(),
            end: None,
        }
    }

    /// A connection that is open already, with nothing left to write.
    pub(crate) fn open() -> Driver {
        let mut driver = Driver::new([Step::Bytes(request().to_vec())]);
        driver.run();
        assert!(driver.connection.is_open());
        driver.written();
        driver
    }

    /// One turn, as an event would start it.
    pub(crate) fn turn(&mut self, hung_up: bool) -> bool {
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
        while self.end.is_none() && (has_answered || !self.connection.socket_mut().is_read()) {
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

    pub(crate) fn then(&mut self, step: Step) {
        self.connection.socket_mut().steps.push_back(step);
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
