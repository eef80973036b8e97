//! The plain HTTP half of a connection: heads and bodies of requests come, answers go, and another
//! request may come behind them.

use std::io::{Read, Write};
use std::time::Instant;

use super::ceiling::Ceiling;
use super::close::CloseReason;
use super::connection::{Connection, Input, Phase};
use super::head::next_head;
use super::reader::Reader;
use super::receiving::{Received, Receiving};
use crate::server::http::{Head, RefusedRequest, Report, Request, Response};

/// What whoever asked whether its body is welcome is told (RFC 9110, 10.1.1).
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

impl<S: Read + Write> Connection<S> {
    pub(super) fn next_request(&mut self, reader: &mut Reader, now: Instant) -> Option<Input> {
        let is_first_look = self.phase == Phase::Resting;
        let head = match next_head(reader, is_first_look) {
            Head::Partial => {
                if is_first_look && !reader.rest().is_empty() {
                    self.enter(Phase::Handshaking, now);
                }
                return None;
            }
            Head::Complete(head) => head,
            Head::Refused(refused) => return Some(self.refuse(refused)),
        };
        reader.consume(head.bytes);
        self.is_persistent = head.is_persistent;
        let request = match self.stream.is_secure() {
            true => head.request.over_tls(),
            false => head.request,
        };
        if let Request::Report(report) = request {
            let receiving =
                Receiving::new(report, head.framing, head.expects_continue, &reader.bodies);
            return match receiving {
                Ok(receiving) => {
                    self.receiving = Some(Box::new(receiving));
                    self.enter(Phase::Receiving, now);
                    self.next_body(reader).or(Some(Input::Expected))
                }
                Err(response) => Some(self.refuse(response.into())),
            };
        }
        self.phase = Phase::Asking;
        Some(Input::Request(request))
    }

    pub(super) fn next_body(&mut self, reader: &mut Reader) -> Option<Input> {
        let receiving = self.receiving.as_deref_mut()?;
        match receiving.take(reader) {
            Ok(Received::All) => {
                let (report, held) = self.receiving.take()?.into_parts();
                self.held = Some(held);
                self.phase = Phase::Asking;
                Some(Input::Request(Request::Report(report)))
            }
            Ok(Received::Part) => None,
            Err(response) => Some(self.refuse(response.into())),
        }
    }

    /// The report whose body is being received, as far as its head says it.
    pub fn expected_report(&self) -> Option<&Report> {
        self.receiving.as_deref().map(Receiving::report)
    }

    /// Has the body sent that is being received, if its sender waits for a word.
    pub fn welcome_body(&mut self) {
        let receiving = self.receiving.as_deref_mut();
        if receiving.is_some_and(|receiving| std::mem::take(&mut receiving.is_awaited)) {
            self.outbox.push_wire(CONTINUE);
        }
    }

    /// Receives no more of the body; the answer will be the last on this connection.
    pub fn refuse_body(&mut self) {
        self.receiving = None;
        self.is_persistent = false;
        self.phase = Phase::Asking;
    }

    /// A request that cannot be served, behind which nothing can be read.
    pub(super) fn refuse(&mut self, refused: RefusedRequest) -> Input {
        self.refuse_body();
        Input::Refused(refused)
    }

    /// Answers a plain HTTP request, after which another may come, or else the connection ends.
    pub fn reply(&mut self, response: &Response, may_stay: bool, unsent: &Ceiling, now: Instant) {
        let stays = may_stay && self.is_persistent;
        self.held = None;
        self.outbox.push_reply(response, stays, unsent);
        let phase = match stays {
            true => Phase::Answering,
            false => Phase::Finishing(CloseReason::Answered),
        };
        self.enter(phase, now);
    }

    /// Whether an answer has just gone out, behind which another request may have come already.
    pub fn has_answered(&mut self, now: Instant) -> bool {
        let has_answered = self.phase == Phase::Answering && !self.owes();
        if has_answered {
            self.enter(Phase::Resting, now);
        }
        has_answered
    }
}
