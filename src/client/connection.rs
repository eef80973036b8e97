//! One WebSocket connection to a server, from the connect to its end, as a state machine on a
//! non-blocking stream. Must never know what the messages mean, nor who else is connected.

use std::io;
use std::mem;
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use tungstenite::error::ProtocolError;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tungstenite::{Bytes, Error, Message, Utf8Bytes, WebSocket};

use super::ended::{Ended, NO_CODE};
use super::endpoint::Endpoint;
use super::handshake::Handshake;
use super::plain;

/// Longest wait for a TCP connection to one address.
pub(crate) const CONNECT_WAIT: Duration = Duration::from_secs(5);

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

/// A connection. Dropping it closes the socket.
#[derive(Debug)]
pub(crate) struct Connection {
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Connecting(Handshake),
    Handshaking(Handshake),
    Open(Box<WebSocket<TcpStream>>),
    Closed,
}

/// What a read brought.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Input {
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

/// Connects to the first of the addresses that takes a connection, waiting for each in turn.
///
/// # Errors
/// What the last address answered.
pub(crate) fn connect_to_any(addresses: &[SocketAddr]) -> Result<(TcpStream, SocketAddr), Ended> {
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
    pub(crate) fn new(
        mut stream: TcpStream,
        endpoint: &Endpoint,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Connection> {
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        let handshake = Handshake::new(stream, endpoint);
        Ok(Connection {
            stage: Stage::Connecting(handshake),
        })
    }

    /// Brings the connection on, and whatever came next.
    ///
    /// # Errors
    /// Why the connection is over. The socket is closed then, and further reads are blocked.
    pub(crate) fn read(&mut self) -> Result<Input, Ended> {
        let step = self.step();
        if step.is_err() {
            self.stage = Stage::Closed;
        }
        step
    }

    fn step(&mut self) -> Result<Input, Ended> {
        loop {
            match mem::replace(&mut self.stage, Stage::Closed) {
                Stage::Connecting(handshake) => {
                    if !handshake.is_connected()? {
                        self.stage = Stage::Connecting(handshake);
                        return Ok(Input::Blocked);
                    }
                    self.stage = Stage::Handshaking(handshake);
                }
                Stage::Handshaking(mut handshake) => {
                    let Some(tail) = handshake.advance()? else {
                        self.stage = Stage::Handshaking(handshake);
                        return Ok(Input::Blocked);
                    };
                    self.stage = Stage::Open(open(handshake.into_stream(), tail));
                    return Ok(Input::Opened);
                }
                Stage::Open(mut socket) => {
                    let input = read_message(&mut socket);
                    self.stage = Stage::Open(socket);
                    return input;
                }
                Stage::Closed => return Ok(Input::Blocked),
            }
        }
    }

    /// Queues a message for the next [`flush`](Self::flush); nothing happens unless the
    /// connection is open. Of a socket that is broken the next read tells.
    ///
    /// # Errors
    /// [`Ended::Lost`] when too much waits already for a server that does not read.
    pub(crate) fn send(&mut self, message: Message) -> Result<(), Ended> {
        let Stage::Open(socket) = &mut self.stage else {
            return Ok(());
        };
        match socket.write(message) {
            Err(Error::WriteBufferFull(_)) => {
                self.stage = Stage::Closed;
                Err(Ended::Lost(format!(
                    "the server left {WRITE_BUFFER_BYTES_MAX} bytes unread"
                )))
            }
            _ => Ok(()),
        }
    }

    /// Writes what is queued, as far as the socket takes it; whether that was all. Of a socket that
    /// is broken the next read tells: behind an error there may be a goodbye to read.
    pub(crate) fn flush(&mut self) -> bool {
        match &mut self.stage {
            Stage::Open(socket) => socket.flush().is_ok(),
            _ => true,
        }
    }

    /// Says goodbye with code 1000. What the server still sends can be read, and at last its
    /// goodbye, as [`Ended::Closed`].
    pub(crate) fn close(&mut self) {
        if let Stage::Open(socket) = &mut self.stage {
            let _ = socket.close(Some(CloseFrame {
                code: CloseCode::Normal,
                reason: Utf8Bytes::default(),
            }));
        }
    }

    /// Whether the upgrade is done and the end has not come.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open(_))
    }
}

fn open(stream: TcpStream, tail: Vec<u8>) -> Box<WebSocket<TcpStream>> {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    Box::new(WebSocket::from_partially_read(
        stream,
        tail,
        Role::Client,
        Some(config),
    ))
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
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Err(Ended::Lost(
            "the server went away without a goodbye".to_owned(),
        )),
        error => Err(Ended::Lost(format!(
            "what the server sent is no WebSocket: {error}"
        ))),
    }
}
