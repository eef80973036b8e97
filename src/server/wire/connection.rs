//! One connection, from its first byte to its last: Handshaking → Asking → Open → Finishing →
//! Lingering for a WebSocket; plain HTTP goes from Asking, perhaps after Receiving a body, to
//! Answering and back to Resting, or straight to Finishing. Works on any stream; time is handed in.

use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use tungstenite::Utf8Bytes;

use super::ceiling::Held;
use super::close::CloseReason;
use super::flush::Flushed;
use super::frames::Frames;
use super::outbox::{Gather, Newest, Outbox};
use super::reader::{Filled, Frame, Reader, Unread};
use super::receiving::Receiving;
use super::stream::Stream;
use super::tls::Fault;
use crate::server::http::{RefusedRequest, Request, https_required};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// A request head is being read.
    Handshaking,
    /// The body behind it is being read.
    Receiving,
    /// A request is complete, and not answered yet.
    Asking,
    /// Its answer is going out, and another request may come behind it.
    Answering,
    /// It is out, and nothing of another request was read yet.
    Resting,
    /// Messages go both ways.
    Open,
    /// The connection ends when what is owed has gone out.
    Leaving(CloseReason),
    /// The last bytes, an HTTP answer or a close frame, are going out.
    Finishing(CloseReason),
    /// They are out, and the write side is shut; what still comes is discarded until the peer's
    /// end. A socket dropped with unread bytes would reset the peer, and eat the goodbye.
    Lingering(CloseReason),
}

/// What a read brought.
#[derive(Debug)]
pub enum Input {
    /// A complete request head.
    Request(Request),
    /// A request head that cannot be served, and the answer to it.
    Refused(RefusedRequest),
    /// A text message.
    Text(Utf8Bytes),
    /// The head of a report, whose body is to be welcomed or refused.
    Expected,
    /// Nothing more now.
    Blocked,
    /// This turn is over, and there may be more.
    TurnOver,
}

/// A connection on some stream.
#[derive(Debug)]
pub struct Connection<S> {
    pub(super) stream: Stream<S>,
    pub(super) phase: Phase,
    /// When the phase was entered, or when the socket last took some of an HTTP answer.
    pub(super) since: Instant,
    pub(super) heard_at: Instant,
    pub(super) pinged_at: Option<Instant>,
    /// When the socket last took something, while it is owed more.
    pub(super) blocked_since: Option<Instant>,
    unread: Unread,
    /// The request whose body is being read.
    pub(super) receiving: Option<Box<Receiving>>,
    /// What the body of a request that is not answered yet holds.
    pub(super) held: Option<Held>,
    /// Whether another request may come behind this one.
    pub(super) is_persistent: bool,
    /// What is still to be sent.
    pub outbox: Outbox,
}

impl<S: Read + Write> Connection<S> {
    /// A connection that was just accepted.
    pub fn new(stream: Stream<S>, now: Instant) -> Connection<S> {
        Connection {
            stream,
            phase: Phase::Handshaking,
            since: now,
            heard_at: now,
            pinged_at: None,
            blocked_since: None,
            unread: Unread::default(),
            receiving: None,
            held: None,
            is_persistent: false,
            outbox: Outbox::default(),
        }
    }

    /// The socket, for what is no reading and no writing.
    pub fn socket_mut(&mut self) -> &mut S {
        self.stream.socket_mut()
    }

    /// Whether a TLS handshake goes on, which is much work.
    pub fn is_shaking_hands(&self) -> bool {
        self.stream.is_shaking_hands()
    }

    /// What ended its TLS session, if that was a fault.
    pub fn tls_fault(&self) -> Option<&Fault> {
        self.stream.fault()
    }

    /// How much its stream takes on the heap beside the socket and the keys, in bytes.
    pub fn stream_heap_bytes(&self) -> usize {
        self.stream.heap_bytes()
    }

    /// Whether anything is owed.
    pub fn owes(&self) -> bool {
        !self.outbox.is_empty() || self.stream.owed() > 0
    }

    /// Whether something is owed that the socket may take.
    pub fn wants_flush(&self) -> bool {
        self.stream.wants_write() || (!self.outbox.is_empty() && !self.outbox.is_behind())
    }

    /// Whether messages go both ways.
    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Leaving(_))
    }

    /// How long it has been open, while it is.
    pub fn open_for(&self, now: Instant) -> Option<Duration> {
        self.is_open()
            .then(|| now.saturating_duration_since(self.since))
    }

    /// Whether it is kept for another request, of which nothing came yet.
    pub fn is_resting(&self) -> bool {
        self.phase == Phase::Resting
    }

    /// Whether it owes no answer, and no complete request has come that would need one.
    pub fn is_waiting_for_request(&self) -> bool {
        matches!(
            self.phase,
            Phase::Handshaking | Phase::Receiving | Phase::Resting
        )
    }

    /// Why the connection ends, if it does.
    pub fn ending(&self) -> Option<CloseReason> {
        match self.phase {
            Phase::Handshaking
            | Phase::Receiving
            | Phase::Asking
            | Phase::Answering
            | Phase::Resting
            | Phase::Open => None,
            Phase::Leaving(reason) | Phase::Finishing(reason) | Phase::Lingering(reason) => {
                Some(reason)
            }
        }
    }

    /// Begins a turn of reads with the shared reader.
    pub fn begin_turn(&mut self, reader: &mut Reader) {
        reader.begin(&mut self.unread);
    }

    /// Ends a turn of reads.
    pub fn end_turn(&mut self, reader: &mut Reader) {
        reader.finish(&mut self.unread);
    }

    /// Reads until there is something to act on. An error is why the connection should close;
    /// nothing must be read after it but by another turn.
    pub fn read(
        &mut self,
        reader: &mut Reader,
        hung_up: bool,
        now: Instant,
    ) -> Result<Input, CloseReason> {
        loop {
            let input = match self.phase {
                Phase::Handshaking | Phase::Resting => self.next_request(reader, now),
                Phase::Receiving => self.next_body(reader),
                // What comes behind a request waits in the socket until it is answered.
                Phase::Asking | Phase::Answering => Some(Input::Blocked),
                Phase::Open | Phase::Leaving(_) => self.next_message(reader)?,
                Phase::Finishing(_) | Phase::Lingering(_) => {
                    reader.consume(reader.rest().len());
                    None
                }
            };
            if let Some(input) = input {
                return Ok(input);
            }
            match reader.fill(&mut self.stream, hung_up) {
                Ok(Filled::More) => self.heard(now),
                Ok(Filled::Drained) => return Ok(Input::Blocked),
                Ok(Filled::TurnOver) => return Ok(Input::TurnOver),
                // Half an answer is better than none: who shut its write side may still read.
                Ok(Filled::End) if matches!(self.phase, Phase::Finishing(_)) => {
                    return Ok(Input::Blocked);
                }
                Ok(Filled::End) if self.phase == Phase::Resting => {
                    return Err(CloseReason::Answered);
                }
                Ok(Filled::End) => return Err(CloseReason::PeerGone),
                Ok(Filled::NoTls) => {
                    reader.consume(reader.rest().len());
                    return Ok(self.refuse(https_required()));
                }
                Err(error) if error.kind() == ErrorKind::InvalidData => {
                    return Err(CloseReason::TlsFailed);
                }
                Err(_) => return Err(CloseReason::SocketError),
            }
        }
    }

    fn next_message(&mut self, reader: &mut Reader) -> Result<Option<Input>, CloseReason> {
        loop {
            match reader.next_frame(&mut self.unread)? {
                Frame::Text(text) => return Ok(Some(Input::Text(text))),
                Frame::Ping(answer) => self.outbox.push_pong(&answer),
                Frame::Quiet => {}
                Frame::Partial => return Ok(None),
                Frame::TurnOver => return Ok(Some(Input::TurnOver)),
            }
        }
    }

    /// Accepts a WebSocket handshake with this response.
    pub fn upgrade(&mut self, accept: &[u8], now: Instant) {
        self.outbox.push_wire(accept);
        self.enter(Phase::Open, now);
    }

    /// Begins to end: `false` if the peer cannot be told, and the connection is to be dropped.
    #[must_use]
    pub fn close(&mut self, reason: CloseReason, now: Instant) -> bool {
        if reason == CloseReason::TlsFailed && self.ending().is_none() {
            // The alert is all that the peer may still understand.
            self.outbox = Outbox::default();
            self.enter(Phase::Finishing(reason), now);
            return true;
        }
        if !self.is_open() || !reason.is_told() {
            // The last word of TLS, if the socket takes it at once.
            let _ = self.stream.finish();
            return false;
        }
        self.outbox.forget_positions();
        self.outbox.push_wire(&reason.frame());
        self.enter(Phase::Finishing(reason), now);
        true
    }

    /// Closes as soon as nothing is owed any more.
    pub fn leave(&mut self, reason: CloseReason, now: Instant) {
        if self.phase == Phase::Open {
            self.enter(Phase::Leaving(reason), now);
        }
    }

    /// The reason to close for, once a leaving connection is owed nothing.
    pub fn has_left(&self) -> Option<CloseReason> {
        match self.phase {
            Phase::Leaving(reason) if !self.owes() => Some(reason),
            _ => None,
        }
    }

    /// Sends what is owed. [`Connection::is_finished`] may hold afterwards.
    pub fn flush(
        &mut self,
        frames: &Frames,
        hold: bool,
        gather: &mut Gather,
        newest: impl Newest,
        now: Instant,
    ) -> Result<Flushed, CloseReason> {
        let Ok(flushed) = self.write(frames, hold, gather, newest) else {
            // Frames are numbered anew once everybody has been served.
            self.outbox.forget_positions();
            return Err(CloseReason::SocketError);
        };
        let is_answer = matches!(
            self.phase,
            Phase::Answering | Phase::Finishing(CloseReason::Answered)
        );
        if flushed.bytes > 0 && is_answer {
            self.since = now;
        }
        match (flushed.blocked, self.blocked_since) {
            (false, None) => {}
            (false, Some(_)) if flushed.bytes == 0 => self.blocked_since = None,
            (false, Some(_)) => {
                // The peer made room, so it lives, whatever else it has not said.
                self.heard(now);
                self.blocked_since = None;
            }
            (true, Some(_)) if flushed.bytes == 0 => {}
            (true, _) => self.blocked_since = Some(now),
        }
        Ok(flushed)
    }

    fn write(
        &mut self,
        frames: &Frames,
        hold: bool,
        gather: &mut Gather,
        newest: impl Newest,
    ) -> io::Result<Flushed> {
        let stream = &mut self.stream;
        stream.resume()?;
        let mut flushed = (self.outbox).flush(stream, frames, hold, gather, newest)?;
        if matches!(self.phase, Phase::Finishing(_)) && self.outbox.is_empty() {
            stream.finish()?;
        }
        flushed.blocked |= stream.owed() > 0;
        flushed.bytes = stream.take_sent();
        stream.note(flushed.blocked);
        Ok(flushed)
    }

    /// Whether the last bytes have just gone out: the write side is to be shut then.
    pub fn is_finished(&mut self) -> bool {
        match self.phase {
            Phase::Finishing(reason) if !self.owes() => {
                // The deadline stays: it is that of the whole goodbye.
                self.phase = Phase::Lingering(reason);
                true
            }
            _ => false,
        }
    }

    fn heard(&mut self, now: Instant) {
        self.heard_at = now;
        self.pinged_at = None;
    }

    pub(super) fn enter(&mut self, phase: Phase, now: Instant) {
        self.phase = phase;
        self.since = now;
    }
}
