//! What several nodes make of engines that refuse, forget, or were away at the wrong moment.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::state::Folder;
use crate::support::{Client, Server, WAIT};

use super::Engine;

const POSITION: &str = r#"{"userId":5,"lat":1,"lng":2}"#;

/// Waits until an engine says this to a command.
fn wait_for(engine: &Engine, command: &[&str], says: impl Fn(&str) -> bool) {
    let begin = Instant::now();
    loop {
        let said = engine.say(command);
        if says(&said) {
            return;
        }
        assert!(begin.elapsed() < WAIT, "{command:?}: {said}");
    }
}

/// Waits until a node answers this about user 5.
fn wait_for_five(node: &Server, says: impl Fn(&str) -> bool) {
    let begin = Instant::now();
    loop {
        let body = node.get("/positions?ids=5").body;
        if says(&body) {
            return;
        }
        assert!(begin.elapsed() < WAIT, "{body}");
    }
}

/// Publishes through a node, and waits until the bus has it.
fn publish(node: &Server, runner: &mut Client, position: &str) {
    let published = node.metric("spectate_bus_published_total");
    runner.send(position);
    runner.barrier();
    node.wait_for_metric("spectate_bus_published_total", published + 1.0);
}

#[test]
fn what_an_engine_had_no_memory_for_is_told_again_once_it_has() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let node = engine.node(&[]);
    let mut runner = node.join("5", "[]");
    publish(&node, &mut runner, POSITION);
    engine.say(&["CONFIG", "SET", "maxmemory", "1"]);
    let moved = r#"{"userId":5,"lat":3,"lng":4}"#;
    runner.send(moved);
    let late = node.join("6", "[]");
    let begin = Instant::now();
    while node.metric("spectate_bus_refused_total") == 0.0 {
        assert!(begin.elapsed() < WAIT, "nothing was refused");
    }
    engine.say(&["CONFIG", "SET", "maxmemory", "0"]);
    wait_for(&engine, &["GET", "spectate:l:5"], |it| it.ends_with(moved));
    wait_for(&engine, &["EXISTS", "spectate:c:6"], |it| it == "1");
    wait_for(&engine, &["LLEN", "spectate:t:5"], |it| it == "2");
    let log = node.log();
    assert_eq!(log.matches("bus refused").count(), 1, "{log}");
    assert!(log.contains("maxmemory"), "{log}");
    assert_eq!(node.metric("spectate_bus_reconnects_total"), 0.0);
    drop(late);
}

#[test]
fn many_long_trails_are_read_without_being_owed_more_than_an_engine_allows() {
    const RUNNERS: u32 = 4000;
    let limit = ["--client-output-buffer-limit", "pubsub 4mb 4mb 1"];
    let Some(engine) = Engine::start(&limit) else {
        return;
    };
    let fill = format!(
        "for i = 1, {RUNNERS} do for j = 1, 240 do \
         redis.call('RPUSH', 'spectate:t:' .. i, string.format('17000%08d 47123456 8123456 45678', j * 1000)) \
         end end"
    );
    engine.say(&["EVAL", &fill, "0"]);
    assert_eq!(engine.say(&["LLEN", "spectate:t:4000"]), "240");
    let node = engine.node(&["--max-message-bytes", "65536", "--max-follows", "5000"]);
    let ids: Vec<String> = (1..=RUNNERS).map(|id| id.to_string()).collect();
    let mut watcher = node.connect();
    watcher.send(&format!(
        r#"{{"initialRequest":true,"presence":true,"following":[{}]}}"#,
        ids.join(",")
    ));
    (0..RUNNERS).for_each(|_| assert!(watcher.receive().starts_with(r#"{"presence":"#)));
    // Behind all that was asked before.
    assert_eq!(node.get("/positions?ids=4001").status, 200);
    assert_eq!(node.metric("spectate_bus_reconnects_total"), 0.0);
}

#[test]
fn with_many_engines_a_node_is_missed_no_sooner() {
    let engines: Option<Vec<Engine>> = (0..4).map(|_| Engine::start(&[])).collect();
    let Some(engines) = engines else {
        return;
    };
    let urls: Vec<String> = engines.iter().map(Engine::url).collect();
    let nodes = [(); 2].map(|()| Server::start(&["--bus", &urls.join(",")]));
    for engine in &engines {
        nodes[0].wait_for_metric(&engine.up(), 1.0);
        nodes[1].wait_for_metric(&engine.up(), 1.0);
    }
    let _runner = nodes[0].join("5", "[]");
    let mut watcher = nodes[1].connect();
    watcher.send(r#"{"initialRequest":true,"following":[5],"presence":true}"#);
    while !watcher.receive().contains(r#""connected":true"#) {}
    nodes[1].wait_for_metric("spectate_bus_nodes", 2.0);
    // Between two of its heartbeats ours come from four engines.
    watcher.hear_nothing_for(Duration::from_secs(3));
}

#[test]
fn a_goodbye_that_a_node_did_not_hear_it_reads() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let here = engine.node(&[]);
    let client = engine.say(&["CLIENT", "LIST", "TYPE", "pubsub"]);
    let client = client
        .split(' ')
        .next()
        .and_then(|id| id.strip_prefix("id="));
    let client = client.expect("the first field").to_owned();
    let there = engine.node(&[]);
    let (_watcher, _) = here.spectator("[5]");
    let mut runner = there.join("5", "[]");
    publish(&there, &mut runner, POSITION);
    wait_for_five(&here, |it| it.contains("[2,1]"));
    here.signal(Signal::STOP);
    assert_eq!(engine.say(&["CLIENT", "KILL", "ID", &client]), "1");
    runner.send(r#"{"goodbye":true}"#);
    runner.barrier();
    wait_for(&engine, &["GET", "spectate:l:5"], |it| {
        it.contains(" goodbye ")
    });
    here.signal(Signal::CONT);
    wait_for_five(&here, |it| it.contains(r#""features":[]"#));
    // As long as a position would be kept that it is to hold off.
    let kept_ms: u64 = engine.say(&["PTTL", "spectate:l:5"]).parse().expect("ms");
    assert!(kept_ms > 3_600_000, "{kept_ms}");
}

#[test]
fn a_goodbye_while_the_engine_is_away_is_told_when_it_is_back_and_ends_the_trail() {
    let folder = Folder::new();
    let Some(mut engine) = Engine::start_that_keeps(&folder) else {
        return;
    };
    let (here, there) = (engine.node(&[]), engine.node(&[]));
    let (_watcher, _) = there.spectator("[5]");
    let mut runner = here.join("5", "[]");
    publish(&here, &mut runner, POSITION);
    wait_for_five(&there, |it| it.contains("[2,1]"));
    wait_for(&engine, &["LLEN", "spectate:t:5"], |it| it == "1");
    engine.kill();
    here.wait_for_metric(&engine.up(), 0.0);
    runner.send(r#"{"goodbye":true}"#);
    runner.barrier();
    engine.start_again();
    wait_for_five(&there, |it| it.contains(r#""features":[]"#));
    wait_for(&engine, &["LLEN", "spectate:t:5"], |it| it == "0");
}

#[test]
fn a_runner_is_called_as_on_the_node_where_it_is_now() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let nodes = [(); 3].map(|()| engine.node(&[]));
    let watchers = [0, 1].map(|node: usize| nodes[node].spectator("[5]"));
    let run = |node: &Server, name: &str| {
        let mut runner = node.connect();
        runner.send(&format!(
            r#"{{"initialRequest":true,"userId":5,"following":[],"name":"{name}"}}"#
        ));
        runner.barrier();
        publish(node, &mut runner, POSITION);
        runner
    };
    drop(run(&nodes[0], "Old"));
    let _runner = run(&nodes[1], "New");
    for node in &nodes {
        let begin = Instant::now();
        loop {
            let mut watcher = node.connect();
            watcher.send(r#"{"initialRequest":true,"following":[5],"presence":true}"#);
            let presence = watcher.receive();
            if presence.contains(r#""name":"New""#) {
                break;
            }
            assert!(begin.elapsed() < WAIT, "{presence}");
        }
    }
    // Whoever reads it later has no choice of names either.
    wait_for(&engine, &["HVALS", "spectate:c:5"], |it| {
        !it.contains("Old")
    });
    drop(watchers);
}

#[test]
fn how_many_follow_everyone_is_right_again_although_the_last_word_was_lost() {
    let Some(mut engine) = Engine::start(&[]) else {
        return;
    };
    let nodes = [(); 2].map(|()| engine.node(&["--follow-all"]));
    let mut runner = nodes[1].connect();
    runner.send(r#"{"initialRequest":true,"userId":5,"following":[],"audience":true}"#);
    let everyone = nodes[0].spectator(r#""*""#);
    while runner.receive() != r#"{"audience":1}"# {}
    engine.kill();
    nodes[0].wait_for_metric(&engine.up(), 0.0);
    drop(everyone);
    nodes[0].wait_for_metric("spectate_websockets", 0.0);
    engine.start_again();
    while runner.receive() != r#"{"audience":0}"# {}
}
