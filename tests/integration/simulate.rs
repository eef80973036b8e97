//! `simulate` at the real server: among others who have ids of their own, where latitudes end at the
//! poles, and on a course that somebody wants to see.

use std::io::{BufRead, BufReader, Read};
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::Value;

use crate::scratch::Scratch;
use crate::support::{Server, program, wait_for_exit};

const SECRET: &[u8] = b"a secret of tests that is long enough";

/// An hour's way.
const WAY: &[u8] = br#"<gpx><trk><trkseg>
<trkpt lat="46" lon="7"><time>2026-05-01T12:00:00Z</time></trkpt>
<trkpt lat="46.1" lon="7"><time>2026-05-01T13:00:00Z</time></trkpt>
</trkseg></trk></gpx>"#;

fn simulate(server: &Server, flags: &[&str]) -> Output {
    let url = format!("ws://{}", server.address());
    let output = program(&["simulate", "--url", &url]).args(flags).output();
    output.expect("the program is built")
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).expect("UTF-8")
}

/// Publishes positions of these users, one after the other, until all simulations are over.
fn while_others_publish<T>(server: &Server, ids: &[u32], simulation: impl FnOnce() -> T) -> T {
    let mut gateway = server.connect();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                for id in ids {
                    gateway.send(&format!(r#"{{"userId":{id},"lat":1,"lng":2}}"#));
                }
                gateway.barrier();
            }
        });
        let outcome = simulation();
        is_over.store(true, Ordering::Relaxed);
        outcome
    })
}

#[test]
fn ids_that_others_publish_are_named_and_nothing_is_called_wrong() {
    let server = Server::start(&[]);
    let ids: Vec<u32> = (0..10).collect();
    let way = Scratch::new("simulate-in-use", WAY);
    let limited = ["--users=12", "--rate=500", "--duration=1h"];
    for (others, flags, told) in [
        (&ids[..], &limited[..], "ids 0 to 9 are in use: "),
        (&ids[..], &["--users=10"], "ids 0 to 9 are in use: "),
        (
            &ids[..],
            &["--users=12", "--course", way.path(), "--json"],
            "ids 0 to 9 are in use: ",
        ),
        (
            &[4],
            &["--users=10", "--rate=50", "--duration=1h"],
            "id 4 is in use: ",
        ),
        // The last of the users follows it.
        (
            &[20],
            &["--users=10", "--first-id=10", "--rate=50"],
            "id 20 is in use: ",
        ),
    ] {
        let output = while_others_publish(&server, others, || simulate(&server, flags));
        let line = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{flags:?}: {line}");
        assert!(
            line.starts_with(&format!("spectate: {told}")),
            "{flags:?}: {line}"
        );
        assert_eq!(line.lines().count(), 1, "{line}");
        assert_eq!(text(&output.stdout), "", "{flags:?}");
        let next = others.iter().max().expect("some") + 1;
        assert!(line.contains(&format!("(try --first-id {next})")), "{line}");
    }
}

#[test]
fn two_simulations_on_the_same_ids_tell_each_other_apart_from_a_wrong_server() {
    let server = Server::start(&[]);
    let flags = ["--users=10", "--rate=200", "--duration=4s"];
    let outputs = thread::scope(|scope| {
        let both = [(), ()].map(|()| scope.spawn(|| simulate(&server, &flags)));
        both.map(|simulation| simulation.join().expect("no panic"))
    });
    for output in outputs {
        let line = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{line}");
        assert!(
            line.contains("are in use: ") && output.stdout.is_empty(),
            "{line}"
        );
    }
}

#[test]
fn with_a_first_id_of_its_own_a_simulation_runs_beside_others() {
    let server = Server::start(&[]);
    let ids: Vec<u32> = (0..100).chain([1010]).collect();
    let flags = ["--users=9", "--first-id=1000", "--messages=500", "--json"];
    let output = while_others_publish(&server, &ids, || simulate(&server, &flags));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let summary: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(summary["ok"], true);
    // What was seen before is no trouble, also if the last positions are those of another run.
    let output = simulate(&server, &["--users=100"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn runners_to_look_at_have_ids_from_the_first_on() {
    let server = Server::start(&[]);
    let (mut client, _) = server.spectator("[7,8]");
    let url = format!("ws://{}", server.address());
    let mut command = program(&[
        "simulate",
        "--demo",
        "--users=2",
        "--first-id=7",
        "--url",
        &url,
    ]);
    let mut child = command
        .stdin(Stdio::piped())
        .spawn()
        .expect("the program is built");
    let mut seen = [client.receive(), client.receive()].map(|text| {
        let fix: Value = serde_json::from_str(&text).expect("JSON");
        fix["userId"].as_u64().expect("a number")
    });
    seen.sort_unstable();
    assert_eq!(seen, [7, 8]);
    drop(child.stdin.take());
    assert_eq!(wait_for_exit(&mut child).code(), Some(0));
}

#[test]
fn tokens_are_for_the_ids_from_the_first_on() {
    let file = Scratch::new("simulate-first", SECRET);
    let key = ["--jwt-hs256-secret-file", file.path()];
    let server = Server::start(&[&key[..], &["--wgs84"]].concat());
    let flags = [&["--users=5", "--first-id=300"], &key[..]].concat();
    let output = simulate(&server, &flags);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn where_latitudes_end_at_the_poles_a_simulation_keeps_to_them() {
    let server = Server::start(&["--wgs84"]);
    let output = simulate(&server, &["--users=20", "--messages=2000", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let summary: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        (&summary["ok"], &summary["positions"]["sent"]),
        (&true.into(), &2000.into())
    );
    let line = text(&output.stderr);
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(line.contains("latitudes beyond 90"), "{line}");
    // Elsewhere they are as they always were.
    let output = simulate(&Server::start(&[]), &["--users=20", "--messages=2000"]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
}

#[test]
fn a_course_begins_with_the_link_that_shows_who_runs_on_it() {
    let way = Scratch::new("simulate-course", WAY);
    let server = Server::start(&[]);
    let address = server.address();
    let url = format!("ws://{address}");
    let flags = ["--users=3", "--first-id=40", "--course", way.path()];
    let mut child = program(&[&["simulate", "--url", &url], &flags[..]].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program is built");
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    stdout.read_line(&mut line).expect("UTF-8");
    assert_eq!(
        line,
        format!("see it move: http://{address}/?follow=40,41,42\n")
    );
    // It runs on, while somebody looks.
    let (mut client, _) = server.spectator("[40,41,42]");
    client.receive();
    child.kill().expect("it runs");
    child.wait().expect("a child of ours");

    let file = Scratch::new("simulate-link", SECRET);
    let key = ["--jwt-hs256-secret-file", file.path()];
    let server = Server::start(&key);
    let flags = [&flags[..], &key, &["--messages=3", "--rate=100"]].concat();
    let output = simulate(&server, &flags);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let told = format!(
        "see it move: http://{}/?follow=40,41,42#token=TOKEN with a token from: \
         spectate token --sub me --follow 40,41,42 --jwt-hs256-secret-file {}\nusers ",
        server.address(),
        file.path()
    );
    assert!(
        text(&output.stdout).starts_with(&told),
        "{}",
        text(&output.stdout)
    );
    let output = simulate(&server, &[&flags[..], &["--json"]].concat());
    let json = serde_json::from_slice::<Value>(&output.stdout);
    assert!(json.is_ok() && output.stderr.is_empty(), "{output:?}");
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).expect("UTF-8");
}

#[test]
fn a_link_to_many_shows_a_thousand_of_them() {
    let way = Scratch::new("simulate-many", WAY);
    let server = Server::start(&[]);
    let flags = ["--users=1001", "--course", way.path(), "--messages=1"];
    let output = simulate(&server, &flags);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let line = text(&output.stdout).lines().next().expect("a link");
    assert!(
        line.contains("?follow=0,1,") && line.ends_with(",998,999"),
        "{line}"
    );
}

#[test]
fn a_first_id_is_a_whole_number() {
    for value in ["-1", "x", "1.5", "4294967296"] {
        let output = program(&["simulate", &format!("--first-id={value}")]).output();
        let output = output.expect("the program is built");
        assert_eq!(output.status.code(), Some(2), "{value}");
        let line = text(&output.stderr);
        assert!(line.contains(value) && line.contains("try 1000"), "{line}");
    }
}
