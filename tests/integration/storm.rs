//! Very many peers, hostile ones, and all of them gone again: the others notice little, and
//! nothing of them stays.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::slow::heavy_position;
use crate::support::{
    Client, Server, WAIT, frame, narrow_socket, raise_descriptor_limit, read_head, reset, socket,
    text_frame, upgrade,
};

/// Those tests that need all the descriptors there are take turns.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many connections a test may have, out of so many: this process and the server have the same
/// limit, and other tests run at the same time.
fn affordable(wanted: usize) -> usize {
    let limit = raise_descriptor_limit();
    wanted.min(limit.saturating_sub(1000).max(limit / 2))
}

/// How long things took.
#[derive(Default)]
struct Latencies(Vec<Duration>);

impl Latencies {
    /// The median and the largest.
    fn summary(&mut self) -> (Duration, Duration) {
        self.0.sort();
        (self.0[self.0.len() / 2], self.0[self.0.len() - 1])
    }
}

/// A runner and its follower, who were there before.
struct Pair {
    runner: Client,
    follower: Client,
    sent: u64,
}

impl Pair {
    fn new(server: &Server) -> Pair {
        Pair {
            follower: server.spectator("[\"pair\"]").0,
            runner: server.join("\"pair\"", "[]"),
            sent: 0,
        }
    }

    /// Sends one position, and says how long it took to come.
    fn relay(&mut self) -> Duration {
        let begin = Instant::now();
        self.send();
        self.receive();
        begin.elapsed()
    }

    fn send(&mut self) {
        self.sent += 1;
        self.runner.send(&self.position());
    }

    fn receive(&mut self) {
        assert_eq!(self.follower.receive(), self.position());
    }

    fn position(&self) -> String {
        format!(r#"{{"userId":"pair","lat":{},"lng":0}}"#, self.sent)
    }

    /// Relays one position after the other until this is done.
    fn relay_while(&mut self, during: &mut (dyn FnMut() + Send)) -> Latencies {
        let done = AtomicBool::new(false);
        let mut latencies = Latencies::default();
        thread::scope(|scope| {
            scope.spawn(|| {
                during();
                done.store(true, Ordering::Relaxed);
            });
            while !done.load(Ordering::Relaxed) {
                latencies.0.push(self.relay());
            }
        });
        latencies
    }
}

/// A connection of which only the socket is kept.
struct Raw(TcpStream);

impl Raw {
    /// Sends a handshake, a hello and a ping, all at once: both arguments are JSON.
    fn begin(address: SocketAddr, user: &str, following: &str) -> Raw {
        let hello = format!(r#"{{"initialRequest":true,"userId":{user},"following":{following}}}"#);
        let mut socket = socket(address);
        let bytes = [
            upgrade("").into_bytes(),
            text_frame(&hello),
            frame(0x89, b""),
        ];
        socket.write_all(&bytes.concat()).expect("it reads");
        Raw(socket)
    }

    /// Waits until its hello was carried out.
    fn wait(&mut self) {
        assert!(read_head(&mut self.0).starts_with("HTTP/1.1 101 "));
        self.expect(&[0x8a, 0]);
    }

    /// Reads these bytes.
    fn expect(&mut self, bytes: &[u8]) {
        let mut room = vec![0; bytes.len()];
        self.0.read_exact(&mut room).expect("a frame");
        assert_eq!(room, bytes);
    }

    fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("it reads");
    }
}

/// Connects so many, on two threads at once.
fn connect_many(address: SocketAddr, count: usize, following: &str) -> Vec<Raw> {
    let connect = |count: usize| {
        let mut all = Vec::with_capacity(count);
        while all.len() < count {
            let batch = 200.min(count - all.len());
            let mut batch: Vec<Raw> = (0..batch)
                .map(|_| Raw::begin(address, "null", following))
                .collect();
            batch.iter_mut().for_each(Raw::wait);
            all.extend(batch);
        }
        all
    };
    thread::scope(|scope| {
        let half = scope.spawn(|| connect(count / 2));
        let mut all = connect(count - count / 2);
        all.extend(half.join().expect("the other half"));
        all
    })
}

/// The frame that a server sends for a short text.
fn server_frame(text: &str) -> Vec<u8> {
    assert!(text.len() < 126);
    [&[0x81, text.len() as u8], text.as_bytes()].concat()
}

#[test]
fn ten_thousand_simultaneous_connects_delay_others_by_little() {
    let _alone = alone();
    let count = affordable(10_000);
    let server = Server::start(&["--log-level", "warn", "--handshake-timeout", "20s"]);
    let address = server.address();
    let mut pair = Pair::new(&server);
    let mut storm = Vec::new();
    let begin = Instant::now();
    let mut latencies = pair.relay_while(&mut || {
        let sockets = thread::scope(|scope| {
            let halves = [(); 2].map(|()| {
                scope.spawn(|| {
                    (0..count / 2)
                        .map(|_| Raw::begin(address, "null", "[\"nobody\"]"))
                        .collect::<Vec<Raw>>()
                })
            });
            halves.map(|half| half.join().expect("connections"))
        });
        storm.extend(sockets.into_iter().flatten());
    });
    let (median, slowest) = latencies.summary();
    println!(
        "{count} connects in {:?}: {} relays, median {median:?}, slowest {slowest:?}",
        begin.elapsed(),
        latencies.0.len()
    );
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    for raw in &mut storm {
        assert!(read_head(&mut raw.0).starts_with("HTTP/1.1 101 "));
    }
    server.wait_for_metric("spectate_connections", (storm.len() + 2) as f64);
}

/// Peers in every state that a connection can be in, all of which end by a reset.
fn reset_in_every_state(server: &Server, pair: &mut Pair) {
    let address = server.address();
    let hello = text_frame(r#"{"initialRequest":true,"userId":5,"following":["pair",5]}"#);
    let position = text_frame(r#"{"userId":5,"lat":1,"lng":2}"#);
    let head = upgrade("");
    let begun = |bytes: &[&[u8]]| {
        let mut socket = socket(address);
        socket.write_all(&bytes.concat()).expect("it reads");
        socket
    };
    let upgraded = |bytes: &[&[u8]]| {
        let mut socket = begun(&[head.as_bytes()]);
        read_head(&mut socket);
        socket.write_all(&bytes.concat()).expect("it reads");
        socket
    };
    let mut peers = vec![
        // Nothing, half a head, half a frame behind it, a plain request.
        begun(&[]),
        begun(&[b"GET / HTTP/1.1\r\nHost: te"]),
        begun(&[head.as_bytes()]),
        begun(&[head.as_bytes(), &hello[..20]]),
        begun(&[b"GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n"]),
        begun(&[b"nonsense\r\n\r\n"]),
        // Open; half a frame; half a message; with what it follows unread.
        upgraded(&[]),
        upgraded(&[&hello]),
        upgraded(&[&hello, &position[..1]]),
        upgraded(&[&hello, &position[..10]]),
        upgraded(&[&hello, &frame(0x01, b"{")]),
        upgraded(&[&hello, &position, &position]),
        // Closing: by the peer, by the server, in the middle of its answer.
        upgraded(&[&hello, &frame(0x88, b"")]),
        upgraded(&[&hello, &frame(0x82, b"")]),
        upgraded(&[&hello, &frame(0x88, b""), &position]),
        upgraded(&[&hello, &frame(0x89, b"x"), &frame(0x88, b"")[..3]]),
    ];
    // Blocked, with more owed to it than the kernel takes.
    let mut blocked = narrow_socket(address);
    let bytes = [head.as_bytes(), &hello, &position.repeat(2000)];
    blocked.write_all(&bytes.concat()).expect("it reads");
    peers.push(blocked);
    pair.relay();
    for peer in &peers {
        reset(peer);
    }
    // One at a time, with relays between.
    for peer in peers {
        pair.relay();
        drop(peer);
        pair.relay();
    }
}

#[test]
fn resets_in_every_state_leave_nothing_and_disturb_nobody() {
    let server = Server::start(&["--log-level", "warn"]);
    let mut pair = Pair::new(&server);
    reset_in_every_state(&server, &mut pair);
    server.wait_for_metric("spectate_connections", 2.0);
    pair.follower.barrier();
    let descriptors = server.descriptors();
    server.wait_for_descriptors(descriptors, &mut pair.follower);
    for _ in 0..20 {
        reset_in_every_state(&server, &mut pair);
    }
    server.wait_for_metric("spectate_connections", 2.0);
    assert_eq!(server.metric("spectate_follows"), 1.0);
    let begin = Instant::now();
    while server.descriptors() > descriptors {
        assert!(
            begin.elapsed() < Duration::from_secs(10),
            "descriptors stay"
        );
        pair.relay();
    }
    pair.relay();
    assert_eq!(server.closed("defect"), 0.0);
}

/// Relays while another connection writes as fast as it can, for a second.
fn assert_not_starved(what: &str, burst: &[u8], hello: &str) {
    let server = Server::start(&["--log-level", "warn"]);
    let mut pair = Pair::new(&server);
    let mut flooding = server.connect();
    flooding.send(hello);
    let mut written = 0;
    let mut latencies = pair.relay_while(&mut || {
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(1) {
            flooding.send_raw(burst);
            written += burst.len();
        }
    });
    let (median, slowest) = latencies.summary();
    println!(
        "{what}: {} MB written, {} relays, median {median:?}, slowest {slowest:?}",
        written / 1_000_000,
        latencies.0.len()
    );
    assert!(slowest < Duration::from_secs(1), "{what}: {slowest:?}");
    assert!(median < Duration::from_millis(100), "{what}: {median:?}");
}

#[test]
fn a_flooding_publisher_starves_nobody() {
    let hello = r#"{"initialRequest":true,"userId":"flood"}"#;
    let position = text_frame(r#"{"userId":"flood","lat":1.5,"lng":2.5}"#);
    let burst = position.repeat(64 * 1024 / position.len());
    assert_not_starved("positions", &burst, hello);
    let hello = r#"{"initialRequest":true,"userId":"flood","following":["flood"]}"#;
    assert_not_starved("positions it does not read", &burst, hello);
    let ping = frame(0x89, &[b'x'; 100]);
    let burst = ping.repeat(64 * 1024 / ping.len());
    assert_not_starved("pings", &burst, hello);
    let burst = [
        frame(0x01, br#"{"follow":["#),
        frame(0x00, b" ").repeat(9000),
        frame(0x80, b"]}"),
    ];
    assert_not_starved("a message in 9000 pieces", &burst.concat(), hello);
}

#[test]
fn nineteen_thousand_followers_cost_little_memory_and_all_are_reached() {
    let _alone = alone();
    let count = affordable(19_000);
    let server = Server::start(&[
        "--log-level=warn",
        "--ping-interval=10m",
        "--max-http-connections=8",
    ]);
    let mut runner = server.join("5", "[]");
    runner.barrier();
    // What the first connections need once is not the followers' cost.
    drop(connect_many(server.address(), 100, "[5]"));
    server.wait_for_metric("spectate_connections", 1.0);
    let before_kib = server.memory_kib();
    let begin = Instant::now();
    let mut followers = connect_many(server.address(), count, "[5]");
    let connected = begin.elapsed();
    server.wait_for_metric("spectate_follows", count as f64);
    let each = |now_kib: u64| (now_kib.saturating_sub(before_kib)) as f64 / count as f64;
    let idle = each(server.memory_kib());

    let position = r#"{"userId":5,"lat":1.5,"lng":2.5}"#;
    let expected = server_frame(position);
    let begin = Instant::now();
    runner.send(position);
    for follower in &mut followers {
        follower.expect(&expected);
    }
    let reached = begin.elapsed();
    runner.barrier();
    let after = each(server.memory_kib());
    println!(
        "{count} followers in {connected:?}: {idle:.3} KiB each, reached in {reached:?}, then {after:.3} KiB each"
    );
    assert!(idle <= 1.5, "{idle} KiB each");
    assert!(after <= 1.5, "{after} KiB each after a position");

    let begin = Instant::now();
    drop(followers);
    server.wait_for_metric("spectate_connections", 1.0);
    server.wait_for_metric("spectate_follows", 0.0);
    let gone = begin.elapsed();
    // What is not used any more is given back by a sweep, once a second.
    runner.hear_nothing_for(Duration::from_millis(2500));
    let left_kib = server.memory_kib().saturating_sub(before_kib);
    println!("gone in {gone:?}, {left_kib} KiB stay");
}

/// Comes, follows, hears itself and leaves, in one of four ways.
fn visit(address: SocketAddr, number: usize) {
    let user = format!("\"visitor {}\"", number % 3000);
    let follows = format!(r#"[{user},"everybody","visitor {}"]"#, number % 7);
    let mut raw = Raw::begin(address, &user, &follows);
    raw.wait_among_positions();
    let position = format!(r#"{{"userId":{user},"lat":{number},"lng":0}}"#);
    raw.send(&text_frame(&position));
    raw.read_until(position.as_bytes());
    match number % 4 {
        0 => reset(&raw.0),
        1 => {}
        2 => raw.send(&frame(0x88, b"")),
        _ => {
            raw.send(&frame(0x88, &1000u16.to_be_bytes()));
            let mut rest = Vec::new();
            raw.0.read_to_end(&mut rest).expect("an answer");
            assert!(rest.ends_with(&[0x88, 2, 0x03, 0xe8]));
        }
    }
}

impl Raw {
    /// Waits until its hello was carried out, though others move meanwhile.
    fn wait_among_positions(&mut self) {
        assert!(read_head(&mut self.0).starts_with("HTTP/1.1 101 "));
        self.read_until(&[0x8a, 0]);
    }

    /// Reads until these bytes have come, wherever they stand.
    fn read_until(&mut self, bytes: &[u8]) {
        let mut read = Vec::new();
        while !read.windows(bytes.len()).any(|window| window == bytes) {
            let mut room = [0; 512];
            match self.0.read(&mut room).expect("more") {
                0 => panic!("the server ended the connection"),
                count => read.extend_from_slice(&room[..count]),
            }
        }
    }
}

#[test]
fn half_a_minute_of_coming_and_going_leave_everything_as_it_was() {
    let server = Server::start(&["--log-level", "warn"]);
    let address = server.address();
    let mut pair = Pair::new(&server);
    let mut visits = 0;
    let mut churn = |pair: &mut Pair, longest: Duration| {
        let begin = Instant::now();
        while begin.elapsed() < longest {
            thread::scope(|scope| {
                for thread in 0..2 {
                    scope.spawn(move || {
                        for number in (visits..visits + 400).skip(thread).step_by(2) {
                            visit(address, number);
                        }
                    });
                }
            });
            visits += 400;
            pair.relay();
        }
        server.wait_for_metric("spectate_connections", 2.0);
        visits
    };
    let settled = |pair: &mut Pair| {
        // Those that were left in the middle of a goodbye have 2 s for it.
        pair.follower.hear_nothing_for(Duration::from_secs(3));
        server.descriptors()
    };
    churn(&mut pair, Duration::from_secs(2));
    let descriptors = settled(&mut pair);
    let before_kib = server.memory_kib();
    let visits = churn(&mut pair, Duration::from_secs(30));
    assert_eq!(settled(&mut pair), descriptors);
    let after_kib = server.memory_kib();
    println!("{visits} visits: {before_kib} KiB before, {after_kib} KiB after");
    assert!(after_kib < before_kib + 2048, "{before_kib}, {after_kib}");
    assert_eq!(server.metric("spectate_follows"), 1.0);
    assert_eq!(server.metric("spectate_connections"), 2.0);
}

/// More than the frames of one tick may weigh, while followers end by RST: what is owed to them
/// must not come in the way of the others.
#[test]
fn a_heavy_tick_reaches_all_who_stay_while_others_leave() {
    const SENDERS: u64 = 200;
    const EACH: u64 = 64;
    let server = Server::start(&["--max-follows", "20000", "--max-message-bytes", "200000"]);
    let users: Vec<u64> = (0..SENDERS * EACH).collect();
    let follows = format!("{users:?}");
    let (mut witness, _) = server.spectator(&follows);
    let few = format!("{:?}", &users[..1000]);
    let mut quitters: Vec<Client> = (0..50).map(|_| server.spectator(&few).0).collect();
    let mut senders: Vec<Client> = (0..SENDERS).map(|_| server.connect()).collect();
    for sender in &mut senders {
        sender.barrier();
    }
    let bytes: usize = users.iter().map(|user| heavy_position(*user).len()).sum();
    assert!(bytes > 4 * 1024 * 1024, "{bytes} bytes");
    server.signal(Signal::STOP);
    for (sender, users) in senders.iter_mut().zip(users.chunks(EACH as usize)) {
        let positions = users
            .iter()
            .flat_map(|user| text_frame(&heavy_position(*user)));
        sender.send_raw(&positions.collect::<Vec<u8>>());
    }
    for quitter in &mut quitters {
        reset(quitter.stream());
    }
    server.signal(Signal::CONT);
    let mut waited_for: BTreeSet<u64> = users.into_iter().collect();
    while !waited_for.is_empty() {
        let text = witness.receive();
        let position: Value = serde_json::from_str(&text).expect("JSON");
        let user = position["userId"].as_u64().expect("a number");
        assert!(waited_for.remove(&user), "{user} came twice");
    }
}

/// Sends each of these bytes on a socket of its own while the server stands still, and a position
/// behind all of them: how many of them were answered when that arrives.
fn answered_before_a_bystander(server: &Server, requests: Vec<TcpStream>, bytes: &[u8]) -> usize {
    let mut pair = Pair::new(server);
    pair.relay();
    server.signal(Signal::STOP);
    for mut request in &requests {
        request.write_all(bytes).expect("the kernel has room");
    }
    pair.send();
    server.signal(Signal::CONT);
    pair.receive();
    let is_answered = |request: &&TcpStream| {
        request.set_nonblocking(true).expect("a socket");
        let answered = request.peek(&mut [0]).is_ok();
        request.set_nonblocking(false).expect("a socket");
        answered
    };
    let answered = requests.iter().filter(is_answered).count();
    pair.relay();
    for request in &requests {
        request.set_read_timeout(Some(WAIT)).expect("a socket");
        assert!(
            request.peek(&mut [0]).is_ok_and(|count| count > 0),
            "all are answered"
        );
    }
    answered
}

#[test]
fn what_costs_much_is_carried_out_in_turn_while_others_are_served() {
    const CLIENTS: usize = 400;
    let server = Server::start(&["--log-level", "warn"]);
    let mut gateway = server.connect();
    for user in 0..1000 {
        gateway.send(&heavy_position(user));
    }
    gateway.barrier();
    let sockets = || -> Vec<TcpStream> { (0..CLIENTS).map(|_| server.socket()).collect() };
    let ids: Vec<String> = (0..1000).map(|user| user.to_string()).collect();
    let request = format!(
        "GET /positions?ids={} HTTP/1.1\r\nHost: t\r\n\r\n",
        ids.join(",")
    );
    let answered = answered_before_a_bystander(&server, sockets(), request.as_bytes());
    assert!(answered < CLIENTS / 2, "{answered} of /positions");

    let list = |ids: usize| format!(r#"{{"follow":[{}1]}}"#, "1,".repeat(ids));
    let upgraded = || -> Vec<TcpStream> {
        (0..CLIENTS)
            .map(|_| {
                let mut socket = server.socket();
                socket.write_all(upgrade("").as_bytes()).expect("it reads");
                let head = read_head(&mut socket);
                assert!(head.starts_with("HTTP/1.1 101"), "{head}");
                socket
            })
            .collect()
    };
    // One long list, and the same cut into many short ones.
    let long = text_frame(&list(30_000));
    let short = text_frame(&list(500)).repeat(60);
    for (what, bytes) in [("a long list", long), ("short lists", short)] {
        let answered = answered_before_a_bystander(&server, upgraded(), &bytes);
        assert!(answered < CLIENTS / 2, "{answered} of {what}");
    }
}
