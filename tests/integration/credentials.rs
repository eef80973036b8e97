//! `simulate` and `watch` at a server that asks for tokens.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use crate::scratch::Scratch;
use crate::support::{Server, WAIT, program, wait_for_exit};

const SECRET: &[u8] = b"a secret of tests that is long enough\n";
const OTHER_SECRET: &[u8] = b"another secret, which is as long as that\n";

fn key(name: &str) -> String {
    format!("{}/tests/tokens/keys/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn simulate(server: &Server, flags: &[&str]) -> Output {
    let url = format!("ws://{}", server.address());
    let mut command = program(&["simulate", "--url", &url]);
    command.args(flags).output().expect("the program is built")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

/// A token, without the newline behind it.
fn token(flags: &[&str]) -> String {
    let mut command = program(&["token"]);
    let output = command.args(flags).output().expect("the program is built");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    text(&output.stdout).trim().to_owned()
}

#[test]
fn users_have_tokens_that_the_server_takes() {
    let secret = Scratch::new("simulate-secret", SECRET);
    let server = Server::start(&[
        "--jwt-hs256-secret-file",
        secret.path(),
        "--jwt-public-key-file",
        &key("ed25519.pub.pem"),
        "--jwt-audience",
        "run",
        "--jwt-issuer",
        "us",
    ]);
    let names = ["--jwt-audience", "run", "--jwt-issuer", "us"];
    let run = ["--users", "20", "--messages", "300"];
    for signing in [
        ["--jwt-hs256-secret-file", secret.path()],
        ["--jwt-private-key-file", &key("ed25519.pem")],
    ] {
        let output = simulate(&server, &[&run[..], &names, &signing].concat());
        let told = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(
            told.contains("599 expected") || told.contains("right: "),
            "{told}"
        );
    }
    let without_names = ["--jwt-hs256-secret-file", secret.path()];
    let output = simulate(&server, &[&run[..], &without_names].concat());
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains(" 4001 "), "{output:?}");
}

#[test]
fn tokens_are_renewed_before_they_expire() {
    let secret = Scratch::new("renewed-secret", SECRET);
    let server = Server::start(&["--jwt-hs256-secret-file", secret.path()]);
    // A token lasts for up to a second more than asked for, as seconds are whole; so the run is
    // longer than that, and each renewal has two seconds to come late by.
    let output = simulate(
        &server,
        &[
            "--users=5",
            "--rate=50",
            "--duration=6s",
            "--ttl=4s",
            "--jwt-hs256-secret-file",
            secret.path(),
        ],
    );
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(
        text(&output.stdout).contains("positions   300 in"),
        "{output:?}"
    );
    let expired = "spectate_connections_closed_total{reason=\"token_expired\"}";
    assert_eq!(server.metric(expired), 0.0);
}

#[test]
fn users_without_tokens_are_told_what_to_do() {
    let secret = Scratch::new("wanted-secret", SECRET);
    let server = Server::start(&["--jwt-hs256-secret-file", secret.path()]);
    let output = simulate(&server, &[]);
    assert_eq!(output.status.code(), Some(1));
    let line = text(&output.stderr);
    assert!(line.contains("the server says unauthorized: "), "{line}");
    assert!(
        line.ends_with(" (try --jwt-hs256-secret-file FILE)\n"),
        "{line}"
    );
}

#[test]
fn flags_about_tokens_go_together() {
    let secret = Scratch::new("both-secret", SECRET);
    for (flags, status, told) in [
        (&["--jwt-issuer", "us"][..], 2, "--jwt-hs256-secret-file"),
        (&["--ttl", "5m"], 2, "--jwt-private-key-file"),
        (&["--ttl", "soon"], 2, "12h"),
        (&["--jwt-hs256-secret-file", "/no/such"], 1, "/no/such"),
        (
            &[
                "--jwt-hs256-secret-file",
                secret.path(),
                "--jwt-private-key-file",
                &key("ed25519.pem"),
            ],
            1,
            "not both",
        ),
    ] {
        let mut command = program(&["simulate"]);
        let output = command.args(flags).output().expect("it is built");
        assert_eq!(output.status.code(), Some(status), "{output:?}");
        let line = text(&output.stderr);
        assert!(line.contains(told) && line.lines().count() == 1, "{line}");
    }
}

struct Watch(Child);

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A watch of users 5 and 6, and its lines on stdout and stderr together.
fn watch(server: &Server, flags: &[&str]) -> (Watch, Receiver<String>) {
    let url = format!("ws://{}", server.address());
    let mut command: Command = program(&["watch", "5", "6", "--url", &url]);
    command
        .args(flags)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program is built");
    let (sender, lines) = channel();
    let stdout = child.stdout.take().expect("piped");
    let stderr = child.stderr.take().expect("piped");
    let outputs: [Box<dyn BufRead + Send>; 2] = [
        Box::new(BufReader::new(stdout)),
        Box::new(BufReader::new(stderr)),
    ];
    for output in outputs {
        let sender = sender.clone();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
    }
    (Watch(child), lines)
}

#[test]
fn watch_shows_the_token_in_its_file_and_sees_what_that_grants() {
    let secret = Scratch::new("watch-secret", SECRET);
    let key = ["--jwt-hs256-secret-file", secret.path()];
    let server = Server::start(&key);
    let fresh = token(&[&["--sub", "me", "--follow", "5"], &key[..]].concat());
    let file = Scratch::new("watch-token", format!("{fresh}\n").as_bytes());
    file.set_mode(0o644);
    let (_watch, lines) = watch(&server, &["--token-file", file.path()]);
    let mut seen: Vec<String> = Vec::new();
    while !seen.iter().any(|line| line.contains("not_allowed")) {
        seen.push(lines.recv_timeout(WAIT).expect("a line"));
    }
    let readable = seen.iter().filter(|line| line.contains("chmod o="));
    assert_eq!(readable.count(), 1, "{seen:?}");
    assert!(!seen.concat().contains(&fresh));
    let mut five = server.connect();
    let own = token(&[&["--sub", "5"], &key[..]].concat());
    five.send(&format!(
        r#"{{"initialRequest":true,"token":"{own}","userId":5}}"#
    ));
    five.send(r#"{"lat":1,"lng":2}"#);
    assert_eq!(lines.recv_timeout(WAIT).as_deref(), Ok("5  1 2"));
}

#[test]
fn watch_ends_and_says_what_is_wrong_with_its_token() {
    let secret = Scratch::new("ends-secret", SECRET);
    let other = Scratch::new("ends-other", OTHER_SECRET);
    let server = Server::start(&["--jwt-hs256-secret-file", secret.path()]);
    let sign = |secret: &Scratch, ttl: &str| {
        let flags = ["--sub=me", "--follow=*", "--ttl", ttl];
        token(&[&flags[..], &["--jwt-hs256-secret-file", secret.path()]].concat())
    };
    for (content, told) in [
        (sign(&other, "1h"), "code 4001"),
        (sign(&secret, "1s"), "code 4002"),
        ("two words".to_owned(), "this is no token"),
        (String::new(), "this is no token"),
    ] {
        let file = Scratch::new("ends-token", content.as_bytes());
        let (mut watch, lines) = watch(&server, &["--token-file", file.path()]);
        assert_eq!(wait_for_exit(&mut watch.0).code(), Some(1));
        let all: Vec<String> = lines.iter().collect();
        let last = all.last().expect("a line");
        assert!(last.contains(told) && last.contains("token"), "{all:?}");
        assert!(content.is_empty() || !all.concat().contains(&content));
    }
}
