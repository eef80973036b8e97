//! `serve --demo`: runners to look at, who come with the server and leave with it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, getpgid, kill_process, pidfd_open};
use serde_json::Value;

use crate::scratch::Scratch;
use crate::support::{Client, Server, WAIT, program, wait_for_exit, wait_until_readable};

const SECRET: &[u8] = b"a secret of tests that is long enough";

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

/// The runners' process.
fn runners(server: &Server) -> Pid {
    let log = server.log();
    let pid = told(&log, "demo pid=").and_then(|pid| pid.parse().ok());
    pid.and_then(Pid::from_raw)
        .unwrap_or_else(|| panic!("{log}"))
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
    // What a terminal sends to the server's group does not reach them.
    let runners = runners(&server);
    assert_eq!(getpgid(Some(runners)), Ok(runners));
    let (status, stdout, log) = server.stop();
    assert_eq!(status.code(), Some(0));
    let link = format!("\nsee it move: http://{address}/?follow={}\n", ids());
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
fn runners_that_end_are_told_of_and_nothing_stays_of_them() {
    let server = Server::start(&["--demo"]);
    see_runners_move(&mut spectator(&server, ""), 1);
    let pid = runners(&server);
    kill_process(pid, Signal::KILL).expect("they run");
    let (begin, mut witness) = (Instant::now(), server.connect());
    while !server.log().contains("demo ended") {
        assert!(begin.elapsed() < WAIT, "{}", server.log());
        witness.barrier();
    }
    let log = server.log();
    let line = log.lines().find(|line| line.contains("demo ended"));
    let line = line.expect("just seen");
    assert!(
        line.contains("WARN") && line.contains("signal: 9"),
        "{line}"
    );
    let left = std::path::Path::new("/proc").join(pid.to_string());
    assert!(!left.exists(), "a zombie");
    server.wait_for_metric("spectate_connections", 1.0);
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
        "#token=TOKEN with a token from: spectate token --sub me --follow {} \
         --jwt-hs256-secret-file {} --jwt-audience park --jwt-issuer us",
        ids(),
        file.path()
    );
    assert!(link.ends_with(&command), "{link}");
    assert!(!(stdout + &log).contains("a secret of tests"));
}

#[test]
fn runners_renew_their_tokens() {
    let file = Scratch::new("demo-renewed", SECRET);
    let key = ["--jwt-hs256-secret-file", file.path()];
    let server = Server::start(&key);
    let mint = [&["token", "--sub", "me", "--follow", "*"], &key[..]].concat();
    let token = program(&mint).output().expect("it runs").stdout;
    let token = String::from_utf8(token).expect("UTF-8");
    let mut client = spectator(&server, &format!(r#","token":"{}""#, token.trim()));
    let url = format!("ws://{}", server.address());
    let flags = ["simulate", "--demo", "--users=2", "--ttl=4s", "--url", &url];
    let mut child = program(&[&flags, &key[..]].concat())
        .stdin(std::process::Stdio::piped())
        .spawn()
        .expect("the program is built");
    // Longer than a token lasts, also one that is made at the beginning of a second; each renewal
    // has two seconds to come late by.
    let mut begin_ms = None;
    loop {
        let fix: Value = serde_json::from_str(&client.receive()).expect("JSON");
        let at_ms = fix["timestamp"].as_u64().expect("a timestamp");
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
    let mut command = program(&flags);
    command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let mut child = command.spawn().expect("the program is built");
    assert_eq!(wait_for_exit(&mut child).code(), Some(1));
    let output = child.wait_with_output().expect("it ended");
    let line = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(line.starts_with("spectate: --demo ") && line.contains("--jwt-hs256-secret-file FILE"));
    assert_eq!(
        (line.lines().count(), output.stdout.len()),
        (1, 0),
        "{line}"
    );
}

#[test]
fn runners_by_themselves_go_to_any_server_and_leave_when_stdin_is_closed() {
    let server = Server::start(&[]);
    let url = format!("ws://{}", server.address());
    let mut command = program(&["simulate", "--demo", "--users", "3", "--url", &url]);
    let mut child = command
        .stdin(std::process::Stdio::piped())
        .spawn()
        .expect("the program is built");
    let seen = see_runners_move(&mut spectator(&server, ""), 3);
    assert!(seen.keys().copied().eq(1..=3));
    let begin = Instant::now();
    drop(child.stdin.take());
    assert_eq!(wait_for_exit(&mut child).code(), Some(0));
    assert!(begin.elapsed() < Duration::from_secs(5));
}
