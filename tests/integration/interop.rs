//! The prototype's test client on Python's `websockets` instead of our own client.

use std::process::Command;

use crate::needs;
use crate::support::Server;

#[test]
fn the_prototypes_test_client_gets_every_delivery_on_another_library() {
    let Some(python) = needs::python("websockets", "python3-websockets") else {
        return;
    };
    let server = Server::start(&[]);
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/interop/prototype_client.py"
    );
    let url = format!("ws://{}", server.address());
    let output = Command::new(python)
        .args([script, &url])
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(said.contains(", 0 connections or runners wrong"), "{said}");
}
