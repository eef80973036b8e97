//! The load of the test client, spread over nodes, with each delivery checked.

use crate::support::program;

use super::Engine;

#[test]
fn a_simulation_over_three_nodes_has_each_position_delivered_once_and_in_order() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let nodes = [(); 3].map(|()| engine.node(&[]));
    let urls = nodes
        .each_ref()
        .map(|node| format!("ws://{}", node.address()));
    let mut simulate = program(&[
        "simulate",
        "--users",
        "60",
        "--messages",
        "3000",
        "--rate",
        "1500",
    ]);
    for url in &urls {
        simulate.args(["--url", url]);
    }
    let output = simulate.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complaints}");
    for node in &nodes {
        assert!(node.metric("spectate_bus_received_total") >= 300.0);
        assert_eq!(node.metric("spectate_bus_conflated_total"), 0.0);
    }
}
