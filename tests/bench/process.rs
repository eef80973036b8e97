//! A server under measurement: started on its own core, alone or with a proxy before it, and what it
//! holds.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rcgen::KeyPair;
use rustix::process::{Pid, Signal, kill_process};

use crate::certificates::{Ca, Pair};
use crate::crowd::{Crowd, PATIENCE, Receiving};
use crate::floor::Floor;
use crate::machine::{Cores, read};
use crate::proxy::Proxy;
use crate::secure::Secrecy;

/// Connections of plain HTTP where nobody asks for any: servers may keep descriptors for them that the
/// largest crowds need.
const HTTP_CONNECTIONS_FEW: (&str, &str) = ("SPECTATE_MAX_HTTP_CONNECTIONS", "8");

/// More files than a server without connections and the proxy before it have open.
const FILES_AT_REST_MAX: usize = 100;

/// An RSA key of 2048 bits.
const RSA: &str = include_str!("../tokens/keys/rsa.pem");

/// How clients come to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Front {
    Plain,
    /// By TLS, which the server speaks, with a key of P-256.
    Tls,
    /// The same with an RSA key.
    TlsRsa,
    /// By TLS, which nginx speaks, with a key of P-256.
    Nginx,
}

/// What can be measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// A server binary with flags for `serve`.
    Spectate {
        path: PathBuf,
        flags: &'static [&'static str],
        front: Front,
    },
    Floor(Floor),
    /// So many of a server binary on one bus; none is one alone, without a bus.
    Nodes {
        path: PathBuf,
        count: usize,
    },
}

impl Program {
    /// The same with other flags.
    pub(crate) fn with(&self, flags: &'static [&'static str]) -> Program {
        match self {
            Program::Spectate { path, front, .. } => Program::Spectate {
                path: path.clone(),
                flags,
                front: *front,
            },
            other => other.clone(),
        }
    }
}

pub(crate) struct Process {
    child: Child,
    proxy: Option<Proxy>,
    /// Where clients connect.
    pub(crate) address: SocketAddr,
    /// How they speak, if that is TLS.
    pub(crate) secrecy: Option<Secrecy>,
    /// Its files are to be there as long as it runs.
    _pair: Option<Pair>,
    pub(crate) cores: Cores,
}

impl Process {
    /// Starts a server for WebSockets and waits until it listens.
    pub(crate) fn start(program: &Program, cores: Cores) -> Result<Process, String> {
        Process::start_with(program, cores, &[HTTP_CONNECTIONS_FEW])
    }

    /// The same for plain HTTP beside them.
    pub(crate) fn start_for_http(program: &Program, cores: Cores) -> Result<Process, String> {
        Process::start_with(program, cores, &[])
    }

    /// The same with a file for its state.
    pub(crate) fn start_with_state(
        program: &Program,
        cores: Cores,
        file: &Path,
    ) -> Result<Process, String> {
        let file = file.to_str().ok_or("a path that is no UTF-8")?;
        // A million and who stands by, and 240 points of each of 100,000.
        let environment = [
            ("SPECTATE_STATE", file),
            ("SPECTATE_MAX_RUNNERS", "1100000"),
            ("SPECTATE_TRAIL_MEMORY", "400MiB"),
        ];
        Process::start_with(program, cores, &environment)
    }

    /// One of several, if there is a bus.
    pub(crate) fn start_node(
        path: &Path,
        cores: Cores,
        bus: Option<&str>,
    ) -> Result<Process, String> {
        let program = Program::Spectate {
            path: path.to_owned(),
            flags: &[],
            front: Front::Plain,
        };
        let bus = bus.map(|bus| ("SPECTATE_BUS", bus));
        Process::start_with(&program, cores, bus.as_slice())
    }

    fn start_with(
        program: &Program,
        cores: Cores,
        environment: &[(&str, &str)],
    ) -> Result<Process, String> {
        let front = match program {
            Program::Spectate { front, .. } => *front,
            Program::Floor(_) | Program::Nodes { .. } => Front::Plain,
        };
        let pair = front.pair()?;
        let mut command = match program {
            Program::Spectate { path, flags, .. } => {
                let mut command = Command::new(path);
                command.args(["serve", "--log-level", "off"]).args(*flags);
                match (front, &pair) {
                    (Front::Tls | Front::TlsRsa, Some(pair)) => command.args(pair.flags()),
                    _ => command.args(["--listen", "127.0.0.1:0"]),
                };
                command
            }
            Program::Nodes { .. } => return Err("these are several".to_owned()),
            Program::Floor(floor) => {
                let this = std::env::current_exe().map_err(|error| error.to_string())?;
                let mut command = Command::new(this);
                command.args([crate::FLOOR_ARGUMENT, floor.word()]);
                command
            }
        };
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SPECTATE_") {
                command.env_remove(name);
            }
        }
        // Servers that have no such limit pass over it.
        command.envs(environment.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = Process {
            child: spawn_on_server_core(command, cores)?,
            proxy: None,
            address: ([127, 0, 0, 1], 0).into(),
            secrecy: pair.is_some().then(Secrecy::new).transpose()?,
            _pair: None,
            cores,
        };
        process.address = process.read_address()?;
        if let (Front::Nginx, Some(pair)) = (front, &pair) {
            let proxy = Proxy::start(process.address, pair, cores)?;
            process.address = proxy.address;
            process.proxy = Some(proxy);
        }
        process._pair = pair;
        Ok(process)
    }

    fn read_address(&mut self) -> Result<SocketAddr, String> {
        let stdout = self.child.stdout.take().ok_or("the server has no stdout")?;
        let mut line = String::new();
        BufReader::new(stdout)
            .read_line(&mut line)
            .map_err(|error| format!("the server's stdout: {error}"))?;
        line.trim()
            .trim_end_matches(" (TLS)")
            .strip_prefix("listening on ")
            .and_then(|address| address.parse().ok())
            .ok_or_else(|| format!("the server says {line:?} instead of where it listens"))
    }

    /// Opens a WebSocket to it for each of `sockets`.
    pub(crate) fn connect(&self, sockets: &[Receiving]) -> Result<Crowd, String> {
        let servers = vec![self.address; sockets.len()];
        Crowd::connect_by(self.secrecy.as_ref(), &servers, sockets)
    }

    /// The server, and the proxy before it.
    pub(crate) fn pids(&self) -> Vec<u32> {
        let proxy = self.proxy.as_ref().map(Proxy::pid);
        std::iter::once(self.child.id()).chain(proxy).collect()
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Stops it as an operator does, and waits for its end.
    pub(crate) fn stop(mut self) -> Result<(), String> {
        signal(self.child.id(), Signal::TERM)?;
        let status = self.child.wait().map_err(|error| error.to_string())?;
        match status.success() {
            true => Ok(()),
            false => Err(format!("the server ended with {status}")),
        }
    }

    /// Has it, and the proxy before it, stand still.
    pub(crate) fn hold(&self) -> Result<(), String> {
        for pid in self.pids() {
            signal(pid, Signal::STOP)?;
            wait_for_state(pid, "T")?;
        }
        Ok(())
    }

    /// Lets them go on: the proxy first, until it has handed on all that came.
    pub(crate) fn let_go(&self) -> Result<(), String> {
        for pid in self.pids().into_iter().rev() {
            signal(pid, Signal::CONT)?;
            if pid != self.child.id() {
                wait_for_state(pid, "S")?;
            }
        }
        Ok(())
    }

    /// Its resident memory, with that of the proxy before it.
    pub(crate) fn rss_kib(&self) -> u64 {
        let pids = self.pids().into_iter();
        pids.map(|pid| status_kib(&read(&format!("/proc/{pid}/status")), "VmRSS:"))
            .sum()
    }

    /// The most that its resident memory ever was.
    pub(crate) fn peak_kib(&self) -> u64 {
        status_kib(&self.read("status"), "VmHWM:")
    }

    /// How many files it has open.
    pub(crate) fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).map_or(0, Iterator::count)
    }

    /// Returns when it, and the proxy before it, have let go of all connections.
    pub(crate) fn wait_for_the_end_of_all(&self) -> Result<(), String> {
        let began = Instant::now();
        let open = |pid| fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
        while self.pids().into_iter().map(open).sum::<usize>() > FILES_AT_REST_MAX {
            if began.elapsed() > PATIENCE {
                return Err("connections stay open".to_owned());
            }
            // Nothing tells when a process closes a file. Each look takes time from it.
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn read(&self, file: &str) -> String {
        read(&format!("/proc/{}/{file}", self.child.id()))
    }
}

impl Front {
    /// The certificate that clients are shown.
    fn pair(self) -> Result<Option<Pair>, String> {
        match self {
            Front::Plain => Ok(None),
            Front::Tls | Front::Nginx => Ok(Some(Ca::new("bench").issue("bench", 90))),
            Front::TlsRsa => {
                let key = KeyPair::from_pem(RSA).map_err(|error| error.to_string())?;
                Ok(Some(Ca::new("bench").issue_for("bench", 90, &key)))
            }
        }
    }
}

/// Starts a program on the server's core, which its threads inherit, and its children.
pub(crate) fn spawn_on_server_core(mut command: Command, cores: Cores) -> Result<Child, String> {
    cores.pin_to_server();
    let spawned = command.spawn();
    cores.pin_to_load();
    spawned.map_err(|error| format!("{command:?}: {error}"))
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn signal(pid: u32, signal: Signal) -> Result<(), String> {
    let pid = Pid::from_raw(pid.cast_signed()).ok_or("no process")?;
    kill_process(pid, signal).map_err(|error| error.to_string())
}

/// Waits until a process is in a state of proc_pid_stat(5).
fn wait_for_state(pid: u32, state: &str) -> Result<(), String> {
    let began = Instant::now();
    let is_in = || read(&format!("/proc/{pid}/stat")).contains(&format!(") {state} "));
    while !is_in() {
        if began.elapsed() > PATIENCE {
            return Err(format!("process {pid} is not in state {state}"));
        }
    }
    Ok(())
}

/// A size in proc_pid_status(5).
fn status_kib(status: &str, name: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse().ok())
        .unwrap_or(0)
}
