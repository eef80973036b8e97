//! A stop: nobody new, everybody's due and 1012, spread over time, and an end whatever happens.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::slow::{FILLER, fall_behind, follower, position};
use crate::support::{Answer, Client, Server, frame, read_head, text_frame, upgrade};

/// How late things may be on a busy machine.
const LATE: Duration = Duration::from_secs(2);

/// Waits until nobody listens any more.
fn wait_until_refused(address: SocketAddr) {
    let begin = Instant::now();
    while TcpStream::connect(address).is_ok() {
        assert!(begin.elapsed() < Duration::from_secs(10), "it listens");
    }
}

/// Sends the first signal, and waits until it has its effect.
fn begin_to_stop(server: &Server, signal: Signal) {
    server.signal(signal);
    wait_until_refused(server.address());
}

/// A request on a connection that is there already.
fn get(mut socket: TcpStream, path: &str) -> u16 {
    let head = format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n");
    socket.write_all(head.as_bytes()).expect("it reads");
    Answer::read(&mut socket).status
}

#[test]
fn a_drain_refuses_newcomers_and_answers_those_who_were_accepted_before() {
    let server = Server::start(&["--drain", "8s"]);
    let mut clients: Vec<Client> = (0..3).map(|_| server.join("5", "[5]")).collect();
    for client in &mut clients {
        client.barrier();
    }
    let [ready, healthy, metrics, mut late] = [(); 4].map(|()| server.socket());
    // Its answer tells that those before it were accepted.
    assert_eq!(server.get("/readyz").status, 200);
    begin_to_stop(&server, Signal::TERM);
    assert_eq!(get(ready, "/readyz"), 503);
    assert_eq!(get(healthy, "/healthz"), 200);
    assert_eq!(get(metrics, "/metrics"), 200);
    // One whose handshake comes now is told to come again like everybody else.
    late.write_all(upgrade("").as_bytes()).expect("it reads");
    assert!(read_head(&mut late).starts_with("HTTP/1.1 101 "));
    // Those who are not told yet are served.
    let last = clients.last_mut().expect("3 of them");
    last.send(r#"{"lat":1,"lng":2}"#);
    assert_eq!(last.receive(), r#"{"userId":5,"lat":1,"lng":2}"#);
    let mut rest = Vec::new();
    late.read_to_end(&mut rest).expect("the end");
    assert_eq!(rest[2..4], 1012u16.to_be_bytes());
    drop(late);
    for client in &mut clients {
        assert_eq!(client.receive_until_close().1, 1012);
    }
    drop(clients);
    assert_eq!(server.wait().0.code(), Some(0));
}

#[test]
fn those_whom_the_kernel_has_accepted_are_answered_or_told_and_never_reset() {
    // Of requests, handshakes, and handshakes beyond the limit.
    let server = Server::start(&["--max-connections", "100"]);
    server.signal(Signal::STOP);
    let mut sockets: Vec<TcpStream> = (0..400).map(|_| server.socket()).collect();
    for (number, socket) in sockets.iter_mut().enumerate() {
        let head = match number % 2 {
            0 => "GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n".to_owned(),
            _ => upgrade(""),
        };
        socket
            .write_all(head.as_bytes())
            .expect("the kernel takes it");
    }
    server.signal(Signal::TERM);
    server.signal(Signal::CONT);
    let mut outcomes = BTreeMap::new();
    for mut socket in sockets {
        let mut bytes = Vec::new();
        socket.read_to_end(&mut bytes).expect("no reset");
        let head = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let rest = &bytes[head.expect("a whole head") + 4..];
        let outcome = match (&bytes[9..12], rest) {
            (b"101", [0x88, _, high, low, ..]) => u16::from_be_bytes([*high, *low]),
            (b"101", other) => panic!("no goodbye: {other:?}"),
            (status, _) => str::from_utf8(status)
                .expect("digits")
                .parse()
                .expect("a number"),
        };
        *outcomes.entry(outcome).or_insert(0) += 1;
    }
    // One who is told goodbye makes room for another.
    let told = outcomes.remove(&1012).unwrap_or_default();
    assert!((100..=200).contains(&told), "{told} told of {outcomes:?}");
    let refused = outcomes.remove(&503).unwrap_or_default();
    assert_eq!(
        (told + refused, outcomes),
        (200, BTreeMap::from([(200, 200)]))
    );
    assert_eq!(server.wait().0.code(), Some(0));
}

#[test]
fn one_that_connected_and_says_nothing_delays_a_stop_by_little() {
    let server = Server::start(&[]);
    let mut silent = server.socket();
    assert_eq!(server.get("/healthz").status, 200);
    let begin = Instant::now();
    server.signal(Signal::TERM);
    assert_eq!(silent.read(&mut [0]).expect("an end"), 0);
    assert_eq!(server.wait().0.code(), Some(0));
    assert!(begin.elapsed() < Duration::from_secs(1) + LATE);
}

#[test]
fn the_closes_are_spread_over_the_first_half_of_the_drain() {
    let server = Server::start(&["--drain", "4s"]);
    let clients: Vec<Client> = (0..20)
        .map(|_| {
            let mut client = server.join("5", "[5]");
            client.barrier();
            client
        })
        .collect();
    let begin = Instant::now();
    server.signal(Signal::TERM);
    let waiting: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            thread::spawn(move || {
                assert_eq!(client.receive_close().0, 1012);
                begin.elapsed()
            })
        })
        .collect();
    let mut times: Vec<Duration> = waiting
        .into_iter()
        .map(|waiting| waiting.join().expect("1012"))
        .collect();
    let (status, _, log) = server.wait();
    let ended = begin.elapsed();
    times.sort();
    println!("{times:?}");
    assert!(times[0] < Duration::from_millis(500), "{times:?}");
    let [half, last] = [times[9], times[19]];
    assert!(
        (Duration::from_millis(700)..Duration::from_millis(1500)).contains(&half),
        "{times:?}"
    );
    assert!(
        (Duration::from_millis(1500)..Duration::from_millis(2600)).contains(&last),
        "{times:?}"
    );
    assert_eq!(status.code(), Some(0));
    assert!(ended < Duration::from_secs(4), "it ends with the last one");
    assert_eq!(log.matches(" reason=restarting ").count(), 20, "{log}");
}

#[test]
fn what_was_accepted_before_the_goodbye_is_delivered_whole_and_in_order() {
    let server = Server::start(&["--drain", "1s"]);
    let (mut follower, _) = server.spectator("[5]");
    let mut runner = server.join("5", "[]");
    // Less than a window of bytes: a follower that does not read yet is not behind.
    for lat in 0..500 {
        runner.send(&position(5, lat));
    }
    server.signal(Signal::TERM);
    assert_eq!(runner.receive_close().0, 1012);
    let (texts, code) = follower.receive_until_close();
    assert_eq!(code, 1012);
    assert!(
        texts
            .iter()
            .zip(0..)
            .all(|(text, lat)| *text == position(5, lat)),
        "a gap"
    );
    drop((runner, follower));
    let (status, _, log) = server.wait();
    assert_eq!(status.code(), Some(0));
    let stop = format!(" delivered={}", texts.len());
    assert!(log.contains(&stop), "{stop}: {log}");
}

#[test]
fn a_blocked_follower_that_reads_gets_the_newest_of_everybody_and_then_1012() {
    let server = Server::start(&["--drain", "10s"]);
    let mut gateway = server.connect();
    let mut slow = follower(&server, &[1, 2, 3]);
    fall_behind(&server, &mut gateway);
    for lat in 0..5 {
        for user in [3, 1, 2] {
            gateway.send(&position(user, lat));
        }
    }
    gateway.barrier();
    begin_to_stop(&server, Signal::TERM);
    // It was the first to come, so it is told first.
    assert_eq!(gateway.receive_until_close().1, 1012);
    drop(gateway);
    let (mut texts, code) = slow.receive_until_close();
    texts.retain(|text| !text.starts_with(&format!(r#"{{"userId":{FILLER},"#)));
    assert_eq!(texts, [3, 1, 2].map(|user| position(user, 4)));
    assert_eq!(code, 1012);
    drop(slow);
    assert_eq!(server.wait().0.code(), Some(0));
}

#[test]
fn positions_held_by_the_flush_interval_go_out_before_the_goodbye() {
    let server = Server::start(&["--drain", "2s", "--flush-interval", "1m"]);
    let (mut follower, _) = server.spectator("[5]");
    let mut runner = server.join("5", "[]");
    runner.send(&position(5, 1));
    runner.barrier();
    server.signal(Signal::TERM);
    let (texts, code) = follower.receive_until_close();
    assert_eq!(texts, [position(5, 1)]);
    assert_eq!(code, 1012);
}

#[test]
fn positions_that_come_during_the_drain_are_not_held_back_by_the_flush_interval() {
    // The follower is told after 3 s, in which the position has to come.
    let server = Server::start(&["--drain", "18s", "--flush-interval", "1m"]);
    // They are told in the order in which they came.
    let mut first = server.join("1", "[]");
    first.barrier();
    let (mut follower, _) = server.spectator("[5]");
    let mut runner = server.join("5", "[]");
    runner.barrier();
    begin_to_stop(&server, Signal::TERM);
    assert_eq!(first.receive_close().0, 1012);
    runner.send(&position(5, 1));
    let (texts, code) = follower.receive_until_close();
    assert_eq!(texts, [position(5, 1)]);
    assert_eq!(code, 1012);
}

#[test]
fn nobody_holds_the_stop_beyond_the_drain() {
    let server = Server::start(&["--drain", "2s"]);
    let mut gateway = server.connect();
    // One that reads nothing, one that never closes its side, one that begins and never goes on.
    let slow = follower(&server, &[]);
    fall_behind(&server, &mut gateway);
    let mut half = server.socket();
    half.write_all(b"GET / HTTP/1.1\r\n").expect("it reads");
    let begin = Instant::now();
    server.signal(Signal::TERM);
    let (status, _, log) = server.wait();
    let took = begin.elapsed();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!((Duration::from_millis(1900)..Duration::from_secs(2) + LATE).contains(&took));
    drop((gateway, slow, half));
}

#[test]
fn a_second_signal_ends_it_at_once_with_1() {
    for (first, second) in [
        (Signal::TERM, Signal::TERM),
        (Signal::INT, Signal::TERM),
        (Signal::TERM, Signal::INT),
        (Signal::INT, Signal::INT),
    ] {
        let server = Server::start(&["--drain", "60s"]);
        let mut gateway = server.connect();
        let _slow = follower(&server, &[]);
        fall_behind(&server, &mut gateway);
        begin_to_stop(&server, first);
        let begin = Instant::now();
        server.signal(second);
        let (status, _, log) = server.wait();
        assert_eq!(status.code(), Some(1), "{log}");
        assert!(begin.elapsed() < LATE);
    }
}

#[test]
fn with_nobody_to_tell_it_ends_at_once_with_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let server = Server::start(&["--drain", "60s"]);
        // These have no WebSocket: silent, and in the middle of a request.
        let silent = server.socket();
        let mut half = server.socket();
        half.write_all(b"GET / HTTP/1.1\r\nHost").expect("it reads");
        server.get("/healthz");
        let begin = Instant::now();
        server.signal(signal);
        let (status, _, log) = server.wait();
        assert_eq!(status.code(), Some(0), "{log}");
        // A request that was answered a moment ago may still be saying goodbye.
        assert!(begin.elapsed() < LATE + LATE);
        drop((silent, half));
    }
}

#[test]
fn a_signal_while_connections_are_closing_waits_for_them_no_longer_than_they_may_take() {
    let server = Server::start(&["--drain", "60s"]);
    let mut closing: Vec<TcpStream> = (0..5)
        .map(|_| {
            let mut socket = server.socket();
            let bytes = [upgrade("").as_bytes(), &frame(0x82, b"binary")].concat();
            socket.write_all(&bytes).expect("it reads");
            socket
        })
        .collect();
    for socket in &mut closing {
        let mut bytes = Vec::new();
        read_head(socket);
        socket.read_to_end(&mut bytes).expect("the end");
        assert_eq!(bytes[2..4], 1003u16.to_be_bytes(), "its own reason");
    }
    let begin = Instant::now();
    server.signal(Signal::TERM);
    let (status, _, log) = server.wait();
    assert_eq!(status.code(), Some(0));
    assert!(begin.elapsed() < Duration::from_secs(2) + LATE);
    assert_eq!(log.matches(" reason=binary ").count(), 5, "{log}");
}

#[test]
fn a_drain_of_no_time_tells_everybody_all_the_same() {
    let server = Server::start(&["--drain", "0"]);
    let mut clients: Vec<Client> = (0..50).map(|_| server.join("5", "[5]")).collect();
    for client in &mut clients {
        client.barrier();
    }
    let begin = Instant::now();
    server.signal(Signal::TERM);
    for client in &mut clients {
        assert_eq!(client.receive_close().0, 1012);
    }
    assert_eq!(server.wait().0.code(), Some(0));
    assert!(begin.elapsed() < LATE);
}

#[test]
fn clients_that_go_on_sending_are_told_and_do_not_hold_the_stop() {
    let server = Server::start(&["--drain", "2s"]);
    let mut flooding: Vec<Client> = (0..4).map(|_| server.join("5", "[]")).collect();
    let begin = Instant::now();
    let burst = text_frame(&position(5, 1)).repeat(500);
    server.signal(Signal::TERM);
    let floods: Vec<_> = flooding
        .drain(..)
        .map(|mut client| {
            let burst = burst.clone();
            // Until the server is gone.
            thread::spawn(move || while client.stream().write_all(&burst).is_ok() {})
        })
        .collect();
    let (status, _, log) = server.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(begin.elapsed() < Duration::from_secs(2) + LATE);
    for flood in floods {
        flood.join().expect("an end");
    }
    assert_eq!(log.matches(" reason=restarting ").count(), 4, "{log}");
}
