//! What the bus brings that no node of ours has said.

use crate::support::{Client, Server};

use super::Engine;

/// A node whose watcher follows user 5, and another through which that user tells where it is.
fn apart(engine: &Engine) -> [(Server, Client); 2] {
    let (here, there) = (engine.node(&[]), engine.node(&[]));
    let (watcher, _) = there.spectator("[5]");
    let mut runner = here.join("5", "[]");
    runner.barrier();
    [(here, runner), (there, watcher)]
}

fn ignored(node: &Server) -> f64 {
    node.metric("spectate_bus_ignored_total{reason=\"malformed\"}")
}

fn wait_for_ignored(node: &Server, count: f64) {
    node.wait_for_metric("spectate_bus_ignored_total{reason=\"malformed\"}", count);
}

#[test]
fn what_is_too_large_is_counted_and_the_node_goes_on() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let large = |command: &str, name: &str| {
        let script = "return redis.call(KEYS[2], KEYS[1], string.rep('x', 2000000))";
        engine.say(&["EVAL", script, "2", name, command])
    };
    assert_eq!(large("SET", "spectate:l:5"), "OK");
    let [(here, mut runner), (there, mut watcher)] = apart(&engine);
    // Each has read the key.
    wait_for_ignored(&here, 1.0);
    wait_for_ignored(&there, 1.0);
    assert_eq!(large("PUBLISH", "spectate:nodes"), "2");
    assert_eq!(large("PUBLISH", "spectate:p:5"), "2");
    for node in [&here, &there] {
        wait_for_ignored(node, 3.0);
    }
    runner.send(r#"{"lat":1,"lng":2}"#);
    assert_eq!(watcher.receive(), r#"{"userId":5,"lat":1,"lng":2}"#);
    let kept = engine.say(&["GET", "spectate:l:5"]);
    assert!(
        kept.ends_with(r#"{"userId":5,"lat":1,"lng":2}"#),
        "{kept:.200}"
    );
    for node in [&here, &there] {
        assert_eq!(ignored(node), 3.0);
        assert_eq!(node.metric(&engine.up()), 1.0);
        assert_eq!(node.metric("spectate_bus_reconnects_total"), 0.0);
        assert!(!node.log().contains("bus down"), "{}", node.log());
    }
}

#[test]
fn what_comes_from_the_far_future_is_counted_and_freezes_nobody() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let future = |json: &str| format!("1 zzzzzzzzzzz position 1 9999999999999 - {json}");
    let elsewhere = future(r#"{"userId":5,"lat":7,"lng":7}"#);
    engine.say(&["SET", "spectate:l:5", &elsewhere]);
    let [(here, mut runner), (there, mut watcher)] = apart(&engine);
    wait_for_ignored(&here, 1.0);
    wait_for_ignored(&there, 1.0);
    for number in 0..3 {
        engine.say(&["PUBLISH", "spectate:p:5", &elsewhere]);
        wait_for_ignored(&here, f64::from(number + 2));
        runner.send(&format!(r#"{{"lat":{number},"lng":2}}"#));
        let expected = format!(r#"{{"userId":5,"lat":{number},"lng":2}}"#);
        assert_eq!(watcher.receive(), expected);
        let kept = engine.say(&["GET", "spectate:l:5"]);
        assert!(kept.ends_with(&expected), "{kept}");
    }
    assert_eq!(ignored(&there), 4.0);
}
