//! One WebSocket with a blocking socket: a client that does one thing after the other. It knows no
//! poll and no other client.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use socket2::SockRef;

use crate::crowd::PATIENCE;
use crate::wire::{self, PING, PONG, REQUEST, TEXT};

pub(crate) struct Peer {
    stream: BufReader<TcpStream>,
    output: Vec<u8>,
}

impl Peer {
    pub(crate) fn open(server: SocketAddr) -> Result<Peer> {
        let mut stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(REQUEST)?;
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        stream.read_line(&mut line)?;
        if !line.starts_with("HTTP/1.1 101 ") {
            return Err(Error::new(ErrorKind::InvalidData, line));
        }
        while !line.trim_end().is_empty() {
            line.clear();
            stream.read_line(&mut line)?;
        }
        Ok(Peer {
            stream,
            output: Vec::new(),
        })
    }

    /// Sends a text message.
    pub(crate) fn send(&mut self, message: &[u8]) -> Result<()> {
        self.send_frame(TEXT, message)
    }

    /// Sends many text messages, in few writes.
    pub(crate) fn send_all(&mut self, messages: impl Iterator<Item = String>) -> Result<()> {
        self.output.clear();
        for message in messages {
            wire::append_client_frame(TEXT, message.as_bytes(), &mut self.output);
        }
        self.stream.get_mut().write_all(&self.output)
    }

    fn send_frame(&mut self, opcode: u8, payload: &[u8]) -> Result<()> {
        self.output.clear();
        wire::append_client_frame(opcode, payload, &mut self.output);
        self.stream.get_mut().write_all(&self.output)
    }

    /// The next text message, which is none of ours that is longer than 125 bytes.
    pub(crate) fn next(&mut self) -> Result<Vec<u8>> {
        loop {
            match self.next_frame()? {
                (TEXT, message) => return Ok(message),
                (PING, payload) => self.send_frame(PONG, &payload)?,
                (PONG, _) => {}
                (_, payload) => return Err(unexpected(&payload)),
            }
        }
    }

    /// Returns when the server has handled all that was sent, and had nothing to say about it.
    pub(crate) fn settle(&mut self) -> Result<()> {
        self.send_frame(PING, b"")?;
        match self.next_frame()? {
            (PONG, _) => Ok(()),
            (_, payload) => Err(unexpected(&payload)),
        }
    }

    fn next_frame(&mut self) -> Result<(u8, Vec<u8>)> {
        let mut head = [0; 2];
        self.stream.read_exact(&mut head)?;
        let [first, length @ 0..126] = head else {
            return Err(unexpected(b"a frame longer than any to this client"));
        };
        let mut payload = vec![0; length.into()];
        self.stream.read_exact(&mut payload)?;
        Ok((first & 0x0f, payload))
    }
}

impl Drop for Peer {
    /// Ends with a reset, so that no port waits for late segments.
    fn drop(&mut self) {
        let _ = SockRef::from(self.stream.get_ref()).set_linger(Some(Duration::ZERO));
    }
}

fn unexpected(payload: &[u8]) -> Error {
    let text = String::from_utf8_lossy(payload).into_owned();
    Error::new(ErrorKind::InvalidData, text)
}
