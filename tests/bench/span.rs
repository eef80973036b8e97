//! What a span of time cost: CPU of the servers, and who else used the machine meanwhile. From
//! /proc alone; it starts nothing and sends nothing.

use std::fs;
use std::time::Instant;

use crate::machine::{Cores, MachineTime, read};
use crate::process::Process;

/// The state of the clocks at one end of a span.
pub(crate) struct Mark {
    at: Instant,
    server_ns: u64,
    own_ns: u64,
    user_ticks: u64,
    system_ticks: u64,
    segments: u64,
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
    /// Pieces of data that TCP sent, all over the machine: on loopback one for each write(2).
    pub(crate) segments: u64,
    /// Share of the machine that was neither idle nor ours.
    pub(crate) others: f64,
}

impl Mark {
    pub(crate) fn take(process: &Process) -> Mark {
        Mark::of(&process.pids(), process.cores)
    }

    /// The same of several processes together.
    pub(crate) fn of(pids: &[u32], cores: Cores) -> Mark {
        let ticks = (pids.iter()).map(|pid| user_and_system(&read(&format!("/proc/{pid}/stat"))));
        let (user_ticks, system_ticks) =
            ticks.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        Mark {
            at: Instant::now(),
            server_ns: pids.iter().map(|pid| on_cpu_ns(&pid.to_string())).sum(),
            own_ns: on_cpu_ns("self"),
            user_ticks,
            system_ticks,
            segments: segments(),
            machine: MachineTime::now(),
            cores: cores.count(),
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
            segments: later.segments.saturating_sub(self.segments),
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

/// `TCPOrigDataSent` of this network namespace.
fn segments() -> u64 {
    let netstat = read("/proc/net/netstat");
    let mut lines = netstat
        .lines()
        .filter_map(|line| line.strip_prefix("TcpExt: "));
    let (Some(names), Some(values)) = (lines.next(), lines.next()) else {
        return 0;
    };
    let mut both = names.split(' ').zip(values.split(' '));
    both.find(|(name, _)| *name == "TCPOrigDataSent")
        .and_then(|(_, value)| value.parse().ok())
        .unwrap_or(0)
}
