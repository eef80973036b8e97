//! Messages: what is none, those that come in many pieces, and more than a turn takes.

use spectate::server::wire::close::CloseReason;
use spectate::server::wire::reader::Reader;

use crate::script::{Driver, MESSAGE_BYTES_MAX, Step, close, close_with, fragment, ping, text};
use crate::transport::{Cut, KINDS, TRANSPORTS};

#[test]
fn what_the_protocol_forbids_is_named() {
    for transport in TRANSPORTS {
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
            let mut driver = Driver::open(transport);
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
            let mut other = Driver::open(transport);
            std::mem::swap(&mut other.reader, &mut driver.reader);
            other.then(Step::Bytes(text("{}")));
            other.run();
            assert_eq!(
                (other.end, other.heard.last().map(String::as_str)),
                (None, Some("{}"))
            );
        }
    }
}

#[test]
fn a_message_that_takes_many_reads_is_one_message_wherever_they_end() {
    for transport in KINDS {
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
            // By TLS records begin and end elsewhere.
            let cut = Cut::Every(piece_bytes);
            let mut driver = Driver::open(transport.cut(cut));
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
}

#[test]
fn connections_in_the_middle_of_a_message_do_not_mix() {
    for transport in TRANSPORTS {
        let mut first = Driver::open(transport);
        let mut second = Driver::open(transport);
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
}

#[test]
fn a_turn_ends_before_a_flood_does() {
    // Uncut: a flood is much at once.
    for transport in KINDS {
        let mut driver = Driver::open(transport);
        driver.then(Step::Bytes(vec![text(&"x".repeat(1000)); 200].concat()));
        assert!(driver.turn(false), "there is more");
        assert!(
            // By TLS the beginning of a record may come last.
            (45..=82).contains(&driver.heard.len()),
            "{} messages of 1 KB in 64 KiB",
            driver.heard.len()
        );
        while driver.turn(false) {}
        assert_eq!(driver.heard.len(), 201);
    }
}

#[test]
fn a_turn_ends_before_a_flood_of_the_shortest_frames_does() {
    // Uncut: a flood is much at once.
    for transport in KINDS {
        for frame in [ping(""), fragment(false, b"", false)] {
            let mut driver = Driver::open(transport);
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
}
