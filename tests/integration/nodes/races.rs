//! What happens at the same time on several nodes, or on several engines.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Client, Server, WAIT};

use super::Engine;

/// Users of whom each moves all the time.
const MOVING: usize = 250;

/// Nodes that are new one after the other: each of them follows each user, 5000 follows in all.
const ROUNDS: usize = 20;

/// Publishes positions of all of them in turn until told to stop: each is where the last one was, and
/// one further. A witness on another node says when all of a turn have arrived, so that nobody is
/// behind.
fn keep_moving(mut gateway: Client, mut witness: Client, is_over: &AtomicBool) {
    for number in 0..u64::MAX {
        for user in 0..MOVING {
            gateway.send(&format!(r#"{{"userId":{user},"lat":{number},"lng":0}}"#));
        }
        for _ in 0..MOVING {
            witness.receive();
        }
        if is_over.load(Ordering::Relaxed) {
            return;
        }
    }
}

fn number(text: &str) -> u64 {
    let json: Value = serde_json::from_str(text).expect("JSON");
    json["lat"].as_u64().unwrap_or_else(|| panic!("{text}"))
}

#[test]
fn a_follow_in_the_middle_of_a_run_misses_nothing_and_has_nothing_twice() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let source = engine.node(&[]);
    let is_over = Arc::new(AtomicBool::new(false));
    let all: Vec<String> = (0..MOVING).map(|user| user.to_string()).collect();
    let witnesses = engine.node(&[]);
    let (witness, _) = witnesses.spectator(&format!("[{}]", all.join(",")));
    witnesses.wait_for_metric("spectate_bus_subscriptions", MOVING as f64);
    let gateway = source.connect();
    let mover = thread::spawn({
        let is_over = Arc::clone(&is_over);
        move || keep_moving(gateway, witness, &is_over)
    });
    source.wait_for_metric("spectate_bus_subscriptions", MOVING as f64);
    for _ in 0..ROUNDS {
        // Where nobody was followed before.
        let (node, mut missed) = (engine.node(&[]), 0);
        let mut watchers: Vec<Client> = (0..MOVING).map(|_| node.connect()).collect();
        for (user, watcher) in watchers.iter_mut().enumerate() {
            watcher.send(&format!(
                r#"{{"initialRequest":true,"following":[{user}]}}"#
            ));
        }
        for (user, watcher) in watchers.iter_mut().enumerate() {
            let mut before = number(&watcher.receive());
            for _ in 0..4 {
                let now = number(&watcher.receive());
                assert!(now > before, "user {user}: {now} behind {before}");
                missed += now - before - 1;
                before = now;
            }
        }
        // A node that is not given a processor for a while passes over what is not the newest.
        let passed_over = node.metric("spectate_bus_conflated_total")
            + node.metric("spectate_positions_conflated_total");
        assert!(
            missed as f64 <= passed_over,
            "{missed} missed, {passed_over} passed over"
        );
    }
    is_over.store(true, Ordering::Relaxed);
    mover.join().expect("it only sends");
}

#[test]
fn of_two_engines_each_has_its_runners_and_one_that_is_dead_takes_no_others_along() {
    let (Some(mut first), Some(second)) = (Engine::start(&[]), Engine::start(&[])) else {
        return;
    };
    let buses = format!("{},{}", first.url(), second.url());
    let nodes = [(); 2].map(|()| Server::start(&["--bus", &buses]));
    for node in &nodes {
        node.wait_for_metric(&first.up(), 1.0);
        node.wait_for_metric(&second.up(), 1.0);
    }
    let ids: Vec<String> = (0..20).map(|user: u32| user.to_string()).collect();
    let (mut watcher, _) = nodes[1].spectator(&format!("[{}]", ids.join(",")));
    let mut gateway = nodes[0].connect();
    let mut run = |watcher: &mut Client, users: &[u32]| {
        for user in users {
            let position = format!(r#"{{"userId":{user},"lat":1,"lng":2}}"#);
            gateway.send(&position);
            assert_eq!(watcher.receive(), position);
        }
    };
    let all: Vec<u32> = (0..20).collect();
    run(&mut watcher, &all);
    let has = |engine: &Engine, user: &u32| {
        !engine
            .say(&["GET", &format!("spectate:l:{user}")])
            .is_empty()
    };
    let (of_first, of_second): (Vec<u32>, Vec<u32>) =
        all.iter().partition(|user| has(&first, user));
    assert!(!of_first.is_empty() && of_second.iter().all(|user| has(&second, user)));
    assert!(!of_second.is_empty() && !of_first.iter().any(|user| has(&second, user)));
    first.kill();
    nodes[0].wait_for_metric(&first.up(), 0.0);
    run(&mut watcher, &of_second);
    first.start_again();
    for node in &nodes {
        node.wait_for_metric(&first.up(), 1.0);
    }
    let begin = Instant::now();
    while !of_first.iter().all(|user| has(&first, user)) {
        assert!(begin.elapsed() < WAIT, "it has what it had");
    }
    watcher.barrier();
    run(&mut watcher, &all);
}

#[test]
fn a_node_that_is_stopped_for_long_is_gone_and_then_back() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let (here, there) = (engine.node(&[]), engine.node(&[]));
    let _runner = here.join("5", "[]");
    let mut watcher = there.connect();
    watcher.send(r#"{"initialRequest":true,"following":[5],"presence":true}"#);
    let mut wait_for = |is_there: bool| {
        let expected =
            format!(r#"{{"presence":{{"userId":5,"state":"unknown","connected":{is_there}}}}}"#);
        while watcher.receive() != expected {}
    };
    wait_for(true);
    there.wait_for_metric("spectate_bus_nodes", 2.0);
    here.signal(Signal::STOP);
    wait_for(false);
    here.signal(Signal::CONT);
    wait_for(true);
}
