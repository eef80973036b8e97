//! From the first byte to the first message: what upgrades, and how plain HTTP is answered.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use crate::access;
use crate::support::{Answer, Server, frame, read_head, text_frame, upgrade};

/// The answer to the example key of RFC 6455 (1.3), which [`upgrade`] sends.
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

const PING: [u8; 6] = [0x89, 0x80, 0, 0, 0, 0];
const PONG: [u8; 2] = [0x8a, 0x00];

/// Sends a request head, and asserts that it is accepted and that frames flow then.
fn assert_upgrades(server: &Server, head: &str) -> String {
    let mut socket = server.socket();
    socket
        .write_all(head.as_bytes())
        .expect("a server that reads");
    let answer = read_head(&mut socket);
    assert!(answer.starts_with("HTTP/1.1 101 "), "{head}\n{answer}");
    socket.write_all(&PING).expect("a server that reads");
    assert_eq!(read(&mut socket, PONG.len()), PONG);
    answer
}

fn read(socket: &mut TcpStream, bytes: usize) -> Vec<u8> {
    let mut read = vec![0; bytes];
    socket.read_exact(&mut read).expect("so many bytes");
    read
}

/// An unmasked text frame, as the server sends it.
fn server_frame(text: &str) -> Vec<u8> {
    assert!(text.len() < 126);
    [&[0x81, text.len() as u8], text.as_bytes()].concat()
}

fn answer(server: &Server, request: &str) -> Answer {
    let answer = Answer::to(server.socket(), request.as_bytes());
    let length: usize = answer
        .header("Content-Length")
        .and_then(|length| length.parse().ok())
        .expect("a length");
    if !request.starts_with("HEAD") {
        assert_eq!(answer.body.len(), length, "{answer:?}");
    }
    answer
}

#[test]
fn an_upgrade_is_accepted_on_any_path() {
    let server = Server::start(&[]);
    for path in ["/", "/ws", "/a/b?c=d", "/healthz", "/metrics", "/%20"] {
        let head = upgrade("").replacen("GET /", &format!("GET {path}"), 1);
        let answer = assert_upgrades(&server, &head);
        let lines: Vec<String> = answer.lines().map(str::to_ascii_lowercase).collect();
        assert!(lines.contains(&"upgrade: websocket".to_owned()), "{answer}");
        assert!(
            lines.contains(&"connection: upgrade".to_owned()),
            "{answer}"
        );
        assert!(
            answer.contains(&format!("Sec-WebSocket-Accept: {ACCEPT}\r\n")),
            "{answer}"
        );
        assert!(!answer.to_ascii_lowercase().contains("extensions"));
    }
}

#[test]
fn header_names_and_tokens_are_taken_in_any_case_and_in_lists() {
    let server = Server::start(&[]);
    for (from, to) in [
        ("Connection: Upgrade", "Connection: keep-alive, Upgrade"),
        ("Connection: Upgrade", "connection:upgrade"),
        (
            "Connection: Upgrade",
            "CONNECTION: keep-alive\r\nConnection: uPGRADE ,x",
        ),
        ("Upgrade: websocket", "UPGRADE: WebSocket"),
        ("Upgrade: websocket", "upgrade: h2c, websocket"),
        ("Sec-WebSocket-Key", "sec-websocket-key"),
        ("Sec-WebSocket-Version: 13", "SEC-WEBSOCKET-VERSION:13"),
        ("Host: test", "hOST: test:8080"),
    ] {
        let head = upgrade("Sec-WebSocket-Extensions: permessage-deflate\r\n");
        assert!(head.contains(from));
        let answer = assert_upgrades(&server, &head.replace(from, to));
        assert!(answer.contains(ACCEPT), "{to}: {answer}");
        assert!(!answer.to_ascii_lowercase().contains("extensions"));
    }
}

#[test]
fn the_subprotocol_is_answered_when_it_is_offered_and_never_otherwise() {
    let server = Server::start(&[]);
    for (offer, answered) in [
        ("", false),
        ("Sec-WebSocket-Protocol: chat\r\n", false),
        ("Sec-WebSocket-Protocol: spectate.v10\r\n", false),
        ("Sec-WebSocket-Protocol: bearer.abc\r\n", false),
        ("Sec-WebSocket-Protocol: spectate.v1\r\n", true),
        ("sec-websocket-protocol: spectate.v1, bearer.abc\r\n", true),
        ("Sec-WebSocket-Protocol: chat,spectate.v1\r\n", true),
        (
            "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: spectate.v1\r\n",
            true,
        ),
    ] {
        let answer = assert_upgrades(&server, &upgrade(offer));
        let lines: Vec<&str> = answer
            .lines()
            .filter(|line| {
                line.to_ascii_lowercase()
                    .starts_with("sec-websocket-protocol")
            })
            .collect();
        let expected: &[&str] = if answered {
            &["Sec-WebSocket-Protocol: spectate.v1"]
        } else {
            &[]
        };
        assert_eq!(lines, expected, "{offer}");
        assert!(!answer.contains("bearer"));
    }
}

#[test]
fn frames_that_come_in_one_segment_with_the_request_are_read() {
    let server = Server::start(&[]);
    let position = r#"{"userId":5,"lat":1,"lng":2}"#;
    let hello = r#"{"initialRequest":true,"userId":5,"following":[5]}"#;
    let mut bytes = upgrade("").into_bytes();
    bytes.extend(text_frame(hello));
    for _ in 0..100 {
        bytes.extend(text_frame(position));
    }
    let mut socket = server.socket();
    socket.write_all(&bytes).expect("a server that reads");
    read_head(&mut socket);
    for _ in 0..100 {
        let frame = server_frame(position);
        assert_eq!(read(&mut socket, frame.len()), frame);
    }
}

#[test]
fn half_a_frame_that_comes_with_the_request_waits_for_its_rest() {
    let server = Server::start(&[]);
    let position = r#"{"userId":5,"lat":1,"lng":2}"#;
    let frames = [
        text_frame(r#"{"initialRequest":true,"userId":5,"following":[5]}"#),
        text_frame(position),
    ]
    .concat();
    for cut in [1, 2, 5, 20, frames.len() - 1] {
        let mut socket = server.socket();
        let first = [upgrade("").as_bytes(), &frames[..cut]].concat();
        socket.write_all(&first).expect("a server that reads");
        read_head(&mut socket);
        socket
            .write_all(&frames[cut..])
            .expect("a server that reads");
        // The last known position of the round before may come first.
        let mut arrived = Vec::new();
        while !arrived.ends_with(&server_frame(position)) {
            arrived.extend(read(&mut socket, 1));
        }
    }
}

#[test]
fn a_head_and_frames_that_come_byte_by_byte_are_understood() {
    let server = Server::start(&[]);
    let position = r#"{"userId":5,"lat":1,"lng":2}"#;
    let mut socket = server.socket();
    for byte in upgrade("").bytes() {
        socket.write_all(&[byte]).expect("a server that reads");
    }
    let mut answer = read_head(&mut socket);
    assert!(answer.contains(ACCEPT), "{answer}");
    let hello = r#"{"initialRequest":true,"userId":5,"following":[5]}"#;
    for byte in [text_frame(hello), text_frame(position)].concat() {
        socket.write_all(&[byte]).expect("a server that reads");
    }
    let frame = server_frame(position);
    assert_eq!(read(&mut socket, frame.len()), frame);
    let mut plain = server.socket();
    for byte in b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n" {
        plain.write_all(&[*byte]).expect("a server that reads");
    }
    answer = Answer::read(&mut plain).body;
    assert_eq!(answer.trim_end(), "ok");
}

#[test]
fn a_head_with_frames_and_the_end_of_the_stream_at_once_is_carried_out() {
    let server = Server::start(&[]);
    let (mut witness, _) = server.spectator("[5]");
    let position = r#"{"userId":5,"lat":1,"lng":2}"#;
    for _ in 0..20 {
        let hello = r#"{"initialRequest":true,"userId":5,"following":[]}"#;
        let bytes = [
            upgrade("").as_bytes(),
            &text_frame(hello),
            &text_frame(position),
        ]
        .concat();
        let mut socket = server.socket();
        socket.write_all(&bytes).expect("a server that reads");
        socket.shutdown(Shutdown::Write).expect("a connection");
        assert_eq!(witness.receive(), position);
        assert!(read_head(&mut socket).contains(ACCEPT));
    }
    server.wait_for_metric("spectate_connections", 1.0);
}

#[test]
fn a_plain_request_and_the_end_of_the_stream_at_once_is_answered() {
    let server = Server::start(&[]);
    for _ in 0..20 {
        let mut socket = server.socket();
        socket
            .write_all(b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n")
            .expect("a server that reads");
        socket.shutdown(Shutdown::Write).expect("a connection");
        assert_eq!(Answer::read(&mut socket).status, 200);
    }
}

#[test]
fn healthz_says_ok() {
    let server = Server::start(&[]);
    for request in [
        "GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n",
        "GET /healthz?verbose=1 HTTP/1.1\r\nHost: test\r\n\r\n",
        "GET /healthz HTTP/1.0\r\n\r\n",
        "GET /healthz HTTP/1.0\r\nHost: test\r\nConnection: keep-alive\r\n\r\n",
    ] {
        let answer = answer(&server, request);
        assert_eq!(answer.status, 200, "{request}");
        assert_eq!(answer.body.trim_end(), "ok");
    }
    let readyz = answer(&server, "GET /readyz HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(readyz.status, 200);
}

#[test]
fn http_1_0_is_answered_on_every_path_without_a_host() {
    let server = Server::start(&[]);
    for path in ["/healthz", "/readyz", "/metrics", "/positions?ids=5"] {
        for method in ["GET", "HEAD"] {
            let answer = answer(&server, &format!("{method} {path} HTTP/1.0\r\n\r\n"));
            assert_eq!(answer.status, 200, "{method} {path}");
            assert_eq!(answer.body.is_empty(), method == "HEAD", "{path}");
        }
    }
}

#[test]
fn head_gets_the_head_of_get_and_no_body() {
    let server = Server::start(&[]);
    for (path, status) in [("/healthz", 200), ("/readyz", 200), ("/nowhere", 404)] {
        let [get, head] = ["GET", "HEAD"].map(|method| {
            answer(
                &server,
                &format!("{method} {path} HTTP/1.1\r\nHost: t\r\n\r\n"),
            )
        });
        assert_eq!((get.status, head.status), (status, status));
        assert_eq!(head.body, "");
        assert_eq!(head.head, get.head);
        assert!(!get.body.is_empty());
    }
    let metrics = answer(&server, "HEAD /metrics HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!((metrics.status, metrics.body.as_str()), (200, ""));
    assert_ne!(metrics.header("Content-Length"), Some("0"));
}

#[test]
fn requests_that_cannot_be_served_are_told_why() {
    let server = Server::start(&[]);
    let good = upgrade("");
    let cases = [
        ("GET /nowhere HTTP/1.1\r\nHost: t\r\n\r\n".to_owned(), 404),
        ("GET /healthz/ HTTP/1.1\r\nHost: t\r\n\r\n".to_owned(), 404),
        ("garbage\r\n\r\n".to_owned(), 400),
        ("\u{16}\u{3}\u{1}\u{2}\u{0}\r\n\r\n".to_owned(), 400),
        (
            "GET /healthz HTTP/1.1\r\nHost: t\r\nbad header\r\n\r\n".to_owned(),
            400,
        ),
        ("GET /healthz HTTP/1.1\r\n\r\n".to_owned(), 400),
        (
            "GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned(),
            400,
        ),
        ("GET /healthz HTTP/2.0\r\nHost: t\r\n\r\n".to_owned(), 505),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), 505),
        (good.replace("Host: test\r\n", ""), 400),
        (good.replace("Connection: Upgrade\r\n", ""), 400),
        (
            good.replace("Connection: Upgrade", "Connection: close"),
            400,
        ),
        (
            good.replace("Connection: Upgrade", "Connection: Upgraded"),
            400,
        ),
        (
            good.replace("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""),
            400,
        ),
        (
            upgrade("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"),
            400,
        ),
        (
            good.replace("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j"),
            400,
        ),
        (
            good.replace("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ="),
            400,
        ),
        (
            good.replace("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub2*jZQ=="),
            400,
        ),
        (good.replace("dGhlIHNhbXBsZSBub25jZQ==", ""), 400),
        (good.replace("HTTP/1.1", "HTTP/1.0"), 400),
        (good.replace("Version: 13", "Version: 8"), 426),
        (good.replace("Version: 13", "Version: 14"), 426),
        (good.replace("Version: 13", "Version: 013"), 426),
        (good.replace("Sec-WebSocket-Version: 13\r\n", ""), 426),
        (good.replace("GET", "POST"), 405),
    ];
    for (request, status) in cases {
        let answer = answer(&server, &request);
        assert_eq!(answer.status, status, "{request:?}: {answer:?}");
        assert!(!answer.body.trim().is_empty(), "{answer:?}");
        match status {
            405 => assert!(answer.header("Allow").is_some()),
            426 => assert_eq!(answer.header("Sec-WebSocket-Version"), Some("13")),
            _ => {}
        }
    }
    assert_eq!(server.metric("spectate_connections"), 0.0);
}

#[test]
fn another_method_than_get_or_head_is_told_what_is_allowed() {
    let server = Server::start(&[]);
    for method in ["POST", "PUT", "DELETE", "options", "PATCH", "BREW"] {
        for path in ["/healthz", "/readyz", "/metrics"] {
            let request = format!("{method} {path} HTTP/1.1\r\nHost: t\r\n\r\n");
            let answer = answer(&server, &request);
            assert_eq!(answer.status, 405, "{request}");
            assert_eq!(answer.header("Allow"), Some("GET, HEAD, OPTIONS"));
        }
    }
}

#[test]
fn options_are_answered_as_health_checks_of_proxies_ask_for_them() {
    let (server, _file) = access::start("options", &[]);
    for target in [
        "/",
        "*",
        "/healthz",
        "/readyz",
        "/metrics",
        "/map/dom.js",
        "/positions",
    ] {
        for rest in ["HTTP/1.0\r\n\r\n", "HTTP/1.1\r\nHost: t\r\n\r\n"] {
            let request = format!("OPTIONS {target} {rest}");
            let answer = Answer::to(server.socket(), request.as_bytes());
            assert_eq!(
                (answer.status, answer.body.as_str()),
                (204, ""),
                "{request}"
            );
            let allowed = match target {
                "/" | "*" => "GET, HEAD, POST, OPTIONS",
                _ => "GET, HEAD, OPTIONS",
            };
            assert_eq!(answer.header("Allow"), Some(allowed));
            // There is no content whose length could be told (RFC 9110, 8.6).
            assert_eq!(answer.header("Content-Length"), None);
        }
    }
    let nowhere = Answer::to(server.socket(), b"OPTIONS /nowhere HTTP/1.0\r\n\r\n");
    assert_eq!(nowhere.status, 404);
}

#[test]
fn a_request_is_answered_though_a_body_comes_with_it() {
    let server = Server::start(&[]);
    for (line, status) in [
        ("GET /healthz", 200),
        ("POST /healthz", 405),
        ("PUT /x", 404),
    ] {
        let body = "x".repeat(200_000);
        let request = format!(
            "{line} HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        assert_eq!(answer(&server, &request).status, status, "{line}");
    }
}

#[test]
fn a_request_behind_one_that_says_close_is_not_answered() {
    let server = Server::start(&[]);
    let close = "GET /healthz HTTP/1.1\r\nHost: t\r\nConnection: x, close\r\n\r\n";
    let old = "GET /healthz HTTP/1.0\r\n\r\n";
    for request in [close, old] {
        let answer = answer(&server, &format!("{request}{request}"));
        assert_eq!((answer.status, answer.body.trim_end()), (200, "ok"));
        assert_eq!(answer.header("Connection"), Some("close"));
    }
}

#[test]
fn a_head_is_taken_below_16_kib_and_refused_above() {
    let server = Server::start(&[]);
    let head = |bytes: usize| {
        let empty = upgrade("X: \r\n").len();
        upgrade(&format!("X: {}\r\n", "x".repeat(bytes - empty)))
    };
    assert_upgrades(&server, &head(16 * 1024 - 1));
    for bytes in [16 * 1024 + 1, 17_000, 30_000] {
        assert_eq!(answer(&server, &head(bytes)).status, 431, "{bytes}");
    }
    let endless = format!("GET /{}", "x".repeat(20_000));
    assert_eq!(answer(&server, &endless).status, 431);
    let long_path = format!(
        "GET /healthz?{} HTTP/1.1\r\nHost: t\r\n\r\n",
        "x".repeat(15_000)
    );
    assert_eq!(answer(&server, &long_path).status, 200);
}

#[test]
fn a_head_of_100_lines_is_taken_and_one_of_101_is_refused() {
    let server = Server::start(&[]);
    let head = |count: usize| {
        let lines: String = (0..count)
            .map(|number| format!("X{number}: x\r\n"))
            .collect();
        upgrade(&lines)
    };
    // Five lines are there already.
    assert_upgrades(&server, &head(95));
    for more in [96, 300] {
        assert_eq!(answer(&server, &head(more)).status, 431, "{more}");
    }
}

#[test]
fn a_head_that_is_never_completed_ends_with_the_handshake_timeout() {
    let server = Server::start(&["--handshake-timeout", "500ms"]);
    let mut silent = server.socket();
    let mut slow = server.socket();
    slow.write_all(b"GET /healthz HTTP/1.1\r\n")
        .expect("a server that reads");
    for socket in [&mut silent, &mut slow] {
        let mut rest = Vec::new();
        // A reset is an end as well.
        let _ = socket.read_to_end(&mut rest);
        assert!(rest.is_empty(), "{:?}", String::from_utf8_lossy(&rest));
    }
    let reason = r#"spectate_connections_closed_total{reason="handshake_timeout"}"#;
    assert_eq!(server.metric(reason), 2.0);
}

#[test]
fn one_that_drips_its_head_delays_nobody() {
    let server = Server::start(&[]);
    let mut dripping = server.socket();
    let head = upgrade("");
    let mut client = server.join("5", "[5]");
    for byte in head.bytes() {
        dripping.write_all(&[byte]).expect("a server that reads");
        client.send(r#"{"lat":1,"lng":2}"#);
        assert_eq!(client.receive(), r#"{"userId":5,"lat":1,"lng":2}"#);
    }
    assert!(read_head(&mut dripping).contains(ACCEPT));
    dripping
        .write_all(&frame(0x89, b"x"))
        .expect("a server that reads");
    assert_eq!(read(&mut dripping, 3), [0x8a, 1, b'x']);
}

#[test]
fn who_is_over_the_limit_is_told_so_and_carries_out_nothing() {
    let server = Server::start(&["--max-connections", "1"]);
    let (mut witness, _) = server.spectator("[5]");
    let position = text_frame(r#"{"userId":5,"lat":1,"lng":2}"#);
    let answer = Answer::to(
        server.socket(),
        &[upgrade("").as_bytes(), &position].concat(),
    );
    assert_eq!(answer.status, 503);
    assert!(answer.header("Retry-After").is_some(), "{answer:?}");
    // A browser sees a close code, and no status.
    let browser = upgrade("Origin: http://test\r\n");
    let mut socket = server.socket();
    socket
        .write_all(&[browser.as_bytes(), &position].concat())
        .expect("a server that reads");
    assert!(read_head(&mut socket).contains(ACCEPT));
    let close = read(&mut socket, 4);
    assert_eq!((close[0], &close[2..]), (0x88, &1013u16.to_be_bytes()[..]));
    assert!(witness.barrier().is_empty());
    assert_eq!(server.metric("spectate_connections"), 1.0);
    assert_eq!(server.get("/healthz").status, 200, "plain HTTP is answered");
}
