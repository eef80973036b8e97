//! What is asked for over HTTP of runners whom nobody here follows.

use serde_json::Value;

use super::Engine;

#[test]
fn positions_are_those_of_all_nodes_whoever_follows_here() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let (here, there) = (engine.node(&[]), engine.node(&[]));
    let mut gateway = here.connect();
    for user in 1..=50 {
        gateway.send(&format!(r#"{{"userId":{user},"lat":{user},"lng":0}}"#));
    }
    here.wait_for_metric("spectate_bus_published_total", 50.0);
    let ids: Vec<String> = (1..=60).map(|user: u32| user.to_string()).collect();
    let answer = there.get(&format!("/positions?ids={}", ids.join(",")));
    let answer: Value = serde_json::from_str(&answer.body).expect("JSON");
    let features = answer["features"].as_array().expect("a list");
    let users: Vec<&Value> = features
        .iter()
        .map(|it| &it["properties"]["userId"])
        .collect();
    assert_eq!(users, (1..=50).collect::<Vec<u32>>(), "{answer}");
    there.wait_for_metric("spectate_bus_subscriptions", 0.0);
}

#[test]
fn a_request_does_not_wait_for_an_engine_that_does_not_answer() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let node = engine.node(&[]);
    let mut gateway = node.connect();
    gateway.send(r#"{"userId":5,"lat":1,"lng":2}"#);
    gateway.barrier();
    engine.signal(rustix::process::Signal::STOP);
    let answer = node.get("/positions?ids=5,6");
    assert!(answer.body.contains("[2,1]"), "{}", answer.body);
    engine.signal(rustix::process::Signal::CONT);
}
