//! What the server wrote, read by the letter of RFC 9112 and RFC 6455.

use httparse::{EMPTY_HEADER, Status};

/// A frame of the server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent<'a> {
    Text(&'a str),
    Ping,
    Pong,
    Close,
}

/// Reads frames; none may be malformed or come after a close frame. What is left is the beginning
/// of one more.
pub(crate) fn frames(mut bytes: &[u8]) -> (Vec<Sent<'_>>, &[u8]) {
    let mut frames = Vec::new();
    while let Some((frame, rest)) = frame(bytes) {
        assert!(
            !frames.contains(&Sent::Close),
            "{frame:?} after a close frame"
        );
        frames.push(frame);
        bytes = rest;
    }
    assert!(
        bytes.is_empty() || !frames.contains(&Sent::Close),
        "bytes after a close frame"
    );
    (frames, bytes)
}

/// One frame, if it is whole, and what is behind it.
fn frame(bytes: &[u8]) -> Option<(Sent<'_>, &[u8])> {
    let (&[first, second], rest) = bytes.split_first_chunk()?;
    assert_eq!(first & 0xf0, 0x80, "final, with no reserved bit");
    assert_eq!(second & 0x80, 0, "a server does not mask");
    let opcode = first & 0x0f;
    let (length, rest) = match second {
        126 => {
            let (length, rest) = rest.split_first_chunk()?;
            let length = u16::from_be_bytes(*length) as usize;
            assert!(length >= 126, "the shortest form");
            (length, rest)
        }
        127 => {
            let (length, rest) = rest.split_first_chunk()?;
            let length = u64::from_be_bytes(*length) as usize;
            assert!(length > usize::from(u16::MAX), "the shortest form");
            (length, rest)
        }
        length => (usize::from(length), rest),
    };
    assert!(opcode < 8 || length <= 125, "control frames are short");
    let (payload, rest) = rest.split_at_checked(length)?;
    let frame = match opcode {
        1 => Sent::Text(str::from_utf8(payload).expect("text is UTF-8")),
        8 => {
            check_close(payload);
            Sent::Close
        }
        9 => Sent::Ping,
        10 => Sent::Pong,
        other => panic!("opcode {other}"),
    };
    Some((frame, rest))
}

/// A code that may be on the wire (RFC 6455, 7.4), and a phrase in UTF-8.
fn check_close(payload: &[u8]) {
    if payload.is_empty() {
        return;
    }
    let (code, phrase) = payload.split_first_chunk().expect("two bytes of code");
    let code = u16::from_be_bytes(*code);
    assert!(
        matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999),
        "close code {code}"
    );
    assert!(str::from_utf8(phrase).is_ok(), "a phrase is UTF-8");
}

/// The length of a 101 response.
pub(crate) fn check_accept(bytes: &[u8]) -> usize {
    let mut headers = [EMPTY_HEADER; 16];
    let mut response = httparse::Response::new(&mut headers);
    let Ok(Status::Complete(head_bytes)) = response.parse(bytes) else {
        panic!("no response: {}", bytes.escape_ascii())
    };
    assert_eq!(response.code, Some(101));
    assert!((3..=4).contains(&response.headers.len()));
    head_bytes
}

/// The status of a whole HTTP answer.
pub(crate) fn check_answer(bytes: &[u8]) -> u16 {
    let mut headers = [EMPTY_HEADER; 16];
    let mut response = httparse::Response::new(&mut headers);
    let Ok(Status::Complete(head_bytes)) = response.parse(bytes) else {
        panic!("no response: {}", bytes.escape_ascii())
    };
    let lengths: Vec<&[u8]> = response
        .headers
        .iter()
        .filter(|header| header.name == "Content-Length")
        .map(|header| header.value)
        .collect();
    let body_bytes = bytes.len() - head_bytes;
    let announced = body_bytes.to_string();
    let has_no_content = response.code == Some(204) && body_bytes == 0 && lengths.is_empty();
    assert!(
        has_no_content
            || body_bytes == 0 && lengths.len() == 1
            || lengths == [announced.as_bytes()],
        "a body as long as announced: {}",
        bytes.escape_ascii()
    );
    response.code.expect("a status")
}
