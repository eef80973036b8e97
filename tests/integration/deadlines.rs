//! Whatever drips, hangs or falls silent ends in its time, and what lives stays.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::support::{Client, Server, frame, read_head, socket, text_frame, upgrade};

/// Deadlines are looked at once a second, and the machine may be busy.
const LATE: Duration = Duration::from_secs(3);

/// Sends these bytes, each time once nothing has come for a tenth of a second, until the peer ends
/// the connection; says what came.
fn drip(socket: &mut TcpStream, bytes: impl IntoIterator<Item = u8>) -> Vec<u8> {
    socket
        .set_read_timeout(Some(Duration::from_millis(100)))
        .expect("above 0");
    let mut came = Vec::new();
    let mut bytes = bytes.into_iter();
    let begin = Instant::now();
    loop {
        let mut room = [0; 1024];
        match socket.read(&mut room) {
            Ok(0) => return came,
            Ok(count) => came.extend_from_slice(&room[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let byte = bytes.next().expect("it ends before the bytes do");
                // A reset is an end as well.
                if socket.write_all(&[byte]).is_err() {
                    return came;
                }
            }
            Err(_) => return came,
        }
        assert!(begin.elapsed() < Duration::from_secs(15), "it does not end");
    }
}

/// Asserts that something took this long, or a little longer.
fn assert_took(begin: Instant, expected: Duration) {
    let took = begin.elapsed();
    assert!(
        (expected..expected + LATE).contains(&took),
        "{took:?}, not {expected:?}"
    );
}

#[test]
fn a_request_head_that_drips_is_cut_in_time_and_so_is_silence() {
    let server = Server::start(&["--handshake-timeout", "1s"]);
    let begin = Instant::now();
    let mut silent = server.socket();
    let mut dripping = server.socket();
    let head = upgrade(&format!("X: {}\r\n", "x".repeat(4000)));
    assert!(drip(&mut dripping, head.bytes()).is_empty());
    // The deadline is not extended by what comes.
    assert_took(begin, Duration::from_secs(1));
    assert_eq!(silent.read(&mut [0]).unwrap_or(0), 0);
    assert_took(begin, Duration::from_secs(1));
    server.wait_for_closed("handshake_timeout", 2.0);
}

#[test]
fn a_plain_request_whose_peer_keeps_the_connection_is_dropped() {
    let server = Server::start(&[]);
    let (mut witness, _) = server.spectator("[]");
    let descriptors = server.descriptors();
    let begin = Instant::now();
    let peers: Vec<TcpStream> = ["/healthz", "/metrics", "/nothing"]
        .iter()
        .map(|path| {
            let mut peer = server.socket();
            let head = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
            peer.write_all(head.as_bytes())
                .expect("a server that reads");
            peer
        })
        .collect();
    server.wait_for_descriptors(descriptors, &mut witness);
    assert!(begin.elapsed() < Duration::from_secs(5) + LATE);
    assert_eq!(peers.len(), 3, "none was dropped here");
}

#[test]
fn a_plain_request_whose_peer_keeps_sending_is_dropped() {
    let server = Server::start(&[]);
    let begin = Instant::now();
    let mut peer = server.socket();
    peer.write_all(b"GET /healthz HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        .expect("a server that reads");
    let mut answer = Vec::new();
    peer.read_to_end(&mut answer).expect("an answer");
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    // Its end of the stream is read; what it sends now is thrown away, until it is refused.
    peer.set_read_timeout(Some(Duration::from_millis(20)))
        .expect("above 0");
    let junk = [b'x'; 1000];
    while peer.write_all(&junk).is_ok() {
        assert!(begin.elapsed() < Duration::from_secs(5) + LATE, "no end");
    }
}

#[test]
fn silence_is_pinged_and_whoever_answers_stays() {
    let server = Server::start(&["--ping-interval", "1s", "--pong-timeout", "1s"]);
    let mut client = server.join("5", "[5]");
    client.barrier();
    for _ in 0..4 {
        let begin = Instant::now();
        client.wait_for_ping();
        // It is heard before the pong is read here, and the next ping a second later.
        assert!(begin.elapsed() < Duration::from_secs(1) + LATE);
    }
    client.send(r#"{"lat":1,"lng":2}"#);
    assert_eq!(client.receive(), r#"{"userId":5,"lat":1,"lng":2}"#);
    assert_eq!(server.closed("no_pong"), 0.0);
}

#[test]
fn one_that_talks_is_not_pinged() {
    let server = Server::start(&["--ping-interval", "2s"]);
    let mut client = server.connect();
    let begin = Instant::now();
    let mut witness = server.join("5", "[5]");
    while begin.elapsed() < Duration::from_millis(3500) {
        client.send(r#"{"userId":5,"lat":1,"lng":2}"#);
        witness.receive();
    }
    client.hear_nothing_for(Duration::from_millis(50));
}

#[test]
fn one_that_sends_no_pong_is_closed_with_4201_and_counts_no_more() {
    let server = Server::start(&["--ping-interval", "1s", "--pong-timeout", "1s"]);
    let begin = Instant::now();
    // Raw sockets answer nothing.
    let mut half_open: Vec<TcpStream> = (0..3)
        .map(|_| {
            let mut socket = server.socket();
            let hello = r#"{"initialRequest":true,"userId":5,"following":[5]}"#;
            let bytes = [upgrade("").as_bytes(), &text_frame(hello)].concat();
            socket.write_all(&bytes).expect("a server that reads");
            read_head(&mut socket);
            socket
        })
        .collect();
    server.wait_for_metric("spectate_follows", 3.0);
    server.wait_for_metric("spectate_connections", 0.0);
    assert_eq!(server.metric("spectate_follows"), 0.0);
    assert_took(begin, Duration::from_secs(2));
    for socket in &mut half_open {
        let mut rest = Vec::new();
        socket.read_to_end(&mut rest).expect("the end");
        let expected = [&[0x89, 0, 0x88, 17][..], &4201u16.to_be_bytes()].concat();
        assert_eq!(rest[..6], expected, "a ping, and the close frame");
        assert_eq!(&rest[6..], b"no pong in time");
    }
    // Those that never close their side are dropped in the time of a closing handshake.
    server.wait_for_closed("no_pong", 3.0);
    assert!(begin.elapsed() < Duration::from_secs(5) + 2 * LATE);
    assert_eq!(server.log().matches(" reason=no_pong ").count(), 3);
}

#[test]
fn any_byte_counts_as_an_answer_to_a_ping() {
    let server = Server::start(&["--ping-interval", "1s", "--pong-timeout", "1s"]);
    let mut socket = server.socket();
    socket
        .write_all(upgrade("").as_bytes())
        .expect("a server that reads");
    read_head(&mut socket);
    let position = text_frame(r#"{"userId":5,"lat":1,"lng":2}"#);
    let (last, first) = position.split_last().expect("not empty");
    // Each ping is answered by a byte of a frame that is not complete for many seconds.
    for byte in &first[..4] {
        let mut ping = [0; 2];
        socket.read_exact(&mut ping).expect("a ping");
        assert_eq!(ping, [0x89, 0]);
        socket.write_all(&[*byte]).expect("a server that reads");
    }
    let (mut witness, _) = server.spectator("[5]");
    socket.write_all(&first[4..]).expect("a server that reads");
    socket.write_all(&[*last]).expect("a server that reads");
    assert_eq!(witness.receive(), r#"{"userId":5,"lat":1,"lng":2}"#);
    assert_eq!(server.closed("no_pong"), 0.0);
}

/// A connection that has read its close frame, sent for a binary message.
fn closed_by_the_server(server: &Server) -> TcpStream {
    let mut socket = server.socket();
    let bytes = [upgrade("").as_bytes(), &frame(0x82, b"binary")].concat();
    socket.write_all(&bytes).expect("a server that reads");
    read_head(&mut socket);
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).expect("the end");
    assert_eq!(rest[2..4], 1003u16.to_be_bytes());
    socket
}

#[test]
fn a_peer_that_never_closes_its_side_is_dropped_after_the_close_frame() {
    let server = Server::start(&[]);
    let (mut witness, _) = server.spectator("[]");
    let descriptors = server.descriptors();
    let begin = Instant::now();
    let peers: Vec<TcpStream> = (0..3).map(|_| closed_by_the_server(&server)).collect();
    assert_eq!(server.metric("spectate_connections"), 1.0);
    server.wait_for_descriptors(descriptors, &mut witness);
    assert_took(begin, Duration::from_secs(2));
    assert_eq!(peers.len(), 3, "none was dropped here");
    assert_eq!(server.closed("binary"), 3.0);
}

#[test]
fn a_peer_that_keeps_sending_is_dropped_after_the_close_frame() {
    let server = Server::start(&[]);
    let mut socket = closed_by_the_server(&server);
    let begin = Instant::now();
    let position = text_frame(r#"{"userId":5,"lat":1,"lng":2}"#).repeat(100);
    while socket.write_all(&position).is_ok() {
        assert!(begin.elapsed() < Duration::from_secs(4) + LATE, "no end");
    }
    assert!(begin.elapsed() >= Duration::from_secs(1), "not at once");
    server.wait_for_closed("binary", 1.0);
    assert_eq!(
        server.metric(r#"spectate_positions_received_total{source="websocket"}"#),
        0.0,
        "what comes behind the end is nothing"
    );
}

#[test]
fn a_peer_that_answers_the_close_frame_and_stays_is_dropped() {
    let server = Server::start(&[]);
    let (mut witness, _) = server.spectator("[]");
    let descriptors = server.descriptors();
    let mut socket = closed_by_the_server(&server);
    socket
        .write_all(&frame(0x88, &1003u16.to_be_bytes()))
        .expect("a server that reads");
    server.wait_for_descriptors(descriptors, &mut witness);
}

#[test]
fn a_peer_that_shuts_its_side_after_the_request_gets_its_answer_at_once() {
    let server = Server::start(&[]);
    let begin = Instant::now();
    let mut peer = socket(server.address());
    peer.write_all(b"GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n")
        .expect("a server that reads");
    peer.shutdown(Shutdown::Write).expect("connected");
    let mut answer = Vec::new();
    peer.read_to_end(&mut answer).expect("an answer");
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    assert!(begin.elapsed() < LATE);
    let mut client = Client::connect(server.address());
    client.barrier();
}
