//! Everything about a connection ends with it, however it ends.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::support::{Client, Server, frame, read_head, reset, text_frame, upgrade};

/// Opens connections that are somebody and follow others, ends them in some way, and asserts that
/// nothing of them is left, and that the log and the counters say why.
fn assert_nothing_stays(reason: &str, end: impl Fn(&mut Client)) {
    let server = Server::start(&[]);
    let (mut witness, _) = server.spectator("[1]");
    server.wait_for_metric("spectate_connections", 1.0);
    let before = stable_descriptors(&server, &mut witness);
    let mut clients: Vec<Client> = (0..20)
        .map(|id| server.join(&id.to_string(), &format!("[{id},1000,{}]", id + 1)))
        .collect();
    for client in &mut clients {
        client.barrier();
    }
    assert_eq!(server.metric("spectate_connections"), 21.0);
    assert_eq!(server.metric("spectate_follows"), 61.0);
    clients.iter_mut().for_each(end);
    server.wait_for_metric("spectate_connections", 1.0);
    assert_eq!(server.metric("spectate_follows"), 1.0);
    drop(clients);
    server.wait_for_descriptors(before, &mut witness);
    let closed = format!("spectate_connections_closed_total{{reason=\"{reason}\"}}");
    server.wait_for_metric(&closed, 20.0);
    let lines = server.log().matches(&format!(" reason={reason} ")).count();
    assert_eq!(lines, 20, "{}", server.log());

    // Those who come now have the numbers of those who left, and nothing else of them.
    for _ in 0..20 {
        let mut client = server.connect();
        client.send(r#"{"lat":1,"lng":2}"#);
        assert_eq!(
            client.receive_error().0,
            "bad_id",
            "nobody's identity stays"
        );
        client.hello("\"another\"", "[]");
        client.send(r#"{"userId":1000,"lat":1,"lng":2}"#);
        assert_eq!(client.receive_error().0, "wrong_user");
        assert!(client.barrier().is_empty());
        assert_gets_nothing(client, &server);
    }
    let mut one = server.join("1", "[]");
    one.send(r#"{"lat":1,"lng":2}"#);
    assert_eq!(witness.receive(), r#"{"userId":1,"lat":1,"lng":2}"#);
}

/// Asserts that a newcomer in a used place gets nothing of what its predecessor followed.
fn assert_gets_nothing(mut newcomer: Client, server: &Server) {
    let mut gateway = server.connect();
    for id in [0, 1000, 7] {
        gateway.send(&format!(r#"{{"userId":{id},"lat":1,"lng":2}}"#));
    }
    gateway.barrier();
    assert!(newcomer.barrier().is_empty());
}

/// How many descriptors there are once those of past requests are gone.
fn stable_descriptors(server: &Server, witness: &mut Client) -> usize {
    let mut fewest = server.descriptors();
    for _ in 0..20 {
        witness.barrier();
        fewest = fewest.min(server.descriptors());
    }
    fewest
}

#[test]
fn nothing_stays_of_a_connection_that_said_goodbye() {
    assert_nothing_stays("closed", |client| {
        client.send_raw(&frame(0x88, &1000u16.to_be_bytes()));
        assert_eq!(client.receive_close(), (1000, String::new()));
    });
}

#[test]
fn nothing_stays_of_a_connection_whose_stream_ended_without_a_close_frame() {
    assert_nothing_stays("eof", |client| {
        client.finish();
        while client.read().is_ok() {}
    });
}

#[test]
fn nothing_stays_of_a_connection_that_was_dropped() {
    assert_nothing_stays("eof", |client| {
        client.stream().shutdown(Shutdown::Both).expect("connected");
    });
}

#[test]
fn nothing_stays_of_a_connection_that_was_reset() {
    let server = Server::start(&[]);
    let (mut witness, _) = server.spectator("[1]");
    server.wait_for_metric("spectate_connections", 1.0);
    let before = stable_descriptors(&server, &mut witness);
    for round in 0..3 {
        let clients: Vec<Client> = (0..20)
            .map(|id| {
                let mut client = server.join(&id.to_string(), "[1,2,3]");
                client.barrier();
                client
            })
            .collect();
        assert_eq!(server.metric("spectate_follows"), 61.0);
        for mut client in clients {
            reset(client.stream());
        }
        server.wait_for_metric("spectate_connections", 1.0);
        assert_eq!(server.metric("spectate_follows"), 1.0);
        server.wait_for_descriptors(before, &mut witness);
        let closed = r#"spectate_connections_closed_total{reason="socket_error"}"#;
        server.wait_for_metric(closed, 20.0 * f64::from(round + 1));
    }
}

#[test]
fn nothing_stays_of_a_connection_that_was_reset_while_it_was_sent_to() {
    let server = Server::start(&[]);
    let (mut witness, _) = server.spectator("[5]");
    let mut runner = server.join("5", "[]");
    let before = stable_descriptors(&server, &mut witness);
    for lat in 0..50 {
        let (mut follower, _) = server.spectator("[5]");
        let position = format!(r#"{{"userId":5,"lat":{lat},"lng":0}}"#);
        reset(follower.stream());
        runner.send(&position);
        drop(follower);
        runner.send(&position);
        assert_eq!(witness.receive(), position);
        assert_eq!(witness.receive(), position);
    }
    server.wait_for_metric("spectate_connections", 2.0);
    assert_eq!(server.metric("spectate_follows"), 1.0);
    server.wait_for_descriptors(before, &mut witness);
}

#[test]
fn nothing_stays_of_a_connection_that_broke_the_protocol() {
    assert_nothing_stays("protocol_error", |client| {
        client.send_raw(&frame(0x83, b""));
        assert_eq!(client.receive_close().0, 1002);
    });
}

#[test]
fn nothing_stays_of_a_connection_that_sent_too_much() {
    assert_nothing_stays("too_big", |client| {
        client.send_raw(&frame(0x81, &[b' '; 70_000]));
        assert_eq!(client.receive_close().0, 1009);
    });
}

#[test]
fn nothing_stays_of_a_connection_that_ended_inside_of_a_message() {
    assert_nothing_stays("eof", |client| {
        client.send_raw(&frame(0x01, br#"{"userId":1"#));
        client.send_raw(&text_frame(r#"{"lat":1,"lng":2}"#)[..7]);
        client.finish();
        while client.read().is_ok() {}
    });
}

#[test]
fn a_peer_that_ignores_its_close_frame_is_dropped_all_the_same() {
    let server = Server::start(&[]);
    let (mut witness, _) = server.spectator("[1]");
    let before = stable_descriptors(&server, &mut witness);
    let mut clients: Vec<Client> = (0..5).map(|_| server.join("1", "[1]")).collect();
    for client in &mut clients {
        client.send_raw(&frame(0x82, b"binary"));
    }
    // The follows end at once, the socket a little later.
    server.wait_for_metric("spectate_connections", 1.0);
    assert_eq!(server.metric("spectate_follows"), 1.0);
    server.wait_for_descriptors(before, &mut witness);
    assert_eq!(clients.len(), 5, "none was dropped here");
}

#[test]
fn a_close_frame_is_answered_with_its_code_and_the_end_of_the_stream() {
    let server = Server::start(&[]);
    for code in [
        1000u16, 1001, 1002, 1003, 1007, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4201, 4999,
    ] {
        let mut client = server.join("5", "[5]");
        let payload = [&code.to_be_bytes()[..], b"goodbye \xc3\xa9"].concat();
        client.send_raw(&frame(0x88, &payload));
        // Read as it is: the test's client does not know all of these codes.
        let mut answer = Vec::new();
        client.stream().read_to_end(&mut answer).expect("the end");
        assert_eq!(answer, [&[0x88, 2], &payload[..2]].concat());
    }
    let mut client = server.connect();
    client.send_raw(&frame(0x88, b""));
    assert_eq!(client.receive_close().0, 1000, "without a code");
}

#[test]
fn what_comes_behind_a_close_frame_is_not_carried_out() {
    let server = Server::start(&[]);
    let (mut witness, _) = server.spectator("[5]");
    let mut client = server.join("5", "[]");
    let bytes = [
        text_frame(r#"{"lat":1,"lng":2}"#),
        frame(0x88, &1000u16.to_be_bytes()),
        text_frame(r#"{"lat":3,"lng":4}"#),
        frame(0x89, b"x"),
    ];
    client.send_raw(&bytes.concat());
    assert_eq!(client.receive_close().0, 1000);
    assert_eq!(witness.receive(), r#"{"userId":5,"lat":1,"lng":2}"#);
    assert!(witness.barrier().is_empty());
}

#[test]
fn the_last_positions_before_a_goodbye_are_relayed() {
    let server = Server::start(&[]);
    let (mut witness, _) = server.spectator("[5]");
    for (round, end) in [
        frame(0x88, &1000u16.to_be_bytes()),
        Vec::new(),
        frame(0x82, b""),
    ]
    .iter()
    .enumerate()
    {
        let mut client = server.join("5", "[]");
        let positions: Vec<String> = (0..200)
            .map(|lat| format!(r#"{{"userId":5,"lat":{lat},"lng":{round}}}"#))
            .collect();
        let mut bytes: Vec<u8> = positions.iter().flat_map(|text| text_frame(text)).collect();
        bytes.extend(end);
        client.send_raw(&bytes);
        client.finish();
        for position in positions {
            assert_eq!(witness.receive(), position);
        }
    }
}

/// One of very many connections: its socket, and what came so far.
struct Visitor {
    socket: TcpStream,
    number: usize,
}

impl Visitor {
    /// Connects, says hello and pings, all at once.
    fn begin(server: &Server, number: usize) -> Visitor {
        let follows = format!("[{number},\"everybody\",{}]", number + 1);
        let hello = format!(r#"{{"initialRequest":true,"userId":{number},"following":{follows}}}"#);
        let mut socket = server.socket();
        let bytes = [
            upgrade("").as_bytes(),
            &text_frame(&hello),
            &frame(0x89, b""),
        ]
        .concat();
        socket.write_all(&bytes).expect("a server that reads");
        Visitor { socket, number }
    }

    /// Waits until its hello was carried out.
    fn wait(&mut self) {
        let mut pong = [0; 2];
        let _ = read_head(&mut self.socket);
        self.socket.read_exact(&mut pong).expect("a pong");
        assert_eq!(pong, [0x8a, 0]);
    }

    /// Ends: half of them by a reset, the others with or without a close frame.
    fn end(mut self) {
        match self.number % 4 {
            0 | 2 => reset(&self.socket),
            1 => {}
            _ => {
                let close = frame(0x88, &1000u16.to_be_bytes());
                self.socket.write_all(&close).expect("a server that reads");
                let mut rest = Vec::new();
                self.socket.read_to_end(&mut rest).expect("an answer");
                assert_eq!(rest, [0x88, 2, 0x03, 0xe8]);
            }
        }
    }
}

#[test]
fn ten_thousand_connections_that_come_follow_and_go_leave_everything_as_it_was() {
    let server = Server::start(&["--log-level", "warn"]);
    let (mut witness, _) = server.spectator("[\"everybody\"]");
    let visit = |from: usize, to: usize| {
        for batch in (from..to).step_by(250) {
            let mut visitors: Vec<Visitor> = (batch..batch + 250)
                .map(|number| Visitor::begin(&server, number))
                .collect();
            visitors.iter_mut().for_each(Visitor::wait);
            visitors.into_iter().for_each(Visitor::end);
        }
        server.wait_for_metric("spectate_connections", 1.0);
    };
    visit(0, 500);
    let descriptors = stable_descriptors(&server, &mut witness);
    server.wait_for_descriptors(descriptors, &mut witness);
    let memory_kib = server.memory_kib();
    let begin = Instant::now();
    visit(500, 10_500);
    assert_eq!(server.metric("spectate_follows"), 1.0);
    server.wait_for_descriptors(descriptors, &mut witness);
    let grown_kib = server.memory_kib().saturating_sub(memory_kib);
    assert!(grown_kib < 1024, "{grown_kib} KiB more than before");
    let accepted = server.metric("spectate_connections_accepted_total");
    assert!(accepted > 10_500.0, "{accepted}");
    assert!(begin.elapsed() < Duration::from_secs(60));
    let mut runner = server.join("\"everybody\"", "[]");
    runner.send(r#"{"lat":1,"lng":2}"#);
    assert_eq!(
        witness.receive(),
        r#"{"userId":"everybody","lat":1,"lng":2}"#
    );
}
