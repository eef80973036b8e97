//! A Redis of a test's own.

use std::process::{Child, Command};

use rustix::process::{Pid, Signal, kill_process};

use crate::needs;
use crate::redis;
use crate::support::Server;

/// A running engine, killed when it is dropped.
pub(super) struct Engine {
    child: Child,
    port: u16,
    flags: Vec<String>,
}

impl Engine {
    /// One on a free port; nothing where there is no Redis, if that may be.
    pub(super) fn start(flags: &[&str]) -> Option<Engine> {
        needs::program(&["redis-server"], "redis-server")?;
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let (child, port) = redis::run_anywhere(&flags).expect("an engine that starts");
        Some(Engine { child, port, flags })
    }

    /// What `--bus` is given.
    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// A node on this engine, once it is connected.
    pub(super) fn node(&self, flags: &[&str]) -> Server {
        let node = self.lonely_node(flags);
        node.wait_for_metric(&self.up(), 1.0);
        node
    }

    /// A node that is given this engine.
    pub(super) fn lonely_node(&self, flags: &[&str]) -> Server {
        let url = self.url();
        Server::start(&[&["--bus", &url], flags].concat())
    }

    /// The metric that says whether a node is connected to it.
    pub(super) fn up(&self) -> String {
        format!("spectate_bus_up{{server=\"{}\"}}", self.url())
    }

    /// What `redis-cli` says to a command.
    pub(super) fn say(&self, command: &[&str]) -> String {
        let port = self.port.to_string();
        let said = Command::new("redis-cli")
            .args(["-p", &port])
            .args(command)
            .output();
        let said = said.expect("it comes with the server").stdout;
        String::from_utf8(said)
            .expect("UTF-8")
            .trim_end()
            .to_owned()
    }

    /// Sends it a signal.
    pub(super) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the engine runs");
    }

    /// Ends it at once, as a power failure does.
    pub(super) fn kill(&mut self) {
        self.child.kill().expect("a child of ours");
        self.child.wait().expect("a child of ours");
    }

    /// Starts it again at the same place, empty.
    pub(super) fn start_again(&mut self) {
        self.child = redis::run(self.port, &self.flags).expect("the port is ours");
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
