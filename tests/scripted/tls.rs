//! What is true of TLS alone; all else that is true of a connection is tried over it elsewhere.

use spectate::server::wire::close::CloseReason;

use crate::script::{Driver, Step, TIMEOUTS, ping, request, text};
use crate::transport::{Cut, TLS};

/// Owes a position about this slot.
fn owe(driver: &mut Driver, message: &[u8], slot: u32) {
    let frame = driver.frames.push(message);
    driver.connection.outbox.push(frame, slot);
}

#[test]
fn all_records_of_a_read_are_taken_though_no_event_tells_of_them() {
    for transport in TLS {
        let mut driver = Driver::open(transport);
        for number in 0..50 {
            driver.then(Step::Bytes(text(&format!("{{\"n\":{number}}}"))));
        }
        // One event, one turn.
        driver.turn(false);
        assert_eq!(driver.heard.len(), 51);
    }
}

#[test]
fn more_than_a_read_has_room_for_is_taken_all_the_same() {
    for transport in TLS {
        let mut driver = Driver::open(transport);
        // The end of a record that fills the room, and others, come in a read that empties the socket.
        let frame = text(&"x".repeat(1016));
        assert_eq!(frame.len(), 1024);
        driver.then(Step::Bytes(frame.repeat(16)));
        for _ in 0..20 {
            driver.then(Step::Bytes(text("{}")));
        }
        while driver.turn(false) {}
        assert_eq!(driver.heard.len(), 37);
    }
}

#[test]
fn an_end_behind_a_message_in_the_same_read_is_noticed() {
    for transport in TLS {
        let mut driver = Driver::open(transport);
        driver.peer().say_and_end(&text("{}"));
        while driver.turn(false) {}
        assert_eq!(driver.heard.len(), 2);
        assert_eq!(driver.end, Some(CloseReason::PeerGone));
    }
}

#[test]
fn output_whose_ciphertext_is_cut_anywhere_is_the_same_output_and_ends_in_order() {
    for transport in TLS {
        for room in [1, 2, 3, 5, 7, 11, 40, 100, 1000] {
            let script = [request().to_vec(), ping("p1"), ping("p2")].concat();
            let mut driver = Driver::new(transport, [Step::Bytes(script)]);
            driver.connection.socket_mut().room = room;
            while !driver.connection.is_open() || driver.connection.owes() {
                driver.turn(false);
                driver.flush();
                driver.connection.socket_mut().room = room;
            }
            let written = driver.written();
            assert!(written.ends_with(b"\r\n\r\n\x8a\x02p1\x8a\x02p2"), "{room}");
            assert!(driver.connection.close(CloseReason::Binary, driver.now));
            while driver.connection.owes() {
                assert!(!driver.connection.is_finished(), "not before all is out");
                driver.connection.socket_mut().room = room;
                driver.flush();
            }
            assert!(driver.connection.is_finished());
            assert_eq!(driver.written()[..4], [0x88, 36, 0x03, 0xeb]);
            assert!(driver.peer().has_heard_end, "{room}: no close_notify");
        }
    }
}

#[test]
fn what_is_encrypted_and_not_taken_is_owed_and_makes_positions_marks() {
    for transport in TLS {
        let mut driver = Driver::open(transport);
        owe(&mut driver, b"one", 0);
        driver.connection.socket_mut().room = 10;
        let flushed = driver.flush();
        assert!(flushed.blocked && driver.connection.outbox.is_behind());
        assert_eq!(flushed.bytes, 10, "what the socket took");
        // Ciphertext alone is owed: it is no frame's beginning, and nothing else may replace it.
        owe(&mut driver, b"two", 0);
        owe(&mut driver, b"three", 0);
        driver.connection.socket_mut().room = 3;
        assert_eq!((driver.flush().bytes, driver.written().len()), (3, 0));
        driver.connection.socket_mut().room = usize::MAX;
        assert!(!driver.flush().blocked);
        assert_eq!(
            driver.written(),
            b"\x81\x03one",
            "the mark has nothing to say here"
        );
        assert!(!driver.connection.owes());
    }
}

#[test]
fn a_slow_peer_is_owed_4_kib_of_ciphertext_and_no_more() {
    let mut driver = Driver::open(TLS[1]);
    let error = vec![b'e'; 1000];
    for _ in 0..40 {
        let frames = &mut driver.frames;
        assert!(driver.connection.outbox.push_error(&error, frames, false));
    }
    driver.connection.socket_mut().room = 100;
    assert!(driver.flush().blocked);
    // What was encrypted before it showed that it is slow: one record.
    let mut rest = 17 * 1024;
    while rest > 0 {
        driver.connection.socket_mut().room = rest.min(1000);
        rest -= driver.connection.socket_mut().room;
        driver.flush();
    }
    driver.connection.socket_mut().room = 0;
    driver.flush();
    let before = driver.written().len();
    assert!(before > 0);
    // All that is encrypted, and not a byte of the next piece.
    driver.connection.outbox = Default::default();
    driver.connection.socket_mut().room = usize::MAX;
    driver.flush();
    let owed = driver.written().len();
    assert!((1..=4096).contains(&owed), "{owed}");
}

#[test]
fn all_frames_of_a_tick_go_out_in_one_write_and_one_record() {
    for transport in TLS {
        let mut driver = Driver::open(transport);
        driver.connection.socket_mut().writes = 0;
        driver.peer().records = 0;
        for slot in 0..100 {
            owe(&mut driver, &[b'p'; 100], slot);
        }
        driver.flush();
        assert_eq!(driver.written().len(), 10_200);
        assert_eq!(driver.connection.socket_mut().writes, 1);
        assert_eq!(driver.peer().records, 1);
    }
}

#[test]
fn a_handshake_and_the_first_answer_are_two_writes() {
    let mut driver = Driver::new(TLS[1], [Step::Bytes(request().to_vec())]);
    driver.run();
    assert!(driver.connection.is_open());
    assert_eq!(driver.connection.socket_mut().writes, 2);
}

#[test]
fn an_answer_behind_a_handshake_of_which_not_all_was_taken_ends_like_any_other() {
    let mut driver = Driver::new(TLS[1], []);
    driver.turn(false);
    driver.flush();
    // The tickets, which come behind the client's last word.
    driver.connection.socket_mut().room = 0;
    driver.turn(false);
    assert!(!driver.connection.is_shaking_hands() && driver.flush().blocked);
    driver.then(Step::Bytes(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()));
    driver.turn(false);
    driver.connection.socket_mut().room = usize::MAX;
    driver.flush();
    assert!(driver.written().ends_with(b"\r\n\r\nok\n"));
    assert!(driver.connection.is_finished());
}

#[test]
fn at_rest_a_connection_by_tls_holds_no_buffer() {
    for transport in TLS {
        let mut driver = Driver::open(transport);
        driver.then(Step::Bytes(text("{}")));
        owe(&mut driver, b"position", 0);
        driver.run();
        driver.flush();
        assert_eq!(driver.connection.stream_heap_bytes(), 0);
    }
}

#[test]
fn the_peers_end_is_its_close_notify_or_the_sockets() {
    for transport in TLS {
        for is_notified in [true, false] {
            let mut driver = Driver::open(transport);
            if is_notified {
                driver.peer().end();
            } else {
                driver.then(Step::End);
            }
            while driver.end.is_none() && driver.turn(true) {}
            assert_eq!(driver.end, Some(CloseReason::PeerGone), "{is_notified}");
        }
    }
}

#[test]
fn who_rests_too_long_hears_that_nothing_else_comes() {
    let step = Step::Bytes(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n".to_vec());
    let mut driver = Driver::new(TLS[1], [step]);
    driver.may_stay = true;
    driver.run();
    assert!(driver.connection.is_resting());
    assert!(!driver.connection.close(CloseReason::Answered, driver.now));
    assert!(driver.peer().has_heard_end);
}

#[test]
fn what_is_no_tls_ends_with_an_alert_and_then_the_write_side_is_shut() {
    let record = [0x17, 0x03, 0x03, 0x00, 0x03, 1, 2, 3];
    let mut drivers = vec![Driver::open(TLS[0]), Driver::open(TLS[1])];
    for (driver, bytes) in [
        (Driver::new(TLS[1], []), &b"\x00\x01\x02\x03\x04\x05"[..]),
        (Driver::new(TLS[1], []), b"\x16\x03\x01\xff\xff\x01"),
        (drivers.remove(0), &record),
        (drivers.remove(0), &record),
    ] {
        let mut driver = driver;
        let peer = driver.connection.socket_mut().peer.take();
        driver.then(Step::Bytes(bytes.to_vec()));
        driver.turn(false);
        assert_eq!(driver.end, Some(CloseReason::TlsFailed), "{bytes:?}");
        assert!(driver.connection.close(CloseReason::TlsFailed, driver.now));
        driver.flush();
        assert!(driver.connection.is_finished());
        let alert = driver.written();
        // TLS 1.3 has it look like any other record.
        assert!(
            matches!(alert[..], [21 | 23, 3, 3 | 1, 0, 2..=30, ..]),
            "{alert:?}"
        );
        driver.then(Step::Bytes(vec![0xff; 10_000]));
        driver.then(Step::End);
        driver.end = None;
        while driver.end.is_none() && driver.turn(true) {}
        assert_eq!(driver.end, Some(CloseReason::PeerGone));
        assert_eq!(driver.connection.ending(), Some(CloseReason::TlsFailed));
        drop(peer);
    }
}

#[test]
fn a_fault_behind_half_a_message_ends_the_session_and_not_the_server() {
    // A message of 255 bytes, of which a record has 36, and then what may not stand there.
    let half = [&[22, 3, 1, 0, 40, 1, 0, 0, 255][..], &[1; 36]].concat();
    // A message that is never whole, though much of it comes.
    let endless = [&[22, 3, 1, 0x40, 0, 1, 0, 0xff, 0xff][..], &[1; 16_380]].concat();
    let more = [&[22, 3, 1, 0x40, 0][..], &[1; 16_384]].concat();
    for bytes in [
        [&half[..], &[21, 3, 3, 0, 2, 1, 0]].concat(),
        [&half[..], &[0; 5]].concat(),
        [&half[..], &[23, 3, 3, 0, 1, 0]].concat(),
        [&half[..], &[20, 3, 3, 0, 1, 2]].concat(),
        [&endless[..], &more].concat(),
    ] {
        for cut in [Cut::Nowhere, Cut::Every(1)] {
            let mut driver = Driver::new(TLS[1].cut(cut), []);
            driver.connection.socket_mut().peer = None;
            driver.then(Step::Bytes(bytes.clone()));
            while driver.turn(false) {}
            assert_eq!(driver.end, Some(CloseReason::TlsFailed), "{bytes:?}");
            assert!(driver.connection.close(CloseReason::TlsFailed, driver.now));
            driver.flush();
            assert!(driver.connection.is_finished());
            assert_eq!(driver.connection.stream_heap_bytes(), 0);
        }
    }
}

#[test]
fn behind_the_last_word_nothing_is_answered() {
    for transport in TLS {
        let mut driver = Driver::open(transport);
        assert!(driver.connection.close(CloseReason::Binary, driver.now));
        driver.flush();
        assert!(driver.connection.is_finished());
        driver.written();
        // What would be answered by a change of keys, and what would be by an alert.
        driver.peer().change_keys();
        driver.then(Step::Bytes(text("{}")));
        driver.run();
        driver.connection.socket_mut().peer = None;
        driver.then(Step::Bytes(vec![0; 100]));
        driver.run();
        assert!(!driver.connection.owes() && driver.written().is_empty());
        assert_eq!((driver.end, driver.heard.len()), (None, 1));
    }
}

#[test]
fn a_request_without_tls_is_told_to_use_https() {
    for cut in 1..20 {
        let request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
        let mut driver = Driver::new(TLS[1], []);
        driver.connection.socket_mut().peer = None;
        driver.then(Step::Bytes(request[..cut].to_vec()));
        driver.then(Step::WouldBlock);
        driver.then(Step::Bytes(request[cut..].to_vec()));
        driver.run();
        let written = String::from_utf8(driver.written()).expect("UTF-8");
        assert!(written.starts_with("HTTP/1.1 400 "), "{written}");
        assert!(written.contains("https://"), "{written}");
        assert!(driver.connection.is_finished());
    }
}

#[test]
fn who_does_not_shake_hands_in_time_is_dropped_however_it_drips() {
    let mut driver = Driver::new(TLS[1].cut(Cut::Every(1)), []);
    for _ in 0..100 {
        driver.turn_once(false);
        driver.flush();
    }
    assert!(driver.connection.is_shaking_hands());
    driver.now += TIMEOUTS.handshake;
    let expired = driver.connection.expire(&TIMEOUTS, driver.now);
    assert_eq!(expired, Err(CloseReason::HandshakeTimeout));
}

#[test]
fn a_change_of_keys_is_followed_in_both_directions() {
    let mut driver = Driver::open(TLS[1]);
    for round in 0..3 {
        assert!(driver.peer().change_keys());
        driver.then(Step::Bytes(text("{}")));
        driver.then(Step::Bytes(ping("p")));
        driver.run();
        assert_eq!(driver.heard.len(), 2 + round);
        assert_eq!(driver.written(), b"\x8a\x01p");
    }
}
