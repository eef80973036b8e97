//! What an event costs must not grow with what is already here.

use std::time::{Duration, Instant};

use spectate::server::wire::reader::Reader;

use crate::script::{Driver, Step, fragment, text};
use crate::transport::{KINDS, Transport};

const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// Far above noise, and far below what a copy or a parse of everything here would take.
const TIMES_MAX: u32 = 10;

/// What so many turns take, each with a piece of its own: the shortest time of five.
fn time(driver: &mut Driver, piece: &[u8]) -> Duration {
    let mut run = || {
        let start = Instant::now();
        for _ in 0..40 {
            driver.then(Step::Bytes(piece.to_vec()));
            driver.turn(false);
        }
        start.elapsed()
    };
    (0..5).map(|_| run()).min().expect("five runs")
}

/// Tries a piece where little is here, and where much is. Uncut: what is timed is the piece.
fn check(what: &str, new: fn(Transport) -> Driver, little: &[u8], much: &[u8], piece: &[u8]) {
    for transport in KINDS {
        let [little, much] = [little, much].map(|before| {
            let mut driver = new(transport);
            driver.reader = Reader::new(MESSAGE_BYTES_MAX);
            driver.then(Step::Bytes(before.to_vec()));
            while driver.turn(false) {}
            let time = time(&mut driver, piece);
            assert_eq!(driver.end, None, "{what}");
            time
        });
        assert!(
            much <= little * TIMES_MAX,
            "{what}: {much:?} where much is here, {little:?} where little is"
        );
    }
}

#[test]
fn a_byte_of_a_message_costs_the_same_however_much_of_it_is_here() {
    let message = text(&"x".repeat(MESSAGE_BYTES_MAX));
    let much = &message[..MESSAGE_BYTES_MAX - 1000];
    check("a frame", Driver::open, &message[..100], much, b"x");
}

#[test]
fn a_fragment_costs_the_same_however_many_came_before_it() {
    let much = fragment(true, &vec![b'x'; MESSAGE_BYTES_MAX - 1000], false);
    let (little, piece) = (fragment(true, b"x", false), fragment(false, b"x", false));
    check("a message", Driver::open, &little, &much, &piece);
}

#[test]
fn a_byte_of_a_request_head_costs_the_same_however_much_of_it_is_here() {
    let new = |transport| Driver::ready(transport, []);
    let head = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}", "y".repeat(8000));
    let much = &head.as_bytes()[..7900];
    check("a head", new, &head.as_bytes()[..100], much, b"y");
    let lines = "\r\n".repeat(3900);
    check(
        "empty lines",
        new,
        &lines.as_bytes()[..100],
        lines.as_bytes(),
        b"\n",
    );
    let lines = format!(
        "GET / HTTP/1.1\r\nHost: x\r\n{}",
        "X: yyyyyy\r\n".repeat(60)
    );
    check(
        "lines",
        new,
        &lines.as_bytes()[..100],
        lines.as_bytes(),
        b"y",
    );
}

#[test]
fn a_byte_of_a_body_costs_the_same_however_much_of_it_is_here() {
    let new = |transport| Driver::ready(transport, []);
    let length = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n";
    let much = format!("{length}{}", "x".repeat(1_000_000));
    check("a length", new, length.as_bytes(), much.as_bytes(), b"x");
    let chunks = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let much = format!("{chunks}f4240\r\n{}\r\n", "x".repeat(1_000_000));
    check(
        "chunks",
        new,
        chunks.as_bytes(),
        much.as_bytes(),
        b"1\r\nx\r\n",
    );
}

#[test]
fn a_byte_of_an_answer_costs_the_same_however_much_of_it_is_unsent() {
    let request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    for transport in KINDS {
        let [little, much] = [1000, 4_000_000].map(|bytes| {
            let mut driver = Driver::ready(transport, [Step::Bytes(request.to_vec())]);
            driver.answer = "x".repeat(bytes);
            driver.connection.socket_mut().room = 1;
            driver.turn(false);
            let mut run = || {
                let start = Instant::now();
                for _ in 0..40 {
                    driver.connection.socket_mut().room = 1;
                    assert!(driver.flush().blocked);
                }
                start.elapsed()
            };
            (0..5).map(|_| run()).min().expect("five runs")
        });
        assert!(
            much <= little * TIMES_MAX,
            "{much:?} where much is unsent, {little:?} where little is"
        );
    }
}
