//! Every limit has a clear answer, and whoever is within it notices nothing of those who are not.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tungstenite::{Error, Message};

use crate::state::{Folder, publish};
use crate::support::{
    Answer, Client, Server, assert_last_known, error, frame, program, read_head, reset, socket,
    socket_from, text_frame, upgrade, wait_for_exit,
};

const REJECTED_FULL: &str = r#"spectate_handshakes_rejected_total{reason="full"}"#;

/// The answer to a handshake that is refused.
fn refused(socket: TcpStream) -> Answer {
    Answer::to(socket, upgrade("").as_bytes())
}

/// The close code that a browser sees.
fn code_for_a_browser(mut socket: TcpStream) -> u16 {
    let head = upgrade("Origin: http://test\r\n");
    socket.write_all(head.as_bytes()).expect("it reads");
    assert!(read_head(&mut socket).starts_with("HTTP/1.1 101 "));
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).expect("the end");
    assert_eq!(rest[0], 0x88, "a close frame");
    u16::from_be_bytes([rest[2], rest[3]])
}

/// Connects again and again until the handshake is taken, as there is room for one more.
fn connect_when_there_is_room(address: SocketAddr) -> Client {
    let begin = Instant::now();
    loop {
        let mut socket = socket(address);
        socket.write_all(upgrade("").as_bytes()).expect("it reads");
        let head = read_head(&mut socket);
        if head.starts_with("HTTP/1.1 101 ") {
            drop(socket);
            return Client::connect(address);
        }
        assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
        assert!(begin.elapsed() < Duration::from_secs(5), "{head}");
    }
}

#[test]
fn over_max_connections_everybody_gets_an_answer_and_the_place_of_one_that_leaves_is_free() {
    let server = Server::start(&["--max-connections", "3"]);
    let mut clients: Vec<Client> = (0..3).map(|_| server.join("5", "[5]")).collect();
    for client in &mut clients {
        client.barrier();
    }
    let answer = refused(server.socket());
    assert_eq!(answer.status, 503);
    let retry_after = answer.header("Retry-After").map(str::parse::<u32>);
    assert!(matches!(retry_after, Some(Ok(1..))), "{answer:?}");
    assert_eq!(code_for_a_browser(server.socket()), 1013);
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    assert_eq!(server.metric(REJECTED_FULL), 2.0);
    assert_eq!(server.metric("spectate_connections"), 3.0);
    for client in &mut clients {
        client.send_raw(&frame(0x88, &1000u16.to_be_bytes()));
        assert_eq!(client.receive_close().0, 1000);
        *client = server.join("5", "[5]");
        client.barrier();
        assert_eq!(refused(server.socket()).status, 503);
    }
    reset(clients.remove(0).stream());
    server.wait_for_metric("spectate_connections", 2.0);
    clients.push(server.join("5", "[5]"));
    clients[0].send(r#"{"lat":1,"lng":2}"#);
    for client in &mut clients {
        assert_eq!(client.receive(), r#"{"userId":5,"lat":1,"lng":2}"#);
    }
}

#[test]
fn max_connections_per_ip_counts_each_address_by_itself() {
    let server = Server::start(&["--max-connections-per-ip", "2"]);
    let [one, two] = [1, 2].map(|last| Ipv4Addr::new(127, 0, 0, last));
    let from = |source| socket_from(source, server.address());
    let mut clients: Vec<Client> = [one, one, two]
        .map(|source| Client::over(from(source)))
        .into();
    let answer = refused(from(one));
    assert_eq!(answer.status, 503);
    assert!(answer.header("Retry-After").is_some(), "{answer:?}");
    assert_eq!(code_for_a_browser(from(one)), 1013);
    assert_eq!(server.get("/healthz").status, 200);
    clients.push(Client::over(from(two)));
    assert_eq!(refused(from(two)).status, 503);
    assert_eq!(server.metric("spectate_connections"), 4.0);
    assert_eq!(server.metric(REJECTED_FULL), 3.0);
    let mut leaving = clients.remove(0);
    leaving.send_raw(&frame(0x88, &1000u16.to_be_bytes()));
    leaving.receive_close();
    clients.push(Client::over(from(one)));
    assert_eq!(refused(from(one)).status, 503);
    assert_eq!(refused(from(two)).status, 503);
    for client in &mut clients {
        client.barrier();
    }
}

/// The program under a descriptor limit of its own.
fn limited(descriptors: u32, arguments: &[&str]) -> Command {
    let binary = program(&[]).get_program().to_owned();
    let mut command = Command::new("/bin/sh");
    command
        .args([
            "-c",
            &format!("ulimit -n {descriptors}; exec \"$0\" \"$@\""),
        ])
        .arg(binary)
        .args(arguments)
        .env_clear();
    command
}

#[test]
fn max_connections_over_the_descriptor_limit_is_refused_with_what_to_do() {
    for (descriptors, flags) in [
        (64, &["--max-connections", "33"][..]),
        (64, &["--max-connections", "100000"]),
        (32, &[]),
    ] {
        let mut arguments = vec!["serve", "--listen", "127.0.0.1:0"];
        arguments.extend_from_slice(flags);
        let mut child = limited(descriptors, &arguments)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("a shell");
        let status = wait_for_exit(&mut child);
        let mut line = String::new();
        let mut stderr = child.stderr.take().expect("piped");
        stderr.read_to_string(&mut line).expect("UTF-8");
        assert_eq!(status.code(), Some(1), "{line}");
        assert_eq!(line.lines().count(), 1, "{line}");
        for word in ["ulimit -n", "LimitNOFILE"] {
            assert!(line.contains(word), "{line}");
        }
        assert_eq!(
            line.contains("--max-connections"),
            descriptors > 32,
            "{line}"
        );
        assert!(line.contains(&descriptors.to_string()), "{line}");
    }
}

/// A server that may have 64 descriptors.
fn server_of_64_descriptors() -> Server {
    Server::run(limited(64, &["serve", "--listen", "127.0.0.1:0"]))
}

/// Waits until a connection could not be accepted.
fn wait_until_none_is_left(server: &Server) {
    let begin = Instant::now();
    while !server.log().contains(" accept error=") {
        assert!(
            begin.elapsed() < Duration::from_secs(5),
            "descriptors are left"
        );
    }
}

#[test]
fn with_64_descriptors_20_websockets_fit_and_the_next_are_told() {
    let server = server_of_64_descriptors();
    let mut clients: Vec<Client> = (0..20)
        .map(|id| server.join(&id.to_string(), "[0]"))
        .collect();
    for client in &mut clients {
        client.barrier();
    }
    let log = server.log();
    assert!(log.contains(" max_connections=20 memory_max="), "{log}");
    for _ in 0..3 {
        assert_eq!(refused(server.socket()).status, 503);
        assert_eq!(code_for_a_browser(server.socket()), 1013);
        assert_eq!(server.get("/healthz").status, 200);
    }
    clients[0].send(r#"{"lat":1,"lng":2}"#);
    for client in &mut clients {
        assert_eq!(client.receive(), r#"{"userId":0,"lat":1,"lng":2}"#);
    }
    clients.truncate(19);
    connect_when_there_is_room(server.address()).barrier();
}

#[test]
fn a_flood_over_the_descriptor_limit_disturbs_no_user_spins_no_loop_and_passes() {
    let server = server_of_64_descriptors();
    let mut runner = server.join("5", "[]");
    let (mut follower, _) = server.spectator("[5]");
    let relay = |runner: &mut Client, follower: &mut Client, lat: u64| {
        let position = format!(r#"{{"userId":5,"lat":{lat},"lng":2}}"#);
        let begin = Instant::now();
        runner.send(&position);
        assert_eq!(follower.receive(), position);
        begin.elapsed()
    };
    // Handshaking takes 5 s, so nobody of these leaves within the next few.
    let flood: Vec<TcpStream> = (0..200).map(|_| server.socket()).collect();
    wait_until_none_is_left(&server);
    // Silence shows whether the loop spins.
    let ticks = server.cpu_ticks();
    follower.hear_nothing_for(Duration::from_secs(3));
    let ticks = server.cpu_ticks() - ticks;
    println!("{ticks} hundredths of a second in 3 s under the flood");
    assert!(ticks < 30, "{ticks} hundredths of a second in 3 s");
    let slowest = (0..200)
        .map(|lat| relay(&mut runner, &mut follower, lat))
        .max();
    println!("slowest relay {slowest:?}");
    assert!(slowest < Some(Duration::from_secs(1)), "{slowest:?}");
    let warnings = server.log().matches(" accept error=").count();
    assert!(
        warnings < 20,
        "{warnings} lines of log: one a second is enough"
    );

    drop(flood);
    let begin = Instant::now();
    let mut newcomer = server.join("6", "[5]");
    newcomer.barrier();
    println!("a newcomer got in after {:?}", begin.elapsed());
    assert!(begin.elapsed() < Duration::from_secs(15));
    relay(&mut runner, &mut follower, 1000);
    assert_eq!(newcomer.receive(), r#"{"userId":5,"lat":1000,"lng":2}"#);
}

#[test]
fn who_waits_for_a_descriptor_gets_one_when_it_is_free() {
    let server = server_of_64_descriptors();
    let (mut witness, _) = server.spectator("[]");
    let mut silent: Vec<TcpStream> = (0..100).map(|_| server.socket()).collect();
    wait_until_none_is_left(&server);
    // This one waits in the kernel's queue, behind those that came before.
    let mut waiting = server.socket();
    waiting
        .write_all(upgrade("").as_bytes())
        .expect("the kernel takes it");
    silent.clear();
    assert!(read_head(&mut waiting).starts_with("HTTP/1.1 101 "));
    witness.barrier();
}

#[test]
fn with_no_descriptor_left_a_stop_says_goodbye_to_all_and_keeps_the_state() {
    let folder = Folder::new();
    let state = folder.path("state");
    let state = state.to_str().expect("UTF-8");
    let flags = ["--listen", "127.0.0.1:0", "--drain", "3s", "--state", state];
    let server = Server::run(limited(64, &[&["serve"], &flags[..]].concat()));
    let mut clients: Vec<Client> = (0..10).map(|_| server.join("5", "[]")).collect();
    publish(&server, r#"{"userId":7,"lat":1,"lng":2}"#);
    let flood: Vec<TcpStream> = (0..200).map(|_| server.socket()).collect();
    wait_until_none_is_left(&server);
    server.signal(Signal::TERM);
    for client in &mut clients {
        assert_eq!(client.receive_close().0, 1012);
    }
    let (status, _, log) = server.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    drop(flood);
    let (_, last_known) = folder.serve(&[]).spectator("[7]");
    assert_last_known(&last_known[0], r#"{"userId":7,"lat":1,"lng":2}"#);
}

#[test]
fn max_rate_takes_bursts_and_tells_the_excess_once_a_second() {
    let server = Server::start(&["--max-rate", "5"]);
    let mut runner = server.join("5", "[]");
    let (mut follower, _) = server.spectator("[5]");
    let burst = |runner: &mut Client, from: u64, count: u64| {
        for lat in from..from + count {
            runner.send(&format!(r#"{{"lat":{lat},"lng":2}}"#));
        }
    };
    let expect = |follower: &mut Client, from: u64, count: u64| {
        for lat in from..from + count {
            let position = format!(r#"{{"userId":5,"lat":{lat},"lng":2}}"#);
            assert_eq!(follower.receive(), position);
        }
    };
    burst(&mut runner, 0, 5);
    expect(&mut follower, 0, 5);
    assert!(runner.barrier().is_empty(), "a burst of 5 passes");

    // All within a fraction of a second, so at most one more is taken meanwhile.
    let begin = Instant::now();
    let before = server.metric(r#"spectate_positions_received_total{source="websocket"}"#);
    burst(&mut runner, 100, 150);
    let errors = runner.barrier();
    let seconds = begin.elapsed().as_secs();
    let taken = server.metric(r#"spectate_positions_received_total{source="websocket"}"#) - before;
    assert!(taken < 5.0 * (seconds as f64 + 2.0), "{taken} were taken");
    assert!(
        (1..=1 + seconds as usize).contains(&errors.len()),
        "{errors:?}"
    );
    let (code, message) = error(&errors[0]);
    assert_eq!(code, "too_fast");
    assert!(message.contains('5'), "{message}");
    let refused = r#"spectate_positions_rejected_total{reason="too_fast"}"#;
    assert_eq!(server.metric(refused), 150.0 - taken);
    // 150 in a row were not taken, and the connection is there: they do not count to the 100.
    follower.barrier();
    runner.hello("5", "[5]");
    assert_eq!(runner.barrier().len(), 1, "the last known position");
}

#[test]
fn what_is_refused_for_another_reason_takes_nothing_from_the_bucket() {
    let server = Server::start(&["--max-rate", "5"]);
    let mut runner = server.join("5", "[5]");
    for _ in 0..20 {
        runner.send(r#"{"lat":null,"lng":2}"#);
        assert_eq!(runner.receive_error().0, "bad_position");
        runner.send(r#"{"userId":6,"lat":1,"lng":2}"#);
        assert_eq!(runner.receive_error().0, "wrong_user");
    }
    for lat in 0..5 {
        runner.send(&format!(r#"{{"lat":{lat},"lng":2}}"#));
        let position = format!(r#"{{"userId":5,"lat":{lat},"lng":2}}"#);
        assert_eq!(runner.receive(), position);
    }
}

#[test]
fn errors_of_another_kind_count_to_the_100_through_an_excess() {
    let server = Server::start(&["--max-rate", "1"]);
    let mut runner = server.join("5", "[]");
    runner.send(r#"{"lat":1,"lng":2}"#);
    for _ in 0..100 {
        runner.send("{}");
        // Neither one of the 100 nor the end of the row, but for the few that the rate allows.
        runner.send(r#"{"userId":5,"lat":1,"lng":2}"#);
    }
    let (texts, code) = runner.receive_until_close();
    assert_eq!(code, 1008);
    let bad = texts.iter().filter(|text| error(text).0 == "bad_message");
    assert_eq!(bad.count(), 100);
    server.wait_for_closed("bad_messages", 1.0);
}

#[test]
fn ten_seconds_of_excess_close_with_1008() {
    let server = Server::start(&["--max-rate", "5"]);
    let mut runner = server.join("5", "[]");
    // A tenth of a second passes with each read in vain: twice as fast as is allowed.
    runner
        .stream()
        .set_read_timeout(Some(Duration::from_millis(100)))
        .expect("above 0");
    let begin = Instant::now();
    let mut errors = 0;
    let close = loop {
        match runner.try_read() {
            Ok(Message::Text(text)) => {
                assert_eq!(error(&text).0, "too_fast");
                errors += 1;
            }
            Ok(Message::Close(Some(close))) => break close,
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {
                runner.send(r#"{"lat":1,"lng":2}"#);
            }
            other => panic!("{other:?}"),
        }
        // A busy machine may let a second pass, and then the ten seconds begin anew.
        assert!(begin.elapsed() < Duration::from_secs(60), "no close");
    };
    let took = begin.elapsed();
    assert_eq!(u16::from(close.code), 1008);
    assert!(took >= Duration::from_secs(10), "{took:?}");
    let errors_max = took.as_secs() + 1;
    assert!((5..=errors_max).contains(&errors), "{errors} in {took:?}");
    server.wait_for_closed("too_fast", 1.0);
    assert!(server.log().contains(" reason=too_fast "));
}

#[test]
fn follows_over_the_limit_are_named_and_the_others_are_in_force() {
    let server = Server::start(&["--max-follows", "3"]);
    let mut client = server.connect();
    client.hello("9", r#"[1,2,1,"2",3,4,2,5]"#);
    let (code, message) = client.receive_error();
    assert_eq!(code, "too_many_follows");
    for word in ["3 users", "2 left out", "first of them 4"] {
        assert!(message.contains(word), "{message}");
    }
    client.send(r#"{"follow":[1,2,3]}"#);
    assert!(client.barrier().is_empty(), "those followed already fit");
    client.send(r#"{"follow":["x"],"unfollow":[2]}"#);
    let (code, message) = client.receive_error();
    assert_eq!(code, "too_many_follows", "follows come before unfollows");
    assert!(message.contains("1 left out"), "{message}");
    client.send(r#"{"follow":[4,5]}"#);
    let (_, message) = client.receive_error();
    assert!(
        message.contains("1 left out, the first of them 5"),
        "{message}"
    );
    assert_eq!(server.metric("spectate_follows"), 3.0);
    let mut gateway = server.connect();
    for id in 1..=5 {
        gateway.send(&format!(r#"{{"userId":{id},"lat":1,"lng":2}}"#));
    }
    gateway.barrier();
    let expected = [1, 3, 4].map(|id| format!(r#"{{"userId":{id},"lat":1,"lng":2}}"#));
    assert_eq!(client.barrier(), expected);
}

#[test]
fn over_max_runners_the_longest_unheard_is_forgotten_first() {
    let server = Server::start(&["--max-runners", "10"]);
    let mut gateway = server.connect();
    let position = |id: u32| format!(r#"{{"userId":{id},"lat":1,"lng":2}}"#);
    for id in 0..10 {
        gateway.send(&position(id));
    }
    // 0 is heard again, so 1 and 2 have been unheard longest.
    for id in [0, 10, 11] {
        gateway.send(&position(id));
    }
    gateway.barrier();
    let ids: Vec<u32> = (0..12).collect();
    let (mut follower, mut known) = server.spectator(&format!("{ids:?}"));
    known.sort();
    let mut expected: Vec<u32> = [0].into_iter().chain(3..12).collect();
    expected.sort_by_key(u32::to_string);
    assert_eq!(known.len(), expected.len(), "{known:?}");
    for id in expected {
        let text = known
            .iter()
            .find(|text| text.starts_with(&format!(r#"{{"userId":{id},"#)));
        assert_last_known(text.expect("known"), &position(id));
    }
    gateway.send(&position(1));
    assert_eq!(follower.receive(), position(1), "one forgotten comes back");
}

#[test]
fn after_forget_after_there_is_no_last_known_position_and_memory_is_given_back() {
    let server = Server::start(&["--forget-after", "1s", "--log-level", "warn"]);
    let mut gateway = server.connect();
    let (_, _) = server.spectator("[]");
    let before_kib = server.memory_kib();
    let publish = |gateway: &mut Client, who: &str, ids: std::ops::Range<u32>| {
        for id in ids {
            gateway.send(&format!(r#"{{"userId":"{who} {id}","lat":1,"lng":2}}"#));
        }
        gateway.barrier();
    };
    publish(&mut gateway, "runner", 0..49_999);
    let full_kib = server.memory_kib();
    let begin = Instant::now();
    publish(&mut gateway, "runner", 49_999..50_000);
    loop {
        let (_, known) = server.spectator(r#"["runner 49999"]"#);
        if known.is_empty() {
            break;
        }
        assert!(begin.elapsed() < Duration::from_secs(5), "{known:?}");
    }
    assert!(begin.elapsed() >= Duration::from_secs(1), "not before");
    // Runners of the next generation live in the room of the last.
    publish(&mut gateway, "walker", 0..50_000);
    let again_kib = server.memory_kib();
    println!("{before_kib} KiB, {full_kib} with the first, {again_kib} with the second");
    // A runner with the first point of its trail is some 450 bytes here.
    let is_bounded = full_kib < before_kib + 25 * 1024 && again_kib < full_kib + 2 * 1024;
    assert!(is_bounded, "{before_kib}, {full_kib}, {again_kib} KiB");
}

#[test]
fn the_soft_descriptor_limit_is_raised_to_the_hard_one() {
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", "ulimit -S -n 64; exec \"$0\" \"$@\""])
        .arg(program(&[]).get_program())
        .args(["serve", "--listen", "127.0.0.1:0"])
        .env_clear();
    let server = Server::run(command);
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.pid()));
    let limits = limits.expect("the server runs");
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .expect("proc(5)");
    let mut numbers = line.split_whitespace();
    let (soft, hard) = (numbers.next(), numbers.next());
    assert_eq!(soft, hard);
    assert_ne!(soft, Some("64"), "the hard limit is higher here");
    let mut clients: Vec<Client> = (0..100).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send_raw(&text_frame(r#"{"follow":[1]}"#));
        client.barrier();
    }
}
