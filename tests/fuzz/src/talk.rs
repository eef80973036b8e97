//! A connection on a scripted stream, and what it heard.

use std::time::Instant;

use spectate::server::http::{BODY_BYTES_MAX, Request, Response};
use spectate::server::wire::ceiling::Ceiling;
use spectate::server::wire::close::CloseReason;
use spectate::server::wire::connection::{Connection, Input};
use spectate::server::wire::frames::Frames;
use spectate::server::wire::outbox::Gather;
use spectate::server::wire::reader::Reader;

use super::script::{MESSAGE_BYTES_MAX, Script, Step};
use super::transport::{PLAIN, Transport};

/// Most messages in one turn, as the loop has it.
const MESSAGES_PER_TURN_MAX: usize = 64;

/// A connection and what it said.
pub(crate) struct Talk {
    pub(crate) connection: Connection<Script>,
    /// Requests and messages, in words.
    pub(crate) heard: Vec<String>,
    /// Why it first wanted to end.
    pub(crate) end: Option<CloseReason>,
    /// The response that accepted the handshake.
    pub(crate) accept: Vec<u8>,
}

impl Talk {
    /// A connection that was just accepted, on a socket that takes all.
    pub(crate) fn new(transport: Transport, now: Instant) -> Talk {
        Talk {
            connection: Connection::new(transport.stream(Script::new()), now),
            heard: Vec::new(),
            end: None,
            accept: Vec::new(),
        }
    }

    /// All that comes of a peer that sends these bytes in such pieces and takes everything.
    pub(crate) fn hear(reader: &mut Reader, bytes: &[u8], piece_bytes: usize) -> Talk {
        let now = Instant::now();
        let mut talk = Talk::new(PLAIN, now);
        for piece in bytes.chunks(piece_bytes) {
            talk.script().steps.push_back(Step::Bytes(piece.to_vec()));
        }
        let mut gather = Gather::default();
        let turns_max = 16 + bytes.len();
        for _ in 0..turns_max {
            let more = talk.turn(reader, MESSAGES_PER_TURN_MAX, false, now);
            talk.connection
                .flush(&Frames::default(), false, &mut gather, |_, _| false, now)
                .expect("the script takes writes");
            if more.is_err() || more == Ok(false) && talk.script().steps.is_empty() {
                return talk;
            }
        }
        panic!("no end after {turns_max} turns")
    }

    /// One turn of reads; whether there may be more.
    pub(crate) fn turn(
        &mut self,
        reader: &mut Reader,
        messages_max: usize,
        hung_up: bool,
        now: Instant,
    ) -> Result<bool, CloseReason> {
        self.script().arrive();
        self.connection.begin_turn(reader);
        let outcome = self.read(reader, messages_max, hung_up, now);
        self.connection.end_turn(reader);
        if let Err(reason) = outcome {
            self.end.get_or_insert(reason);
        }
        outcome
    }

    fn read(
        &mut self,
        reader: &mut Reader,
        messages_max: usize,
        hung_up: bool,
        now: Instant,
    ) -> Result<bool, CloseReason> {
        for _ in 0..messages_max {
            match self.connection.read(reader, hung_up, now)? {
                Input::Text(text) => {
                    assert!(self.connection.is_open(), "a message after the end: {text}");
                    assert!(text.len() <= MESSAGE_BYTES_MAX);
                    self.heard.push(text.to_string());
                }
                Input::Request(Request::Upgrade { accept, .. }) => {
                    assert!(self.heard.is_empty(), "one request, and first of all");
                    self.heard.push("upgrade".to_owned());
                    self.connection.upgrade(&accept, now);
                    self.accept = accept;
                }
                Input::Request(Request::Plain {
                    route, head_only, ..
                }) => {
                    assert!(self.heard.is_empty(), "one request, and first of all");
                    self.heard.push(format!("{route:?} {head_only}"));
                    let response = Response::text("200 OK", "ok").head_only(head_only);
                    self.reply(&response, now);
                }
                Input::Request(Request::Report(report)) => {
                    assert!(self.heard.is_empty(), "one request, and first of all");
                    assert!(report.content.len() <= BODY_BYTES_MAX);
                    self.heard.push(format!("report {:?}", report.content));
                    self.reply(&Response::text("200 OK", "ok"), now);
                }
                Input::Expected => self.connection.welcome_body(),
                Input::Request(Request::Options { route, .. }) => {
                    assert!(self.heard.is_empty(), "one request, and first of all");
                    self.heard.push(format!("{route:?} options"));
                    self.reply(&Response::options(route.allow()), now);
                }
                Input::Refused(refused) => {
                    assert!(self.heard.is_empty(), "one request, and first of all");
                    self.heard.push("refused".to_owned());
                    self.reply(&refused.response, now);
                }
                Input::Blocked => return Ok(false),
                Input::TurnOver => return Ok(true),
            }
        }
        Ok(true)
    }

    /// Answers; no other request is taken.
    fn reply(&mut self, response: &Response, now: Instant) {
        let unsent = Ceiling::new(usize::MAX);
        self.connection.reply(response, false, &unsent, now);
    }

    pub(crate) fn script(&mut self) -> &mut Script {
        self.connection.socket_mut()
    }

    pub(crate) fn written(&mut self) -> &[u8] {
        &self.script().written
    }
}
