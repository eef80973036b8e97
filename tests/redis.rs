//! A Redis on a port of this machine that keeps nothing when it ends.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

/// Runs one on a free port; nothing if none starts.
pub(crate) fn run_anywhere(flags: &[String]) -> Option<(Child, u16)> {
    // Another program may take the port before the engine does.
    (0..20).find_map(|_| {
        let free = TcpListener::bind("127.0.0.1:0").ok()?;
        let port = free.local_addr().ok()?.port();
        drop(free);
        Some((run(port, flags)?, port))
    })
}

/// Runs one until it says that it is ready; nothing if it ends before.
pub(crate) fn run(port: u16, flags: &[String]) -> Option<Child> {
    let port = port.to_string();
    let mut child = Command::new("redis-server")
        .args(["--port", &port, "--bind", "127.0.0.1", "--save", ""])
        .args(["--appendonly", "no", "--dir", env!("CARGO_TARGET_TMPDIR")])
        .args(flags)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let stdout = BufReader::new(child.stdout.take()?);
    for line in stdout.lines().map_while(Result::ok) {
        if line.contains("Ready to accept connections") {
            return Some(child);
        }
    }
    // It has closed its stdout.
    let _ = child.wait();
    None
}
