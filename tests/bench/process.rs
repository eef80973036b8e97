//! A server under measurement: started on its own core and watched through /proc. What a span of
//! time cost it, and who else used the machine meanwhile.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use crate::floor::Floor;
use crate::machine::{Cores, MachineTime, read};

/// Connections of plain HTTP where nobody asks for any: servers may keep descriptors for them that the
/// largest crowds need.
const HTTP_CONNECTIONS_FEW: (&str, &str) = ("SPECTATE_MAX_HTTP_CONNECTIONS", "8");

/// What can be measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// A server binary with flags for `serve`.
    Spectate {
        path: PathBuf,
        flags: &'static [&'static str],
    },
    Floor(Floor),
}

impl Program {
    /// The same with other flags.
    pub(crate) fn with(&self, flags: &'static [&'static str]) -> Program {
        match self {
            Program::Spectate { path, .. } => Program::Spectate {
                path: path.clone(),
                flags,
            },
            Program::Floor(floor) => Program::Floor(*floor),
        }
    }
}

pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
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

    fn start_with(
        program: &Program,
        cores: Cores,
        environment: &[(&str, &str)],
    ) -> Result<Process, String> {
        let mut command = match program {
            Program::Spectate { path, flags } => {
                let mut command = Command::new(path);
                command
                    .args(["serve", "--listen", "127.0.0.1:0", "--log-level", "off"])
                    .args(*flags);
                command
            }
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
        // A child inherits the core, and so do threads that it may start.
        cores.pin_to_server();
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        cores.pin_to_load();
        let child = spawned.map_err(|error| format!("{command:?}: {error}"))?;
        let mut process = Process {
            child,
            address: ([127, 0, 0, 1], 0).into(),
            cores,
        };
        process.address = process.read_address()?;
        Ok(process)
    }

    fn read_address(&mut self) -> Result<SocketAddr, String> {
        let stdout = self.child.stdout.take().ok_or("the server has no stdout")?;
        let mut line = String::new();
        BufReader::new(stdout)
            .read_line(&mut line)
            .map_err(|error| format!("the server's stdout: {error}"))?;
        line.trim()
            .strip_prefix("listening on ")
            .and_then(|address| address.parse().ok())
            .ok_or_else(|| format!("the server says {line:?} instead of where it listens"))
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Stops it as an operator does, and waits for its end.
    pub(crate) fn stop(mut self) -> Result<(), String> {
        let signalled = kill_process(Pid::from_child(&self.child), Signal::TERM);
        signalled.map_err(|error| error.to_string())?;
        let status = self.child.wait().map_err(|error| error.to_string())?;
        match status.success() {
            true => Ok(()),
            false => Err(format!("the server ended with {status}")),
        }
    }

    /// Its resident memory.
    pub(crate) fn rss_kib(&self) -> u64 {
        status_kib(&self.read("status"), "VmRSS:")
    }

    /// The most that its resident memory ever was.
    pub(crate) fn peak_kib(&self) -> u64 {
        status_kib(&self.read("status"), "VmHWM:")
    }

    /// How many files it has open.
    pub(crate) fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).map_or(0, Iterator::count)
    }

    fn read(&self, file: &str) -> String {
        read(&format!("/proc/{}/{file}", self.child.id()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The state of the clocks at one end of a span.
pub(crate) struct Mark {
    at: Instant,
    server_ns: u64,
    own_ns: u64,
    user_ticks: u64,
    system_ticks: u64,
    machine: MachineTime,
    cores: usize,
}

/// What happened between two marks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) seconds: f64,
    /// CPU of the server.
    pub(crate) cpu_us: f64,
    /// The part of it outside the kernel, from ticks of the scheduler.
    pub(crate) user_us: f64,
    /// Share of the machine that was neither idle nor ours.
    pub(crate) others: f64,
}

impl Mark {
    pub(crate) fn take(process: &Process) -> Mark {
        let (user_ticks, system_ticks) = user_and_system(&process.read("stat"));
        Mark {
            at: Instant::now(),
            server_ns: on_cpu_ns(&process.child.id().to_string()),
            own_ns: on_cpu_ns("self"),
            user_ticks,
            system_ticks,
            machine: MachineTime::now(),
            cores: process.cores.count(),
        }
    }

    /// From here to a later mark.
    pub(crate) fn to(&self, later: &Mark) -> Span {
        let seconds = (later.at - self.at).as_secs_f64();
        let cpu_us = later.server_ns.saturating_sub(self.server_ns) as f64 / 1e3;
        let own_us = later.own_ns.saturating_sub(self.own_ns) as f64 / 1e3;
        let user = later.user_ticks.saturating_sub(self.user_ticks) as f64;
        let system = later.system_ticks.saturating_sub(self.system_ticks) as f64;
        let ours = (cpu_us + own_us) / (seconds * 1e6 * self.cores as f64);
        Span {
            seconds,
            cpu_us,
            user_us: cpu_us * user / (user + system).max(1.0),
            others: (self.machine.busy_until(&later.machine) - ours).max(0.0),
        }
    }
}

/// Time on a CPU of all threads of a process, in the scheduler's own nanoseconds.
fn on_cpu_ns(pid: &str) -> u64 {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return 0;
    };
    threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("schedstat")).ok())
        .filter_map(|line| line.split(' ').next()?.parse::<u64>().ok())
        .sum()
}

/// `utime` and `stime` of proc_pid_stat(5).
fn user_and_system(stat: &str) -> (u64, u64) {
    // The name, in brackets, may contain blanks.
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let field = |index: usize| {
        fields
            .get(index)
            .and_then(|field| field.parse().ok())
            .unwrap_or(0)
    };
    (field(11), field(12))
}

/// A size in proc_pid_status(5).
fn status_kib(status: &str, name: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse().ok())
        .unwrap_or(0)
}
