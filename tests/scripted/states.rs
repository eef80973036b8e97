//! Every state with its input and output cut anywhere.

use spectate::server::wire::close::CloseReason;
use spectate::server::wire::outbox::Mark;
use spectate::server::wire::reader::Reader;

use crate::script::{
    ACCEPT, Driver, MESSAGE_BYTES_MAX, Step, UNSENT_BYTES_MAX, close, close_with, fragment, ping,
    request, text,
};

/// A whole life: handshake, messages of all kinds, a goodbye.
pub(crate) fn life() -> Vec<u8> {
    let long = format!("{{\"x\":\"{}\"}}", "y".repeat(700));
    [
        b"\r\n\n".to_vec(),
        request().to_vec(),
        text("{\"initialRequest\":true}"),
        text(&long),
        ping("p1"),
        fragment(
            true,
            "spl\u{e9}".as_bytes().split_last().expect("not empty").1,
            false,
        ),
        ping("p2"),
        fragment(false, &[0xa9], false),
        fragment(false, b"it", true),
        text(""),
        close(1000),
        text("after the goodbye"),
    ]
    .concat()
}

pub(crate) fn check_life(driver: &mut Driver, how: &str) {
    assert_eq!(
        driver.end,
        Some(CloseReason::PeerClosed(Some(1000))),
        "{how}"
    );
    let heard: Vec<&str> = driver.heard.iter().map(String::as_str).collect();
    assert_eq!(heard.len(), 5, "{how}: {heard:?}");
    assert_eq!(
        heard[..2],
        ["upgrade", "{\"initialRequest\":true}"],
        "{how}"
    );
    assert_eq!(heard[3..], ["spl\u{e9}it", ""], "{how}");
    driver.flush();
    let written = driver.written();
    let head_end = written
        .windows(4)
        .position(|bytes| bytes == b"\r\n\r\n")
        .expect("a head")
        + 4;
    let head = String::from_utf8_lossy(&written[..head_end]);
    assert!(
        head.starts_with("HTTP/1.1 101 ") && head.contains(ACCEPT),
        "{how}: {head}"
    );
    assert_eq!(&written[head_end..], b"\x8a\x02p1\x8a\x02p2", "{how}");
}

#[test]
fn a_life_cut_in_two_anywhere_is_the_same_life() {
    let life = life();
    for at in 0..life.len() {
        let (first, second) = life.split_at(at);
        let mut driver = Driver::new([
            Step::Bytes(first.to_vec()),
            Step::WouldBlock,
            Step::Bytes(second.to_vec()),
        ]);
        driver.run();
        check_life(&mut driver, &format!("cut at {at}"));
    }
}

#[test]
fn a_life_byte_by_byte_is_the_same_life() {
    let steps = life()
        .into_iter()
        .flat_map(|byte| [Step::Bytes(vec![byte]), Step::WouldBlock]);
    let mut driver = Driver::new(steps);
    driver.run();
    check_life(&mut driver, "byte by byte");
}

#[test]
fn output_cut_anywhere_is_the_same_output() {
    let script = [request().to_vec(), ping("p1"), ping("p2"), text("{}")].concat();
    let mut whole = Driver::new([Step::Bytes(script.clone())]);
    whole.run();
    whole.connection.outbox.push_wire(b"an error");
    whole.flush();
    let expected = whole.written();
    for room in 1..expected.len() {
        let mut driver = Driver::new([Step::Bytes(script.clone())]);
        driver.connection.socket_mut().room = room;
        driver.turn(false);
        driver.connection.outbox.push_wire(b"an error");
        while driver.flush().blocked {
            driver.connection.socket_mut().room = room;
        }
        assert_eq!(driver.written(), expected, "{room} bytes at a time");
    }
}

#[test]
fn an_http_answer_cut_anywhere_is_whole_and_then_the_write_side_is_shut() {
    for request in [
        &b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        b"GET / HTTP/2.0\r\n\r\n",
        b"\x16\x03\x01",
        b"GET /nowhere HTTP/1.1\nHost: x\n\n",
        b"\n\r\nGET /nowhere HTTP/1.1\r\nHost: x\r\nX: a line that goes on behind the beginning\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: a line that goes on behind the beginning\r\nno field\r\n\r\n",
    ] {
        let mut whole = Driver::new([Step::Bytes(request.to_vec())]);
        whole.turn(false);
        whole.flush();
        assert!(whole.connection.is_finished());
        let expected = whole.written();
        assert!(expected.starts_with(b"HTTP/1.1 4") || expected.starts_with(b"HTTP/1.1 505"));
        for at in 0..request.len() {
            let (first, second) = request.split_at(at);
            let mut driver = Driver::new([
                Step::Bytes(first.to_vec()),
                Step::WouldBlock,
                Step::Bytes(second.to_vec()),
            ]);
            driver.connection.socket_mut().room = 0;
            driver.run();
            for _ in 0..expected.len() {
                assert!(
                    !driver.connection.is_finished(),
                    "not before all is written"
                );
                driver.connection.socket_mut().room = 1;
                driver.flush();
            }
            assert!(driver.connection.is_finished());
            assert_eq!(driver.written(), expected, "cut at {at}");
        }
    }
}

#[test]
fn the_peers_end_is_noticed_in_every_state() {
    let life = life();
    for at in 0..life.len() {
        for end in [Step::End, Step::Reset] {
            let expected = match end {
                Step::End => CloseReason::PeerGone,
                _ => CloseReason::SocketError,
            };
            let mut driver = Driver::new([Step::Bytes(life[..at].to_vec()), end]);
            // An event that announces the end: a short read does not hide it.
            while driver.end.is_none() && driver.turn(true) {}
            let said_goodbye = at >= life.len() - text("after the goodbye").len();
            let expected = if said_goodbye {
                CloseReason::PeerClosed(Some(1000))
            } else {
                expected
            };
            assert_eq!(driver.end, Some(expected), "after {at} bytes");
        }
    }
}

#[test]
pub(crate) fn after_our_goodbye_what_comes_is_discarded_until_the_peers_end() {
    let mut driver = Driver::open();
    assert!(driver.connection.close(CloseReason::Binary, driver.now));
    driver.then(Step::Bytes(text("ignored")));
    driver.run();
    assert_eq!(driver.written()[..4], [0x88, 36, 0x03, 0xeb]);
    assert!(driver.connection.is_finished() && !driver.connection.is_open());
    driver.then(Step::Bytes(vec![0xff; 100_000]));
    driver.run();
    assert_eq!(
        (driver.end, driver.heard.len()),
        (None, 1),
        "only the upgrade was heard"
    );
    driver.then(Step::End);
    driver.turn(true);
    assert_eq!(driver.end, Some(CloseReason::PeerGone));
    assert_eq!(driver.connection.ending(), Some(CloseReason::Binary));
}

#[test]
fn a_goodbye_waits_for_the_rest_of_a_frame_and_not_for_positions() {
    for room in 0..6 {
        let mut driver = Driver::open();
        driver.connection.socket_mut().room = room;
        let frame = driver.frames.push(b"half");
        driver.connection.outbox.push(frame, 0);
        let later = driver.frames.push(b"never");
        driver.connection.outbox.push(later, 1);
        assert!(driver.flush().blocked);
        assert!(driver.connection.close(CloseReason::Restarting, driver.now));
        driver.connection.socket_mut().room = usize::MAX;
        driver.flush();
        let written = driver.written();
        let begun: &[u8] = if room == 0 { b"" } else { b"\x81\x04half" };
        assert!(written.starts_with(begun), "{written:?}");
        assert_eq!(
            written[begun.len()..][..4],
            [0x88, 26, 0x03, 0xf4],
            "{written:?}"
        );
    }
}

#[test]
pub(crate) fn a_leaving_connection_gets_what_it_is_owed_first() {
    let mut driver = Driver::open();
    driver.connection.socket_mut().room = 3;
    let frame = driver.frames.push(b"position");
    driver.connection.outbox.push(frame, 0);
    driver.flush();
    driver.connection.leave(CloseReason::Restarting, driver.now);
    assert_eq!(driver.connection.has_left(), None);
    driver.connection.socket_mut().room = usize::MAX;
    driver.flush();
    assert_eq!(driver.written(), b"\x81\x08position");
    assert_eq!(driver.connection.has_left(), Some(CloseReason::Restarting));
}

#[test]
pub(crate) fn what_the_protocol_forbids_is_named() {
    let mut unmasked = text("{}");
    unmasked[1] &= 0x7f;
    unmasked.drain(2..6);
    let mut reserved_bit = text("{}");
    reserved_bit[0] |= 0x40;
    let mut unknown_opcode = text("{}");
    unknown_opcode[0] = 0x83;
    let mut binary = text("{}");
    binary[0] = 0x82;
    let mut fragmented_ping = ping("x");
    fragmented_ping[0] &= 0x7f;
    let mut long_ping = ping(&"x".repeat(126));
    long_ping[0] = 0x89;
    let mut one_byte_close = close(1000);
    one_byte_close.pop();
    one_byte_close[1] = 0x81;
    let mut reason_not_utf_8 = close_with(&[&1000u16.to_be_bytes()[..], b"\xff"].concat());
    reason_not_utf_8.extend(text("{}"));
    let half = "x".repeat(MESSAGE_BYTES_MAX / 2 + 1);
    for (bytes, expected) in [
        (unmasked, CloseReason::ProtocolError),
        (reserved_bit, CloseReason::ProtocolError),
        (unknown_opcode, CloseReason::ProtocolError),
        (fragmented_ping, CloseReason::ProtocolError),
        (long_ping, CloseReason::ProtocolError),
        (one_byte_close, CloseReason::ProtocolError),
        (fragment(false, b"x", true), CloseReason::ProtocolError),
        (
            [fragment(true, b"x", false), text("{}")].concat(),
            CloseReason::ProtocolError,
        ),
        (
            vec![0x81, 0xfe, 0, 125, 1, 2, 3, 4],
            CloseReason::ProtocolError,
        ),
        (
            vec![0x81, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 2, 3, 4],
            CloseReason::ProtocolError,
        ),
        (
            vec![0x81, 0xff, 0x80, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4],
            CloseReason::ProtocolError,
        ),
        (
            vec![0x89, 0xfe, 0, 1, 1, 2, 3, 4, 0],
            CloseReason::ProtocolError,
        ),
        (close(999), CloseReason::PeerClosed(Some(1002))),
        (close(1012), CloseReason::PeerClosed(Some(1012))),
        (close(1013), CloseReason::PeerClosed(Some(1013))),
        (close(1014), CloseReason::PeerClosed(Some(1014))),
        (close(1015), CloseReason::PeerClosed(Some(1002))),
        (
            [fragment(true, b"x", false), close(1014)].concat(),
            CloseReason::PeerClosed(Some(1014)),
        ),
        (reason_not_utf_8, CloseReason::NotUtf8),
        (close(3000), CloseReason::PeerClosed(Some(3000))),
        (binary, CloseReason::Binary),
        (fragment(true, &[0xff], true), CloseReason::NotUtf8),
        (
            [fragment(true, &[0xc3], false), fragment(false, b"x", true)].concat(),
            CloseReason::NotUtf8,
        ),
        (
            text(&"x".repeat(MESSAGE_BYTES_MAX + 1)),
            CloseReason::TooBig,
        ),
        (
            text(&"x".repeat(MESSAGE_BYTES_MAX + 1))[..8].to_vec(),
            CloseReason::TooBig,
        ),
        (
            [
                fragment(true, half.as_bytes(), false),
                fragment(false, half.as_bytes(), true),
            ]
            .concat(),
            CloseReason::TooBig,
        ),
        (
            [
                fragment(true, half.as_bytes(), false),
                fragment(false, half.as_bytes(), true)[..8].to_vec(),
            ]
            .concat(),
            CloseReason::TooBig,
        ),
    ] {
        let mut driver = Driver::open();
        driver.heard.clear();
        driver.then(Step::Bytes(bytes.clone()));
        driver.run();
        assert_eq!(driver.end, Some(expected), "{bytes:?}");
        assert!(
            driver.heard.is_empty(),
            "nothing of it is taken: {:?}",
            driver.heard
        );
        // The shared parser is as new for the next connection.
        let mut other = Driver::open();
        std::mem::swap(&mut other.reader, &mut driver.reader);
        other.then(Step::Bytes(text("{}")));
        other.run();
        assert_eq!(
            (other.end, other.heard.last().map(String::as_str)),
            (None, Some("{}"))
        );
    }
}

#[test]
pub(crate) fn a_message_that_takes_many_reads_is_one_message_wherever_they_end() {
    const LONG_BYTES: usize = 100_000;
    let long = "é".repeat(LONG_BYTES / 2);
    let (first, second) = long.as_bytes().split_at(33_333);
    let stream = [
        text("before"),
        text(&long),
        ping("between"),
        fragment(true, first, false),
        ping("within"),
        fragment(false, second, true),
        text("after"),
    ]
    .concat();
    for piece_bytes in [97, 1000, 16_383, 16_384, 16_385, 65_536, 300_000] {
        let mut driver = Driver::open();
        driver.reader = Reader::new(LONG_BYTES);
        for piece in stream.chunks(piece_bytes) {
            driver.then(Step::Bytes(piece.to_vec()));
            driver.then(Step::WouldBlock);
        }
        driver.run();
        assert_eq!(driver.end, None, "{piece_bytes} bytes at a time");
        assert!(
            driver.heard[1..] == ["before", &long, &long, "after"],
            "{piece_bytes} bytes at a time"
        );
        assert_eq!(driver.written(), b"\x8a\x07between\x8a\x06within");
    }
}

#[test]
pub(crate) fn connections_in_the_middle_of_a_message_do_not_mix() {
    let mut first = Driver::open();
    let mut second = Driver::open();
    let frames = [
        fragment(true, b"one ", false),
        fragment(false, b"two ", false),
        fragment(false, b"three", true),
    ];
    for frame in frames {
        for byte in frame {
            for driver in [&mut first, &mut second] {
                driver.then(Step::Bytes(vec![byte]));
            }
            first.turn(false);
            std::mem::swap(&mut first.reader, &mut second.reader);
            second.turn(false);
            std::mem::swap(&mut first.reader, &mut second.reader);
            std::mem::swap(&mut first.reader, &mut second.reader);
        }
    }
    assert_eq!(
        first.heard.last().map(String::as_str),
        Some("one two three")
    );
    assert_eq!(
        second.heard.last().map(String::as_str),
        Some("one two three")
    );
}

#[test]
fn a_turn_ends_before_a_flood_does() {
    let mut driver = Driver::open();
    driver.then(Step::Bytes(vec![text(&"x".repeat(1000)); 200].concat()));
    assert!(driver.turn(false), "there is more");
    assert!(
        (60..=82).contains(&driver.heard.len()),
        "{} messages of 1 KB in 64 KiB",
        driver.heard.len()
    );
    while driver.turn(false) {}
    assert_eq!(driver.heard.len(), 201);
}

#[test]
pub(crate) fn a_turn_ends_before_a_flood_of_the_shortest_frames_does() {
    for frame in [ping(""), fragment(false, b"", false)] {
        let mut driver = Driver::open();
        driver.then(Step::Bytes(fragment(true, b"", false)));
        driver.then(Step::Bytes(frame.repeat(3000)));
        driver.then(Step::Bytes(fragment(false, b"x", true)));
        let mut turns = 1;
        while driver.turn(true) {
            turns += 1;
        }
        assert!((10..=20).contains(&turns), "{turns} turns for 3000 frames");
        assert_eq!((driver.end, driver.heard.len()), (None, 2), "all is read");
    }
}

#[test]
pub(crate) fn a_connection_whose_socket_fails_owes_nothing_any_more() {
    let mut driver = Driver::open();
    for slot in 0..3 {
        let frame = driver.frames.push(b"position");
        driver.connection.outbox.push(frame, slot);
    }
    driver.connection.socket_mut().breaks = true;
    let newest = |_: Mark, _: &mut Vec<u8>| false;
    let (frames, gather, now) = (&driver.frames, &mut driver.gather, driver.now);
    let flushed = driver.connection.flush(frames, false, gather, newest, now);
    assert_eq!(flushed, Err(CloseReason::SocketError));
    assert!(
        driver.connection.outbox.is_empty(),
        "frame numbers do not outlive their frames"
    );
}

#[test]
fn an_answer_counts_as_unsent_until_it_is_sent_or_its_connection_is_gone() {
    let request = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut drivers = [(); 2].map(|()| Driver::new([Step::Bytes(request.to_vec())]));
    let unsent = drivers[0].unsent.clone();
    drivers[1].unsent = unsent.clone();
    for driver in &mut drivers {
        driver.connection.socket_mut().room = 30;
        driver.turn(false);
        assert!(driver.flush().blocked);
    }
    let held = || (0..1000).find(|bytes| unsent.has_room(UNSENT_BYTES_MAX - bytes));
    let [one, mut other] = drivers;
    let both = held().expect("two answers");
    drop(one);
    let last = held().expect("one answer");
    assert!(last > 0 && both == 2 * last, "{both} {last}");
    other.connection.socket_mut().room = usize::MAX;
    other.flush();
    assert!(unsent.has_room(UNSENT_BYTES_MAX));
}
