//! Who follows a runner has all of its positions, through whichever nodes.

use rustix::process::Signal;

use crate::support::{Client, Server, assert_last_known};

use super::Engine;

fn position(user: u32, number: u32) -> String {
    format!(r#"{{"userId":{user},"lat":{number}.50,"lng":-0.0}}"#)
}

/// A runner who is known to be one on its node.
fn runner(node: &Server, user: u32) -> Client {
    let mut runner = node.join(&user.to_string(), "[]");
    runner.barrier();
    runner
}

/// A runner on one node and a watcher on another, who has its first position.
fn apart(engine: &Engine) -> [(Server, Client); 2] {
    let (here, there) = (engine.node(&[]), engine.node(&[]));
    let (mut watcher, _) = there.spectator("[5]");
    let mut runner = runner(&here, 5);
    runner.send(&position(5, 0));
    assert_eq!(watcher.receive(), position(5, 0));
    [(here, runner), (there, watcher)]
}

/// Waits until a node hears of so many users.
fn wait_for_subscriptions(node: &Server, count: f64) {
    node.wait_for_metric("spectate_bus_subscriptions", count);
}

#[test]
fn a_follower_on_another_node_gets_each_position_once_in_order_and_byte_for_byte() {
    let _ = Engine::start(&[]).map(each_once_and_in_order);
}

pub(super) fn each_once_and_in_order(engine: Engine) {
    let nodes = [(); 3].map(|()| engine.node(&[]));
    let mut watchers: Vec<Client> = nodes.iter().map(|node| node.spectator("[5]").0).collect();
    let mut runner = runner(&nodes[0], 5);
    let odd = r#"{"userId":5,"lat":1e1,"lng":-0.0,"accuracy":3.0,"heading":7}"#;
    runner.send(&odd.replacen("\"userId\":5,", "", 1));
    for number in 1..500 {
        runner.send(&position(5, number));
    }
    for watcher in &mut watchers {
        let first = watcher.receive();
        assert_eq!(first, odd);
        for number in 1..500 {
            assert_eq!(watcher.receive(), position(5, number));
        }
        assert_eq!(watcher.barrier(), Vec::<String>::new(), "and no more");
    }
    assert_eq!(nodes[0].metric("spectate_bus_published_total"), 500.0);
    assert_eq!(nodes[1].metric("spectate_bus_received_total"), 500.0);
    assert_eq!(nodes[0].metric("spectate_bus_received_total"), 0.0);
}

#[test]
fn ids_go_through_the_bus_whatever_is_in_them() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let (here, there) = (engine.node(&[]), engine.node(&[]));
    for id in [
        r#""a b""#,
        r#""*""#,
        r#""x.y:z""#,
        r#""Zoë""#,
        r#""a\"b""#,
        "-7",
    ] {
        let (mut watcher, _) = there.spectator(&format!("[{id},77]"));
        let mut runner = here.join(id, "[]");
        runner.send(r#"{"lat":1,"lng":2}"#);
        assert_eq!(
            watcher.receive(),
            format!(r#"{{"userId":{id},"lat":1,"lng":2}}"#)
        );
    }
}

#[test]
fn who_follows_later_has_the_last_known_position_with_its_age() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let (here, there) = (engine.node(&[]), engine.node(&[]));
    let mut runner = runner(&here, 5);
    runner.send(&position(5, 1));
    runner.send(&position(5, 2));
    runner.barrier();
    here.wait_for_metric("spectate_bus_published_total", 2.0);
    let mut watcher = there.connect();
    watcher.send(r#"{"initialRequest":true,"following":[5]}"#);
    let age = assert_last_known(&watcher.receive(), &position(5, 2));
    assert!(age < 5.0, "{age}");
    runner.send(&position(5, 3));
    assert_eq!(watcher.receive(), position(5, 3));
    let (mut another, known) = there.spectator("[5]");
    assert_eq!(known.len(), 1);
    assert_last_known(&known[0], &position(5, 3));
    assert_eq!(another.barrier(), Vec::<String>::new());
}

#[test]
fn a_runner_who_changes_nodes_goes_on_where_it_was() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let nodes = [(); 3].map(|()| engine.node(&[]));
    let (mut watcher, _) = nodes[2].spectator("[5]");
    for round in 0..10 {
        let node = &nodes[round % 2];
        let mut runner = runner(node, 5);
        for number in 0..20 {
            runner.send(&position(5, 100 * round as u32 + number));
        }
        for number in 0..20 {
            assert_eq!(watcher.receive(), position(5, 100 * round as u32 + number));
        }
    }
    let last = position(5, 919);
    let kept = engine.say(&["GET", "spectate:l:5"]);
    assert!(kept.ends_with(&last), "{kept}");
}

#[test]
fn a_late_queue_that_comes_through_another_node_replaces_nothing() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let (here, there) = (engine.node(&[]), engine.node(&[]));
    let at = |second: u64| {
        let ms = 1_700_000_000_000 + 1000 * second;
        format!(r#"{{"userId":5,"lat":{second},"lng":0,"timestamp":{ms}}}"#)
    };
    let mut first = runner(&here, 5);
    first.send(&at(50));
    first.barrier();
    here.wait_for_metric("spectate_bus_published_total", 1.0);
    let mut second = there.join("5", "[]");
    for number in 10..20 {
        second.send(&at(number));
    }
    second.barrier();
    let (_watcher, known) = here.spectator("[5]");
    assert_last_known(&known[0], &at(50));
    second.send(&at(60));
    there.wait_for_metric("spectate_bus_published_total", 1.0);
    let kept = engine.say(&["GET", "spectate:l:5"]);
    assert!(kept.ends_with(&at(60)), "{kept}");
}

#[test]
fn a_node_takes_only_the_coordinates_that_it_takes_from_clients() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let (here, there) = (engine.node(&[]), engine.node(&["--wgs84"]));
    let (mut watcher, _) = there.spectator("[5]");
    let mut runner = runner(&here, 5);
    runner.send(r#"{"lat":95,"lng":0}"#);
    runner.send(r#"{"lat":5,"lng":0}"#);
    assert_eq!(watcher.receive(), r#"{"userId":5,"lat":5,"lng":0}"#);
    assert_eq!(
        there.metric(r#"spectate_bus_ignored_total{reason="malformed"}"#),
        1.0
    );
}

#[test]
fn what_is_no_message_of_a_node_is_counted_and_dropped() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let node = engine.node(&[]);
    let (mut watcher, _) = node.spectator("[5]");
    wait_for_subscriptions(&node, 1.0);
    engine.say(&["SET", "spectate:l:6", "garbage"]);
    for payload in [
        "",
        "garbage",
        "1 Zk3v_0aQx-9 position 1 2 - {}",
        r#"1 Zk3v_0aQx-9 position 1 3 - {"userId":6,"lat":1,"lng":2}"#,
        "1 Zk3v_0aQx-9 connected 1 2 - 7",
    ] {
        engine.say(&["PUBLISH", "spectate:p:5", payload]);
    }
    engine.say(&["PUBLISH", "spectate:nodes", "garbage"]);
    engine.say(&["PUBLISH", "spectate:p:5", "2 what comes later"]);
    node.wait_for_metric(r#"spectate_bus_ignored_total{reason="version"}"#, 1.0);
    assert_eq!(
        node.metric(r#"spectate_bus_ignored_total{reason="malformed"}"#),
        6.0
    );
    let (_other, known) = node.spectator("[6]");
    assert_eq!(known, Vec::<String>::new());
    assert_eq!(watcher.barrier(), Vec::<String>::new());
}

#[test]
fn a_node_hears_of_those_alone_in_whom_somebody_here_has_a_stake() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let (here, there) = (engine.node(&[]), engine.node(&[]));
    let (mut watcher, _) = there.spectator("[5,6]");
    wait_for_subscriptions(&there, 2.0);
    watcher.send(r#"{"unfollow":[6]}"#);
    watcher.barrier();
    assert_eq!(
        there.metric("spectate_bus_subscriptions"),
        2.0,
        "so that who comes back costs nothing"
    );
    wait_for_subscriptions(&there, 1.0);
    let (mut five, mut six) = (runner(&here, 5), runner(&here, 6));
    six.send(&position(6, 1));
    six.barrier();
    five.send(&position(5, 1));
    assert_eq!(watcher.receive(), position(5, 1));
    assert_eq!(there.metric("spectate_bus_received_total"), 1.0);
}

#[test]
fn while_the_bus_is_away_a_node_goes_on_alone_and_then_the_newest_of_each_is_told() {
    let _ = Engine::start(&[]).map(alone_while_away);
}

pub(super) fn alone_while_away(mut engine: Engine) {
    let (here, there) = (engine.node(&[]), engine.node(&[]));
    let (mut far, _) = there.spectator("[5]");
    let (mut near, _) = here.spectator("[5]");
    let mut runner = runner(&here, 5);
    runner.send(&position(5, 1));
    assert_eq!(far.receive(), position(5, 1));
    engine.kill();
    here.wait_for_metric(&engine.up(), 0.0);
    there.wait_for_metric(&engine.up(), 0.0);
    for number in 2..=20 {
        runner.send(&position(5, number));
    }
    for number in 1..=20 {
        assert_eq!(near.receive(), position(5, number));
    }
    engine.start_again();
    // The other node may be connected later, and reads it then.
    let told = far.receive();
    assert!(
        told == position(5, 20) || told.starts_with(position(5, 20).trim_end_matches('}')),
        "{told}"
    );
    runner.send(&position(5, 21));
    assert_eq!(far.receive(), position(5, 21));
    assert_eq!(near.receive(), position(5, 21));
    assert_eq!(here.metric("spectate_bus_conflated_total"), 18.0);
}

#[test]
fn an_engine_that_comes_back_empty_is_filled_again() {
    let Some(mut engine) = Engine::start(&[]) else {
        return;
    };
    let (here, there) = (engine.node(&[]), engine.node(&[]));
    let mut runner = runner(&here, 5);
    runner.send(&position(5, 1));
    runner.barrier();
    here.wait_for_metric("spectate_bus_published_total", 1.0);
    engine.kill();
    here.wait_for_metric(&engine.up(), 0.0);
    there.wait_for_metric(&engine.up(), 0.0);
    engine.start_again();
    here.wait_for_metric("spectate_bus_published_total", 2.0);
    there.wait_for_metric(&engine.up(), 1.0);
    let mut watcher = there.connect();
    watcher.send(r#"{"initialRequest":true,"following":[5]}"#);
    assert_last_known(&watcher.receive(), &position(5, 1));
}

#[test]
fn a_node_that_was_stopped_tells_the_newest_of_what_it_missed() {
    let _ = Engine::start(&[]).map(the_newest_after_a_stop);
}

pub(super) fn the_newest_after_a_stop(engine: Engine) {
    let [(here, mut runner), (there, mut watcher)] = apart(&engine);
    there.signal(Signal::STOP);
    for number in 1..=3000 {
        runner.send(&position(5, number));
    }
    runner.barrier();
    here.wait_for_metric("spectate_bus_published_total", 3001.0);
    there.signal(Signal::CONT);
    let (mut last, mut count) = (0, 0);
    while last < 3000 {
        let text = watcher.receive();
        let number: u32 = text
            .split_once("\"lat\":")
            .and_then(|(_, rest)| rest.split('.').next()?.parse().ok())
            .expect("a position");
        assert!(number > last, "in order: {number} after {last}");
        (last, count) = (number, count + 1);
    }
    assert!(count < 3000, "some were passed over");
}

#[test]
fn an_engine_that_stood_still_for_some_seconds_lost_nothing() {
    let _ = Engine::start(&[]).map(nothing_lost_in_a_standstill);
}

pub(super) fn nothing_lost_in_a_standstill(engine: Engine) {
    let [(_here, mut runner), (there, mut watcher)] = apart(&engine);
    engine.signal(Signal::STOP);
    for number in 1..=100 {
        runner.send(&position(5, number));
    }
    runner.barrier();
    watcher.hear_nothing_for(std::time::Duration::from_secs(3));
    engine.signal(Signal::CONT);
    for number in 1..=100 {
        assert_eq!(watcher.receive(), position(5, number));
    }
    assert_eq!(there.metric("spectate_bus_reconnects_total"), 0.0);
}
