//! The one read buffer that all connections take turns with, and the one WebSocket parser in it.
//!
//! A connection at rest holds no parser and no buffer: whole frames are fed to the shared parser,
//! which is then at rest too, and only the beginning of a frame stays with its connection. A
//! message in fragments takes a parser of its own until it is complete.

use std::io::{self, Cursor, ErrorKind, Read, Write};

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::OpCode;
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message, Utf8Bytes};

use super::close::CloseReason;
use super::stream::{Received, Stream};
use crate::server::http::HEAD_BYTES_MAX;

/// Most bytes asked for in one read(2).
const READ_BYTES_MAX: usize = 16 * 1024;

/// Most bytes read from one connection before others have their turn.
const TURN_BYTES_MAX: usize = 64 * 1024;

/// Longest frame header (RFC 6455, 5.2).
const FRAME_HEADER_BYTES_MAX: usize = 14;

/// Longest payload of a control frame (RFC 6455, 5.5).
const CONTROL_BYTES_MAX: u64 = 125;

/// Set in the first byte of control frames (RFC 6455, 5.5).
const CONTROL_OPCODE_BIT: u8 = 0x08;

/// The parser's own buffer: it zeroes what is free of it before each read.
const PARSER_BUFFER_BYTES: usize = 512;

/// What a connection keeps between its turns.
#[derive(Debug, Default)]
pub struct Unread {
    /// The beginning of a request head or of a frame, or what a turn had no time for.
    bytes: Vec<u8>,
    /// The parser that holds the fragments received so far.
    fragments: Option<Box<WebSocketContext>>,
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
}

/// The shared buffer and parser.
#[derive(Debug)]
pub struct Reader {
    bytes: Box<[u8]>,
    at: usize,
    end: usize,
    turn_bytes: usize,
    drained: bool,
    message_bytes_max: usize,
    parser: WebSocketContext,
}

impl Reader {
    /// A reader of messages of at most this many bytes, and of request heads.
    pub fn new(message_bytes_max: usize) -> Reader {
        let room = message_bytes_max.max(HEAD_BYTES_MAX) + FRAME_HEADER_BYTES_MAX + READ_BYTES_MAX;
        Reader {
            bytes: vec![0; room].into_boxed_slice(),
            at: 0,
            end: 0,
            turn_bytes: 0,
            drained: false,
            message_bytes_max,
            parser: new_parser(message_bytes_max),
        }
    }

    /// Begins a connection's turn with what it kept.
    pub fn begin(&mut self, unread: &mut Unread) {
        self.at = 0;
        self.end = unread.bytes.len();
        self.bytes[..self.end].copy_from_slice(&unread.bytes);
        self.turn_bytes = 0;
        self.drained = false;
    }

    /// Ends a connection's turn: it keeps what was not consumed.
    pub fn finish(&mut self, unread: &mut Unread) {
        let rest = &self.bytes[self.at..self.end];
        if rest.is_empty() {
            unread.bytes = Vec::new();
        } else {
            unread.bytes.clear();
            unread.bytes.extend_from_slice(rest);
        }
    }

    /// The bytes that are read and not consumed.
    pub fn rest(&self) -> &[u8] {
        &self.bytes[self.at..self.end]
    }

    /// How much this turn read from its socket.
    pub fn turn_bytes(&self) -> u64 {
        self.turn_bytes as u64
    }

    /// Consumes bytes of [`Reader::rest`].
    pub fn consume(&mut self, bytes: usize) {
        self.at += bytes;
    }

    /// Reads more. `hung_up` says that the peer's end may already be in the queue.
    pub fn fill(&mut self, stream: &mut Stream<impl Read>, hung_up: bool) -> io::Result<Filled> {
        if self.drained {
            return Ok(Filled::Drained);
        }
        if self.turn_bytes >= TURN_BYTES_MAX {
            return Ok(Filled::TurnOver);
        }
        self.bytes.copy_within(self.at..self.end, 0);
        self.end -= self.at;
        self.at = 0;
        let asked = READ_BYTES_MAX.min(self.bytes.len() - self.end);
        let room = &mut self.bytes[self.end..self.end + asked];
        match stream.read(room, hung_up)? {
            Received::Bytes { count, is_all } => {
                self.drained = is_all;
                self.end += count;
                self.turn_bytes += count;
                Ok(Filled::More)
            }
            Received::Nothing => {
                self.drained = true;
                Ok(Filled::Drained)
            }
            Received::End => Ok(Filled::End),
        }
    }

    /// Takes the next frame out of the bytes read.
    pub fn next_frame(&mut self, unread: &mut Unread) -> Result<Frame, CloseReason> {
        let Some(frame_bytes) = self.frame_bytes()? else {
            return Ok(Frame::Partial);
        };
        let mut feed = Feed {
            input: &self.bytes[self.at..self.at + frame_bytes],
            output: Vec::new(),
        };
        let is_control = self.bytes[self.at] & CONTROL_OPCODE_BIT != 0;
        self.at += frame_bytes;
        let parser = unread.fragments.as_deref_mut().unwrap_or(&mut self.parser);
        let frame = match parser.read(&mut feed) {
            Ok(Message::Text(text)) => {
                unread.fragments = None;
                Ok(Frame::Text(text))
            }
            Ok(Message::Ping(_)) => match parser.flush(&mut feed) {
                Ok(()) => Ok(Frame::Ping(feed.output)),
                Err(_) => Err(CloseReason::Defect),
            },
            Ok(Message::Pong(_)) => Ok(Frame::Quiet),
            Ok(Message::Binary(_)) => Err(CloseReason::Binary),
            Ok(Message::Close(frame)) => Err(CloseReason::PeerClosed(
                frame.map(|frame| frame.code.into()),
            )),
            Ok(Message::Frame(_)) => Err(CloseReason::Defect),
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {
                if unread.fragments.is_none() {
                    let fresh = new_parser(self.message_bytes_max);
                    unread.fragments = Some(Box::new(std::mem::replace(&mut self.parser, fresh)));
                }
                Ok(Frame::Quiet)
            }
            // Of control frames only a close has text, and text that is none makes it malformed.
            Err(Error::Utf8(_)) if is_control => Err(CloseReason::ProtocolError),
            Err(error) => Err(reason(&error)),
        };
        if frame.is_err() {
            // A parser that failed is of no further use to anyone (and neither is its next read).
            self.parser = new_parser(self.message_bytes_max);
            unread.fragments = None;
        }
        frame
    }

    /// The length of the next frame, once all of it is here.
    fn frame_bytes(&self) -> Result<Option<usize>, CloseReason> {
        let rest = self.rest();
        let mut cursor = Cursor::new(rest);
        let parsed = FrameHeader::parse(&mut cursor).map_err(|error| reason(&error))?;
        let Some((header, payload_bytes)) = parsed else {
            return Ok(None);
        };
        // What the parser would refuse too, once all of the frame is here.
        let is_control = matches!(header.opcode, OpCode::Control(_));
        let is_malformed = is_control && (!header.is_final || payload_bytes > CONTROL_BYTES_MAX);
        if is_malformed || header.rsv1 || header.rsv2 || header.rsv3 || header.mask.is_none() {
            return Err(CloseReason::ProtocolError);
        }
        if payload_bytes > self.message_bytes_max as u64 {
            return Err(CloseReason::TooBig);
        }
        let frame_bytes = cursor.position() as usize + payload_bytes as usize;
        Ok((frame_bytes <= rest.len()).then_some(frame_bytes))
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
