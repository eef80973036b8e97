//! `serve --demo`: runners to look at, who come with the server and leave with it.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, getpgid, kill_process, pidfd_open};
use serde_json::Value;
use socket2::{Domain, Socket, Type};

use crate::scratch::Scratch;
use crate::support::{
    Client, Server, WAIT, program, raise_descriptor_limit, read_head, wait_for_exit,
    wait_until_readable,
};

const SECRET: &[u8] = b"a secret of tests that is long enough";
const NEXT_SECRET: &[u8] = b"the next secret of tests, long as well";

/// The ids of all runners, with commas between them.
fn ids() -> String {
    let ids: Vec<String> = (1..=25).map(|id| id.to_string()).collect();
    ids.join(",")
}

/// What is behind this in the line with it.
fn told<'a>(log: &'a str, before: &str) -> Option<&'a str> {
    let (_, rest) = log.split_once(before)?;
    rest.split(['\n', ' ']).next()
}

/// The runners' process: the one that was started last.
fn runners(server: &Server) -> Pid {
    let log = server.log();
    let started = log.rfind("demo pid=").map(|at| &log[at..]);
    let pid = started.and_then(|log| told(log, "demo pid=")?.parse().ok());
    pid.and_then(Pid::from_raw)
        .unwrap_or_else(|| panic!("{log}"))
}

/// Waits until so many lines of the log say this.
fn wait_for_log(server: &Server, text: &str, times: usize) {
    let (begin, mut witness) = (Instant::now(), server.connect());
    while server.log().matches(text).count() < times {
        assert!(begin.elapsed() < WAIT, "{}", server.log());
        witness.barrier();
    }
}

/// Follows all runners until so many of them have moved on; says their first positions.
fn see_runners_move(client: &mut Client, runners: usize) -> BTreeMap<u64, Value> {
    let mut first: BTreeMap<u64, Value> = BTreeMap::new();
    let mut moved = BTreeMap::new();
    while moved.len() < runners {
        let text = client.receive();
        let fix: Value = serde_json::from_str(&text).expect("JSON");
        let id = fix["userId"].as_u64().unwrap_or_else(|| panic!("{text}"));
        let before = first.entry(id).or_insert_with(|| fix.clone());
        if before["lat"] != fix["lat"] && before["timestamp"].as_u64() < fix["timestamp"].as_u64() {
            moved.insert(id, ());
        }
    }
    first
}

/// A connection that follows all runners, with more fields in its hello.
fn spectator(server: &Server, fields: &str) -> Client {
    let mut client = server.connect();
    let ids = ids();
    client.send(&format!(
        r#"{{"initialRequest":true{fields},"following":[{ids}]}}"#
    ));
    client
}

#[test]
fn runners_come_with_the_server_and_move_and_a_link_shows_them() {
    let flags = ["--demo", "--wgs84", "--max-message-bytes", "256"];
    let mut command = program(&[&["serve", "--listen", "127.0.0.1:0"], &flags[..]].concat());
    // A setting for another run, which the runners would be refused with.
    command.env("SPECTATE_MESSAGES", "5");
    let server = Server::run(command);
    let address = server.address();
    let seen = see_runners_move(&mut spectator(&server, ""), 25);
    assert!(seen.keys().copied().eq(1..=25));
    for fix in seen.values() {
        // Central Park, and nowhere else.
        let within = |field: &str, range: std::ops::Range<f64>| {
            range.contains(&fix[field].as_f64().expect("a number"))
        };
        assert!(within("lat", 40.78..40.79) && within("lng", -73.97..-73.95));
        assert!(within("speed", 2.2..4.5) && within("accuracy", 1.0..20.0));
        assert!(within("heading", 0.0..360.0) && within("battery", 0.0..1.0));
    }
    assert_eq!(server.get("/positions?ids=*").status, 200, "for everybody");
    // What a terminal sends to the server's group does not reach them.
    let runners = runners(&server);
    assert_eq!(getpgid(Some(runners)), Ok(runners));
    let (status, stdout, log) = server.stop();
    assert_eq!(status.code(), Some(0));
    let link = format!("\nsee it move: http://{address}/\n");
    assert!(stdout.ends_with(&link), "{stdout}");
    // They were let go; nobody complains.
    assert!(
        !log.contains("spectate: ") && !log.contains("WARN"),
        "{log}"
    );
}

#[test]
fn runners_end_with_a_server_that_is_killed() {
    let server = Server::start(&["--demo"]);
    see_runners_move(&mut spectator(&server, ""), 1);
    let end = pidfd_open(runners(&server), PidfdFlags::empty()).expect("they run");
    server.signal(Signal::KILL);
    assert!(wait_until_readable(end), "the runners go on");
}

#[test]
fn runners_that_end_are_told_of_and_come_back_each_time_after_a_longer_while() {
    let server = Server::start(&["--demo"]);
    see_runners_move(&mut spectator(&server, ""), 1);
    for (times, again_s) in [(1, 3), (2, 6)] {
        let pid = runners(&server);
        kill_process(pid, Signal::KILL).expect("they run");
        wait_for_log(&server, "demo ended", times);
        let log = server.log();
        let line = log.lines().rfind(|line| line.contains("demo ended"));
        let line = line.expect("just seen");
        let told = format!(
            "WARN  [spectate::server::os::demo] demo ended reason=\"signal: 9 (SIGKILL)\" again_s={again_s}"
        );
        assert!(line.ends_with(&told), "{line}");
        let left = std::path::Path::new("/proc").join(pid.to_string());
        assert!(!left.exists(), "a zombie");
        see_runners_move(&mut spectator(&server, ""), 25);
        assert_ne!(runners(&server), pid);
    }
    // Those who are away when it is time to leave stay away.
    kill_process(runners(&server), Signal::KILL).expect("they run");
    wait_for_log(&server, "demo ended", 3);
    let (status, _, log) = server.stop();
    assert_eq!(status.code(), Some(0));
    assert_eq!(log.matches("demo pid=").count(), 3, "{log}");
}

#[test]
fn limits_that_leave_no_room_for_runners_are_refused_at_the_start() {
    for (flags, told) in [
        (
            ["--max-connections", "25"],
            "--max-connections allows 25: make it 26 or more",
        ),
        (
            ["--max-connections-per-ip", "5"],
            "--max-connections-per-ip allows 5: make it 26 or more",
        ),
        (
            ["--max-rate", "1"],
            "--max-rate 1 refuses: make it 2 or more",
        ),
    ] {
        let line = refusal(program(&["serve", "--listen", "127.0.0.1:0", "--demo"]).args(flags));
        assert!(
            line.starts_with("spectate: --demo ") && line.contains(told),
            "{line}"
        );
    }
    let mut few = Command::new("sh");
    few.args([
        "-c",
        "ulimit -n 50 && exec \"$0\" \"$@\"",
        env!("CARGO_BIN_EXE_spectate"),
    ]);
    few.args(["serve", "--listen", "127.0.0.1:0", "--demo"]);
    let line = refusal(&mut few);
    assert!(
        line.contains("the descriptor limit (ulimit -n) allows 8: "),
        "{line}"
    );
    let enough = [
        "--max-connections=26",
        "--max-connections-per-ip=26",
        "--max-rate=2",
    ];
    let server = Server::start(&[&["--demo"], &enough[..]].concat());
    see_runners_move(&mut spectator(&server, ""), 25);
}

/// The one line with which a server does not start.
fn refusal(command: &mut Command) -> String {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program is built");
    assert_eq!(wait_for_exit(&mut child).code(), Some(1));
    let output = child.wait_with_output().expect("it ended");
    let line = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(
        (line.lines().count(), output.stdout.len()),
        (1, 0),
        "{line}"
    );
    line
}

#[test]
fn runners_have_tokens_where_tokens_are_asked_for() {
    let file = Scratch::new("demo-secret", SECRET);
    let keys = [
        "--jwt-hs256-secret-file",
        file.path(),
        "--jwt-audience",
        "park",
        "--jwt-issuer",
        "us",
    ];
    let server = Server::start(&[&["--demo"], &keys[..]].concat());
    let mint = [&["token", "--sub", "me", "--follow", "*"], &keys[..]].concat();
    let token = program(&mint).output().expect("it runs").stdout;
    let token = String::from_utf8(token).expect("UTF-8");
    let mut client = spectator(&server, &format!(r#","token":"{}""#, token.trim()));
    see_runners_move(&mut client, 25);
    drop(client);
    let (_, stdout, log) = server.stop();
    let link = stdout.lines().nth(1).expect("a second line");
    let command = format!(
        "#token=TOKEN with a token from: spectate token --sub me --follow '*' \
         --jwt-hs256-secret-file {} --jwt-audience park --jwt-issuer us",
        file.path()
    );
    assert!(link.ends_with(&command), "{link}");
    assert!(!(stdout + &log).contains("a secret of tests"));
}

#[test]
fn runners_renew_their_tokens_with_the_key_that_is_good_by_then() {
    let file = Scratch::new("demo-renewed", SECRET);
    let next = Scratch::new("demo-next", NEXT_SECRET);
    let key = ["--jwt-hs256-secret-file", file.path()];
    let server = Server::start(&[&key[..], &["--jwt-hs256-secret-file", next.path()]].concat());
    let mint = [&["token", "--sub", "me", "--follow", "*"], &key[..]].concat();
    let token = program(&mint).output().expect("it runs").stdout;
    let token = String::from_utf8(token).expect("UTF-8");
    let mut client = spectator(&server, &format!(r#","token":"{}""#, token.trim()));
    let url = format!("ws://{}", server.address());
    let flags = ["simulate", "--demo", "--users=2", "--ttl=4s", "--url", &url];
    let mut child = program(&[&flags, &key[..]].concat())
        .stdin(Stdio::piped())
        .spawn()
        .expect("the program is built");
    // Longer than a token lasts, also one that is made at the beginning of a second; each renewal
    // has two seconds to come late by.
    let mut begin_ms = None;
    loop {
        let fix: Value = serde_json::from_str(&client.receive()).expect("JSON");
        let at_ms = fix["timestamp"].as_u64().expect("a timestamp");
        if begin_ms.is_none() {
            file.write(NEXT_SECRET);
            server.signal(Signal::HUP);
        }
        if at_ms > *begin_ms.get_or_insert(at_ms) + 6000 {
            break;
        }
    }
    drop(child.stdin.take());
    assert_eq!(wait_for_exit(&mut child).code(), Some(0));
}

#[test]
fn runners_who_could_have_no_tokens_are_refused_at_the_start() {
    let public = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/tokens/keys/ed25519.pub.pem"
    );
    let flags = ["serve", "--listen", "127.0.0.1:0", "--demo"];
    let flags = [&flags[..], &["--jwt-public-key-file", public]].concat();
    let line = refusal(&mut program(&flags));
    assert!(line.starts_with("spectate: --demo ") && line.contains("--jwt-hs256-secret-file FILE"));
}

#[test]
fn runners_by_themselves_go_to_any_server_and_leave_when_stdin_is_closed() {
    let server = Server::start(&[]);
    let url = format!("ws://{}", server.address());
    let mut command = program(&["simulate", "--demo", "--users", "3", "--url", &url]);
    let mut child = command
        .stdin(Stdio::piped())
        .spawn()
        .expect("the program is built");
    let seen = see_runners_move(&mut spectator(&server, ""), 3);
    assert!(seen.keys().copied().eq(1..=3));
    let begin = Instant::now();
    drop(child.stdin.take());
    assert_eq!(wait_for_exit(&mut child).code(), Some(0));
    assert!(begin.elapsed() < Duration::from_secs(5));
}

#[test]
fn many_runners_raise_the_descriptor_limit_as_far_as_it_goes() {
    let server = Server::start(&[]);
    let url = format!("ws://{}", server.address());
    let start = |limit: &str| {
        let mut command = Command::new("sh");
        let line = format!("{limit} && exec \"$0\" \"$@\"");
        command.args(["-c", &line, env!("CARGO_BIN_EXE_spectate")]);
        command.args(["simulate", "--demo", "--users=600", "--url", &url]);
        command.stdin(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("the program is built")
    };
    let mut child = start("ulimit -S -n 100");
    server.wait_for_metric("spectate_connections", 600.0);
    drop(child.stdin.take());
    assert_eq!(wait_for_exit(&mut child).code(), Some(0));
    let mut child = start("ulimit -n 500");
    assert_eq!(wait_for_exit(&mut child).code(), Some(1));
    let line = child.wait_with_output().expect("it ended").stderr;
    let line = String::from_utf8(line).expect("UTF-8");
    assert!(line.contains("this takes 616 open files and the limit is 500: "));
    assert_eq!(line.lines().count(), 1, "{line}");
}

#[test]
fn many_runners_do_not_connect_all_at_the_same_time() {
    raise_descriptor_limit();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a descriptor");
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    socket.bind(&address.into()).expect("a free port");
    socket.listen(1024).expect("a bound socket");
    let server = TcpListener::from(socket);
    let url = format!("ws://{}", server.local_addr().expect("it listens"));
    let mut child = program(&["simulate", "--demo", "--users=300", "--url", &url])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program is built");
    let accept = || {
        assert!(wait_until_readable(&server), "nobody comes");
        server.accept().expect("just seen").0
    };
    // Nobody is answered, so that all of them are under way.
    let mut under_way: Vec<TcpStream> = (0..256).map(|_| accept()).collect();
    for socket in &mut under_way {
        read_head(socket);
    }
    server.set_nonblocking(true).expect("a socket");
    let more = server.accept().map(|_| ());
    assert_eq!(
        more.map_err(|error| error.kind()),
        Err(ErrorKind::WouldBlock)
    );
    drop(under_way);
    assert_eq!(wait_for_exit(&mut child).code(), Some(1));
}
