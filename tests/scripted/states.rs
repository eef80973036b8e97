//! Every state with its input and output cut anywhere.

use spectate::server::wire::close::CloseReason;
use spectate::server::wire::outbox::Mark;

use crate::script::{ACCEPT, Driver, Step, UNSENT_BYTES_MAX, close, fragment, ping, request, text};
use crate::transport::{Cut, KINDS, TRANSPORTS};

/// A whole life: handshake, messages of all kinds, a goodbye.
fn life() -> Vec<u8> {
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

fn check_life(driver: &mut Driver, how: &str) {
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
    for kind in KINDS {
        let run = |cut| {
            let mut driver = Driver::new(kind.cut(cut), [Step::Bytes(life())]);
            driver.run();
            check_life(&mut driver, &format!("{cut:?}"));
            driver.connection.socket_mut().read
        };
        // By TLS the handshake is cut as well.
        let bytes = run(Cut::Nowhere);
        assert!(bytes > life().len() - text("after the goodbye").len());
        for at in 1..bytes {
            run(Cut::At(at));
        }
    }
}

#[test]
fn a_life_byte_by_byte_is_the_same_life() {
    for transport in TRANSPORTS {
        // By TLS in as many records.
        let steps = life()
            .into_iter()
            .flat_map(|byte| [Step::Bytes(vec![byte]), Step::WouldBlock]);
        let mut driver = Driver::new(transport, steps);
        driver.run();
        check_life(&mut driver, "byte by byte");
    }
}

#[test]
fn output_cut_anywhere_is_the_same_output() {
    for transport in TRANSPORTS {
        let script = [request().to_vec(), ping("p1"), ping("p2"), text("{}")].concat();
        let run = |room| {
            let mut driver = Driver::ready(transport, [Step::Bytes(script.clone())]);
            driver.connection.socket_mut().room = room;
            driver.turn(false);
            driver.connection.outbox.push_wire(b"an error");
            while driver.flush().blocked {
                driver.connection.socket_mut().room = room;
            }
            driver.written()
        };
        let expected = run(usize::MAX);
        assert!(expected.ends_with(b"\x8a\x02p1\x8a\x02p2an error"));
        for room in 1..expected.len() {
            assert_eq!(run(room), expected, "{room} bytes at a time");
        }
    }
}

#[test]
fn an_http_answer_cut_anywhere_is_whole_and_then_the_write_side_is_shut() {
    let requests = [
        &b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        b"GET / HTTP/2.0\r\n\r\n",
        b"\x16\x03\x01",
        b"GET /nowhere HTTP/1.1\nHost: x\n\n",
        b"\n\r\nGET /nowhere HTTP/1.1\r\nHost: x\r\nX: a line that goes on behind the beginning\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: a line that goes on behind the beginning\r\nno field\r\n\r\n",
    ];
    for (kind, request) in KINDS
        .iter()
        .flat_map(|kind| requests.map(|request| (kind, request)))
    {
        let mut whole = Driver::ready(*kind, [Step::Bytes(request.to_vec())]);
        let begin = whole.connection.socket_mut().read;
        whole.turn(false);
        whole.flush();
        assert!(whole.connection.is_finished());
        let expected = whole.written();
        assert!(expected.starts_with(b"HTTP/1.1 4") || expected.starts_with(b"HTTP/1.1 505"));
        for at in begin..whole.connection.socket_mut().read {
            let transport = kind.cut(Cut::At(at));
            let mut driver = Driver::ready(transport, [Step::Bytes(request.to_vec())]);
            driver.connection.socket_mut().room = 0;
            driver.run();
            let mut written = Vec::new();
            while !driver.connection.is_finished() {
                driver.connection.socket_mut().room = 1;
                driver.flush();
                written.extend(driver.written());
            }
            assert_eq!(written, expected, "cut at {at}");
        }
    }
}

#[test]
fn the_peers_end_is_noticed_in_every_state() {
    let life = life();
    for (kind, at) in KINDS
        .iter()
        .flat_map(|kind| (0..life.len()).map(move |at| (kind, at)))
    {
        for end in [Step::End, Step::Reset] {
            let expected = match end {
                Step::End => CloseReason::PeerGone,
                _ => CloseReason::SocketError,
            };
            let mut driver = Driver::ready(*kind, [Step::Bytes(life[..at].to_vec()), end]);
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
fn after_our_goodbye_what_comes_is_discarded_until_the_peers_end() {
    for transport in TRANSPORTS {
        let mut driver = Driver::open(transport);
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
}

#[test]
fn a_goodbye_waits_for_what_has_begun_and_not_for_positions() {
    for (transport, room) in TRANSPORTS
        .iter()
        .flat_map(|t| (0..6).map(move |room| (t, room)))
    {
        let mut driver = Driver::open(*transport);
        driver.connection.socket_mut().room = room;
        let frame = driver.frames.push(b"half");
        driver.connection.outbox.push(frame, 0);
        let later = driver.frames.push(b"late");
        driver.connection.outbox.push(later, 1);
        assert!(driver.flush().blocked);
        assert!(driver.connection.close(CloseReason::Restarting, driver.now));
        driver.connection.socket_mut().room = usize::MAX;
        driver.flush();
        let written = driver.written();
        let begun: &[u8] = match (transport.tls, room) {
            (None, 0) => b"",
            (None, _) => b"\x81\x04half",
            // What is due is encrypted together, and from then on it has begun.
            (Some(_), _) => b"\x81\x04half\x81\x04late",
        };
        assert!(written.starts_with(begun), "{written:?}");
        assert_eq!(
            written[begun.len()..][..4],
            [0x88, 26, 0x03, 0xf4],
            "{written:?}"
        );
    }
}

#[test]
fn a_leaving_connection_gets_what_it_is_owed_first() {
    for transport in TRANSPORTS {
        let mut driver = Driver::open(transport);
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
}

#[test]
fn a_connection_whose_socket_fails_owes_nothing_any_more() {
    for transport in TRANSPORTS {
        let mut driver = Driver::open(transport);
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
}

#[test]
fn an_answer_counts_as_unsent_until_it_is_sent_or_its_connection_is_gone() {
    for transport in TRANSPORTS {
        let request = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
        let mut drivers =
            [(); 2].map(|()| Driver::ready(transport, [Step::Bytes(request.to_vec())]));
        let unsent = drivers[0].unsent.clone();
        drivers[1].unsent = unsent.clone();
        for driver in &mut drivers {
            // More than TLS encrypts at once.
            driver.answer = "x".repeat(100_000);
            driver.connection.socket_mut().room = 30;
            driver.turn(false);
            assert!(driver.flush().blocked);
        }
        let held = || (0..UNSENT_BYTES_MAX).find(|bytes| unsent.has_room(UNSENT_BYTES_MAX - bytes));
        let [one, mut other] = drivers;
        let both = held().expect("two answers");
        drop(one);
        let last = held().expect("one answer");
        assert!(last > 80_000 && both == 2 * last, "{both} {last}");
        other.connection.socket_mut().room = usize::MAX;
        other.flush();
        assert!(unsent.has_room(UNSENT_BYTES_MAX));
    }
}
