//! Requests of plain HTTP, one behind the other on one connection, however they are cut.

use std::time::Duration;

use spectate::server::wire::close::CloseReason;

use crate::script::{Driver, Step, TIMEOUTS};
use crate::transport::{Cut, KINDS, TRANSPORTS, Transport};

/// A few requests as proxies and apps send them, and what is heard of each.
const REQUESTS: [(&str, &str); 6] = [
    (
        "POST /track?id=5 HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\nlat=1.5",
        "report id=5 lat=1.5",
    ),
    ("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", "Healthz"),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n1;a=b\r\n\n\r\n0\r\nA: b\r\n\r\n",
        "report  {}\n",
    ),
    // A body that means nothing.
    (
        "GET /?lat=1&lon=2&id=5 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nxx",
        "report lat=1&lon=2&id=5 ",
    ),
    // White space between requests is passed over.
    ("\r\nGET /readyz HTTP/1.1\r\nHost: a\r\n\r\n", "Readyz"),
    (
        "POST /pub HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        "report  ",
    ),
];

fn all_requests() -> String {
    REQUESTS.map(|(request, _)| request).concat()
}

fn persistent(transport: Transport, steps: impl IntoIterator<Item = Step>) -> Driver {
    let mut driver = Driver::ready(transport, steps);
    driver.may_stay = true;
    driver
}

/// Expects that all requests were heard, and answered in their order.
fn expect_all(driver: &mut Driver, case: &str) {
    driver.run();
    assert_eq!(driver.heard, REQUESTS.map(|(_, heard)| heard), "{case}");
    let written = String::from_utf8(driver.written()).expect("UTF-8");
    let bodies: Vec<&str> = written
        .split("HTTP/1.1 200 OK\r\n")
        .skip(1)
        .filter_map(|answer| answer.split_once("\r\n\r\n"))
        .map(|(_, body)| body)
        .collect();
    let expected = ["taken\n", "ok\n", "taken\n", "taken\n", "ok\n", "taken\n"];
    assert_eq!(bodies, expected, "{case}: {written}");
    assert_eq!(written.matches("Connection: close").count(), 1, "{case}");
    assert!(driver.connection.is_finished(), "{case}");
}

#[test]
fn requests_cut_anywhere_are_answered_in_their_order() {
    let bytes = all_requests().into_bytes();
    for kind in KINDS {
        let run = |cut| {
            let mut driver = persistent(kind.cut(cut), [Step::Bytes(bytes.clone())]);
            expect_all(&mut driver, &format!("{cut:?}"));
            driver.connection.socket_mut().read
        };
        let begin = persistent(kind, []).connection.socket_mut().read;
        for at in begin..run(Cut::Nowhere) {
            run(Cut::At(at));
        }
        run(Cut::Every(1));
        let single = bytes
            .iter()
            .flat_map(|byte| [Step::Bytes(vec![*byte]), Step::WouldBlock]);
        expect_all(&mut persistent(kind, single), "byte by byte");
    }
}

#[test]
fn what_comes_behind_a_request_is_not_read_before_it_is_answered() {
    for transport in TRANSPORTS {
        let mut driver = persistent(transport, [Step::Bytes(all_requests().into_bytes())]);
        driver.connection.socket_mut().room = 10;
        driver.turn(false);
        for _ in 0..3 {
            driver.flush();
            assert!(!driver.connection.has_answered(driver.now));
            driver.turn(false);
        }
        assert_eq!(driver.heard, [REQUESTS[0].1]);
        driver.connection.socket_mut().room = usize::MAX;
        driver.flush();
        assert!(driver.connection.has_answered(driver.now));
        driver.turn(false);
        assert_eq!(driver.heard, [REQUESTS[0].1, REQUESTS[1].1]);
    }
}

#[test]
fn whoever_asks_whether_its_body_is_welcome_is_told_so_once_and_first() {
    for transport in TRANSPORTS {
        let head =
            "POST /track HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
        let mut driver = persistent(transport, [Step::Bytes(head.into())]);
        driver.turn(false);
        driver.flush();
        assert_eq!(driver.written(), b"HTTP/1.1 100 Continue\r\n\r\n");
        for (body, is_last) in [("a=", false), ("1&", true)] {
            driver.then(Step::Bytes(body.into()));
            driver.turn(false);
            driver.flush();
            assert_eq!(driver.written().starts_with(b"HTTP/1.1 200 OK"), is_last);
        }
        assert_eq!(driver.heard, ["report  a=1&"]);
        // Who does not wait is not told, and who is refused is not told to go on.
        let uncut = transport.cut(Cut::Nowhere);
        let mut driver = persistent(uncut, [Step::Bytes(format!("{head}a=1&").into())]);
        driver.run();
        assert!(driver.written().starts_with(b"HTTP/1.1 200 OK"));
        let head = head.replace(": 4", ": 4000000");
        let mut driver = persistent(transport, [Step::Bytes(head.into())]);
        driver.run();
        assert!(driver.written().starts_with(b"HTTP/1.1 413 "));
        // What is not out yet goes before the answer.
        let head = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n";
        let mut driver = persistent(transport, [Step::Bytes(head.into())]);
        driver.connection.socket_mut().room = 5;
        driver.turn(false);
        driver.flush();
        driver.then(Step::Bytes(b"x\r\n".to_vec()));
        driver.turn(false);
        driver.connection.socket_mut().room = usize::MAX;
        driver.flush();
        let written = String::from_utf8(driver.written()).expect("UTF-8");
        assert!(
            written.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 400 "),
            "{written}"
        );
    }
}

#[test]
fn a_body_has_a_second_for_each_16_kib_that_came_and_a_request_a_minute_for_the_next() {
    for transport in TRANSPORTS {
        let moment = Duration::from_millis(1);
        let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n";
        let body = "x".repeat(40 * 1024);
        let mut driver = persistent(
            transport,
            [
                Step::Bytes(format!("{head}{body}").into()),
                Step::WouldBlock,
            ],
        );
        driver.run();
        let earned = Duration::from_secs(2);
        driver.now += TIMEOUTS.handshake + earned - moment;
        assert_eq!(driver.connection.expire(&TIMEOUTS, driver.now), Ok(false));
        driver.now += moment;
        assert_eq!(
            driver.connection.expire(&TIMEOUTS, driver.now),
            Err(CloseReason::BodyTimeout)
        );
        let mut driver = persistent(transport, [Step::Bytes(REQUESTS[0].0.into())]);
        driver.run();
        driver.now += Duration::from_secs(60) - moment;
        assert_eq!(driver.connection.expire(&TIMEOUTS, driver.now), Ok(false));
        driver.now += moment;
        assert_eq!(
            driver.connection.expire(&TIMEOUTS, driver.now),
            Err(CloseReason::Answered)
        );
        // The head of the next has the time of the first.
        let mut driver = persistent(transport, [Step::Bytes(REQUESTS[0].0.into())]);
        driver.run();
        driver.now += Duration::from_secs(50);
        driver.then(Step::Bytes(b"G".to_vec()));
        driver.turn(false);
        driver.now += TIMEOUTS.handshake;
        assert_eq!(
            driver.connection.expire(&TIMEOUTS, driver.now),
            Err(CloseReason::HandshakeTimeout)
        );
    }
}

#[test]
fn bodies_of_which_a_part_came_hold_16_mib_together_and_whole_ones_need_no_room() {
    for transport in KINDS {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n";
        let begun = format!("{head}{}", "x".repeat(1_000_000));
        let begin = |driver: &mut Driver| {
            driver.then(Step::Bytes(begun.clone().into()));
            driver.run();
        };
        let mut first = persistent(transport, []);
        begin(&mut first);
        let mut others = Vec::new();
        loop {
            let mut driver = persistent(transport, []);
            std::mem::swap(&mut driver.reader, &mut first.reader);
            begin(&mut driver);
            std::mem::swap(&mut driver.reader, &mut first.reader);
            let is_refused = driver.heard == ["503"];
            assert!(is_refused || driver.heard.is_empty());
            others.push(driver);
            if is_refused {
                break;
            }
        }
        assert_eq!(others.len(), 16);
        let mut whole = persistent(transport, [Step::Bytes(REQUESTS[0].0.into())]);
        std::mem::swap(&mut whole.reader, &mut first.reader);
        whole.run();
        assert_eq!(whole.heard, [REQUESTS[0].1]);
        // Who goes leaves the room to others.
        others.truncate(10);
        let mut driver = persistent(transport, []);
        std::mem::swap(&mut driver.reader, &mut whole.reader);
        begin(&mut driver);
        assert!(driver.heard.is_empty());
    }
}
