//! Everyone is whoever is known on any node.

use std::collections::BTreeSet;
use std::time::Instant;

use serde_json::Value;

use crate::support::{Client, WAIT};

use super::Engine;

/// Reads until this comes.
fn wait_for(client: &mut Client, expected: &str) {
    let begin = Instant::now();
    while client.receive() != expected {
        assert!(begin.elapsed() < WAIT, "not {expected}");
    }
}

fn user_of(text: &str) -> String {
    let json: Value = serde_json::from_str(text).expect("JSON");
    json["userId"].to_string()
}

#[test]
fn who_follows_everyone_hears_of_each_on_any_node_and_of_who_joins() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let nodes = [(); 2].map(|()| engine.node(&["--follow-all"]));
    let mut gateway = nodes[0].connect();
    for user in 0..300 {
        gateway.send(&format!(r#"{{"userId":{user},"lat":1,"lng":2}}"#));
    }
    nodes[0].wait_for_metric("spectate_bus_published_total", 300.0);
    let mut watcher = nodes[1].connect();
    watcher.send(r#"{"initialRequest":true,"following":"*"}"#);
    let mut users = BTreeSet::new();
    for _ in 0..300 {
        let text = watcher.receive();
        assert!(text.contains(r#","age":"#), "{text}");
        assert!(users.insert(user_of(&text)), "once: {text}");
    }
    gateway.send(r#"{"userId":7,"lat":3,"lng":4}"#);
    assert_eq!(watcher.receive(), r#"{"userId":7,"lat":3,"lng":4}"#);
    gateway.send(r#"{"userId":999,"lat":5,"lng":6}"#);
    gateway.barrier();
    assert_eq!(
        watcher.receive(),
        r#"{"userId":999,"lat":5,"lng":6}"#,
        "news has no age"
    );
    gateway.send(r#"{"userId":999,"lat":7,"lng":8}"#);
    assert_eq!(watcher.receive(), r#"{"userId":999,"lat":7,"lng":8}"#);
    watcher.send(r#"{"unfollow":"*"}"#);
    // Everyone is left after 10 s, and each of them after as much.
    let begin = Instant::now();
    while nodes[1].metric("spectate_bus_subscriptions") > 0.0 {
        assert!(begin.elapsed() < 3 * WAIT, "they are not left");
    }
}

#[test]
fn who_is_connected_elsewhere_is_one_of_everyone() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let nodes = [(); 2].map(|()| engine.node(&["--follow-all"]));
    let mut runner = nodes[0].join("5", "[]");
    runner.barrier();
    let mut watcher = nodes[1].connect();
    watcher.send(r#"{"initialRequest":true,"following":"*","presence":true}"#);
    let of = |user: u32, is_there: bool| {
        format!(r#"{{"presence":{{"userId":"{user}","state":"unknown","connected":{is_there}}}}}"#)
    };
    wait_for(&mut watcher, &of(5, true));
    let second = nodes[0].join("6", "[]");
    wait_for(&mut watcher, &of(6, true));
    drop(second);
    wait_for(&mut watcher, &of(6, false));
}

#[test]
fn everybodys_positions_are_those_of_all_nodes() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let nodes = [(); 2].map(|()| engine.node(&["--follow-all"]));
    let mut gateway = nodes[0].connect();
    for user in 0..100 {
        gateway.send(&format!(r#"{{"userId":{user},"lat":1,"lng":2}}"#));
    }
    nodes[0].wait_for_metric("spectate_bus_published_total", 100.0);
    let answer: Value = serde_json::from_str(&nodes[1].get("/positions?ids=*").body).expect("JSON");
    assert_eq!(
        answer["features"].as_array().map(Vec::len),
        Some(100),
        "{answer}"
    );
    nodes[1].wait_for_metric("spectate_bus_subscriptions", 0.0);
}
