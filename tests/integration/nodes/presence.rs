//! Who is there, what it is called and how many follow it, told across nodes.

use std::time::Instant;

use rustix::process::Signal;

use crate::support::{Client, Server, WAIT, assert_last_known};

use super::Engine;

const POSITION: &str = r#"{"userId":5,"lat":1,"lng":2}"#;

/// A connection to a node that asked for presence of user 5.
fn watcher(node: &Server) -> Client {
    let mut client = node.connect();
    client.send(r#"{"initialRequest":true,"following":[5],"presence":true}"#);
    client
}

/// The next presence, without the age.
fn presence(client: &mut Client) -> String {
    without_age(&client.receive())
}

fn without_age(text: &str) -> String {
    assert!(text.starts_with(r#"{"presence":"#), "{text}");
    match text.split_once(r#","age":"#) {
        Some((before, _)) => format!("{before}}}}}"),
        None => text.to_owned(),
    }
}

fn of_five(state: &str, is_connected: bool) -> String {
    format!(r#"{{"presence":{{"userId":5,"state":"{state}","connected":{is_connected}}}}}"#)
}

/// Reads until this presence is told: of several changes the last is, a second later. Says how many
/// positions came in the meantime.
fn wait_for(client: &mut Client, expected: &str) -> usize {
    let (begin, mut positions) = (Instant::now(), 0);
    loop {
        let text = client.receive();
        if !text.starts_with(r#"{"presence":"#) {
            positions += 1;
        } else if without_age(&text) == expected {
            return positions;
        }
        assert!(begin.elapsed() < WAIT, "not {expected}");
    }
}

#[test]
fn who_follows_is_told_first_whether_the_runner_is_connected_elsewhere_and_then_where() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let (here, there) = (engine.node(&[]), engine.node(&[]));
    let mut runner = here.join("5", "[]");
    runner.send(POSITION);
    runner.barrier();
    here.wait_for_metric("spectate_bus_published_total", 1.0);
    let mut watcher = watcher(&there);
    assert_eq!(presence(&mut watcher), of_five("live", true));
    assert_last_known(&watcher.receive(), POSITION);
    assert_eq!(watcher.barrier(), Vec::<String>::new());
    runner.send(POSITION);
    assert_eq!(watcher.receive(), POSITION, "and nothing of what was told");
}

#[test]
fn a_runner_is_connected_while_it_is_on_any_node() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let nodes = [(); 3].map(|()| engine.node(&[]));
    let mut watcher = watcher(&nodes[2]);
    assert_eq!(presence(&mut watcher), of_five("unknown", false));
    let first = nodes[0].join("5", "[]");
    assert_eq!(presence(&mut watcher), of_five("unknown", true));
    let second = nodes[1].join("5", "[]");
    let kept = || engine.say(&["HGETALL", "spectate:c:5"]).lines().count();
    let begin = Instant::now();
    while kept() < 4 {
        assert!(begin.elapsed() < WAIT, "both are kept");
    }
    drop(first);
    while kept() > 2 {
        assert!(begin.elapsed() < WAIT, "one is");
    }
    assert_eq!(watcher.barrier(), Vec::<String>::new(), "it is there still");
    drop(second);
    assert_eq!(presence(&mut watcher), of_five("unknown", false));
}

#[test]
fn runners_of_a_node_that_died_are_not_connected_and_stay_where_they_were() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let (here, there) = (engine.node(&[]), engine.node(&[]));
    let mut runner = here.join("5", "[]");
    runner.send(POSITION);
    here.wait_for_metric("spectate_bus_published_total", 1.0);
    let mut early = watcher(&there);
    wait_for(&mut early, &of_five("live", true));
    assert_last_known(&early.receive(), POSITION);
    there.wait_for_metric("spectate_bus_nodes", 2.0);
    let died = Instant::now();
    here.signal(Signal::KILL);
    assert_eq!(presence(&mut early), of_five("live", false));
    assert!(died.elapsed().as_secs() < 10, "{:?}", died.elapsed());
    assert_eq!(there.metric("spectate_bus_nodes"), 1.0);
    // Nor does a node believe it that never heard of it.
    for node in [&there, &engine.node(&[])] {
        let mut late = watcher(node);
        assert_eq!(presence(&mut late), of_five("live", false));
        assert_last_known(&late.receive(), POSITION);
    }
}

#[test]
fn an_engine_that_stood_still_is_no_dead_node() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let (here, there) = (engine.node(&[]), engine.node(&[]));
    let _runner = here.join("5", "[]");
    let mut watcher = watcher(&there);
    wait_for(&mut watcher, &of_five("unknown", true));
    engine.signal(Signal::STOP);
    watcher.hear_nothing_for(std::time::Duration::from_secs(9));
    engine.signal(Signal::CONT);
    watcher.hear_nothing_for(std::time::Duration::from_secs(3));
}

#[test]
fn presence_does_not_wait_for_an_engine_that_does_not_answer() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let node = engine.node(&[]);
    engine.signal(Signal::STOP);
    let mut first = watcher(&node);
    assert_eq!(presence(&mut first), of_five("unknown", false));
    let mut runner = node.join("5", "[]");
    assert_eq!(presence(&mut first), of_five("unknown", true));
    runner.send(POSITION);
    assert_eq!(wait_for(&mut first, &of_five("live", true)), 1);
    engine.signal(Signal::CONT);
}

#[test]
fn what_a_runner_is_called_is_told_on_all_nodes() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let (here, there) = (engine.node(&[]), engine.node(&[]));
    let mut early = watcher(&there);
    assert_eq!(presence(&mut early), of_five("unknown", false));
    let mut runner = here.connect();
    runner.send(r#"{"initialRequest":true,"userId":5,"name":"Anna \"A\""}"#);
    let named = |name: &str| {
        format!(r#"{{"presence":{{"userId":5,"name":{name},"state":"unknown","connected":true}}}}"#)
    };
    wait_for(&mut early, &named(r#""Anna \"A\"""#));
    let mut late = watcher(&there);
    assert_eq!(presence(&mut late), named(r#""Anna \"A\"""#));
    runner.send(r#"{"initialRequest":true,"name":"Zoë"}"#);
    wait_for(&mut early, &named(r#""Zoë""#));
    drop(runner);
    wait_for(&mut early, &of_five("unknown", false));
}

#[test]
fn a_goodbye_is_one_on_all_nodes() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let (here, there) = (engine.node(&[]), engine.node(&[]));
    let mut runner = here.join("5", "[]");
    runner.send(POSITION);
    let mut watcher = watcher(&there);
    wait_for(&mut watcher, &of_five("live", true));
    runner.barrier();
    runner.send(r#"{"goodbye":true}"#);
    wait_for(&mut watcher, &of_five("unknown", true));
    let (_late, known) = there.spectator("[5]");
    assert_eq!(known, Vec::<String>::new());
    let third = engine.node(&[]);
    let (_late, known) = third.spectator("[5]");
    assert_eq!(known, Vec::<String>::new());
    watcher.barrier();
    runner.send(POSITION);
    wait_for(&mut watcher, &of_five("live", true));
}

#[test]
fn an_audience_is_that_of_all_nodes() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let nodes = [(); 3].map(|()| engine.node(&["--follow-all"]));
    let before = nodes[1].spectator("[5]");
    nodes[1].wait_for_metric("spectate_bus_subscriptions", 1.0);
    let mut runner = nodes[0].connect();
    runner.send(r#"{"initialRequest":true,"userId":5,"following":[5],"audience":true}"#);
    let wait_for = |runner: &mut Client, count: usize| {
        let (expected, begin) = (format!(r#"{{"audience":{count}}}"#), Instant::now());
        while runner.receive() != expected {
            assert!(begin.elapsed() < WAIT, "not {expected}");
        }
    };
    wait_for(&mut runner, 1);
    let second = nodes[2].spectator("[5]");
    wait_for(&mut runner, 2);
    let everyone = nodes[2].spectator(r#""*""#);
    wait_for(&mut runner, 3);
    let here = nodes[0].spectator("[5]");
    wait_for(&mut runner, 4);
    drop(before);
    wait_for(&mut runner, 3);
    drop(everyone);
    wait_for(&mut runner, 2);
    drop((second, here));
    wait_for(&mut runner, 0);
    let third = nodes[1].spectator("[5]");
    wait_for(&mut runner, 1);
    nodes[1].signal(Signal::KILL);
    wait_for(&mut runner, 0);
    drop(third);
}

#[test]
fn nobody_seems_to_have_gone_when_an_engine_comes_back_empty_and_who_has_is_told() {
    let Some(mut engine) = Engine::start(&[]) else {
        return;
    };
    let (here, there) = (engine.node(&[]), engine.node(&[]));
    let runner = here.join("5", "[]");
    let mut gone = watcher(&there);
    wait_for(&mut gone, &of_five("unknown", true));
    // Its node comes back later than the other one.
    engine.kill();
    there.wait_for_metric(&engine.up(), 0.0);
    here.signal(Signal::STOP);
    engine.start_again();
    there.wait_for_metric(&engine.up(), 1.0);
    // Who is new is read behind those who were there before.
    let mut other = there.connect();
    other.send(r#"{"initialRequest":true,"following":[6],"presence":true}"#);
    other.receive();
    assert_eq!(gone.barrier(), Vec::<String>::new());
    here.signal(Signal::CONT);
    here.wait_for_metric(&engine.up(), 1.0);
    assert_eq!(gone.barrier(), Vec::<String>::new());
    // Its node comes back earlier than the other one, and without it.
    engine.kill();
    here.wait_for_metric(&engine.up(), 0.0);
    there.signal(Signal::STOP);
    drop(runner);
    engine.start_again();
    here.wait_for_metric(&engine.up(), 1.0);
    here.get("/healthz");
    there.signal(Signal::CONT);
    wait_for(&mut gone, &of_five("unknown", false));
}
