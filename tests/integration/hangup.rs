//! A SIGHUP with nothing to read again: the end of its terminal ends a server, and a service that has
//! none is not ended by its reload.

use std::io::{ErrorKind, Read};
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::support::Server;

const PROGRAM: &str = env!("CARGO_BIN_EXE_spectate");

#[test]
fn a_sighup_changes_nothing_for_a_server_that_has_no_terminal_and_nothing_to_read_again() {
    let mut command = Command::new("setsid");
    command
        .args([PROGRAM, "serve", "--listen", "127.0.0.1:0"])
        .env_clear();
    let server = Server::run(command);
    let mut runner = server.join("5", "[5]");
    for lat in 0..3 {
        server.signal(Signal::HUP);
        runner.send(&format!(r#"{{"lat":{lat},"lng":0}}"#));
        let position = format!(r#"{{"userId":5,"lat":{lat},"lng":0}}"#);
        assert_eq!(runner.receive(), position);
    }
    let (status, ..) = server.stop();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_server_with_nothing_to_read_again_ends_with_its_terminal() {
    let mut command = Command::new("script");
    let serve = format!("exec {PROGRAM} serve --listen 127.0.0.1:0");
    command
        .args(["--quiet", "--command", &serve, "/dev/null"])
        .env_clear()
        .stdin(Stdio::null());
    let terminal = Server::run(command);
    let mut client = terminal.join("5", "[]");
    client.barrier();
    terminal.signal(Signal::KILL);
    // Nobody is left to say goodbye.
    let end = client.stream().read(&mut [0; 64]);
    let is_end = match &end {
        Ok(count) => *count == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    };
    assert!(is_end, "{end:?}");
}
