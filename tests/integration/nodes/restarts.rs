//! What a node with a state file brings back to the others.

use crate::state::{Folder, last_known, stop};
use crate::support::Server;

use super::Engine;
use super::trails::places;

/// A node that keeps its state in this folder.
fn node(engine: &Engine, folder: &Folder) -> Server {
    let node = folder.serve(&["--bus", &engine.url()]);
    node.wait_for_metric(&engine.up(), 1.0);
    node
}

#[test]
fn where_the_engine_and_all_nodes_lost_their_power_a_state_file_brings_all_back() {
    let Some(mut engine) = Engine::start(&[]) else {
        return;
    };
    let folder = Folder::new();
    let here = node(&engine, &folder);
    let mut runner = here.join("5", "[]");
    for place in 1..4 {
        let ms = 1_700_000_000_000_u64 + 60_000 * place;
        runner.send(&format!(
            r#"{{"userId":5,"lat":{place}.50,"lng":0,"timestamp":{ms}}}"#
        ));
    }
    runner.barrier();
    drop(runner);
    stop(here);
    engine.kill();
    engine.start_again();
    let here = node(&engine, &folder);
    here.wait_for_metric("spectate_bus_published_total", 1.0);
    let there = engine.node(&[]);
    let mut watcher = there.connect();
    watcher.send(r#"{"initialRequest":true,"following":[5]}"#);
    let known = watcher.receive();
    assert!(
        known.starts_with(r#"{"userId":5,"lat":3.50,"lng":0,"timestamp":1700000180000,"age":"#)
    );
    assert_eq!(places(&there), [1.5, 2.5, 3.5]);
    assert_eq!(last_known(&here, "[5]").len(), 1);
}

#[test]
fn where_the_engine_has_it_still_nobody_is_told_again_after_a_restart() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let folder = Folder::new();
    let (here, there) = (node(&engine, &folder), engine.node(&[]));
    let (mut watcher, _) = there.spectator("[5,6]");
    let mut runner = here.join("5", "[]");
    runner.send(r#"{"userId":5,"lat":1,"lng":2}"#);
    assert_eq!(watcher.receive(), r#"{"userId":5,"lat":1,"lng":2}"#);
    drop(runner);
    stop(here);
    let here = node(&engine, &folder);
    let (mut restored, known) = here.spectator("[5]");
    assert_eq!(known.len(), 1, "{known:?}");
    // What is told behind that is what is new.
    let mut runner = here.join("6", "[]");
    runner.send(r#"{"userId":6,"lat":3,"lng":4}"#);
    assert_eq!(watcher.receive(), r#"{"userId":6,"lat":3,"lng":4}"#);
    let mut runner = there.join("5", "[]");
    runner.send(r#"{"userId":5,"lat":5,"lng":6}"#);
    assert_eq!(watcher.receive(), r#"{"userId":5,"lat":5,"lng":6}"#);
    assert_eq!(restored.receive(), r#"{"userId":5,"lat":5,"lng":6}"#);
}

#[test]
fn what_another_node_was_told_during_the_restart_is_newer_than_the_state() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let folder = Folder::new();
    let (here, there) = (node(&engine, &folder), engine.node(&[]));
    let mut runner = here.join("5", "[]");
    runner.send(r#"{"userId":5,"lat":1,"lng":2}"#);
    runner.barrier();
    there.wait_for_metric("spectate_bus_nodes", 2.0);
    drop(runner);
    stop(here);
    let mut runner = there.join("5", "[]");
    runner.send(r#"{"userId":5,"lat":3,"lng":4}"#);
    there.wait_for_metric("spectate_bus_published_total", 1.0);
    let here = node(&engine, &folder);
    here.wait_for_metric("spectate_bus_subscriptions", 1.0);
    let known = here.get("/positions?ids=5").body;
    assert!(known.contains(r#""coordinates":[4,3]"#), "{known}");
    let kept = engine.say(&["GET", "spectate:l:5"]);
    assert!(kept.ends_with(r#"{"userId":5,"lat":3,"lng":4}"#), "{kept}");
}
