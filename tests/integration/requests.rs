//! Plain HTTP: many requests on one connection, where a body ends, and how many connections there
//! may be.

use std::time::Instant;

use crate::access;
use crate::phone::{Phone, get, post};
use crate::support::{Answer, Server, WAIT, read_head, reset, upgrade};

const OWN: &str = r#"{"userId":5,"lat":1,"lng":2}"#;
const TAKEN: &str = r#"{"accepted":1,"late":0,"refused":0}"#;

#[test]
fn requests_on_one_connection_are_answered_in_their_order_whatever_they_are() {
    let server = Server::start(&[]);
    let mut phone = Phone::new(&server);
    let requests = [
        get("/healthz", ""),
        post("/track", "", OWN),
        get("/map/style.css", ""),
        get("/positions?ids=5", ""),
        get("/track?id=5", ""),
        "HEAD / HTTP/1.1\r\nHost: t\r\n\r\n".replace("HEAD", "OPTIONS"),
        post("/?id=6&lat=1&lon=2", "Connection: keep-alive\r\n", ""),
        get("/healthz", "Connection: close\r\n"),
    ];
    // Once each by itself, and once all at once.
    for request in &requests[..7] {
        let answer = phone.ask(request);
        assert_eq!(answer.header("Connection"), None, "{request}");
    }
    phone.send(requests.concat());
    let answers = requests.map(|_| phone.receive());
    let status = answers.each_ref().map(|answer| answer.status);
    assert_eq!(status, [200, 200, 200, 200, 200, 204, 200, 200]);
    assert_eq!(answers[0].body, "ok\n");
    assert_eq!(answers[1].body, TAKEN);
    assert!(answers[3].body.contains(r#""source":"json""#));
    assert_eq!(answers[7].header("Connection"), Some("close"));
    assert!(phone.is_ended());
}

#[test]
fn a_websocket_may_be_opened_behind_other_requests() {
    let server = Server::start(&["--max-http-connections", "1"]);
    let mut phone = Phone::new(&server);
    assert_eq!(phone.post("/track", "", OWN).status, 200);
    assert_eq!(server.metric("spectate_http_connections"), 1.0);
    phone.send(upgrade(""));
    assert!(read_head(&mut phone.0).starts_with("HTTP/1.1 101 "));
    let mut client = crate::support::Client::after_handshake(phone.0);
    client.hello("7", "[5]");
    assert!(
        client
            .receive()
            .starts_with(r#"{"userId":"5","lat":1,"lng":2,"age""#)
    );
    server.wait_for_metric("spectate_http_connections", 1.0);
    assert_eq!(server.metric("spectate_connections"), 1.0);
    assert_eq!(
        server.get("/positions?ids=5").status,
        200,
        "its place is free"
    );
}

#[test]
fn what_leaves_a_doubt_about_its_end_is_refused_and_nothing_behind_it_is_a_request() {
    let server = Server::start(&[]);
    let (mut follower, _) = server.spectator("[5,6]");
    let smuggled = post("/track", "", r#"{"userId":6,"lat":6,"lng":6}"#);
    let ends = [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length: 0x5",
        "Content-Length: -5",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding : chunked",
        "Content-Length : 5",
        "Content-Length: 5\r\n Content-Length: 6",
        "\u{b}Transfer-Encoding: chunked",
    ];
    // Where a chunk or the trailer ends differently for others.
    for body in [
        "2;\nxx\r\n{}\r\n0\r\n\r\n",
        "2\r\n{}\r\n0\r\n\n",
        "2\r\n{}\r\n0\r\n \r\n",
        "2\r\n{}\r\n0\r\nx y\r\n\r\n",
    ] {
        let mut phone = Phone::new(&server);
        phone.send(format!(
            "POST /track HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n{body}{smuggled}"
        ));
        assert_eq!(phone.receive().status, 400, "{body:?}");
        assert!(phone.is_ended(), "{body:?}");
    }
    for end in ends {
        for line in [
            "POST /track HTTP/1.1",
            "GET /track?id=5 HTTP/1.1",
            "GET /healthz HTTP/1.1",
        ] {
            let mut phone = Phone::new(&server);
            phone.send(format!(
                "{line}\r\nHost: t\r\n{end}\r\n\r\n0\r\n\r\n{smuggled}"
            ));
            let answer = phone.receive();
            assert_eq!(answer.status, 400, "{line} {end}");
            assert_eq!(answer.header("Connection"), Some("close"));
            assert!(phone.is_ended(), "{line} {end}");
        }
    }
    // A body where none means anything is none of the next request.
    let mut phone = Phone::new(&server);
    let body = post("/healthz", "", &smuggled).replacen("POST", "GET", 1);
    assert_eq!(phone.ask(&body).status, 200);
    assert!(phone.is_ended());
    let mut phone = Phone::new(&server);
    let body = post("/track?id=5", "", &smuggled).replacen("POST", "GET", 1);
    assert_eq!(phone.ask(&body).status, 200);
    assert_eq!(phone.ask(&get("/healthz", "")).body, "ok\n");
    assert!(follower.barrier().is_empty(), "nobody moved");
}

#[test]
fn a_body_that_is_too_long_or_never_ends_is_refused_or_cut_and_moves_nobody() {
    let server = Server::start(&["--handshake-timeout", "1s"]);
    let (mut follower, _) = server.spectator("[5]");
    let begun = r#"[{"userId":5,"lat":1,"lng":2},"#;
    let mut phone = Phone::new(&server);
    phone.send("POST /track HTTP/1.1\r\nHost: t\r\nContent-Length: 2097152\r\n\r\n");
    assert_eq!(phone.receive().status, 413);
    let mut phone = Phone::new(&server);
    phone.send("POST /track HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
    phone.send(format!("{:x}\r\n{begun}", 1024 * 1024));
    phone.send(vec![b' '; 1024 * 1024 - begun.len()]);
    phone.send("\r\n1\r\n");
    assert_eq!(phone.receive().status, 413);
    for size in ["ffffffffffffffff", "10000000000000000", "fffffffff"] {
        let mut phone = Phone::new(&server);
        phone.send("POST /track HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
        phone.send(format!("{size}\r\n"));
        let status = phone.receive().status;
        assert!([400, 413].contains(&status), "{size} {status}");
    }
    let begin = Instant::now();
    let mut phone = Phone::new(&server);
    phone.send("POST /track HTTP/1.1\r\nHost: t\r\nContent-Length: 1000\r\n\r\n");
    phone.send(begun);
    assert!(phone.is_ended());
    assert!(begin.elapsed() < WAIT / 2);
    assert_eq!(
        server.metric("spectate_connections_closed_total{reason=\"body_timeout\"}"),
        1.0
    );
    assert!(follower.barrier().is_empty(), "nobody moved");
}

#[test]
fn a_report_that_breaks_off_anywhere_moves_nobody() {
    let server = Server::start(&[]);
    let (mut follower, _) = server.spectator("[5]");
    for request in [
        post("/track", "", OWN),
        format!(
            "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n1c\r\n{OWN}\r\n0\r\n\r\n"
        ),
    ] {
        for end in 1..request.len() {
            let mut phone = Phone::new(&server);
            phone.send(&request[..end]);
            match end % 2 {
                0 => drop(phone),
                _ => reset(&phone.0),
            }
        }
        assert!(follower.barrier().is_empty(), "nobody moved");
        let mut phone = Phone::new(&server);
        assert_eq!(phone.ask(&request).body, TAKEN);
        assert_eq!(follower.receive(), r#"{"userId":"5","lat":1,"lng":2}"#);
    }
}

/// The head of a report whose body is still to come.
fn begin(headers: &str) -> String {
    format!(
        "POST /track HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n{headers}\r\n",
        OWN.len()
    )
}

#[test]
fn phones_and_watchers_do_not_crowd_each_other_out() {
    let server = Server::start(&["--max-http-connections", "2", "--max-connections", "2"]);
    // A report counts from its head on.
    let mut phones = [(); 2].map(|()| Phone::new(&server));
    for phone in &mut phones {
        phone.send(begin("Expect: 100-continue\r\n"));
        assert_eq!(read_head(&mut phone.0), "HTTP/1.1 100 Continue\r\n\r\n");
    }
    for request in [post("/track", "", OWN), begin("Expect: 100-continue\r\n")] {
        let mut third = Phone::new(&server);
        let answer = third.ask(&request);
        assert_eq!(answer.status, 503);
        assert!(answer.header("Retry-After").is_some(), "{answer:?}");
        assert!(third.is_ended());
    }
    for path in ["/", "/positions?ids=5"] {
        assert_eq!(server.get(path).status, 503, "{path}");
    }
    let head = get("/", "").replacen("GET", "HEAD", 1);
    assert_eq!(Answer::to(server.socket(), head.as_bytes()).body, "");
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    assert_eq!(server.metric("spectate_http_connections"), 2.0);
    assert_eq!(
        server.metric("spectate_reports_rejected_total{status=\"503\"}"),
        2.0
    );
    let mut watchers = [(); 2].map(|()| server.join("7", "[5]"));
    for watcher in &mut watchers {
        watcher.barrier();
    }
    // Those who are in stay in.
    phones[0].send(OWN);
    assert_eq!(phones[0].receive().body, TAKEN);
    for watcher in &mut watchers {
        assert_eq!(watcher.receive(), r#"{"userId":"5","lat":1,"lng":2}"#);
    }
}

#[test]
fn who_has_rested_longest_makes_room_for_who_has_something_to_say() {
    let server = Server::start(&["--max-http-connections", "2"]);
    let mut phones = [(); 2].map(|()| Phone::new(&server));
    for phone in &mut phones {
        assert_eq!(phone.post("/track", "", OWN).body, TAKEN);
    }
    // The first has rested for less time now.
    assert_eq!(phones[0].post("/track", "", OWN).body, TAKEN);
    let mut third = Phone::new(&server);
    assert_eq!(third.post("/track", "", OWN).body, TAKEN);
    assert!(phones[1].is_ended());
    assert_eq!(phones[0].post("/track", "", OWN).body, TAKEN);
    assert_eq!(third.post("/track", "", OWN).body, TAKEN);
}

#[test]
fn whoever_will_be_refused_is_told_before_the_body_comes() {
    let (server, _file) = access::start("expected", &[]);
    let good = format!("Authorization: Bearer {}\r\n", access::five());
    for (headers, status) in [
        (String::new(), 401),
        ("Authorization: Bearer x\r\n".to_owned(), 401),
        ("Origin: http://evil.example\r\n".to_owned(), 403),
    ] {
        let mut phone = Phone::new(&server);
        let answer = phone.ask(&begin(&headers));
        assert_eq!(answer.status, status, "{headers}");
        assert_eq!(answer.header("Connection"), Some("close"));
        assert!(phone.is_ended());
    }
    let mut phone = Phone::new(&server);
    phone.send(begin(&good));
    phone.send(OWN);
    assert_eq!(phone.receive().body, TAKEN);
}

#[test]
fn a_server_that_stops_lets_kept_connections_go_and_takes_no_reports() {
    let server = Server::start(&["--drain", "10s"]);
    let mut watcher = server.join("7", "[5]");
    let mut phone = Phone::new(&server);
    let mut late = Phone::new(&server);
    for phone in [&mut phone, &mut late] {
        assert_eq!(phone.post("/track", "", OWN).status, 200);
    }
    watcher.barrier();
    server.signal(rustix::process::Signal::TERM);
    assert_eq!(watcher.receive_until_close().1, 1012);
    let answer = phone.post("/track", "", OWN);
    assert_eq!(
        (answer.status, answer.header("Connection")),
        (503, Some("close"))
    );
    assert!(answer.header("Retry-After").is_some());
    // The other is waited for by nobody.
    drop((watcher, phone));
    let begin = Instant::now();
    assert_eq!(server.wait().0.code(), Some(0));
    assert!(begin.elapsed() < WAIT / 4);
    assert!(late.is_ended());
}
