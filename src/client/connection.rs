//! One WebSocket connection to a server, from the connect to its end, as a state machine on a
//! non-blocking stream. Must never know what the messages mean, nor who else is connected.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;
use std::{fmt, mem};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use tungstenite::handshake::{client::generate_key, derive_accept_key};
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tungstenite::{Bytes, Error, Message, Utf8Bytes, WebSocket};

use super::endpoint::Endpoint;
use super::plain;

/// Longest wait for a TCP connection to one address.
pub const CONNECT_WAIT: Duration = Duration::from_secs(5);

/// Longest answer to an upgrade request, up to the empty line.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// Most header lines in such an answer.
const HEADERS_MAX: usize = 64;
/// Allocated for each connection. Small: there may be ten thousand.
const READ_BUFFER_BYTES: usize = 4 * 1024;
/// What waits for a flush before tungstenite begins to write by itself.
const WRITE_BUFFER_BYTES: usize = 64 * 1024;
/// What may wait for a server that does not read.
const WRITE_BUFFER_BYTES_MAX: usize = 1024 * 1024;
/// Longest message taken from a server.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
const _: () = assert!(
    WRITE_BUFFER_BYTES_MAX > WRITE_BUFFER_BYTES,
    "or tungstenite panics"
);

/// The code that stands for a goodbye without one (RFC 6455, section 7.4.1).
pub const NO_CODE: u16 = 1005;

/// A connection. Dropping it closes the socket.
#[derive(Debug)]
pub struct Connection {
    state: State,
}

#[derive(Debug)]
enum State {
    Connecting(Handshake),
    Handshaking(Handshake),
    Open(Box<WebSocket<TcpStream>>),
    Closed,
}

/// What a read brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Input {
    /// The server accepted the upgrade: messages may be sent from now on.
    Opened,
    /// A text message.
    Text(Utf8Bytes),
    /// A binary message, which this protocol has not.
    Binary,
    /// A ping. It is answered already.
    Ping,
    /// The answer to a ping of ours, with the ping's payload.
    Pong(Bytes),
    /// Nothing more until the next event.
    Blocked,
}

/// Why a connection is over.
#[derive(Debug)]
pub enum Ended {
    /// No TCP connection came about.
    Unreachable(io::Error),
    /// The upgrade was answered with another HTTP status than 101.
    Refused {
        /// That status.
        status: u16,
        /// Its phrase, and the beginning of the answer's body.
        reason: String,
    },
    /// What answered speaks no WebSocket.
    NotWebSocket(&'static str),
    /// The server said goodbye.
    Closed {
        /// Why, as a number (RFC 6455, section 7.4); [`NO_CODE`] if it gave none.
        code: u16,
        /// Why, in its own words; may be empty.
        reason: String,
    },
    /// It ended without a goodbye.
    Lost(String),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Ended::Unreachable(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                write!(f, "{}; is the server running?", plain(error))
            }
            Ended::Unreachable(error) => f.write_str(&plain(error)),
            Ended::Refused { status, reason } => write!(f, "the server answered {status} {reason}"),
            Ended::NotWebSocket(what) => write!(f, "no WebSocket server: {what}"),
            Ended::Closed { code: NO_CODE, .. } => write!(f, "closed by the server without a code"),
            Ended::Closed { code, reason } if reason.is_empty() => {
                write!(f, "closed by the server with code {code}")
            }
            Ended::Closed { code, reason } => {
                write!(f, "closed by the server with code {code} ({reason})")
            }
            Ended::Lost(what) => f.write_str(what),
        }
    }
}

/// Connects to the first of the addresses that takes a connection, waiting for each in turn.
///
/// # Errors
/// What the last address answered.
pub fn connect_to_any(addresses: &[SocketAddr]) -> Result<(TcpStream, SocketAddr), Ended> {
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        let attempt = std::net::TcpStream::connect_timeout(address, CONNECT_WAIT);
        match attempt.and_then(|stream| stream.set_nonblocking(true).map(|()| stream)) {
            Ok(stream) => return Ok((TcpStream::from_std(stream), *address)),
            Err(error) => failure = error,
        }
    }
    Err(Ended::Unreachable(failure))
}

impl Connection {
    /// Begins with a stream that is connected or about to be, and registers it for the rest of
    /// its life, edge-triggered: after each event [`read`](Self::read) must be called until it
    /// is blocked.
    ///
    /// # Errors
    /// What the kernel says against the registration.
    pub fn new(
        mut stream: TcpStream,
        endpoint: &Endpoint,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Connection> {
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        let handshake = Handshake::new(stream, endpoint);
        Ok(Connection {
            state: State::Connecting(handshake),
        })
    }

    /// Brings the connection on, and whatever came next.
    ///
    /// # Errors
    /// Why the connection is over. The socket is closed then, and further reads are blocked.
    pub fn read(&mut self) -> Result<Input, Ended> {
        let step = self.step();
        if step.is_err() {
            self.state = State::Closed;
        }
        step
    }

    fn step(&mut self) -> Result<Input, Ended> {
        loop {
            match mem::replace(&mut self.state, State::Closed) {
                State::Connecting(handshake) => {
                    if !handshake.is_connected()? {
                        self.state = State::Connecting(handshake);
                        return Ok(Input::Blocked);
                    }
                    self.state = State::Handshaking(handshake);
                }
                State::Handshaking(mut handshake) => {
                    let Some(tail) = handshake.advance()? else {
                        self.state = State::Handshaking(handshake);
                        return Ok(Input::Blocked);
                    };
                    self.state = State::Open(handshake.finish(tail));
                    return Ok(Input::Opened);
                }
                State::Open(mut socket) => {
                    let input = read_message(&mut socket);
                    self.state = State::Open(socket);
                    return input;
                }
                State::Closed => return Ok(Input::Blocked),
            }
        }
    }

    /// Queues a message for the next [`flush`](Self::flush); nothing happens unless the
    /// connection is open. Of a socket that is broken the next read tells.
    ///
    /// # Errors
    /// [`Ended::Lost`] when too much waits already for a server that does not read.
    pub fn send(&mut self, message: Message) -> Result<(), Ended> {
        let State::Open(socket) = &mut self.state else {
            return Ok(());
        };
        match socket.write(message) {
            Err(Error::WriteBufferFull(_)) => {
                self.state = State::Closed;
                Err(Ended::Lost(format!(
                    "the server left {WRITE_BUFFER_BYTES_MAX} bytes unread"
                )))
            }
            _ => Ok(()),
        }
    }

    /// Writes what is queued, as far as the socket takes it. Of a socket that is broken the next
    /// read tells: behind an error there may be a goodbye to read.
    pub fn flush(&mut self) {
        if let State::Open(socket) = &mut self.state {
            let _ = socket.flush();
        }
    }

    /// Says goodbye with code 1000. What the server still sends can be read, and at last its
    /// goodbye, as [`Ended::Closed`].
    pub fn close(&mut self) {
        if let State::Open(socket) = &mut self.state {
            let _ = socket.close(Some(CloseFrame {
                code: CloseCode::Normal,
                reason: Utf8Bytes::default(),
            }));
        }
    }

    /// Whether the upgrade is done and the end has not come.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }
}

fn read_message(socket: &mut WebSocket<TcpStream>) -> Result<Input, Ended> {
    let error = match socket.read() {
        Ok(Message::Text(text)) => return Ok(Input::Text(text)),
        Ok(Message::Pong(payload)) => return Ok(Input::Pong(payload)),
        Ok(Message::Binary(_)) => return Ok(Input::Binary),
        Ok(Message::Ping(_) | Message::Frame(_)) => {
            let _ = socket.flush();
            return Ok(Input::Ping);
        }
        Ok(Message::Close(frame)) => {
            let _ = socket.flush();
            let (code, reason) = match frame {
                Some(frame) => (frame.code.into(), frame.reason.to_string()),
                None => (NO_CODE, String::new()),
            };
            return Err(Ended::Closed { code, reason });
        }
        Err(error) => error,
    };
    match error {
        Error::Io(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Input::Blocked),
        Error::Io(error) => Err(Ended::Lost(plain(&error))),
        Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => Err(
            Ended::Lost("the server went away without a goodbye".to_owned()),
        ),
        error => Err(Ended::Lost(format!(
            "what the server sent is no WebSocket: {error}"
        ))),
    }
}

/// The part of a connection's life before there are messages.
#[derive(Debug)]
struct Handshake {
    stream: TcpStream,
    key: String,
    unsent: Vec<u8>,
    answer: Vec<u8>,
}

impl Handshake {
    fn new(stream: TcpStream, endpoint: &Endpoint) -> Handshake {
        let key = generate_key();
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n",
            endpoint.path(),
            endpoint.authority(),
        );
        Handshake {
            stream,
            key,
            unsent: request.into_bytes(),
            answer: Vec::new(),
        }
    }

    fn is_connected(&self) -> Result<bool, Ended> {
        if let Some(error) = self.stream.take_error().map_err(Ended::Unreachable)? {
            return Err(Ended::Unreachable(error));
        }
        match self.stream.peer_addr() {
            Ok(_) => {
                // A ping that waits for more to send would be measured as a slow server.
                let _ = self.stream.set_nodelay(true);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(Ended::Unreachable(error)),
        }
    }

    /// Sends the request, reads the answer; once it is there, whatever came behind it.
    fn advance(&mut self) -> Result<Option<Vec<u8>>, Ended> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Ended::Lost(plain(&error))),
            }
        }
        loop {
            let mut chunk = [0; 1024];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(Ended::Lost("the server hung up on the upgrade".to_owned())),
                Ok(count) => self.answer.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Ended::Lost(plain(&error))),
            }
            if let Some(head_bytes) = check_answer(&self.answer, &self.key)? {
                return Ok(Some(self.answer.split_off(head_bytes)));
            }
            if self.answer.len() > HEAD_BYTES_MAX {
                return Err(Ended::NotWebSocket("its answer has no end"));
            }
        }
    }

    fn finish(self, tail: Vec<u8>) -> Box<WebSocket<TcpStream>> {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(WRITE_BUFFER_BYTES)
            .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        Box::new(WebSocket::from_partially_read(
            self.stream,
            tail,
            Role::Client,
            Some(config),
        ))
    }
}

/// Checks the answer to an upgrade (RFC 6455, section 4.1); its length once it is whole.
fn check_answer(answer: &[u8], key: &str) -> Result<Option<usize>, Ended> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Response::new(&mut headers);
    let head_bytes = match head.parse(answer) {
        Ok(httparse::Status::Complete(head_bytes)) => head_bytes,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(Ended::NotWebSocket("its answer is no HTTP")),
    };
    if head.code != Some(101) {
        let body = String::from_utf8_lossy(&answer[head_bytes..]);
        let mut reason = head.reason.unwrap_or_default().to_owned();
        if let Some(line) = body.lines().next().filter(|line| !line.is_empty()) {
            reason = format!("{reason} ({line})");
        }
        return Err(Ended::Refused {
            status: head.code.unwrap_or_default(),
            reason,
        });
    }
    let header = |name: &str| {
        let mut named = head
            .headers
            .iter()
            .filter(|header| header.name.eq_ignore_ascii_case(name));
        named.next().map(|header| header.value)
    };
    let has_word = |name: &str, word: &[u8]| {
        let mut words = header(name).unwrap_or_default().split(|byte| *byte == b',');
        words.any(|listed| listed.trim_ascii().eq_ignore_ascii_case(word))
    };
    if !has_word("upgrade", b"websocket") || !has_word("connection", b"upgrade") {
        return Err(Ended::NotWebSocket("it switched to another protocol"));
    }
    if header("sec-websocket-accept") != Some(derive_accept_key(key.as_bytes()).as_bytes()) {
        return Err(Ended::NotWebSocket("its answer belongs to another request"));
    }
    if header("sec-websocket-extensions").is_some() || header("sec-websocket-protocol").is_some() {
        return Err(Ended::NotWebSocket("it chose what was not offered"));
    }
    Ok(Some(head_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Key and answer of RFC 6455, section 1.3.
    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    const ANSWER: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\n\
        Connection: keep-alive, Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

    #[test]
    fn the_upgrade_is_done_at_the_empty_line_and_not_before() {
        for length in 0..ANSWER.len() {
            assert!(
                matches!(check_answer(&ANSWER.as_bytes()[..length], KEY), Ok(None)),
                "{length}"
            );
        }
        let with_tail = format!("{ANSWER}\u{1}");
        assert!(
            matches!(check_answer(with_tail.as_bytes(), KEY), Ok(Some(length)) if length == ANSWER.len())
        );
    }

    #[test]
    fn an_answer_to_another_key_or_without_the_upgrade_is_no_websocket() {
        for answer in [
            ANSWER.replace("s3pP", "S3pP"),
            ANSWER.replace("WebSocket\r", "h2c\r"),
            ANSWER.replace("keep-alive, Upgrade", "keep-alive"),
            ANSWER.replace("\r\n\r\n", "\r\nSec-WebSocket-Protocol: x\r\n\r\n"),
            "SSH-2.0-OpenSSH\r\n".to_owned(),
        ] {
            assert!(
                matches!(
                    check_answer(answer.as_bytes(), KEY),
                    Err(Ended::NotWebSocket(_))
                ),
                "{answer}"
            );
        }
    }

    #[test]
    fn a_refusal_is_told_with_its_status_and_words() {
        let answer = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\n\r\nfull\n";
        let refusal = check_answer(answer.as_bytes(), KEY).expect_err("no upgrade");
        assert_eq!(
            refusal.to_string(),
            "the server answered 503 Service Unavailable (full)"
        );
    }
}
