//! An engine of the bus on a port of this machine, that keeps nothing when it ends.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// What the port speaks.
#[derive(Clone, Copy)]
pub(crate) enum By {
    /// RESP as it is.
    Tcp,
    /// RESP by TLS, and nothing else.
    #[allow(dead_code, reason = "benchmarks are plain")]
    Tls,
}

/// Runs this program on a free port; nothing if it does not start.
pub(crate) fn run_anywhere(program: &Path, by: By, flags: &[String]) -> Option<(Child, u16)> {
    // Another program may take the port before the engine does.
    (0..20).find_map(|_| {
        let free = TcpListener::bind("127.0.0.1:0").ok()?;
        let port = free.local_addr().ok()?.port();
        drop(free);
        Some((run(program, port, by, flags)?, port))
    })
}

/// Runs it until it says that it is ready; nothing if it ends before.
pub(crate) fn run(program: &Path, port: u16, by: By, flags: &[String]) -> Option<Child> {
    let port = port.to_string();
    let ports: &[&str] = match by {
        By::Tcp => &["--port", &port],
        By::Tls => &["--port", "0", "--tls-port", &port],
    };
    let mut child = Command::new(program)
        .args(ports)
        .args(["--bind", "127.0.0.1", "--save", ""])
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
