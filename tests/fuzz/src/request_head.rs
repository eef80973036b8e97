//! Any bytes as a request head.

use httparse::{EMPTY_HEADER, Status};
use spectate::server::http::{CompleteHead, HEAD_BYTES_MAX, HEADERS_MAX, Head, Request, parse};

use super::wire;

/// Inputs up to this long are cut at every byte; longer ones at about so many places.
const CUTS_MAX: usize = 256;

/// Tries one input.
pub fn run(bytes: &[u8]) {
    let whole = parse(bytes);
    check_cuts(bytes, &whole);
    match &whole {
        Head::Partial => assert!(bytes.len() < HEAD_BYTES_MAX, "a head without end"),
        Head::Refused(refused) => {
            let mut answer = refused.response.head(false).into_bytes();
            answer.extend(refused.response.body().iter().flat_map(|body| body.iter()));
            let status = wire::check_answer(&answer);
            assert!((400..=505).contains(&status), "{status}");
        }
        Head::Complete(head) => {
            assert!((1..=bytes.len().min(HEAD_BYTES_MAX)).contains(&head.bytes));
            if let Request::Upgrade { accept, .. } = &head.request {
                assert_eq!(wire::check_accept(accept), accept.len());
            }
            check_canonical(&bytes[..head.bytes], head);
        }
    }
}

/// What a beginning of the bytes says for certain, the whole says too.
fn check_cuts(bytes: &[u8], whole: &Head) {
    let step = bytes.len().div_ceil(CUTS_MAX).max(1);
    let near_the_limit = HEAD_BYTES_MAX - 2..HEAD_BYTES_MAX + 2;
    let cuts = (0..bytes.len()).step_by(step);
    for at in cuts.chain(near_the_limit.filter(|at| *at < bytes.len())) {
        let head = parse(&bytes[..at]);
        assert!(head != Head::Partial || at < HEAD_BYTES_MAX);
        assert!(
            head == Head::Partial || head == *whole,
            "{at} bytes are {head:?}, all of them {whole:?}"
        );
    }
}

/// The same request in plain writing is the same request.
fn check_canonical(bytes: &[u8], head: &CompleteHead) {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut headers);
    let outcome = parsed.parse(bytes);
    assert_eq!(outcome, Ok(Status::Complete(bytes.len())));
    let (Some(method), Some(target), Some(version)) = (parsed.method, parsed.path, parsed.version)
    else {
        panic!("a complete head without its first line")
    };
    let mut plain = format!("{method} {target} HTTP/1.{version}\r\n").into_bytes();
    for header in parsed.headers.iter() {
        plain.extend_from_slice(header.name.as_bytes());
        plain.extend_from_slice(b": ");
        plain.extend_from_slice(header.value);
        plain.extend_from_slice(b"\r\n");
    }
    plain.extend_from_slice(b"\r\n");
    if plain.len() <= HEAD_BYTES_MAX {
        let mut expected = head.clone();
        expected.bytes = plain.len();
        assert_eq!(
            parse(&plain),
            Head::Complete(expected),
            "{}",
            plain.escape_ascii()
        );
    }
}
