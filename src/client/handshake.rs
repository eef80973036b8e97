//! A connection's life before there are messages: from the connect to the answer to the upgrade
//! request (RFC 6455, section 4.1). Knows one stream and nothing of what comes later.

use std::io::{self, Read, Write};

use tungstenite::handshake::{client::generate_key, derive_accept_key};

use super::ended::Ended;
use super::endpoint::Endpoint;
use super::transport::Transport;

/// Longest answer to an upgrade request, up to the empty line.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// Most header lines in such an answer.
const HEADERS_MAX: usize = 64;

/// The part of a connection's life before there are messages.
#[derive(Debug)]
pub(crate) struct Handshake {
    stream: Transport,
    key: String,
    unsent: Vec<u8>,
    answer: Vec<u8>,
}

impl Handshake {
    /// Prepares the upgrade request.
    pub(crate) fn new(stream: Transport, endpoint: &Endpoint) -> Handshake {
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

    /// Whether the TCP connection has come about.
    ///
    /// # Errors
    /// [`Ended::Unreachable`] if it never will.
    pub(crate) fn is_connected(&self) -> Result<bool, Ended> {
        if let Some(error) = self
            .stream
            .socket()
            .take_error()
            .map_err(Ended::Unreachable)?
        {
            return Err(Ended::Unreachable(error));
        }
        match self.stream.socket().peer_addr() {
            Ok(_) => {
                // A ping that waits for more to send would be measured as a slow server.
                let _ = self.stream.socket().set_nodelay(true);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(Ended::Unreachable(error)),
        }
    }

    /// Sends the request and reads the answer, as far as the stream goes; once the answer is
    /// there, what came behind it.
    ///
    /// # Errors
    /// Why there will be no upgrade.
    pub(crate) fn advance(&mut self) -> Result<Option<Vec<u8>>, Ended> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Ended::by(&error)),
            }
        }
        loop {
            let mut chunk = [0; 1024];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(Ended::Lost("the server hung up on the upgrade".to_owned())),
                Ok(count) => self.answer.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Ended::by(&error)),
            }
            if let Some(head_bytes) = check_answer(&self.answer, &self.key)? {
                return Ok(Some(self.answer.split_off(head_bytes)));
            }
            if self.answer.len() > HEAD_BYTES_MAX {
                return Err(Ended::NotWebSocket("its answer has no end"));
            }
        }
    }

    /// The stream, once the upgrade is done.
    pub(crate) fn into_stream(self) -> Transport {
        self.stream
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
