//! Requests of plain HTTP, one behind the other on one connection, however they are cut.

use std::time::Duration;

use spectate::server::wire::close::CloseReason;

use crate::script::{Driver, Step, TIMEOUTS};

/// A few requests as proxies and apps send them, and what is heard of each.
pub(crate) const REQUESTS: [(&str, &str); 6] = [
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

pub(crate) fn all_requests() -> String {
    REQUESTS.map(|(request, _)| request).concat()
}

fn persistent(steps: impl IntoIterator<Item = Step>) -> Driver {
    let mut driver = Driver::new(steps);
    driver.may_stay = true;
    driver
}

/// Expects that all requests were heard, and answered in their order.
pub(crate) fn expect_all(mut driver: Driver, case: &str) {
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
    for cut in 0..bytes.len() {
        let (first, second) = bytes.split_at(cut);
        let steps = [
            Step::Bytes(first.to_vec()),
            Step::WouldBlock,
            Step::Bytes(second.to_vec()),
        ];
        expect_all(persistent(steps), &format!("cut at {cut}"));
    }
    let single = bytes
        .iter()
        .flat_map(|byte| [Step::Bytes(vec![*byte]), Step::WouldBlock]);
    expect_all(persistent(single), "byte by byte");
}

#[test]
fn what_comes_behind_a_request_is_not_read_before_it_is_answered() {
    let mut driver = persistent([Step::Bytes(all_requests().into_bytes())]);
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

#[test]
fn whoever_asks_whether_its_body_is_welcome_is_told_so_once_and_first() {
    let head =
        "POST /track HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
    let mut driver = persistent([Step::Bytes(head.into())]);
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
    let mut driver = persistent([Step::Bytes(format!("{head}a=1&").into())]);
    driver.run();
    assert!(driver.written().starts_with(b"HTTP/1.1 200 OK"));
    let head = head.replace(": 4", ": 4000000");
    let mut driver = persistent([Step::Bytes(head.into())]);
    driver.run();
    assert!(driver.written().starts_with(b"HTTP/1.1 413 "));
    // What is not out yet goes before the answer.
    let head =
        "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut driver = persistent([Step::Bytes(head.into())]);
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

#[test]
fn a_body_has_a_second_for_each_16_kib_that_came_and_a_request_a_minute_for_the_next() {
    let moment = Duration::from_millis(1);
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n";
    let body = "x".repeat(40 * 1024);
    let mut driver = persistent([
        Step::Bytes(format!("{head}{body}").into()),
        Step::WouldBlock,
    ]);
    driver.run();
    let earned = Duration::from_secs(2);
    driver.now += TIMEOUTS.handshake + earned - moment;
    assert_eq!(driver.connection.expire(&TIMEOUTS, driver.now), Ok(false));
    driver.now += moment;
    assert_eq!(
        driver.connection.expire(&TIMEOUTS, driver.now),
        Err(CloseReason::BodyTimeout)
    );
    let mut driver = persistent([Step::Bytes(REQUESTS[0].0.into())]);
    driver.run();
    driver.now += Duration::from_secs(60) - moment;
    assert_eq!(driver.connection.expire(&TIMEOUTS, driver.now), Ok(false));
    driver.now += moment;
    assert_eq!(
        driver.connection.expire(&TIMEOUTS, driver.now),
        Err(CloseReason::Answered)
    );
    // The head of the next has the time of the first.
    let mut driver = persistent([Step::Bytes(REQUESTS[0].0.into())]);
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

#[test]
fn bodies_of_which_a_part_came_hold_16_mib_together_and_whole_ones_need_no_room() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n";
    let begun = format!("{head}{}", "x".repeat(1_000_000));
    let begin = |driver: &mut Driver| {
        driver.then(Step::Bytes(begun.clone().into()));
        driver.run();
    };
    let mut first = persistent([]);
    begin(&mut first);
    let mut others = Vec::new();
    loop {
        let mut driver = persistent([]);
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
    let mut whole = persistent([Step::Bytes(REQUESTS[0].0.into())]);
    std::mem::swap(&mut whole.reader, &mut first.reader);
    whole.run();
    assert_eq!(whole.heard, [REQUESTS[0].1]);
    // Who goes leaves the room to others.
    others.truncate(10);
    let mut driver = persistent([]);
    std::mem::swap(&mut driver.reader, &mut whole.reader);
    begin(&mut driver);
    assert!(driver.heard.is_empty());
}
