//! The one reader that all connections take turns with, and the one WebSocket parser in it. Knows
//! no connection's state.
//!
//! A connection at rest holds no parser and no buffer: short whole frames are fed to the shared
//! parser, which is then at rest too, and only the beginning of a frame stays with its connection.
//! A message in fragments and a long frame take a parser of their own until they are complete, so
//! that the shared one neither grows nor is replaced.

use std::io::{self, Cursor, ErrorKind, Read, Write};

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message, Utf8Bytes};

use super::ceiling::Ceiling;
use super::close::CloseReason;
use super::intake::Intake;
use super::stream::{Received, Stream};

/// Most bytes read from one connection before others have their turn.
const TURN_BYTES_MAX: usize = 64 * 1024;

/// Most frames taken from one connection before others have their turn: 64 KiB may be ten thousand
/// of them.
const TURN_FRAMES_MAX: usize = 256;

/// Most bytes of unfinished bodies that all connections together may hold.
pub const BODIES_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Longest payload of a control frame (RFC 6455, 5.5).
const CONTROL_BYTES_MAX: u64 = 125;

/// The most significant bit of a length, which must be 0 (RFC 6455, 5.2).
const LENGTH_BIT: u64 = 1 << 63;

/// A close code that was registered later than RFC 6455, like 1012 and 1013.
const BAD_GATEWAY: u16 = 1014;

/// A parser's own buffer: it zeroes what is free of it before each read.
const PARSER_BUFFER_BYTES: usize = 512;

/// What a connection keeps between its turns.
#[derive(Debug, Default)]
pub struct Unread {
    /// The beginning of a request head or of a frame, or what a turn had no time for.
    bytes: Vec<u8>,
    /// The message of which fragments were received.
    message: Option<Box<Incomplete>>,
}

/// A message that takes a parser of its own.
#[derive(Debug)]
struct Incomplete {
    parser: WebSocketContext,
    /// The payload received so far.
    bytes: u64,
}

impl Incomplete {
    fn new(message_bytes_max: usize) -> Incomplete {
        Incomplete {
            parser: new_parser(message_bytes_max),
            bytes: 0,
        }
    }
}

/// What a frame was.
#[derive(Debug)]
pub enum Frame {
    /// The last frame of a text message.
    Text(Utf8Bytes),
    /// A ping; these bytes answer it.
    Ping(Vec<u8>),
    /// A frame that asks for nothing: a pong, a part of a message.
    Quiet,
    /// Not here yet.
    Partial,
    /// This turn's share is taken; no event will tell that there is more.
    TurnOver,
}

/// What a read from the socket brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    /// Bytes.
    More,
    /// Nothing now: an event will tell when there is more.
    Drained,
    /// This turn's share is read; no event will tell that there is more.
    TurnOver,
    /// The peer's end of the stream.
    End,
    /// A request without TLS where TLS is spoken.
    NoTls,
}

/// The shared buffer and parser.
#[derive(Debug)]
pub struct Reader {
    intake: Intake,
    turn_bytes: usize,
    turn_frames: usize,
    drained: bool,
    message_bytes_max: usize,
    parser: WebSocketContext,
    /// Over the bodies of which a part was received.
    pub(super) bodies: Ceiling,
}

impl Reader {
    /// A reader of messages of at most this many bytes, and of request heads.
    pub fn new(message_bytes_max: usize) -> Reader {
        Reader {
            intake: Intake::default(),
            turn_bytes: 0,
            turn_frames: 0,
            drained: false,
            message_bytes_max,
            parser: new_parser(message_bytes_max),
            bodies: Ceiling::new(BODIES_BYTES_MAX),
        }
    }

    /// Begins a connection's turn with what it kept.
    pub fn begin(&mut self, unread: &mut Unread) {
        self.intake.begin(std::mem::take(&mut unread.bytes));
        self.turn_bytes = 0;
        self.turn_frames = 0;
        self.drained = false;
    }

    /// Ends a connection's turn: it keeps what was not consumed.
    pub fn finish(&mut self, unread: &mut Unread) {
        unread.bytes = self.intake.end();
    }

    /// The bytes that are read and not consumed.
    pub fn rest(&self) -> &[u8] {
        self.intake.rest()
    }

    /// How many of them came with this turn's last read; they are the last.
    pub fn fresh_bytes(&self) -> usize {
        self.intake.fresh()
    }

    /// How much this turn read from its socket.
    pub fn turn_bytes(&self) -> u64 {
        self.turn_bytes as u64
    }

    /// Consumes bytes of [`Reader::rest`].
    pub fn consume(&mut self, bytes: usize) {
        self.intake.consume(bytes);
    }

    /// Reads more. `hung_up` says that the peer's end may already be in the queue.
    pub fn fill(
        &mut self,
        stream: &mut Stream<impl Read + Write>,
        hung_up: bool,
    ) -> io::Result<Filled> {
        if self.drained {
            return Ok(Filled::Drained);
        }
        if self.turn_bytes >= TURN_BYTES_MAX {
            return Ok(Filled::TurnOver);
        }
        match self.intake.read(stream, hung_up)? {
            Received::Bytes { taken, is_all, .. } => {
                self.drained = is_all;
                self.turn_bytes += taken;
                Ok(Filled::More)
            }
            Received::Nothing => {
                self.drained = true;
                Ok(Filled::Drained)
            }
            Received::End => Ok(Filled::End),
            Received::NoTls => Ok(Filled::NoTls),
        }
    }

    /// Takes the next frame out of the bytes read.
    pub fn next_frame(&mut self, unread: &mut Unread) -> Result<Frame, CloseReason> {
        if self.turn_frames == TURN_FRAMES_MAX {
            return Ok(Frame::TurnOver);
        }
        let Some(frame) = self.whole_frame(unread.message.as_deref())? else {
            return Ok(Frame::Partial);
        };
        self.turn_frames += 1;
        let taken = self.take(&frame, &mut unread.message);
        self.intake.consume(frame.bytes);
        if matches!(taken, Ok(Frame::Text(_)) | Err(_)) {
            unread.message = None;
        }
        taken
    }

    /// Has a frame parsed that is all here.
    fn take(
        &mut self,
        frame: &WholeFrame,
        message: &mut Option<Box<Incomplete>>,
    ) -> Result<Frame, CloseReason> {
        if !frame.leaves_nothing() {
            message.get_or_insert_with(|| Box::new(Incomplete::new(self.message_bytes_max)));
        }
        let parser = match message {
            None => &mut self.parser,
            Some(message) => {
                message.bytes += frame.data_bytes();
                &mut message.parser
            }
        };
        let mut feed = Feed {
            input: &self.intake.rest()[..frame.bytes],
            output: Vec::new(),
        };
        let code = frame.goodbye_code(feed.input);
        match parser.read(&mut feed) {
            Ok(Message::Text(text)) => Ok(Frame::Text(text)),
            Ok(Message::Ping(_)) => match parser.flush(&mut feed) {
                Ok(()) => Ok(Frame::Ping(feed.output)),
                Err(_) => Err(CloseReason::Defect),
            },
            Ok(Message::Pong(_)) => Ok(Frame::Quiet),
            Ok(Message::Binary(_)) => Err(CloseReason::Binary),
            // The parser takes this code for none, and 1002 for the answer.
            Ok(Message::Close(_)) if code == Some(BAD_GATEWAY) => {
                Err(CloseReason::PeerClosed(code))
            }
            Ok(Message::Close(frame)) => Err(CloseReason::PeerClosed(
                frame.map(|frame| frame.code.into()),
            )),
            Ok(Message::Frame(_)) => Err(CloseReason::Defect),
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => Ok(Frame::Quiet),
            Err(error) => Err(reason(&error)),
        }
    }

    /// The next frame, once all of it is here.
    fn whole_frame(&self, message: Option<&Incomplete>) -> Result<Option<WholeFrame>, CloseReason> {
        let rest = self.rest();
        let mut cursor = Cursor::new(rest);
        let parsed = FrameHeader::parse(&mut cursor).map_err(|error| reason(&error))?;
        let Some((header, payload_bytes)) = parsed else {
            return Ok(None);
        };
        let header_bytes = cursor.position() as usize;
        // What the parser would refuse too, once all of the frame is here, or does not look at.
        let is_control = matches!(header.opcode, OpCode::Control(_));
        let is_malformed = is_control && (!header.is_final || payload_bytes > CONTROL_BYTES_MAX);
        let has_wrong_length =
            header_bytes != header.len(payload_bytes) || payload_bytes & LENGTH_BIT != 0;
        let has_reserved_bit = header.rsv1 || header.rsv2 || header.rsv3;
        if is_malformed || has_wrong_length || has_reserved_bit || header.mask.is_none() {
            return Err(CloseReason::ProtocolError);
        }
        let received = match header.opcode {
            OpCode::Data(Data::Continue) => message.map_or(0, |message| message.bytes),
            _ => 0,
        };
        if payload_bytes > self.message_bytes_max as u64 - received {
            return Err(CloseReason::TooBig);
        }
        let bytes = header_bytes + payload_bytes as usize;
        Ok((bytes <= rest.len()).then_some(WholeFrame {
            header,
            payload_bytes,
            bytes,
        }))
    }
}

/// A frame that is all here.
struct WholeFrame {
    header: FrameHeader,
    payload_bytes: u64,
    /// With its header.
    bytes: usize,
}

impl WholeFrame {
    /// Whether a parser is at rest behind it, with the buffer that it had before, and even if the
    /// text is not UTF-8.
    fn leaves_nothing(&self) -> bool {
        let opcode = self.header.opcode;
        let is_taken_whole = self.header.is_final
            && matches!(
                opcode,
                OpCode::Data(Data::Text) | OpCode::Control(Control::Ping | Control::Pong)
            );
        is_taken_whole && self.bytes <= PARSER_BUFFER_BYTES
    }

    /// What it adds to a message.
    fn data_bytes(&self) -> u64 {
        match self.header.opcode {
            OpCode::Data(_) => self.payload_bytes,
            OpCode::Control(_) => 0,
        }
    }

    /// The code in a close frame (RFC 6455, 5.5.1).
    fn goodbye_code(&self, bytes: &[u8]) -> Option<u16> {
        if self.header.opcode != OpCode::Control(Control::Close) {
            return None;
        }
        let [high, low, _, _] = self.header.mask?;
        let payload = &bytes[bytes.len() - self.payload_bytes as usize..];
        let masked = payload.first_chunk()?;
        Some(u16::from_be_bytes(*masked) ^ u16::from_be_bytes([high, low]))
    }
}

fn new_parser(message_bytes_max: usize) -> WebSocketContext {
    let config = WebSocketConfig::default()
        .read_buffer_size(PARSER_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_message_size(Some(message_bytes_max))
        .max_frame_size(Some(message_bytes_max));
    WebSocketContext::new(Role::Server, Some(config))
}

/// What tungstenite reports, as the reason to close with (RFC 6455, 7.4.1).
fn reason(error: &Error) -> CloseReason {
    match error {
        Error::Protocol(_) => CloseReason::ProtocolError,
        Error::Capacity(_) => CloseReason::TooBig,
        Error::Utf8(_) => CloseReason::NotUtf8,
        _ => CloseReason::Defect,
    }
}

/// Stands between the parser and the world: it reads one frame, and its answer is collected.
struct Feed<'a> {
    input: &'a [u8],
    output: Vec<u8>,
}

impl Read for Feed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.input.read(buffer) {
            Ok(0) => Err(ErrorKind::WouldBlock.into()),
            result => result,
        }
    }
}

impl Write for Feed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
