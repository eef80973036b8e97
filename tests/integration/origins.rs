//! Which pages may open a WebSocket.

use std::io::Write;

use tungstenite::Message;

use crate::access;
use crate::support::{Client, Server, read_head, text_frame, upgrade};

/// What becomes of a handshake from this origin whose client sends a position in the same
/// segment: the close code, if it is closed, and whether a follower gets the position.
fn handshake(server: &Server, origin: &str, user: u32) -> (Option<u16>, bool) {
    let (mut follower, _) = server.spectator(&format!("[{user}]"));
    let mut socket = server.socket();
    let mut bytes = upgrade(&format!("Origin: {origin}\r\n")).into_bytes();
    let position = format!(r#"{{"userId":{user},"lat":1,"lng":2}}"#);
    bytes.extend(text_frame(&position));
    bytes.extend(text_frame(&format!(
        r#"{{"initialRequest":true,"following":[{user}]}}"#
    )));
    socket.write_all(&bytes).expect("a server that reads");
    assert!(read_head(&mut socket).starts_with("HTTP/1.1 101 "));
    let mut client = Client::after_handshake(socket);
    let code = match client.read() {
        Ok(Message::Close(Some(frame))) => Some(frame.code.into()),
        Ok(Message::Text(_)) => None,
        other => panic!("neither in nor out: {other:?}"),
    };
    let texts = follower.barrier();
    assert!(texts.is_empty() || texts == [position]);
    (code, !texts.is_empty())
}

#[test]
fn a_page_on_another_site_is_told_4003_and_nothing_it_sent_is_carried_out() {
    let server = Server::start(&[]);
    let port = server.address().port();
    for (user, origin) in [
        "http://evil.example".to_owned(),
        "https://test".to_owned() + ":444",
        format!("http://localhost:{port}"),
        "null".to_owned(),
        "nonsense".to_owned(),
        String::new(),
        "http://test\r\nOrigin: http://test".to_owned(),
    ]
    .iter()
    .enumerate()
    {
        let outcome = handshake(&server, origin, user as u32);
        assert_eq!(outcome, (Some(4003), false), "{origin}");
    }
    server.wait_for_closed("foreign_origin", 7.0);
    let rejected = r#"spectate_handshakes_rejected_total{reason="foreign_origin"}"#;
    assert_eq!(server.metric(rejected), 7.0);
}

#[test]
fn a_page_of_the_same_host_and_a_program_get_in() {
    let server = Server::start(&[]);
    assert_eq!(handshake(&server, "http://test", 1), (None, true));
    assert_eq!(handshake(&server, "https://TEST:443", 2), (None, true));
    let mut program = server.join("5", "[5]");
    program.barrier();
}

#[test]
fn a_program_that_names_the_servers_own_address_gets_in() {
    let server = Server::start(&[]);
    for (user, (origin, is_in)) in [
        ("ws://test", true),
        ("wss://TEST:443", true),
        ("ws://test:8080", false),
        ("wss://evil.example", false),
    ]
    .into_iter()
    .enumerate()
    {
        let expected = if is_in {
            (None, true)
        } else {
            (Some(4003), false)
        };
        assert_eq!(
            handshake(&server, origin, user as u32),
            expected,
            "{origin}"
        );
    }
}

#[test]
fn who_shows_a_good_token_in_the_header_gets_in_whatever_origin_it_names() {
    let (server, _file) = access::start("native", &[]);
    let open = |headers: &str| {
        let mut socket = server.socket();
        let request = upgrade(&format!("Origin: file://\r\n{headers}"));
        socket.write_all(request.as_bytes()).expect("it reads");
        assert!(read_head(&mut socket).starts_with("HTTP/1.1 101 "));
        Client::after_handshake(socket)
    };
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let mut native = open(&bearer(&access::five()));
    native.send(r#"{"follow":[5]}"#);
    native.send(r#"{"lat":1,"lng":2}"#);
    assert_eq!(native.receive(), r#"{"userId":"5","lat":1,"lng":2}"#);
    assert_eq!(open(&bearer(&access::expired())).receive_close().0, 4002);
    assert_eq!(open(&bearer("nonsense")).receive_close().0, 4001);
    // This is what a page can do.
    let offer = format!(
        "Sec-WebSocket-Protocol: spectate.v1, bearer.{}\r\n",
        access::five()
    );
    assert_eq!(open(&offer).receive_close().0, 4003);
    assert_eq!(open("").receive_close().0, 4003);
    // Where no tokens are asked for, none is good.
    let server = Server::start(&[]);
    let origin = format!("file://\r\n{}", bearer(&access::five()).trim_end());
    assert_eq!(handshake(&server, &origin, 1), (Some(4003), false));
}

#[test]
fn a_refusal_is_a_line_in_the_log_with_origin_and_host() {
    let server = Server::start(&[]);
    let origin = "https://evil.example";
    assert_eq!(handshake(&server, origin, 1), (Some(4003), false));
    server.wait_for_closed("foreign_origin", 1.0);
    let log = server.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains(origin)).collect();
    assert_eq!(lines.len(), 1, "{log}");
    let words = r#"reason=foreign_origin origin="https://evil.example" host="test""#;
    assert!(
        lines[0].contains(" INFO ") && lines[0].ends_with(words),
        "{log}"
    );
}

#[test]
fn pages_that_are_named_get_in_and_a_star_lets_all_in() {
    let flags = [
        "--allow-origin",
        "https://app.example.com,https://*.example.org",
        "--allow-origin",
        "http://localhost:3000,file://,capacitor://localhost,app://.",
    ];
    let server = Server::start(&flags);
    for (user, (origin, is_in)) in [
        ("https://app.example.com", true),
        ("https://live.example.org", true),
        ("http://localhost:3000", true),
        ("file://", true),
        ("capacitor://localhost", true),
        ("app://.", true),
        ("http://test", true),
        ("https://example.org", false),
        ("https://..example.org", false),
        ("http://app.example.com", false),
        ("null", false),
    ]
    .into_iter()
    .enumerate()
    {
        let expected = if is_in {
            (None, true)
        } else {
            (Some(4003), false)
        };
        assert_eq!(
            handshake(&server, origin, user as u32),
            expected,
            "{origin}"
        );
    }
    let server = Server::start(&["--allow-origin", "*"]);
    assert_eq!(handshake(&server, "null", 1), (None, true));
    assert_eq!(
        handshake(&server, "https://anywhere.example", 2),
        (None, true)
    );
}
