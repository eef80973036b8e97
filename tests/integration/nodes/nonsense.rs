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
