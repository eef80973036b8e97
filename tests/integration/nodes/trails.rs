//! Trails are those of all nodes, and outlive each.

use rustix::process::Signal;
use serde_json::Value;

use crate::state::Folder;
use crate::support::{Client, Server};

use super::Engine;

/// Places of user 5, some kilometres from one another.
fn run(runner: &mut Client, places: std::ops::Range<u64>) {
    for place in places {
        let ms = 1_700_000_000_000 + 60_000 * place;
        runner.send(&format!(
            r#"{{"userId":5,"lat":{place},"lng":0,"timestamp":{ms}}}"#
        ));
    }
    runner.barrier();
}

/// Where user 5 was, in degrees north, as a node answers it.
pub(super) fn places(node: &Server) -> Vec<f64> {
    let answer: Value = serde_json::from_str(&node.get("/trail?id=5").body).expect("JSON");
    let places = answer["geometry"]["coordinates"].as_array().cloned();
    let place = |it: &Value| it[1].as_f64().expect("a number");
    places.iter().flatten().map(place).collect()
}

fn counting(to: u32) -> Vec<f64> {
    (1..to).map(f64::from).collect()
}

#[test]
fn a_trail_is_told_on_the_node_where_somebody_follows() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let (here, there) = (engine.node(&[]), engine.node(&[]));
    let mut runner = here.join("5", "[]");
    run(&mut runner, 1..21);
    here.wait_for_metric("spectate_bus_published_total", 20.0);
    let mut watcher = there.connect();
    watcher.send(r#"{"initialRequest":true,"following":[5],"trail":100}"#);
    let text = watcher.receive();
    assert!(text.starts_with(r#"{"trail":"#), "{text}");
    assert_eq!(places(&there), counting(21));
    run(&mut runner, 21..31);
    for _ in 21..32 {
        watcher.receive();
    }
    assert_eq!(places(&there), counting(31));
}

#[test]
fn a_trail_goes_on_when_its_runner_changes_nodes_or_its_node_dies() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let (here, there) = (engine.node(&[]), engine.node(&[]));
    let mut runner = here.join("5", "[]");
    run(&mut runner, 1..11);
    here.wait_for_metric("spectate_bus_published_total", 10.0);
    here.signal(Signal::KILL);
    let mut runner = there.join("5", "[]");
    run(&mut runner, 11..21);
    there.wait_for_metric("spectate_bus_published_total", 10.0);
    assert_eq!(places(&there), counting(21));
    let third = engine.node(&[]);
    assert_eq!(places(&third), counting(21));
}

#[test]
fn a_trail_in_the_engine_is_no_longer_than_those_here_and_ends_with_a_goodbye() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let node = engine.node(&["--trail", "7"]);
    let mut runner = node.join("5", "[]");
    run(&mut runner, 1..31);
    node.wait_for_metric("spectate_bus_published_total", 30.0);
    assert_eq!(engine.say(&["LLEN", "spectate:t:5"]), "7");
    runner.send(r#"{"goodbye":true}"#);
    runner.barrier();
    assert_eq!(engine.say(&["LLEN", "spectate:t:5"]), "0");
}

#[test]
fn an_engine_that_was_away_has_each_point_once_when_it_is_back() {
    let folder = Folder::new();
    let Some(mut engine) = Engine::start_that_keeps(&folder) else {
        return;
    };
    let node = engine.node(&[]);
    let mut runner = node.join("5", "[]");
    run(&mut runner, 1..11);
    node.wait_for_metric("spectate_bus_published_total", 10.0);
    engine.kill();
    node.wait_for_metric(&engine.up(), 0.0);
    run(&mut runner, 11..21);
    engine.start_again();
    node.wait_for_metric("spectate_bus_published_total", 11.0);
    run(&mut runner, 21..31);
    node.wait_for_metric("spectate_bus_published_total", 21.0);
    assert_eq!(engine.say(&["LLEN", "spectate:t:5"]), "30");
    assert_eq!(places(&engine.node(&[])), counting(31));
}

#[test]
fn an_engine_that_comes_back_empty_has_the_trails_again() {
    let Some(mut engine) = Engine::start(&[]) else {
        return;
    };
    let node = engine.node(&[]);
    let mut runner = node.join("5", "[]");
    run(&mut runner, 1..11);
    node.wait_for_metric("spectate_bus_published_total", 10.0);
    engine.kill();
    node.wait_for_metric(&engine.up(), 0.0);
    engine.start_again();
    node.wait_for_metric("spectate_bus_published_total", 11.0);
    let other = engine.node(&[]);
    assert_eq!(places(&other), counting(11));
}
