//! Bodies of requests (RFC 9112, 6): where one ends, and what was received of it. Knows no sockets.

use httparse::{Header, InvalidChunkSize, Status, parse_chunk_size};

use super::fields::values;
use super::response::Response;

/// Longest body, in bytes.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Longest line between two chunks: a size with its extensions, or a field of the trailer.
const LINE_BYTES_MAX: usize = 1024;

/// Longest trailer.
const TRAILER_BYTES_MAX: usize = 8 * 1024;

/// How a request says where its body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// After so many bytes; after none, if it says nothing.
    Length(u64),
    /// After a chunk without content.
    Chunked,
}

impl Framing {
    /// Reads the header fields. Whatever leaves a doubt is refused: a proxy on the way might decide
    /// otherwise, and take a part of the body for a request of somebody else.
    pub(super) fn read(headers: &[Header], is_1_1: bool) -> Result<Framing, Response> {
        let mut codings = values(headers, "transfer-encoding");
        let mut lengths = values(headers, "content-length");
        match (codings.next(), lengths.next()) {
            (None, None) => Ok(Framing::Length(0)),
            (None, Some(length)) if lengths.next().is_none() => match number(length) {
                Some(length) => Ok(Framing::Length(length)),
                None => Err(Response::bad_request("Content-Length must be one number")),
            },
            (None, Some(_)) => Err(Response::bad_request(
                "a request has one Content-Length at most",
            )),
            (Some(_), Some(_)) => Err(Response::bad_request(
                "a request has a Content-Length or a Transfer-Encoding, not both",
            )),
            (Some(coding), None) => {
                let is_chunked = coding.trim_ascii().eq_ignore_ascii_case(b"chunked");
                if is_1_1 && is_chunked && codings.next().is_none() {
                    Ok(Framing::Chunked)
                } else {
                    Err(Response::bad_request(
                        "the one Transfer-Encoding that is taken is chunked, in HTTP/1.1",
                    ))
                }
            }
        }
    }

    /// Whether there is a body.
    pub(super) fn has_body(self) -> bool {
        self != Framing::Length(0)
    }
}

/// A row of digits as a number.
fn number(digits: &[u8]) -> Option<u64> {
    let is_plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    (is_plain.then(|| str::from_utf8(digits).ok()).flatten())?
        .parse()
        .ok()
}

/// Where in a body one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// So many bytes of content are to come, and then the end.
    Length(usize),
    /// Before the size of a chunk.
    Size,
    /// So many bytes of this chunk are to come.
    Chunk(usize),
    /// Before the end of the line behind a chunk.
    ChunkEnd,
    /// Behind the last chunk, where a trailer of so many bytes has come.
    Trailer(usize),
    /// Behind the body.
    End,
}

/// A body that is being received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    place: Place,
    content: Vec<u8>,
}

impl Body {
    /// Nothing of a body yet.
    ///
    /// # Errors
    /// It will be too long.
    pub fn new(framing: Framing) -> Result<Body, Response> {
        let place = match framing {
            Framing::Length(0) => Place::End,
            Framing::Length(length) => match usize::try_from(length) {
                Ok(length @ ..=BODY_BYTES_MAX) => Place::Length(length),
                _ => return Err(Response::too_large()),
            },
            Framing::Chunked => Place::Size,
        };
        Ok(Body {
            place,
            content: Vec::new(),
        })
    }

    /// Whether all of it was received.
    pub fn is_complete(&self) -> bool {
        self.place == Place::End
    }

    /// Bytes of content received so far.
    pub fn received(&self) -> usize {
        self.content.len()
    }

    /// Room that they take.
    pub fn heap_bytes(&self) -> usize {
        self.content.capacity()
    }

    /// The content.
    pub fn into_content(self) -> Vec<u8> {
        self.content
    }

    /// Takes of these bytes what belongs to it and can be understood, and says how many that are.
    /// The rest is to come again, with more behind it.
    ///
    /// # Errors
    /// It is no body, or too long.
    pub fn take(&mut self, bytes: &[u8]) -> Result<usize, Response> {
        let mut taken = 0;
        while let Some(count) = self.step(&bytes[taken..])? {
            taken += count;
        }
        Ok(taken)
    }

    /// One piece: how many bytes it has, or `None` if the next is not all here.
    fn step(&mut self, bytes: &[u8]) -> Result<Option<usize>, Response> {
        let (next, count) = match self.place {
            Place::End => return Ok(None),
            _ if bytes.is_empty() => return Ok(None),
            Place::Length(left) => {
                let count = self.append(left, bytes);
                let next = match left - count {
                    0 => Place::End,
                    left => Place::Length(left),
                };
                (next, count)
            }
            Place::Chunk(left) => {
                let count = self.append(left, bytes);
                let next = match left - count {
                    0 => Place::ChunkEnd,
                    left => Place::Chunk(left),
                };
                (next, count)
            }
            Place::ChunkEnd => match bytes {
                [b'\r'] => return Ok(None),
                [b'\r', b'\n', ..] => (Place::Size, 2),
                _ => return Err(bad_chunk()),
            },
            // The parser takes no digits for a zero.
            Place::Size if !bytes[0].is_ascii_hexdigit() => return Err(bad_chunk()),
            Place::Size => match parse_chunk_size(bytes) {
                Ok(Status::Partial) if bytes.len() < LINE_BYTES_MAX => return Ok(None),
                Ok(Status::Partial) | Err(InvalidChunkSize) => return Err(bad_chunk()),
                // What a proxy might take for the end of the line is no extension.
                Ok(Status::Complete((count, _))) if !is_text(&bytes[..count - 2]) => {
                    return Err(bad_chunk());
                }
                Ok(Status::Complete((count, 0))) => (Place::Trailer(0), count),
                Ok(Status::Complete((count, size))) => match usize::try_from(size) {
                    Ok(size) if size <= BODY_BYTES_MAX - self.content.len() => {
                        (Place::Chunk(size), count)
                    }
                    _ => return Err(Response::too_large()),
                },
            },
            Place::Trailer(received) => match bytes.iter().position(|byte| *byte == b'\n') {
                None if bytes.len() < LINE_BYTES_MAX => return Ok(None),
                Some(1) if bytes[0] == b'\r' => (Place::End, 2),
                Some(at) if received + at < TRAILER_BYTES_MAX && is_field_line(&bytes[..at]) => {
                    (Place::Trailer(received + at + 1), at + 1)
                }
                _ => {
                    return Err(Response::bad_request(
                        "the trailer of the body is too long, or no header lines",
                    ));
                }
            },
        };
        self.place = next;
        Ok(Some(count))
    }

    fn append(&mut self, left: usize, bytes: &[u8]) -> usize {
        let count = left.min(bytes.len());
        self.content.extend_from_slice(&bytes[..count]);
        count
    }
}

/// Whether nothing of this ends a line, for whomever.
fn is_text(bytes: &[u8]) -> bool {
    (bytes.iter()).all(|byte| *byte == b'\t' || !byte.is_ascii_control())
}

/// Whether this is a header line, with its CR and without its LF.
fn is_field_line(line: &[u8]) -> bool {
    let Some((name, value)) = (line.strip_suffix(b"\r"))
        .and_then(|line| Some(line.split_at(line.iter().position(|byte| *byte == b':')?)))
    else {
        return false;
    };
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !name.is_empty() && name.iter().all(is_name) && is_text(value)
}

fn bad_chunk() -> Response {
    Response::bad_request("the body is not chunked as its Transfer-Encoding says")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers<'h>(lines: &[(&'h str, &'h str)]) -> Vec<Header<'h>> {
        (lines.iter())
            .map(|(name, value)| Header {
                name,
                value: value.as_bytes(),
            })
            .collect()
    }

    #[test]
    fn what_leaves_a_doubt_about_the_end_is_refused() {
        let length = |value| ("Content-Length", value);
        let coding = |value| ("Transfer-Encoding", value);
        for (lines, expected) in [
            (&[][..], Framing::Length(0)),
            (&[length("0")], Framing::Length(0)),
            (&[length("18446744073709551615")], Framing::Length(u64::MAX)),
            (&[coding("chunked")], Framing::Chunked),
            (&[coding("Chunked")], Framing::Chunked),
        ] {
            let read = Framing::read(&headers(lines), true);
            assert_eq!(read.ok(), Some(expected), "{lines:?}");
        }
        for lines in [
            &[length("")][..],
            &[length("+1")],
            &[length("-1")],
            &[length("0x1")],
            &[length("1, 1")],
            &[length("18446744073709551616")],
            &[length("1"), length("1")],
            &[length("1"), coding("chunked")],
            &[coding("identity")],
            &[coding("gzip, chunked")],
            &[coding("chunked, chunked")],
            &[coding("chunked"), coding("chunked")],
            &[coding("xchunked")],
            &[coding("")],
        ] {
            assert!(Framing::read(&headers(lines), true).is_err(), "{lines:?}");
        }
        assert!(Framing::read(&headers(&[coding("chunked")]), false).is_err());
    }

    /// Receives a body in two pieces, and says what it is and how much came behind it.
    fn receive(framing: Framing, bytes: &[u8], cut: usize) -> Result<(Vec<u8>, usize), String> {
        let status = |response: Response| response.status().to_owned();
        let mut body = Body::new(framing).map_err(status)?;
        let taken = body.take(&bytes[..cut]).map_err(status)?;
        let taken = taken + body.take(&bytes[taken..]).map_err(status)?;
        match body.is_complete() {
            true => Ok((body.into_content(), bytes.len() - taken)),
            false => Err("partial".to_owned()),
        }
    }

    #[test]
    fn a_body_is_the_same_wherever_it_is_cut() {
        for (framing, bytes, expected) in [
            (Framing::Length(0), "next", ("", 4)),
            (Framing::Length(5), "hellonext", ("hello", 4)),
            (Framing::Chunked, "0\r\n\r\nnext", ("", 4)),
            (
                Framing::Chunked,
                "5\r\nhello\r\n1 ;a=b\r\n \r\nF\r\n0123456789abcde\r\n000\r\nA: b\r\nC: d\r\n\r\nnext",
                ("hello 0123456789abcde", 4),
            ),
        ] {
            for cut in 0..bytes.len() {
                let received = receive(framing, bytes.as_bytes(), cut);
                let (content, left) = received.expect(bytes);
                assert_eq!(
                    (str::from_utf8(&content), left),
                    (Ok(expected.0), expected.1)
                );
            }
        }
    }

    #[test]
    fn what_is_no_body_or_too_long_is_refused_wherever_it_is_cut() {
        let long_line = format!("1;{}", "x".repeat(LINE_BYTES_MAX));
        let long_trailer = format!("0\r\n{}", "A: b\r\n".repeat(2000));
        let too_large = format!("{:x}\r\n", BODY_BYTES_MAX + 1);
        for (bytes, status) in [
            ("\r\n", "400"),
            ("x\r\n", "400"),
            ("-1\r\n", "400"),
            ("5\r\nhello!", "400"),
            ("5\r\nhello\n", "400"),
            ("10000000000000000\r\n", "400"),
            ("2;\nxx\r\naa\r\n0\r\n\r\n", "400"),
            ("2;\0\r\naa\r\n0\r\n\r\n", "400"),
            ("0\r\n\n", "400"),
            ("0\r\n \r\n", "400"),
            ("0\r\n\t\r\r\n", "400"),
            ("0\r\nfoo\r\n\r\n", "400"),
            ("0\r\nfoo bar: x\r\n\r\n", "400"),
            ("0\r\nfoo: \0\r\n\r\n", "400"),
            ("0\r\nfoo: x\n\r\n", "400"),
            (&long_line, "400"),
            (&long_trailer, "400"),
            ("ffffffffffffffff\r\n", "413"),
            (&too_large, "413"),
        ] {
            for cut in 0..bytes.len() {
                let received = receive(Framing::Chunked, bytes.as_bytes(), cut);
                assert_eq!(received, Err(status.to_owned()), "{bytes:.20?} at {cut}");
            }
        }
        assert_eq!(
            receive(Framing::Length(u64::MAX), b"", 0),
            Err("413".to_owned())
        );
    }
}
