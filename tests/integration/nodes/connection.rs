//! A node and its engine: how it gets there, and what it says when it does not.

use std::time::Instant;

use crate::scratch::Scratch;
use crate::support::{Server, WAIT, program, promtool};

use super::Engine;

#[test]
fn a_node_says_once_that_its_bus_is_there_and_once_that_it_is_away() {
    let Some(mut engine) = Engine::start(&[]) else {
        return;
    };
    let node = engine.node(&[]);
    engine.kill();
    node.wait_for_metric(&engine.up(), 0.0);
    engine.start_again();
    node.wait_for_metric(&engine.up(), 1.0);
    let log = node.log();
    let lines = |word: &str| log.lines().filter(|line| line.contains(word)).count();
    assert_eq!(lines("bus up"), 2, "{log}");
    assert!((1..=2).contains(&lines("bus down")), "{log}");
    assert_eq!(node.metric("spectate_bus_reconnects_total"), 1.0);
}

#[test]
fn a_node_whose_bus_is_required_is_not_ready_without_it() {
    let Some(mut engine) = Engine::start(&[]) else {
        return;
    };
    let node = engine.node(&["--bus-required"]);
    let other = engine.node(&[]);
    assert_eq!(node.get("/readyz").status, 200);
    engine.kill();
    node.wait_for_metric(&engine.up(), 0.0);
    other.wait_for_metric(&engine.up(), 0.0);
    let answer = node.get("/readyz");
    assert_eq!((answer.status, &*answer.body), (503, "bus away\n"));
    assert_eq!(other.get("/readyz").status, 200);
    assert_eq!(node.get("/healthz").status, 200);
}

#[test]
fn a_host_is_looked_up_while_the_node_serves() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let url = engine.url().replace("127.0.0.1", "localhost");
    let node = Server::start(&["--bus", &url]);
    node.wait_for_metric(&format!("spectate_bus_up{{server=\"{url}\"}}"), 1.0);
    let lost = Server::start(&["--bus", "redis://nowhere.invalid"]);
    let (mut watcher, _) = lost.spectator("[5]");
    let mut runner = lost.join("5", "[]");
    runner.send(r#"{"lat":1,"lng":2}"#);
    assert_eq!(watcher.receive(), r#"{"userId":5,"lat":1,"lng":2}"#);
}

#[test]
fn a_wrong_password_is_told_and_mended_without_a_restart() {
    let Some(engine) = Engine::start(&["--requirepass", "s3cret"]) else {
        return;
    };
    let file = Scratch::new("bus-password", b"wrong\n");
    let node = engine.lonely_node(&["--bus-password-file", file.path()]);
    node.wait_for_log("mend --bus-password-file");
    file.write(b"s3cret\n");
    node.wait_for_metric(&engine.up(), 1.0);
    let log = node.log();
    assert_eq!(log.matches("bus down").count(), 1, "{log}");
    assert!(!log.contains("s3cret"), "{log}");
}

#[test]
fn what_is_no_bus_is_refused_at_the_start_with_status_2() {
    for (flags, says) in [
        (&["--bus", "127.0.0.1:6379"][..], "try redis://"),
        (
            &["--bus", "rediss://127.0.0.1", "--bus-ca-file", "/nowhere"],
            "--bus-ca-file: cannot read /nowhere",
        ),
        (
            &[
                "--bus",
                "rediss://127.0.0.1",
                "--bus-ca-file",
                concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"),
            ],
            "there is no certificate of a CA in it",
        ),
        (
            &["--bus", "redis://127.0.0.1", "--bus-ca-file", "/nowhere"],
            "try rediss://",
        ),
        (&["--bus-ca-file", "/nowhere"], "--bus"),
        (
            &["--bus", "redis://a:s3cret@127.0.0.1"],
            "--bus-password-file",
        ),
        (
            &[
                "--bus",
                "redis://127.0.0.1",
                "--bus-password-file",
                "/nowhere",
            ],
            "cannot read /nowhere",
        ),
        (
            &["--bus", "redis://127.0.0.1", "--bus-prefix", "a b"],
            "try spectate",
        ),
        (
            &["--bus", "redis://127.0.0.1", "--bus-out-buffer", "1KiB"],
            "try 256KiB",
        ),
        (&["--bus-required"], "--bus"),
    ] {
        let arguments = [&["serve"], flags].concat();
        let output = program(&arguments).output().expect("it ends");
        let line = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {line}");
        assert!(line.contains(says) && !line.contains("s3cret"), "{line}");
        assert_eq!(line.lines().count(), 1, "{line}");
    }
}

#[test]
fn nodes_that_do_not_have_the_same_engines_in_the_same_order_say_so_once() {
    let (Some(one), Some(two)) = (Engine::start(&[]), Engine::start(&[])) else {
        return;
    };
    let on = |engines: &[&Engine]| {
        let urls: Vec<String> = engines.iter().map(|engine| engine.url()).collect();
        let node = Server::start(&["--bus", &urls.join(",")]);
        for engine in engines {
            node.wait_for_metric(&engine.up(), 1.0);
        }
        node
    };
    let (first, same) = (on(&[&one, &two]), on(&[&one, &two]));
    first.wait_for_metric("spectate_bus_nodes", 2.0);
    assert!(!first.log().contains("differ"), "{}", first.log());
    let turned_round = on(&[&two, &one]);
    for node in [&first, &same, &turned_round] {
        let says = "mend=\"give all nodes the same --bus in the same order\"";
        node.wait_for_log(says);
    }
    drop(turned_round);
    let lone = on(&[&one]);
    lone.wait_for_metric("spectate_bus_nodes", 3.0);
    let begin = Instant::now();
    while lone.log().matches("differ").count() < 2 && begin.elapsed() < WAIT {
        lone.get("/healthz");
    }
    assert!(lone.log().contains("here=\"1 of 1\" there=\"1 of 2\""));
    assert_eq!(lone.log().matches("differ").count(), 2, "{}", lone.log());
}

#[test]
fn the_rights_that_the_manual_names_suffice() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let manual = include_str!("../../../src/server/README.md");
    let line = manual
        .lines()
        .find_map(|line| line.strip_prefix("ACL SETUSER "))
        .expect("the line for redis-cli");
    let words: Vec<String> = line
        .split(' ')
        .map(|word| word.replace("PASSWORD", "s3cret"))
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    assert_eq!(
        engine.say(&[&["ACL", "SETUSER"], &words[..]].concat()),
        "OK"
    );
    let file = Scratch::new("bus-rights", b"s3cret");
    let url = engine.url().replace("redis://", "redis://spectate@");
    let password = ["--bus-password-file", file.path()];
    let nodes = [(); 2].map(|()| Server::start(&[&["--bus", &url][..], &password].concat()));
    for node in &nodes {
        node.wait_for_metric(&engine.up(), 1.0);
    }
    let (mut watcher, _) = nodes[0].spectator("[5]");
    let mut runner = nodes[1].join("5", "[]");
    runner.send(r#"{"lat":1,"lng":2}"#);
    assert_eq!(watcher.receive(), r#"{"userId":5,"lat":1,"lng":2}"#);
    assert!(!nodes[1].log().contains("refused"), "{}", nodes[1].log());
}

#[test]
fn the_metrics_of_the_bus_are_there_with_a_bus_alone() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let (node, alone) = (engine.node(&[]), Server::start(&[]));
    let text = node.get("/metrics").body;
    for (name, kind) in [
        ("spectate_bus_up", "gauge"),
        ("spectate_bus_published_total", "counter"),
        ("spectate_bus_conflated_total", "counter"),
        ("spectate_bus_refused_total", "counter"),
        ("spectate_bus_received_total", "counter"),
        ("spectate_bus_ignored_total", "counter"),
        ("spectate_bus_subscriptions", "gauge"),
        ("spectate_bus_pending_bytes", "gauge"),
        ("spectate_bus_nodes", "gauge"),
        ("spectate_bus_reconnects_total", "counter"),
        ("spectate_bus_round_trip_seconds", "histogram"),
        ("spectate_bus_latency_seconds", "histogram"),
    ] {
        assert!(text.contains(&format!("# TYPE {name} {kind}\n")), "{name}");
    }
    assert_eq!(text.matches("# TYPE spectate_bus").count(), 12, "{text}");
    assert!(!alone.get("/metrics").body.contains("spectate_bus"));
    if let Some(said) = promtool(&["check", "metrics"], text.as_bytes()) {
        assert_eq!(said, "", "{text}");
    }
}
