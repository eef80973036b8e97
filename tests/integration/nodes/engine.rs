//! An engine of a test's own: the first that this machine has.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use rustix::process::{Pid, Signal, kill_process};

use crate::certificates::{Ca, Pair};
use crate::needs;
use crate::redis::{self, By};
use crate::state::Folder;
use crate::support::Server;

/// Programs that are engines, in the order in which tests look for one.
const PROGRAMS: [&str; 2] = ["redis-server", "valkey-server"];

/// What speaks to them from a shell.
const SHELLS: [&str; 2] = ["redis-cli", "valkey-cli"];

/// A running engine, killed when it is dropped.
pub(super) struct Engine {
    child: Child,
    program: PathBuf,
    port: u16,
    flags: Vec<String>,
    /// The CA of its certificate, if it speaks TLS.
    ca_file: Option<String>,
}

impl Engine {
    /// One on a free port; nothing where there is none, if that may be.
    pub(super) fn start(flags: &[&str]) -> Option<Engine> {
        let program = needs::program(&PROGRAMS, PROGRAMS[0])?;
        Some(Engine::start_of(&program, None, flags))
    }

    /// One that has all it was told again when it is started again, from files in this folder.
    pub(super) fn start_that_keeps(folder: &Folder) -> Option<Engine> {
        let folder = folder.path("");
        let always = ["--appendonly", "yes", "--appendfsync", "always"];
        let dir = ["--dir", folder.to_str().expect("UTF-8")];
        Engine::start(&[&always[..], &dir].concat())
    }

    /// One that speaks TLS alone, with a certificate by this CA.
    pub(super) fn start_by_tls(by: (&Ca, &Pair), flags: &[&str]) -> Option<Engine> {
        let program = needs::program(&PROGRAMS, PROGRAMS[0])?;
        Some(Engine::start_of(&program, Some(by), flags))
    }

    /// One of each kind that there is, and each of them by TLS.
    pub(super) fn start_all(by: (&Ca, &Pair)) -> Vec<Engine> {
        let there = PROGRAMS.iter().filter_map(|name| needs::find(&[name]));
        there
            .flat_map(|program| [None, Some(by)].map(|tls| Engine::start_of(&program, tls, &[])))
            .collect()
    }

    fn start_of(program: &Path, tls: Option<(&Ca, &Pair)>, flags: &[&str]) -> Engine {
        let by_tls = tls.map(|(_, pair)| {
            [
                "--tls-cert-file",
                pair.certificate.path(),
                "--tls-key-file",
                pair.key.path(),
                "--tls-auth-clients",
                "no",
            ]
        });
        let flags = by_tls.iter().flatten().chain(flags);
        let flags: Vec<String> = flags.map(|flag| (*flag).to_owned()).collect();
        let ca_file = tls.map(|(ca, _)| ca.file.path().to_owned());
        let by = by(ca_file.as_deref());
        let (child, port) =
            redis::run_anywhere(program, by, &flags).expect("an engine that starts, with TLS");
        Engine {
            child,
            program: program.to_owned(),
            port,
            flags,
            ca_file,
        }
    }

    /// What `--bus` is given.
    pub(super) fn url(&self) -> String {
        match self.ca_file {
            Some(_) => format!("rediss://127.0.0.1:{}", self.port),
            None => format!("redis://127.0.0.1:{}", self.port),
        }
    }

    /// A node on this engine, once it is connected.
    pub(super) fn node(&self, flags: &[&str]) -> Server {
        let node = self.lonely_node(flags);
        node.wait_for_metric(&self.up(), 1.0);
        node
    }

    /// A node that is given this engine, and the CA of its certificate.
    pub(super) fn lonely_node(&self, flags: &[&str]) -> Server {
        let url = self.url();
        let ca: &[&str] = match &self.ca_file {
            Some(file) => &["--bus-ca-file", file],
            None => &[],
        };
        Server::start(&[&["--bus", &url], ca, flags].concat())
    }

    /// The metric that says whether a node is connected to it.
    pub(super) fn up(&self) -> String {
        format!("spectate_bus_up{{server=\"{}\"}}", self.url())
    }

    /// What its shell says to a command.
    pub(super) fn say(&self, command: &[&str]) -> String {
        let port = self.port.to_string();
        let shell = needs::find(&SHELLS).expect("it comes with the server");
        let tls = (self.ca_file.iter()).flat_map(|file| ["--tls", "--cacert", file]);
        let said = Command::new(shell)
            .args(["-p", &port])
            .args(tls)
            .args(command)
            .output();
        let said = said.expect("it is installed").stdout;
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
        let by = by(self.ca_file.as_deref());
        let child = redis::run(&self.program, self.port, by, &self.flags);
        self.child = child.expect("the port is ours");
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn by(ca_file: Option<&str>) -> By {
    match ca_file {
        Some(_) => By::Tls,
        None => By::Tcp,
    }
}
