//! Several processes on one port, under one parent.

use std::collections::BTreeSet;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::support::{Answer, Server, WAIT, program};

use super::Engine;

/// So many servers on a free port.
fn start(engine: &Engine, count: usize) -> Server {
    start_with(&engine.url(), count, &[])
}

/// The same on this bus, with these flags too.
pub(super) fn start_with(bus: &str, count: usize, more: &[&str]) -> Server {
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = free.local_addr().expect("an address").to_string();
    drop(free);
    let count = count.to_string();
    let flags = [
        "serve",
        "--listen",
        &address,
        "--bus",
        bus,
        "--processes",
        &count,
    ];
    Server::run(program(&[&flags, more].concat()))
}

/// The children of a process, once there are so many.
fn children(parent: &Server, count: usize) -> BTreeSet<u32> {
    let pid = parent.pid();
    let path = format!("/proc/{pid}/task/{pid}/children");
    let begin = Instant::now();
    loop {
        let text = fs::read_to_string(&path).expect("the parent runs");
        let there: BTreeSet<u32> = (text.split_whitespace())
            .map(|pid| pid.parse().expect("proc(5)"))
            .collect();
        if there.len() == count {
            return there;
        }
        assert!(begin.elapsed() < WAIT, "{there:?}");
    }
}

fn pid(number: u32) -> Pid {
    Pid::from_raw(number as i32).expect("above 0")
}

fn wait_for_end(process: u32) {
    let begin = Instant::now();
    while test_kill_process(pid(process)).is_ok() {
        assert!(begin.elapsed() < WAIT, "{process} runs on");
    }
}

#[test]
fn processes_on_one_port_are_one_service() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let server = start(&engine, 3);
    children(&server, 3);
    server.wait_for_metric("spectate_bus_nodes", 3.0);
    let mut watchers: Vec<_> = (0..12).map(|_| server.spectator("[5]").0).collect();
    let mut runner = server.join("5", "[]");
    runner.barrier();
    for number in 0..50 {
        runner.send(&format!(r#"{{"lat":{number},"lng":2}}"#));
    }
    for watcher in &mut watchers {
        for number in 0..50 {
            let expected = format!(r#"{{"userId":5,"lat":{number},"lng":2}}"#);
            assert_eq!(watcher.receive(), expected);
        }
    }
    let (status, stdout, log) = server.stop();
    assert!(status.success(), "{log}");
    assert_eq!(stdout.matches("listening on").count(), 1, "{stdout}");
    assert_eq!(log.matches(" stop ").count(), 3, "{log}");
}

#[test]
fn what_is_killed_right_at_the_start_is_started_again_and_a_parent_that_is_killed_leaves_nobody_behind()
 {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let server = start(&engine, 2);
    let before = children(&server, 2);
    let dies = *before.first().expect("two");
    kill_process(pid(dies), Signal::KILL).expect("it runs");
    wait_for_end(dies);
    let after = children(&server, 2);
    assert_eq!(
        before.intersection(&after).count(),
        1,
        "{before:?} {after:?}"
    );
    assert!(server.log().contains("ended reason="), "{}", server.log());
    server.signal(Signal::KILL);
    after.into_iter().for_each(wait_for_end);
}

#[test]
fn what_exits_right_at_the_start_ends_the_service() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address").to_string();
    let flags = [
        "serve",
        "--listen",
        &address,
        "--bus",
        "redis://127.0.0.1:1",
        "--processes",
        "2",
    ];
    let output = program(&flags).output().expect("it ends");
    let line = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(1), "{line}");
    assert!(!line.contains("again_s="), "{line}");
}

/// A port that is free, and so is the next.
fn two_free_ports() -> u16 {
    loop {
        let first = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = first.local_addr().expect("an address").port();
        if port < u16::MAX && TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return port;
        }
    }
}

/// The metrics at a port, as soon as somebody listens there.
fn metrics_at(port: u16) -> Answer {
    let begin = Instant::now();
    loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(socket) => {
                return Answer::to(
                    socket,
                    b"GET /metrics HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n",
                );
            }
            Err(error) => assert!(begin.elapsed() < WAIT, "{port}: {error}"),
        }
    }
}

#[test]
fn each_process_has_its_metrics_at_a_port_of_its_own() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let first = two_free_ports();
    let address = format!("127.0.0.1:{first}");
    let _server = start_with(&engine.url(), 2, &["--metrics-listen", &address]);
    for answer in [first, first + 1].map(metrics_at) {
        assert_eq!(answer.status, 200);
        assert!(
            answer.body.contains("\nspectate_bus_nodes "),
            "{}",
            answer.body
        );
    }
}

#[test]
fn many_processes_need_a_bus_and_a_port() {
    for (flags, says) in [
        (&["--processes", "2"][..], "--bus"),
        (
            &[
                "--processes",
                "2",
                "--bus",
                "redis://127.0.0.1",
                "--listen",
                "127.0.0.1:0",
            ],
            "none can be 0",
        ),
        (
            &["--processes", "0", "--bus", "redis://127.0.0.1"],
            "--processes",
        ),
        (
            &[
                "--processes",
                "9",
                "--bus",
                "redis://127.0.0.1",
                "--metrics-listen",
                "127.0.0.1:65530",
            ],
            "--metrics-listen",
        ),
        (
            &["--processes", "2", "--bus", "redis://127.0.0.1", "--demo"],
            "--demo",
        ),
    ] {
        let output = program(&[&["serve"], flags].concat())
            .output()
            .expect("it ends");
        let line = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {line}");
        assert!(line.contains(says), "{line}");
    }
}
